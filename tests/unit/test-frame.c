/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "tests/unit/test.h"
#include "wire/frame.h"

static unsigned n_given_back;

static void give_back(Frame *f, void *userdata) {
        CHECK(userdata == &n_given_back);
        CHECK_INT(f->n_refs, 0);
        n_given_back++;
        free(f);
}

static const FrameHome home = { give_back };

TEST(the_last_reference_gives_back) {
        Frame *f = frame_new(&home, &n_given_back);

        n_given_back = 0;
        REQUIRE(f);
        CHECK_INT(f->n_fds + f->n_planes + f->flags + f->meta.present, 0);
        CHECK(frame_ref(f) == f);
        CHECK(frame_ref(f) == f);
        CHECK(!frame_unref(f));
        CHECK(!frame_unref(f));
        CHECK_INT(n_given_back, 0);
        CHECK(!frame_unref(f));
        CHECK_INT(n_given_back, 1);
}

TEST(no_frame_is_no_trouble) {
        CHECK(!frame_unref(NULL));
}

TEST(the_sealed_twin_is_owned) {
        Frame *f = frame_new(&home, &n_given_back), *twin = frame_new(&home, &n_given_back);

        n_given_back = 0;
        REQUIRE(f && twin);
        f->sealed = twin;
        frame_ref(twin);
        CHECK(!frame_unref(f));
        CHECK_INT(n_given_back, 1);
        CHECK(!frame_unref(twin));
        CHECK_INT(n_given_back, 2);
}

TEST(the_kind_of_memory_is_in_the_flags) {
        Frame f = { .flags = FB_FRAME_KEYFRAME | FB_MEMORY_DMABUF << FB_FRAME_MEMORY_SHIFT };

        CHECK_INT(frame_get_memory_kind(&f), FB_MEMORY_DMABUF);
        f.flags = FB_FRAME_KEYFRAME | FB_FRAME_REPLAYED | FB_FRAME_DISCONTINUITY;
        CHECK_INT(frame_get_memory_kind(&f), FB_MEMORY_SEALED);
}

TEST_MAIN
