/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A subscription comes, goes and comes back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "fake.h"
#include "interfaces/names.h"

/* The library knows a little earlier than the other end that a channel is open. */
#define ATTACHED(rig)                                                                                        \
        do {                                                                                                 \
                rig_until_log(&(rig), "attached ");                                                          \
                CHECK(rig_until(&(rig), (rig).fake.opened));                                                 \
        } while (0)

#define SUBSCRIBED(rig, sub)                                                                                 \
        REQUIRE_INT(framebus_subscribe((rig).fb, "cam", NULL, &rig_events, &(rig), &(sub)), 0)

TEST(granted_is_parsed_and_options_are_sent) {
        struct framebus_mode wish = { .width = 640 };
        struct framebus_subscribe_options options = { .modes = &wish,
                                                      .n_modes = 1,
                                                      .window = 7,
                                                      .drop = FRAMEBUS_DROP_LATEST,
                                                      .max_rate = { 15, 2 },
                                                      .no_replay = true };
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_subscribe(rig.fb, "cam", &options, &rig_events, &rig, &sub), 0);
        CHECK_STR(rig.log, "");
        ATTACHED(rig);
        CHECK_STR(rig.fake.options,
                  "modes=aa{sv} memory=leased,sealed window=7 drop=latest max-rate=15/2 replay=0 ");
        CHECK_STR(framebus_get_address(rig.fb), rig.address);

        CHECK_INT(framebus_subscription_set_options(sub, 3, FRAMEBUS_DROP_NEWEST,
                                                    (struct framebus_fraction){}),
                  0);
        rig_settle(&rig);
        CHECK_STR(rig.fake.options, "drop=newest max-rate=0/1 window=3 ");
        fake_hang_up(&rig.fake);
        CHECK(rig_until(&rig, rig.fake.n_attach == 2 && rig.fake.opened));
        CHECK_STR(rig.fake.options, "modes=aa{sv} memory=leased,sealed window=3 replay=0 ");
        CHECK(!framebus_subscription_close(sub));
        CHECK(rig_until(&rig, rig.fake.hung_up));
        rig_stop(&rig);
}

static void on_negotiated(framebus *fb, const struct framebus_granted *granted,
                          const struct framebus_error *error, void *userdata) {
        if (error)
                rig_log(userdata, "error:%s ", error->name);
        else
                rig_log(userdata,
                        "window:%u drop:%s memory:%s order:%s seq:%llu epoch:%.4s mode:%ux%u@%u/%u ",
                        granted->window, granted->drop, granted->memory, granted->order,
                        (unsigned long long)granted->seq, granted->epoch, granted->mode.width,
                        granted->mode.height, granted->mode.rate.num, granted->mode.rate.den);
}

TEST(negotiate) {
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_negotiate(rig.fb, "cam", NULL, on_negotiated, &rig), 0);
        rig_until_log(&rig, "mode:");
        CHECK_STR(rig.log, "window:4 drop:newest memory:sealed order:fifo seq:41 epoch:0123 mode:16x8@30/1 ");
        rig.fake.attach_error = FB_ERROR_NO_COMMON_MODE;
        REQUIRE_INT(framebus_negotiate(rig.fb, "cam", NULL, on_negotiated, &rig), 0);
        rig_until_log(&rig, "error:" FB_ERROR_NO_COMMON_MODE);
        rig_stop(&rig);
}

TEST(kinds_of_memory_are_asked_for_in_order) {
        static const enum framebus_memory kinds[] = { FRAMEBUS_MEMORY_DMABUF, FRAMEBUS_MEMORY_SEALED,
                                                      FRAMEBUS_MEMORY_DMABUF };
        struct framebus_subscribe_options options = { .version = 0, .memories = kinds, .n_memories = 3 };
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_subscribe(rig.fb, "cam", &options, &rig_events, &rig, &sub), 0);
        ATTACHED(rig);
        CHECK_STR(rig.fake.options, "memory=leased,sealed "); /* before version 1 nobody could say it */
        framebus_subscription_close(sub);
        options.version = 1;
        REQUIRE_INT(framebus_subscribe(rig.fb, "cam", &options, &rig_events, &rig, &sub), 0);
        CHECK(rig_until(&rig, rig.fake.n_attach == 2));
        CHECK_STR(rig.fake.options, "memory=dmabuf,sealed ");
        rig_stop(&rig);
}

