/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A publisher: its source, its window, its numbers. */
#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/memfd.h"
#include "fake.h"
#include "interfaces/names.h"
#include "interfaces/wire.h"

static const struct framebus_mode mode = {
        .fourcc = DRM_FORMAT_YUYV, .width = FAKE_WIDTH, .height = FAKE_HEIGHT, .rate = { 30, 1 }
};
static const struct framebus_publish_options publish_options = { .description = "for tests",
                                                                 .modes = &mode,
                                                                 .n_modes = 1 };
static const unsigned char picture[FAKE_SIZE];

static void on_published(framebus_publisher *pub, const char *path, void *userdata) {
        rig_log(userdata, "published:%s ", path ?: "-");
}

static void on_start(framebus_publisher *pub, const struct framebus_mode *started, void *userdata) {
        rig_log(userdata, "start:%ux%u ", started->width, started->height);
        CHECK_INT(framebus_publisher_set_format(pub, started), 0);
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        rig_log(userdata, "stop ");
}

static void on_writable(framebus_publisher *pub, void *userdata) {
        rig_log(userdata, "writable ");
}

static void on_refused(framebus_publisher *pub, uint64_t seq, const struct framebus_error *error,
                       void *userdata) {
        rig_log(userdata, "refused:%llu:%s ", (unsigned long long)seq, error->name);
}

static void on_ended(framebus_publisher *pub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        rig_log(userdata, "ended:%s:%s ", reason, error ? error->name : "-");
}

static const struct framebus_publisher_events events = {
        .published = on_published,
        .start = on_start,
        .stop = on_stop,
        .writable = on_writable,
        .refused = on_refused,
        .ended = on_ended,
};

static framebus_publisher *published(Rig *rig) {
        framebus_publisher *pub;

        if (!CHECK(rig_start(rig)) ||
            !CHECK_INT(framebus_publish(rig->fb, "cam", &publish_options, &events, rig, &pub), 0))
                return NULL;
        CHECK_STR(rig->log, "");
        rig_until_log(rig, "published:/org/framebus/source/cam ");
        CHECK(rig_until(rig, rig->fake.n_modes == 1));
        return pub;
}

static framebus_publisher *started(Rig *rig) {
        framebus_publisher *pub = published(rig);

        if (!pub)
                return NULL;
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), -ENOLINK);
        CHECK_INT(fake_start_publisher(&rig->fake), 1);
        rig_until_log(rig, "start:16x8 ");
        rig->log[0] = 0;
        return pub;
}

TEST(numbers_and_window) {
        struct framebus_publisher_stats stats;
        framebus_publisher *pub;
        Rig rig;

        pub = started(&rig);
        REQUIRE(pub);
        for (unsigned i = 0; i < FB_PUBLISHER_WINDOW; i++)
                CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), 0);
        for (unsigned i = 0; i < 3; i++)
                CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), -EAGAIN);
        CHECK(rig_until(&rig, rig.fake.n_published == FB_PUBLISHER_WINDOW));
        CHECK_INT(rig.fake.published[0], 1);
        CHECK_INT(rig.fake.published[FB_PUBLISHER_WINDOW - 1], FB_PUBLISHER_WINDOW);
        CHECK_STR(rig.log, "");

        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "Release", "at", 3, (uint64_t)1, (uint64_t)2,
                    (uint64_t)2);
        rig_until_log(&rig, "writable ");
        framebus_publisher_add_lost(pub, 10);
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), 0);
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), 0);
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), -EAGAIN);
        CHECK(rig_until(&rig, rig.fake.n_published == FB_PUBLISHER_WINDOW + 2));
        CHECK_INT(rig.fake.published[FB_PUBLISHER_WINDOW], FB_PUBLISHER_WINDOW + 3 + 10 + 1);

        framebus_publisher_get_stats(pub, &stats);
        CHECK_INT(stats.pushed, FB_PUBLISHER_WINDOW + 2);
        CHECK_INT(stats.dropped, 4);
        CHECK_INT(stats.lost, 10);
        CHECK_INT(stats.unreleased, FB_PUBLISHER_WINDOW);
        rig_stop(&rig);
}

