/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a subscription does with frames, on a channel and on the bus. */
#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/memfd.h"
#include "subscribed.h"

TEST(signals_become_callbacks_in_order) {
        for (size_t i = 0; i < FB_ELEMENTSOF(transports); i++) {
                Rig rig;

                ROW("transport %zu", i);
                REQUIRE(subscribed(&rig, transports[i]));
                fake_frame(&rig.fake, 42);
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Lost", "ts", (uint64_t)2, "no-credit");
                fake_frame(&rig.fake, 45);
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Suspended", "s", "no-release");
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Resumed", "");
                fake_format(&rig.fake, 8);
                fake_frame(&rig.fake, 46);
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Ended", "ts", (uint64_t)1, "mode");
                fake_frame(&rig.fake, 47);
                rig_until_log(&rig, "ended:");
                rig_settle(&rig);
                CHECK_STR(rig.log, "frame:42 lost:2:no-credit frame:45 suspended:no-release resumed "
                                   "format:8:16x8 frame:46 ended:mode:- ");
                rig_stop(&rig);
        }
}

TEST(releases_are_batched) {
        struct framebus_subscription_stats stats;
        framebus_subscription *sub;
        Rig rig;

        sub = subscribed(&rig, FRAMEBUS_TRANSPORT_PEER);
        REQUIRE(sub);
        for (uint64_t seq = 1; seq <= 4; seq++)
                fake_frame(&rig.fake, seq);
        CHECK(rig_until(&rig, rig.fake.n_released == 4));
        CHECK_INT(rig.fake.n_release_messages, 2); /* half of the window each */
        for (uint64_t seq = 1; seq <= 4; seq++)
                CHECK_INT(rig.fake.released[seq - 1], seq);

        rig.hold = true;
        fake_frame(&rig.fake, 5);
        fake_frame(&rig.fake, 6);
        CHECK(rig_until(&rig, rig.n_held == 2));
        rig_settle(&rig);
        CHECK_INT(rig.fake.n_released, 4);
        framebus_subscription_get_stats(sub, &stats);
        CHECK_INT(stats.held, 2);
        CHECK_INT(stats.delivered, 6);
        framebus_frame_unref(rig.held[--rig.n_held]); /* outside of any callback: at once */
        CHECK(rig_until(&rig, rig.fake.n_released == 5));
        CHECK_INT(rig.fake.released[4], 6);
        rig_stop(&rig);
}

static int ordinary_file(void) {
        char path[] = "/tmp/framebus-test-XXXXXX", data[FAKE_SIZE] = { 0 };
        int fd = mkostemp(path, O_CLOEXEC);

        unlink(path);
        if (write(fd, data, sizeof data) != sizeof data)
                abort();
        return fd;
}

TEST(bad_payload_is_never_delivered) {
        for (size_t i = 0; i < FB_ELEMENTSOF(transports); i++) {
                struct framebus_subscription_stats stats;
                framebus_subscription *sub;
                Rig rig;

                ROW("transport %zu", i);
                sub = subscribed(&rig, transports[i]);
                REQUIRE(sub);
                fake_frame_fd(&rig.fake, 1, memory_with_seals(0, FAKE_SIZE), FAKE_SIZE);
                fake_frame_fd(&rig.fake, 2, memory_with_seals(SEALS & ~F_SEAL_WRITE, FAKE_SIZE), FAKE_SIZE);
                fake_frame_fd(&rig.fake, 3, ordinary_file(), FAKE_SIZE);
                fake_frame_fd(&rig.fake, 4, memory_with_seals(SEALS, FAKE_SIZE - 1), FAKE_SIZE);
                fake_frame(&rig.fake, 5);
                rig_until_log(&rig, "frame:5 ");
                CHECK_STR(rig.log, "lost:1:bad-payload lost:1:bad-payload lost:1:bad-payload "
                                   "lost:1:bad-payload frame:5 ");
                framebus_subscription_get_stats(sub, &stats);
                CHECK_INT(stats.bad_payload, 4);
                CHECK_INT(stats.lost, 4);
                CHECK_INT(stats.delivered, 1);
                CHECK(rig_until(&rig, rig.fake.n_released == 5)); /* their credit, too */
                rig_stop(&rig);
        }
}

TEST(planes_that_lie_are_bad_payload) {
        static const struct {
                uint32_t format;
                uint64_t size;
        } rows[] = {
                { 7, 0 },             /* no size */
                { 7, UINT64_MAX },    /* past the end */
                { 7, FAKE_SIZE / 2 }, /* too few lines */
                { 6, FAKE_SIZE },     /* a format that nobody announced */
        };
        struct framebus_subscription_stats stats;
        framebus_subscription *sub;
        Rig rig;

        sub = subscribed(&rig, FRAMEBUS_TRANSPORT_PEER);
        REQUIRE(sub);
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                rig.fake.format = rows[i].format;
                fake_frame_fd(&rig.fake, i + 1, memory_with_seals(SEALS, FAKE_SIZE), rows[i].size);
        }
        CHECK(rig_until(&rig, rig.fake.n_released == FB_ELEMENTSOF(rows)));
        CHECK(!strstr(rig.log, "frame:"));
        framebus_subscription_get_stats(sub, &stats);
        CHECK_INT(stats.bad_payload, FB_ELEMENTSOF(rows));
        rig_stop(&rig);
}

