/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Causal order, seen from one program: what is kept, until when, and what comes before what. */
#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "causal.h"
#include "interfaces/names.h"

TEST(nothing_is_given_out_before_it_is_committed) {
        for (size_t i = 0; i < FB_ELEMENTSOF(transports); i++) {
                Rig rig;

                ROW("transport %zu", i);
                REQUIRE(watching(&rig, transports[i], FRAMEBUS_DROP_NEWEST));
                CHECK(strstr(rig.fake.options, transports[i] ? "commits=o " : "order=causal "));
                fake_frame(&rig.fake, 42);
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Lost", "ts", (uint64_t)2, "no-credit");
                fake_frame(&rig.fake, 45);
                rig_settle(&rig);
                CHECK_STR(rig.log, "");
                fake_commit(&rig.fake, 42, true);
                rig_until_log(&rig, "frame:42 ");
                rig_settle(&rig);
                CHECK_STR(rig.log, "frame:42 ");
                fake_commit(&rig.fake, 45, true);
                rig_until_log(&rig, "frame:45 ");
                CHECK_STR(rig.log, "frame:42 lost:2:no-credit frame:45 ");
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Ended", "ts", (uint64_t)46, "mode");
                rig_settle(&rig);
                CHECK(!strstr(rig.log, "ended:"));
                fake_commit(&rig.fake, 46, true);
                rig_until_log(&rig, "ended:mode:- ");
                rig_stop(&rig);
        }
}

/* The frame is in the channel, the page says so, and no bell has rung: then a call from somebody who was
 * given it comes by the bus. And an answer. */
static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        rig_log(userdata, "call ");
        return sd_bus_reply_method_return(m, "");
}

static void on_reply(framebus *fb, sd_bus_message *reply, void *userdata) {
        rig_log(userdata, "reply:%s ", sd_bus_message_is_method_error(reply, NULL) > 0 ? "error" : "ok");
}

static const sd_bus_vtable keeper_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Keep", "", "", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int on_anything(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_call(m, "org.example.Keeper", "Keep") > 0)
                rig_log(userdata, "filter ");
        return 0;
}

TEST(what_was_committed_comes_before_any_message_of_the_bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const char *name;
        Rig rig;

        REQUIRE(watching(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_NEWEST));
        REQUIRE(framebus_get_bus(rig.fb));
        sd_bus_get_unique_name(framebus_get_bus(rig.fb), &name);
        sd_bus_add_object_vtable(framebus_get_bus(rig.fb), NULL, "/keeper", "org.example.Keeper",
                                 keeper_vtable, &rig);
        sd_bus_add_filter(framebus_get_bus(rig.fb), NULL, on_anything, &rig);
        fake_frame(&rig.fake, 42);
        fake_frame(&rig.fake, 43);
        fake_commit(&rig.fake, 42, false);
        sd_bus_call_method_async(rig.fake.bus, NULL, name, "/keeper", "org.example.Keeper", "Keep", NULL,
                                 NULL, NULL);
        rig_until_log(&rig, "call ");
        rig_settle(&rig);
        CHECK_STR(rig.log, "frame:42 filter call ");

        rig.log[0] = 0;
        CHECK_INT(sd_bus_message_new_method_call(framebus_get_bus(rig.fb), &m, FB_BUS_NAME, "/",
                                                 "org.freedesktop.DBus.Peer", "Ping"), 0);
        CHECK(framebus_call_async(rig.fb, m, on_reply, &rig, 0) >= 0);
        fake_commit(&rig.fake, 43, false);
        rig_until_log(&rig, "reply:");
        CHECK_STR(rig.log, "frame:43 reply:ok ");
        rig_stop(&rig);
}

TEST(a_call_that_nobody_answers_has_its_time) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const char *name;
        Rig rig;

        REQUIRE(watching(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_NEWEST));
        CHECK_INT(framebus_call_async(rig.fb, NULL, NULL, NULL, 0), -EINVAL);
        sd_bus_get_unique_name(rig.fake.bus, &name);
        rig.fake.silent = true;
        CHECK_INT(sd_bus_message_new_method_call(framebus_get_bus(rig.fb), &m, name, FB_PATH_MANAGER,
                                                 FB_IFACE_MANAGER, "Resolve"), 0);
        sd_bus_message_append(m, "s", "cam");
        CHECK(framebus_call_async(rig.fb, m, on_reply, &rig, 20 * NSEC_PER_MSEC) >= 0);
        rig_until_log(&rig, "reply:error ");
        rig_stop(&rig);
}

static void on_barrier(framebus *fb, void *userdata) {
        rig_log(userdata, "barrier ");
}