TEST(wrong_options_are_refused_at_once) {
        static const enum framebus_memory kinds[] = { FRAMEBUS_MEMORY_SEALED, (enum framebus_memory)3 };
        struct framebus_subscribe_options options[] = {
                { .window = 17 },
                { .drop = 2 },
                { .transport = 2 },
                { .version = 3 },
                { .max_rate = { 30, 0 } },
                { .version = 1, .memories = kinds, .n_memories = 2 },
                { .version = 1, .memories = kinds, .n_memories = 0 },
        };
        framebus_subscription *sub;
        framebus *none;
        Rig rig;

        REQUIRE(rig_start(&rig));
        for (size_t i = 0; i < FB_ELEMENTSOF(options); i++) {
                ROW("options %zu", i);
                CHECK_INT(framebus_subscribe(rig.fb, "cam", &options[i], &rig_events, &rig, &sub), -EINVAL);
        }
        REQUIRE_INT(framebus_open(&none, "none"), 0);
        CHECK_INT(framebus_subscribe(none, "cam", NULL, &rig_events, &rig, &sub), -ENOMEDIUM);
        CHECK(!framebus_close(none));
        rig_stop(&rig);
}

TEST(no_bus_is_known_at_once) {
        framebus *fb;

        setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/socket", 1);
        setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/socket", 1);
        CHECK_INT(framebus_open(&fb, "system"), -ENOMEDIUM);
        CHECK_INT(framebus_open(&fb, "session"), -ENOMEDIUM);
        CHECK_INT(framebus_open(&fb, NULL), -ENOMEDIUM);
        CHECK_INT(framebus_open(&fb, "unix:path=/nonexistent/socket"), -ENOENT);
        unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
        unsetenv("DBUS_SESSION_BUS_ADDRESS");
}

/* Without an address: a system bus that is not there, one with a source, one without a broker. What is asked
 * for meanwhile waits. */
TEST(address_is_searched) {
        framebus_subscription *sub, *closed_early;
        Rig rig, other;

        REQUIRE(rig_start(&rig));
        REQUIRE(rig_start(&other));
        framebus_close(rig.fb);
        setenv("DBUS_SESSION_BUS_ADDRESS", rig.address, 1);
        setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/socket", 1);
        REQUIRE_INT(framebus_open(&rig.fb, NULL), 0);
        CHECK_STR(framebus_get_address(rig.fb), "session");
        framebus_close(rig.fb);

        setenv("DBUS_SYSTEM_BUS_ADDRESS", other.address, 1);
        REQUIRE_INT(framebus_open(&rig.fb, NULL), 0);
        SUBSCRIBED(rig, closed_early);
        SUBSCRIBED(rig, sub);
        CHECK(!framebus_subscription_close(closed_early));
        CHECK(!framebus_get_address(rig.fb));
        CHECK(rig_until(&other, (rig_turn(&rig, 0), strstr(rig.log, "attached ") != NULL)));
        CHECK_STR(framebus_get_address(rig.fb), "system");
        CHECK_INT(other.fake.n_attach, 1);
        framebus_close(rig.fb);

        rig.log[0] = 0;
        fake_stop(&other.fake);
        REQUIRE_INT(framebus_open(&rig.fb, NULL), 0);
        SUBSCRIBED(rig, sub);
        ATTACHED(rig);
        CHECK_STR(framebus_get_address(rig.fb), "session");
        framebus_close(rig.fb);
        REQUIRE_INT(framebus_open(&rig.fb, NULL), 0);
        SUBSCRIBED(rig, sub); /* closed while it is searched */

        unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
        unsetenv("DBUS_SESSION_BUS_ADDRESS");
        rig_stop(&other);
        rig_stop(&rig);
}

TEST(errors_at_first_end_it) {
        const char *names[] = { FB_ERROR_UNKNOWN_OPTION,   FB_ERROR_INVALID_OPTION,
                                FB_ERROR_NO_COMMON_MODE,   FB_ERROR_LIMITS_EXCEEDED,
                                FB_ERROR_ACCESS_DENIED,    FB_ERROR_FD_PASSING_REQUIRED,
                                FB_ERROR_NO_COMMON_MEMORY, FB_ERROR_SOURCE_FAILED };
        framebus_subscription *sub;
        char want[128];
        Rig rig;

        REQUIRE(rig_start(&rig));
        for (size_t i = 0; i < FB_ELEMENTSOF(names); i++) {
                ROW("%s", names[i]);
                rig.log[0] = 0;
                rig.fake.attach_error = names[i];
                SUBSCRIBED(rig, sub);
                rig_until_log(&rig, "ended:");
                rig_settle(&rig);
                snprintf(want, sizeof want, "ended:refused:%s ", names[i]);
                CHECK_STR(rig.log, want);
                framebus_subscription_close(sub);
        }
        rig.log[0] = 0;
        rig.fake.resolve_error = FB_ERROR_NO_SUCH_SOURCE;
        SUBSCRIBED(rig, sub);
        rig_until_log(&rig, "ended:refused:" FB_ERROR_NO_SUCH_SOURCE " ");
        rig_stop(&rig);
}

