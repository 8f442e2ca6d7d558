/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <drm_fourcc.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/memfd.h"
#include "tests/unit/test.h"
#include "wire/import.h"

#define SEALED (1u << FB_MEMORY_SEALED)
#define LEASED (1u << FB_MEMORY_LEASED)
#define DMABUF (1u << FB_MEMORY_DMABUF)
#define TILED 0x0100000000000001ull

static const Mode nv12 = { DRM_FORMAT_NV12, .width = 4, .height = 4, .rate = { 30, 1 } };

static int sealed(size_t size) {
        static const char zeros[64];

        return memfd_new_sealed("test", zeros, size);
}

static Frame frame_of(int fd) {
        return (Frame){
                .n_fds = 1, .fds = { fd }, .n_planes = 2, .planes = { { 0, 4, 0, 16 }, { 0, 4, 16, 8 } }
        };
}

TEST(a_good_frame) {
        _cleanup_close_ int fd = sealed(24);
        Frame f = frame_of(fd);
        const char *why = NULL;

        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), 0);
        CHECK(!why);
}

TEST(two_memories) {
        _cleanup_close_ int a = sealed(16), b = sealed(8);
        Frame f = {
                .n_fds = 2, .fds = { a, b }, .n_planes = 2, .planes = { { 0, 4, 0, 16 }, { 1, 4, 0, 8 } }
        };
        const char *why = NULL;

        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), 0);
        f.planes[1].offset = 1;
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), FB_E_INVALID_MEMORY);
}

TEST(too_short) {
        _cleanup_close_ int fd = sealed(23);
        Frame f = frame_of(fd);
        const char *why = NULL;

        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), FB_E_INVALID_MEMORY);
        CHECK(why);
}

TEST(not_sealed) {
        _cleanup_close_ int fd = memfd_new("test");
        Frame f = frame_of(fd);
        const char *why = NULL;

        REQUIRE(ftruncate(fd, 24) == 0);
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), FB_E_NOT_SEALED);
        CHECK(why);
}

/* One bad memory is enough, also if no plane is in it: receivers map what they get. */
TEST(a_second_memory_that_is_not_sealed) {
        _cleanup_close_ int good = sealed(24), bad = memfd_new("test");
        Frame f = frame_of(good);
        const char *why = NULL;

        f.fds[f.n_fds++] = bad;
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), FB_E_NOT_SEALED);
}

TEST(a_second_memory_for_nothing) {
        _cleanup_close_ int fd = sealed(24), other = sealed(24);
        Frame f = frame_of(fd);
        const char *why = NULL;

        f.fds[f.n_fds++] = other;
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), FB_E_INVALID_FRAME);
        CHECK(why);
}

TEST(no_memory) {
        int p[2];
        const char *why = NULL;
        Frame f;

        REQUIRE(pipe2(p, O_CLOEXEC) == 0);
        f = frame_of(p[0]);
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), FB_E_INVALID_MEMORY);
        close(p[0]);
        close(p[1]);
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), FB_E_INVALID_MEMORY);
}

TEST(other_kinds_of_memory) {
        _cleanup_close_ int fd = sealed(24);
        Frame f = frame_of(fd);
        const char *why = NULL;

        for (uint32_t kind = 1; kind < 16; kind++) {
                f.flags = kind << FB_FRAME_MEMORY_SHIFT;
                why = NULL;
                ROW("kind %u", kind);
                CHECK(import_judge_frame(&f, &nv12, SEALED, &why) > 0);
                CHECK(why);
        }
}

static int leased(size_t size) {
        int fd = memfd_new("test");

        return fd < 0 || ftruncate(fd, (off_t)size) < 0 || memfd_seal_pool(fd) < 0 ? -1 : fd;
}

static Frame frame_in_buffer(int fd, uint32_t kind) {
        Frame f = frame_of(fd);

        f.flags = kind << FB_FRAME_MEMORY_SHIFT;
        f.meta = (FrameMeta){ .present = FRAME_META_BUFFER, .buffer = 7 };
        return f;
}

TEST(leased_memory) {
        _cleanup_close_ int fd = leased(24), unsealed = memfd_new("test"), final = sealed(24);
        Frame f = frame_in_buffer(fd, FB_MEMORY_LEASED);
        const char *why = NULL;

        REQUIRE(fd >= 0 && ftruncate(unsealed, 24) == 0);
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED | LEASED, &why), 0);
        CHECK_INT(import_judge_frame(&f, &nv12, LEASED, &why), 0);
        CHECK(!why);
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED | DMABUF, &why), FB_E_NOT_SEALED);
        f.fds[0] = final; /* a slot that was retired meanwhile */
        CHECK_INT(import_judge_frame(&f, &nv12, LEASED, &why), 0);
        f.fds[0] = unsealed;
        CHECK_INT(import_judge_frame(&f, &nv12, LEASED, &why), FB_E_NOT_SEALED);
        f.flags = 0;
        f.fds[0] = fd;
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED | LEASED, &why), FB_E_NOT_SEALED);
}

TEST(what_is_not_sealed_lies_in_a_buffer) {
        _cleanup_close_ int fd = leased(24);
        Frame f = frame_in_buffer(fd, FB_MEMORY_LEASED);
        const char *why = NULL;

        f.meta.buffer = 0;
        CHECK_INT(import_judge_frame(&f, &nv12, LEASED, &why), FB_E_INVALID_FRAME);
        f.meta = (FrameMeta){ .buffer = 7 };
        CHECK_INT(import_judge_frame(&f, &nv12, LEASED, &why), FB_E_INVALID_FRAME);
}

TEST(only_dma_bufs_are_volatile) {
        _cleanup_close_ int fd = leased(24);
        Frame f = frame_in_buffer(fd, FB_MEMORY_LEASED);
        const char *why = NULL;

        f.flags |= FB_FRAME_VOLATILE;
        CHECK_INT(import_judge_frame(&f, &nv12, LEASED, &why), FB_E_INVALID_FRAME);
        f = frame_in_buffer(fd, FB_MEMORY_DMABUF);
        f.flags |= FB_FRAME_VOLATILE;
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED | DMABUF, &why), FB_E_INVALID_MEMORY); /* a memfd */
}

TEST(planes_have_to_suit_the_mode) {
        _cleanup_close_ int fd = sealed(24);
        Mode wider = nv12, tiled = nv12;
        Frame f = frame_of(fd);
        const char *why = NULL;

        wider.width = 5;
        tiled.modifier = TILED;
        CHECK_INT(import_judge_frame(&f, &wider, SEALED, &why), FB_E_INVALID_FRAME);
        f.planes[0].size = 1;
        CHECK_INT(import_judge_frame(&f, &nv12, SEALED, &why), FB_E_INVALID_FRAME);
        CHECK_INT(import_judge_frame(&f, &tiled, SEALED, &why), 0);
}

TEST_MAIN