TEST(buffers_in_place) {
        framebus_publisher *pub;
        framebus_buffer *buffer;
        Rig rig;

        pub = started(&rig);
        REQUIRE(pub);
        CHECK_INT(framebus_publisher_acquire(pub, 0, &buffer), -EINVAL);
        REQUIRE_INT(framebus_publisher_acquire(pub, FAKE_SIZE, &buffer), 0);
        CHECK_INT(framebus_buffer_get_size(buffer), FAKE_SIZE);
        memset(framebus_buffer_get_data(buffer), 1, FAKE_SIZE);
        CHECK_INT(framebus_publisher_push(pub, buffer, NULL), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 1));
        REQUIRE_INT(framebus_publisher_acquire(pub, FAKE_SIZE, &buffer), 0);
        CHECK(!framebus_buffer_discard(buffer));
        REQUIRE_INT(framebus_publisher_acquire(pub, FAKE_SIZE - 1, &buffer), 0);
        CHECK_INT(framebus_publisher_push(pub, buffer, NULL), -EINVAL); /* too short for the mode */
        rig_stop(&rig);
}

TEST(wrong_frames) {
        struct framebus_push_info infos[] = {
                { .version = 3 },
                { .version = 1, .field = 10 },
                { .flags = FRAMEBUS_FRAME_REPLAYED },
                { .n_planes = 5 },
                { .n_planes = 1, .planes = { { .memory = 1, .size = 1 } } },
                { .n_planes = 1, .planes = { { .offset = 1, .size = FAKE_SIZE } } },
                { .n_planes = 1, .planes = { { .offset = UINT64_MAX, .size = 2 } } },
        };
        framebus_publisher *pub;
        Rig rig;
        int fd;

        pub = started(&rig);
        REQUIRE(pub);
        for (size_t i = 0; i < FB_ELEMENTSOF(infos); i++) {
                ROW("info %zu", i);
                CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, &infos[i]), -EINVAL);
        }
        ROW("sizes");
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture - 1, NULL), -EINVAL);
        CHECK_INT(framebus_publisher_push_data(pub, picture, 0, NULL), -EINVAL);
        fd = memfd_new_sealed("mine", picture, sizeof picture);
        CHECK_INT(framebus_publisher_push_fds(pub, &fd, 0, NULL), -EINVAL);
        CHECK_INT(framebus_publisher_push_fds(pub, &fd, 1, NULL), 0);
        close(fd);
        CHECK(rig_until(&rig, rig.fake.n_published == 1));
        CHECK_INT(rig.fake.published[0], 1); /* no number was spent on the others */
        rig_stop(&rig);
}

TEST(refused_and_stop) {
        struct framebus_publisher_stats stats;
        framebus_publisher *pub;
        Rig rig;

        pub = started(&rig);
        REQUIRE(pub);
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), 0);
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "Refused", "tss", (uint64_t)1, FB_ERROR_NOT_SEALED,
                    "why");
        rig_until_log(&rig, "refused:1:" FB_ERROR_NOT_SEALED " ");
        framebus_publisher_get_stats(pub, &stats);
        CHECK_INT(stats.refused, 1);
        CHECK_INT(stats.unreleased, 0);
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "Stop", "");
        rig_until_log(&rig, "stop ");
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), -ENOLINK);
        CHECK_INT(fake_start_publisher(&rig.fake), 1);
        rig_until_log(&rig, "start:16x8 ");
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 2));
        CHECK_INT(rig.fake.format, 2); /* said again after a stop */

        rig.log[0] = 0;
        fake_hang_up(&rig.fake);
        rig_until_log(&rig, "ended:closed:- ");
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), -ENOLINK);
        CHECK_INT(framebus_publisher_set_state(pub, "streaming", NULL), -ENOLINK);
        rig_stop(&rig);
}

TEST(states_and_modes) {
        framebus_publisher *pub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_publish(rig.fb, "cam", &publish_options, &events, &rig, &pub), 0);
        CHECK_INT(framebus_publisher_set_state(pub, "broken", ""), -EINVAL);
        CHECK_INT(framebus_publisher_set_state(pub, "absent", "unplugged"),
                  0); /* before there is a channel */
        CHECK(rig_until(&rig, rig.fake.state[0]));
        CHECK_STR(rig.fake.state, "absent:unplugged");
        rig.fake.state[0] = 0;
        CHECK_INT(framebus_publisher_set_state(pub, "streaming", NULL), 0);
        CHECK(rig_until(&rig, rig.fake.state[0]));
        CHECK_STR(rig.fake.state, "streaming:");
        rig.fake.modes_error = FB_ERROR_INVALID_OPTION;
        CHECK_INT(framebus_publisher_set_modes(pub, &mode, 1), 0);
        rig_until_log(&rig, "refused:0:" FB_ERROR_INVALID_OPTION " ");
        CHECK_INT(framebus_publisher_set_modes(pub, &mode, 0), -EINVAL);
        framebus_publisher_close(pub);
        CHECK(rig_until(&rig, rig.fake.n_destroy == 1 && rig.fake.hung_up));
        rig_stop(&rig);
}