TEST(a_barrier_is_over_when_all_was_given_out) {
        for (size_t i = 0; i < FB_ELEMENTSOF(transports); i++) {
                Rig rig;

                ROW("transport %zu", i);
                REQUIRE(watching(&rig, transports[i], FRAMEBUS_DROP_NEWEST));
                CHECK_INT(framebus_barrier(rig.fb, 1, NULL, &rig), -EINVAL);
                CHECK_INT(framebus_barrier(rig.fb, 1, on_barrier, &rig), 1);
                fake_frame(&rig.fake, 42);
                fake_commit(&rig.fake, 42, transports[i] == FRAMEBUS_TRANSPORT_BUS);
                if (transports[i] == FRAMEBUS_TRANSPORT_BUS)
                        sd_bus_flush(rig.fake.bus);
                CHECK_INT(framebus_barrier(rig.fb, 42, on_barrier, &rig), 0);
                rig_until_log(&rig, "barrier ");
                CHECK_STR(rig.log, "frame:42 barrier ");
                CHECK_INT(framebus_barrier(rig.fb, 42, on_barrier, &rig), 1);

                rig.log[0] = 0; /* one that is lost for us, or of another source: no waiting for it */
                CHECK_INT(framebus_barrier(rig.fb, UINT64_MAX, on_barrier, &rig), 0);
                rig_until_log(&rig, "barrier ");
                rig_settle(&rig);
                CHECK_STR(rig.log, "barrier ");
                CHECK_INT(framebus_barrier(rig.fb, UINT64_MAX, on_barrier, &rig), 0);
                rig_stop(&rig); /* not told */
        }
}

TEST(without_anything_causal_there_is_nothing_to_wait_for) {
        Rig rig;

        REQUIRE(rig_start(&rig));
        CHECK_INT(framebus_barrier(rig.fb, UINT64_MAX, on_barrier, &rig), 1);
        rig_stop(&rig);
}

TEST(two_channels_are_one_queue) {
        Rig rig;

        REQUIRE(watching(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_NEWEST));
        rig.fake.two = true;
        REQUIRE(subscribe_causal(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_NEWEST));
        rig_until_log(&rig, "attached ");
        fake_format(&rig.fake, 7);
        fake_commit(&rig.fake, 1, true);
        rig_until_log(&rig, "format:7:16x8 ");
        rig.log[0] = 0;

        fake_frame(&rig.fake, 11);
        fake_frame(&rig.fake, 14);
        fake_frame(&rig.fake, 15);
        fake_swap(&rig.fake);
        fake_frame(&rig.fake, 12);
        fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Lost", "ts", (uint64_t)1, "no-credit");
        fake_frame(&rig.fake, 13);
        fake_frame(&rig.fake, 16);
        fake_commit(&rig.fake, 16, false);
        fake_swap(&rig.fake);
        fake_commit(&rig.fake, 14, true);
        rig_until_log(&rig, "frame:16 ");
        CHECK_STR(rig.log, "frame:11 frame:12 lost:1:no-credit frame:13 frame:14 frame:16 ");
        fake_commit(&rig.fake, 15, true);
        rig_until_log(&rig, "frame:15 ");
        rig_stop(&rig);
}

TEST(what_was_committed_survives_a_hang_up_and_the_rest_does_not) {
        Rig rig;

        REQUIRE(watching(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_NEWEST));
        fake_frame(&rig.fake, 42);
        fake_frame(&rig.fake, 43);
        rig_settle(&rig);
        fake_commit(&rig.fake, 42, false);
        fake_hang_up(&rig.fake);
        rig_until_log(&rig, "disconnected ");
        CHECK_STR(rig.log, "frame:42 disconnected ");
        rig_until_log(&rig, "attached "); /* again, with a page of its own */
        CHECK_INT(rig.fake.n_get_order, 2);
        fake_format(&rig.fake, 8);
        fake_frame(&rig.fake, 50);
        fake_commit(&rig.fake, 50, true);
        rig_until_log(&rig, "frame:50 ");
        rig_stop(&rig);
}

TEST(on_the_bus_what_was_not_committed_goes_with_the_broker) {
        Rig rig;

        REQUIRE(watching(&rig, FRAMEBUS_TRANSPORT_BUS, FRAMEBUS_DROP_NEWEST));
        fake_frame(&rig.fake, 42);
        fake_commit(&rig.fake, 42, true);
        fake_frame(&rig.fake, 43);
        sd_bus_flush(rig.fake.bus);
        rig_until_log(&rig, "frame:42 ");
        fake_stop(&rig.fake);
        rig_until_log(&rig, "disconnected ");
        REQUIRE(fake_start(&rig.fake, rig.address));
        rig_until_log(&rig, "attached ");
        fake_format(&rig.fake, 8);
        fake_frame(&rig.fake, 50);
        fake_commit(&rig.fake, 50, true);
        rig_until_log(&rig, "frame:50 ");
        CHECK(!strstr(rig.log, "frame:43 "));
        rig_stop(&rig);
}