TEST(no_broker_at_all_ends_it) {
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        fake_stop(&rig.fake);
        SUBSCRIBED(rig, sub);
        rig_until_log(&rig, "ended:refused:org.freedesktop.DBus.Error.ServiceUnknown ");
        rig_stop(&rig);
}

static bool is_around(uint64_t ns, uint64_t ms) {
        return ns >= ms * NSEC_PER_MSEC * 3 / 4 && ns <= ms * NSEC_PER_MSEC * 5 / 4 + 1;
}

TEST(hang_up_is_tried_again_with_back_off) {
        framebus_subscription *sub;
        struct framebus_subscription_stats stats;
        Rig rig;

        REQUIRE(rig_start(&rig));
        SUBSCRIBED(rig, sub);
        ATTACHED(rig);
        rig.log[0] = 0;
        rig.fake.resolve_error = FB_ERROR_NO_SUCH_SOURCE; /* for a while */
        fake_hang_up(&rig.fake);
        CHECK(rig_until(&rig, rig.n_retries == 4));
        rig.fake.resolve_error = NULL;
        ATTACHED(rig);
        CHECK_STR(rig.log, "disconnected disconnected disconnected disconnected attached ");
        for (size_t i = 0; i < 4; i++) {
                ROW("retry %zu", i);
                CHECK(is_around(rig.retries[i], 50u << i));
        }
        framebus_subscription_get_stats(sub, &stats);
        CHECK_INT(stats.attached, 2);

        rig.log[0] = 0;
        rig.fake.attach_error = FB_ERROR_NO_COMMON_MODE;
        fake_hang_up(&rig.fake);
        rig_until_log(&rig, "ended:refused:" FB_ERROR_NO_COMMON_MODE " ");
        rig_stop(&rig);
}

/* The broker restarts: with the name's new owner it is tried at once, not after the back-off. */
TEST(new_owner_is_noticed) {
        framebus_subscription *sub;
        uint64_t begin;
        Rig rig;

        REQUIRE(rig_start(&rig));
        SUBSCRIBED(rig, sub);
        ATTACHED(rig);
        fake_stop(&rig.fake);
        CHECK(rig_until(&rig, rig.n_retries >= 6)); /* next in more than 1.2 s */
        rig.log[0] = 0;
        begin = clock_now_ns();
        REQUIRE(fake_start(&rig.fake, rig.address));
        ATTACHED(rig);
        CHECK(clock_now_ns() - begin < 500 * NSEC_PER_MSEC);
        rig_stop(&rig);
}

TEST(shutdown_is_no_end) {
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        SUBSCRIBED(rig, sub);
        ATTACHED(rig);
        rig.log[0] = 0;
        fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Ended", "ts", (uint64_t)1, "shutdown");
        rig_until_log(&rig, "disconnected attached ");
        CHECK(rig_until(&rig, rig.fake.opened));
        rig.log[0] = 0;
        fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Ended", "ts", (uint64_t)1, "destroyed");
        rig_until_log(&rig, "ended:destroyed:- ");
        rig_settle(&rig);
        CHECK_STR(rig.log, "ended:destroyed:- ");
        rig_stop(&rig);
}

TEST(lost_bus_is_told) {
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        SUBSCRIBED(rig, sub);
        ATTACHED(rig);
        rig.log[0] = 0;
        sd_bus_detach_event(rig.fake.bus);
        kill(rig.daemon, SIGKILL);
        rig_until_log(&rig, "disconnected ");
        CHECK_INT(rig.process_result, -ENOTCONN);
        CHECK(rig.retries[rig.n_retries - 1] == UINT64_MAX);
        CHECK_INT(framebus_subscribe(rig.fb, "cam", NULL, &rig_events, &rig, &sub), -ENOTCONN);
        rig_stop(&rig);
}