TEST(refused_from_the_start) {
        framebus_publisher *pub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        CHECK_INT(framebus_publish(rig.fb, "a/b", &publish_options, &events, &rig, &pub), -EINVAL);
        CHECK_INT(framebus_publish(rig.fb, "", &publish_options, &events, &rig, &pub), -EINVAL);
        CHECK_INT(framebus_publish(rig.fb, ".hidden", &publish_options, &events, &rig, &pub), -EINVAL);
        CHECK_INT(framebus_publish(rig.fb, "cam", NULL, &events, &rig, &pub), -EINVAL);
        rig.fake.attach_error = FB_ERROR_NAME_TAKEN;
        REQUIRE_INT(framebus_publish(rig.fb, "cam", &publish_options, &events, &rig, &pub), 0);
        rig_until_log(&rig, "ended:refused:" FB_ERROR_NAME_TAKEN " ");
        rig.fake.attach_error = NULL;
        rig.fake.modes_error = FB_ERROR_INVALID_OPTION;
        rig.log[0] = 0;
        REQUIRE_INT(framebus_publish(rig.fb, "cam", &publish_options, &events, &rig, &pub), 0);
        rig_until_log(&rig, "ended:refused:" FB_ERROR_INVALID_OPTION " ");
        rig_stop(&rig);
}

/* A capture program: a channel as a broker leaves it at descriptor 3, and no bus. */
TEST(capture_program) {
        struct framebus_publish_options bare = {};
        framebus_publisher *pub;
        framebus *none;
        int ours, theirs;
        Rig rig;

        REQUIRE(rig_start(&rig));
        framebus_close(rig.fb);
        REQUIRE_INT(framebus_open(&none, "none"), 0);
        rig.fb = none;
        REQUIRE_INT(fd_socketpair(&ours, &theirs), 0);
        REQUIRE_INT(fake_adopt(&rig.fake, ours), 0);
        REQUIRE_INT(framebus_publisher_new_from_fd(none, theirs, &bare, &events, &rig, &pub), 0);
        CHECK_INT(framebus_publisher_set_state(pub, "absent", "no such device"), 0);
        rig_until_log(&rig, "published:- ");
        CHECK(rig_until(&rig, rig.fake.state[0]));
        CHECK_INT(rig.fake.n_modes, 0);
        CHECK_INT(framebus_publisher_set_modes(pub, &mode, 1), 0);
        CHECK(rig_until(&rig, rig.fake.n_modes == 1));
        fake_start_publisher(&rig.fake);
        rig_until_log(&rig, "start:16x8 ");
        CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 1));
        framebus_publisher_close(pub);
        CHECK(rig_until(&rig, rig.fake.hung_up));
        CHECK_INT(rig.fake.n_destroy, 0);
        CHECK_INT(framebus_publisher_new_from_fd(none, -1, NULL, &events, &rig, &pub), -EINVAL);
        rig_stop(&rig);
}

static framebus_publisher *closing;

static void close_on_start(framebus_publisher *pub, const struct framebus_mode *started_mode,
                           void *userdata) {
        rig_log(userdata, "start ");
        closing = framebus_publisher_close(closing);
}

TEST(close_inside_of_a_callback) {
        const struct framebus_publisher_events closing_events = { .start = close_on_start,
                                                                  .stop = on_stop,
                                                                  .ended = on_ended };
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_publish(rig.fb, "cam", &publish_options, &closing_events, &rig, &closing), 0);
        CHECK(rig_until(&rig, rig.fake.n_modes == 1));
        fake_start_publisher(&rig.fake);
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "Stop", "");
        rig_until_log(&rig, "start ");
        rig_settle(&rig);
        CHECK_STR(rig.log, "start ");
        CHECK(rig.fake.hung_up);
        rig_stop(&rig);
}

TEST_MAIN