TEST(extra_seal_is_accepted) {
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif
        char data[FAKE_SIZE] = { 0 };
        int fd = memfd_create("noexec", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
        Rig rig;

        if (fd < 0)
                SKIP("before Linux 6.3");
        CHECK_INT(write(fd, data, sizeof data), sizeof data);
        CHECK_INT(memfd_seal(fd), 0);
        CHECK(fcntl(fd, F_GET_SEALS) & ~SEALS);
        REQUIRE(subscribed(&rig, FRAMEBUS_TRANSPORT_PEER));
        fake_frame_fd(&rig.fake, 1, fd, FAKE_SIZE);
        rig_until_log(&rig, "frame:1 ");
        rig_stop(&rig);
}

TEST(frame_outlives_everything) {
        const struct framebus_plane *plane;
        framebus_subscription *sub;
        framebus_frame *frame;
        const void *data;
        size_t size;
        Rig rig;
        int fd;

        sub = subscribed(&rig, FRAMEBUS_TRANSPORT_PEER);
        REQUIRE(sub);
        rig.hold = true;
        fake_frame(&rig.fake, 9);
        CHECK(rig_until(&rig, rig.n_held == 1));
        frame = rig.held[--rig.n_held];
        rig_stop(&rig);

        CHECK_INT(framebus_frame_get_seq(frame), 9);
        CHECK_INT(framebus_frame_get_format(frame), 7);
        CHECK_INT(framebus_frame_get_mode(frame)->width, FAKE_WIDTH);
        CHECK_INT(framebus_frame_get_n_planes(frame), 1);
        plane = framebus_frame_get_plane(frame, 0);
        CHECK(plane && plane->size == FAKE_SIZE && plane->stride == 2 * FAKE_WIDTH);
        CHECK(!framebus_frame_get_plane(frame, 1));
        REQUIRE_INT(framebus_frame_map(frame, 0, &data, &size), 0);
        CHECK_INT(size, FAKE_SIZE);
        CHECK_INT(((const unsigned char *)data)[0], 9);
        CHECK_INT(((const unsigned char *)data)[FAKE_SIZE - 1], 9);
        CHECK_INT(framebus_frame_map(frame, 1, &data, &size), -EINVAL);
        fd = framebus_frame_dup_fd(frame, 0);
        CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
        close(fd);
        CHECK_INT(framebus_frame_dup_fd(frame, 1), -EINVAL);
        CHECK(!framebus_frame_unref(frame));
}

/* A frame of an earlier attachment is nobody's credit any more. */
TEST(frame_of_before_is_not_released_to_the_next_broker) {
        Rig rig;

        REQUIRE(subscribed(&rig, FRAMEBUS_TRANSPORT_PEER));
        rig.hold = true;
        fake_frame(&rig.fake, 1);
        CHECK(rig_until(&rig, rig.n_held == 1));
        fake_hang_up(&rig.fake);
        rig_until_log(&rig, "attached ");
        framebus_frame_unref(rig.held[--rig.n_held]);
        rig_settle(&rig);
        CHECK_INT(rig.fake.n_released, 0);
        rig_stop(&rig);
}

/* Directed at the client: says that the broker has left the bus, in the driver's words. */
static int spoof_owner_gone(Fake *spoofer, Fake *broker) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const char *owner;
        int r;

        r = sd_bus_get_unique_name(broker->bus, &owner);
        if (r >= 0)
                r = sd_bus_message_new_signal(spoofer->bus, &m, "/org/freedesktop/DBus",
                                              "org.freedesktop.DBus", "NameOwnerChanged");
        if (r >= 0)
                r = sd_bus_message_append(m, "sss", FB_BUS_NAME, owner, "");
        return r < 0 ? r : sd_bus_send_to(spoofer->bus, m, broker->subscriber, NULL);
}

/* Anybody on a bus may send such signals. */
TEST(frames_of_others_are_ignored) {
        Fake spoofer = {};
        Rig rig;

        REQUIRE(subscribed(&rig, FRAMEBUS_TRANSPORT_BUS));
        spoofer = rig.fake; /* its addresses, on another connection */
        REQUIRE_INT(sd_bus_new(&spoofer.bus), 0);
        REQUIRE(sd_bus_set_address(spoofer.bus, rig.address) >= 0);
        REQUIRE(sd_bus_set_bus_client(spoofer.bus, 1) >= 0);
        REQUIRE(sd_bus_start(spoofer.bus) >= 0);
        CHECK(fake_frame(&spoofer, 1) >= 0);
        CHECK(fake_signal(&spoofer, FB_IFACE_SUBSCRIPTION, "Ended", "ts", (uint64_t)1, "mode") >= 0);
        CHECK(spoof_owner_gone(&spoofer, &rig.fake) >= 0);
        CHECK(sd_bus_flush(spoofer.bus) >= 0);
        rig_settle(&rig);
        CHECK_INT(fake_frame(&rig.fake, 2), 1);
        rig_until_log(&rig, "frame:2 ");
        CHECK_STR(rig.log, "frame:2 ");
        sd_bus_flush_close_unref(spoofer.bus);
        rig_stop(&rig);
}