/* The table of descriptors is full when frames come. */
TEST(descriptors_run_out) {
        framebus_subscription *sub;
        struct rlimit limit, low;
        int filler[256], n = 0, before;
        unsigned asked;
        Rig rig;

        REQUIRE(rig_start(&rig));
        SUBSCRIBED(rig, sub);
        ATTACHED(rig);
        fake_format(&rig.fake, 1);
        rig_until_log(&rig, "format:1:");
        before = test_count_fds();
        rig.log[0] = 0;
        CHECK_INT(fake_frame(&rig.fake, 1), 1);
        CHECK_INT(fake_frame(&rig.fake, 2), 1);

        getrlimit(RLIMIT_NOFILE, &limit);
        low = (struct rlimit){ 128, limit.rlim_max };
        REQUIRE_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
        while (n < 256 && (filler[n] = fd_dup_cloexec(0)) >= 0)
                n++;
        CHECK(rig_until(&rig, rig.n_retries >= 1));
        rig_settle(&rig); /* the other end notices the hang-up */
        while (n < 256 && (filler[n] = fd_dup_cloexec(0)) >= 0) /* what both ends of the channel freed */
                n++;
        asked = rig.fake.n_attach;
        CHECK(rig_until(&rig, rig.n_retries >= 4));
        CHECK_INT(rig.fake.n_attach, asked); /* the answer's descriptor would cost the whole bus */
        CHECK(!strstr(rig.log, "frame:"));
        CHECK(rig.process_result >= 0);
        while (n > 0)
                close(filler[--n]);
        setrlimit(RLIMIT_NOFILE, &limit);

        ATTACHED(rig);
        CHECK_INT(fake_format(&rig.fake, 1), 1);
        CHECK_INT(fake_frame(&rig.fake, 3), 1);
        rig_until_log(&rig, "frame:3 ");
        rig_settle(&rig);
        CHECK_INT(test_count_fds(), before);
        rig_stop(&rig);
}

static framebus_subscription *closing;

static void close_on_attached(framebus_subscription *sub, const struct framebus_granted *granted,
                              void *userdata) {
        rig_log(userdata, "attached ");
        closing = framebus_subscription_close(closing);
}

static void close_on_format(framebus_subscription *sub, uint32_t format, const struct framebus_mode *mode,
                            void *userdata) {
        rig_log(userdata, "format ");
        closing = framebus_subscription_close(closing);
}

static void close_on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        const void *data;
        size_t size;

        rig_log(userdata, "frame ");
        framebus_frame_ref(frame);
        closing = framebus_subscription_close(closing);
        CHECK_INT(framebus_frame_map(frame, 0, &data, &size), 0);
        CHECK_INT(((const unsigned char *)data)[size - 1], 1);
        framebus_frame_unref(frame);
}

static void close_on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        rig_log(userdata, "lost ");
        closing = framebus_subscription_close(closing);
}

static void close_on_disconnected(framebus_subscription *sub, uint64_t retry_ns, void *userdata) {
        rig_log(userdata, "disconnected ");
        closing = framebus_subscription_close(closing);
}

static void close_on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                           void *userdata) {
        rig_log(userdata, "ended ");
        closing = framebus_subscription_close(closing);
}

static void close_inside(const struct framebus_subscription_events *events, const char *want) {
        Rig rig;

        ROW("%s", want);
        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_subscribe(rig.fb, "cam", NULL, events, &rig, &closing), 0);
        CHECK(rig_until(&rig, rig.fake.opened || !closing));
        if (rig.fake.channel && closing) {
                fake_format(&rig.fake, 1);
                fake_frame(&rig.fake, 1);
                fake_frame(&rig.fake, 2);
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Lost", "ts", (uint64_t)1, "rate");
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Ended", "ts", (uint64_t)1,
                            events->ended ? "mode" : "shutdown");
        }
        CHECK(rig_until(&rig, !closing));
        rig_settle(&rig);
        CHECK_STR(rig.log, want);
        rig_stop(&rig);
}

TEST(close_inside_of_callbacks) {
        close_inside(&(struct framebus_subscription_events){ .attached = close_on_attached }, "attached ");
        close_inside(&(struct framebus_subscription_events){ .format = close_on_format }, "format ");
        close_inside(&(struct framebus_subscription_events){ .frame = close_on_frame }, "frame ");
        close_inside(&(struct framebus_subscription_events){ .lost = close_on_lost }, "lost ");
        close_inside(&(struct framebus_subscription_events){ .disconnected = close_on_disconnected },
                     "disconnected ");
        close_inside(&(struct framebus_subscription_events){ .ended = close_on_ended }, "ended ");
}

TEST(close_while_something_is_under_way) {
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        for (int turns = 0; turns < 12; turns++) {
                SUBSCRIBED(rig, sub);
                for (int i = 0; i < turns; i++)
                        rig_turn(&rig, 1);
                framebus_subscription_close(sub);
        }
        rig_settle(&rig);
        CHECK(rig.fake.n_attach > 0);
        rig_stop(&rig);
}

TEST_MAIN