/* Anybody can send a directed signal, and broadcast at any path. */
TEST(others_cannot_commit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *other = NULL;
        const char *name;
        Rig rig;

        REQUIRE(watching(&rig, FRAMEBUS_TRANSPORT_BUS, FRAMEBUS_DROP_NEWEST));
        sd_bus_get_unique_name(framebus_get_bus(rig.fb), &name);
        REQUIRE(sd_bus_new(&other) >= 0 && sd_bus_set_address(other, rig.address) >= 0 &&
                sd_bus_set_bus_client(other, 1) >= 0 && sd_bus_start(other) >= 0);
        fake_frame(&rig.fake, 42);
        sd_bus_emit_signal(other, COMMITS, FB_IFACE_SUBSCRIPTION, "Committed", "t", (uint64_t)99);
        REQUIRE(sd_bus_message_new_signal(other, &m, COMMITS, FB_IFACE_SUBSCRIPTION, "Committed") >= 0 &&
                sd_bus_message_append(m, "t", (uint64_t)99) >= 0 &&
                sd_bus_message_set_destination(m, name) >= 0 && sd_bus_send(other, m, NULL) >= 0);
        sd_bus_flush(other);
        rig_settle(&rig);
        CHECK_STR(rig.log, "");
        sd_bus_flush_close_unref(other);
        rig_stop(&rig);
}

TEST(of_several_that_wait_the_latest_is_given_out) {
        struct framebus_subscription_stats stats;
        framebus_subscription *sub;
        Rig rig;

        sub = watching(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_LATEST);
        REQUIRE(sub);
        fake_frame(&rig.fake, 42);
        fake_frame(&rig.fake, 43);
        fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Lost", "ts", (uint64_t)2, "no-credit");
        fake_frame(&rig.fake, 46);
        fake_frame(&rig.fake, 47);
        rig_settle(&rig);
        CHECK_STR(rig.log, "");
        fake_commit(&rig.fake, 46, true);
        rig_until_log(&rig, "frame:46 ");
        CHECK_STR(rig.log, "lost:2:no-credit lost:2:superseded frame:46 ");
        CHECK(rig_until(&rig, rig.fake.n_released == 3)); /* all of them */
        framebus_subscription_get_stats(sub, &stats);
        CHECK_INT(stats.lost, 4);
        CHECK_INT(stats.delivered, 1);
        fake_commit(&rig.fake, 47, true);
        rig_until_log(&rig, "frame:47 ");
        rig_stop(&rig);
}

/* Sending to a channel that hung up would drop what is unread in it. */
TEST(a_release_loses_nothing_that_was_committed) {
        Rig rig;

        REQUIRE(watching(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_NEWEST));
        rig.hold = true;
        fake_frame(&rig.fake, 42);
        fake_commit(&rig.fake, 42, true);
        rig_until_log(&rig, "frame:42 ");
        fake_frame(&rig.fake, 43);
        fake_commit(&rig.fake, 43, false);
        fake_hang_up(&rig.fake);
        framebus_frame_unref(rig.held[--rig.n_held]);
        rig_until_log(&rig, "disconnected ");
        CHECK_STR(rig.log, "frame:42 frame:43 disconnected ");
        rig_stop(&rig);
}

TEST(what_is_replayed_waits_for_nothing) {
        for (size_t i = 0; i < FB_ELEMENTSOF(transports); i++) {
                Rig rig;

                ROW("transport %zu", i);
                REQUIRE(rig_start(&rig));
                rig.fake.causal = true;
                rig.fake.commits = transports[i] == FRAMEBUS_TRANSPORT_BUS ? COMMITS : NULL;
                REQUIRE(subscribe_causal(&rig, transports[i], FRAMEBUS_DROP_NEWEST));
                rig_until_log(&rig, "attached ");
                if (rig.fake.channel)
                        fake_commit(&rig.fake, 9, false); /* the broker's newest order */
                rig.fake.flags = FB_FRAME_REPLAYED;
                fake_format(&rig.fake, 7);
                fake_frame(&rig.fake, 5);
                rig_until_log(&rig, "frame:5 ");
                rig.fake.flags = 0;
                fake_frame(&rig.fake, 10);
                rig_settle(&rig);
                CHECK_STR(rig.log, "attached format:7:16x8 frame:5 ");
                rig_stop(&rig);
        }
}

TEST_MAIN