TEST(bus_subscription_follows_the_owner) {
        framebus_subscription *sub;
        Rig rig;

        sub = subscribed(&rig, FRAMEBUS_TRANSPORT_BUS);
        REQUIRE(sub);
        fake_stop(&rig.fake);
        rig_until_log(&rig, "disconnected ");
        REQUIRE(fake_start(&rig.fake, rig.address));
        rig_until_log(&rig, "attached ");
        CHECK_INT(fake_format(&rig.fake, 7), 1);
        CHECK_INT(fake_frame(&rig.fake, 3), 1);
        rig_until_log(&rig, "frame:3 ");
        framebus_subscription_close(sub);
        CHECK(rig_until(&rig, rig.fake.n_close == 1));
        rig_stop(&rig);
}

/* A frame with a memory for each of its three planes. */
static int send_planar_frame(Fake *fake, uint64_t seq) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_close_ int fd = memory_with_seals(SEALS, FAKE_SIZE);
        Frame f = { .seq = seq,
                    .format = 9,
                    .n_fds = 3,
                    .n_planes = 3,
                    .fds = { fd, fd, fd },
                    .planes = { { 0, 16, 0, 128 }, { 1, 8, 0, 32 }, { 2, 8, 0, 32 } } };
        int r = fake_new_signal(fake, FB_IFACE_SUBSCRIPTION, "Frame", &m);

        if (r >= 0)
                r = codec_append_frame(m, &f, 0);
        return r < 0 ? r : fake_send_signal(fake, m);
}

static int send_planar_format(Fake *fake) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Mode mode = fake_mode;
        int r = fake_new_signal(fake, FB_IFACE_SUBSCRIPTION, "FormatChanged", &m);

        mode.fourcc = DRM_FORMAT_YUV420;
        if (r >= 0)
                r = codec_append_format(m, 1, 9, &mode);
        return r < 0 ? r : fake_send_signal(fake, m);
}

/* sd-bus would give up the bus with the first frame that finds no room, or not enough of it. */
TEST(bus_survives_a_full_table_of_descriptors) {
        static const struct {
                bool planar;
                int n_left;
        } rows[] = { { false, 0 }, { true, 0 }, { true, 2 } };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                int (*send)(Fake *, uint64_t) = rows[i].planar ? send_planar_frame : fake_frame;
                struct rlimit limit, low;
                int filler[256], n = 0, before;
                Rig rig;

                ROW("planar %d, %d left", rows[i].planar, rows[i].n_left);
                REQUIRE(subscribed(&rig, FRAMEBUS_TRANSPORT_BUS));
                if (rows[i].planar)
                        CHECK_INT(send_planar_format(&rig.fake), 1);
                CHECK_INT(send(&rig.fake, 1), 1);
                rig_until_log(&rig, "frame:1 ");
                before = test_count_fds();
                for (uint64_t seq = 2; seq <= 4; seq++)
                        CHECK_INT(send(&rig.fake, seq), 1);
                CHECK(sd_bus_flush(rig.fake.bus) >= 0);
                rig.log[0] = 0;
                getrlimit(RLIMIT_NOFILE, &limit);
                low = (struct rlimit){ 128, limit.rlim_max };
                REQUIRE_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
                while (n < 256 && (filler[n] = fd_dup_cloexec(0)) >= 0)
                        n++;
                for (int left = 0; left < rows[i].n_left; left++)
                        close(filler[--n]);
                rig_until_log(&rig, "lost:1:incomplete lost:1:incomplete lost:1:incomplete ");
                CHECK(!strstr(rig.log, "frame:"));
                CHECK(rig.process_result >= 0);
                while (n > 0)
                        close(filler[--n]);
                setrlimit(RLIMIT_NOFILE, &limit);

                CHECK_INT(send(&rig.fake, 5), 1);
                rig_until_log(&rig, "frame:5 ");
                CHECK_INT(test_count_fds(), before);
                rig_stop(&rig);
        }
}

/* Closed while Subscribe was on its way: the broker is told when it answers. */
TEST(bus_subscription_closed_early) {
        struct framebus_subscribe_options options = { .transport = FRAMEBUS_TRANSPORT_BUS };
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_subscribe(rig.fb, "cam", &options, &rig_events, &rig, &sub), 0);
        CHECK(rig_until(&rig, rig.fake.n_attach == 1));
        framebus_subscription_close(sub);
        CHECK(rig_until(&rig, rig.fake.n_close == 1));
        CHECK(!strstr(rig.log, "ended"));
        rig_stop(&rig);
}

TEST_MAIN
