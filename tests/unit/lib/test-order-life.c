/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How causal subscriptions begin, move and end. */
#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "causal.h"
#include "interfaces/names.h"

TEST(attached_is_told_when_order_can_be_kept) {
        Rig rig;

        REQUIRE(rig_start(&rig));
        rig.fake.causal = true;
        REQUIRE(subscribe_causal(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_NEWEST));
        CHECK(rig_until(&rig, rig.fake.n_attach == 1));
        rig.fake.silent = true; /* no page */
        CHECK(rig_until(&rig, rig.fake.n_get_order == 1));
        fake_format(&rig.fake, 7);
        fake_frame(&rig.fake, 42);
        rig_settle(&rig);
        CHECK_STR(rig.log, "");
        rig_stop(&rig);
}

/* The broker does not send before it knows that our match stands. If it did, nothing else would tell. */
TEST(what_was_sent_before_the_match_is_not_forgotten) {
        Rig rig;

        REQUIRE(rig_start(&rig));
        rig.fake.causal = true;
        rig.fake.commits = COMMITS;
        REQUIRE(subscribe_causal(&rig, FRAMEBUS_TRANSPORT_BUS, FRAMEBUS_DROP_NEWEST));
        CHECK(rig_until(&rig, rig.fake.subscriber));
        fake_format(&rig.fake, 7);
        fake_frame(&rig.fake, 42);
        fake_commit(&rig.fake, 42, true);
        rig_until_log(&rig, "frame:42 ");
        CHECK_STR(rig.log, "attached format:7:16x8 frame:42 ");
        rig_stop(&rig);
}

TEST(commits_move_to_another_path) {
        Rig rig;

        REQUIRE(watching(&rig, FRAMEBUS_TRANSPORT_BUS, FRAMEBUS_DROP_NEWEST));
        for (int i = 0; i < 3; i++) {
                static const char *const paths[] = { COMMITS "1", COMMITS "2", COMMITS "3" };
                char want[64];

                ROW("move %d", i);
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "CommitsMoved", "o", paths[i]);
                fake_frame(&rig.fake, (uint64_t)(50 + i));
                fake_commit(&rig.fake, (uint64_t)(50 + i), true); /* on the old one */
                snprintf(want, sizeof want, "frame:%d ", 50 + i);
                rig_until_log(&rig, want);
                CHECK(rig_until(&rig, strstr(rig.fake.options, "commits=")));
                rig.fake.options[0] = 0;
                rig.fake.commits = paths[i];
                fake_frame(&rig.fake, (uint64_t)(60 + i));
                fake_commit(&rig.fake, (uint64_t)(60 + i), true);
                snprintf(want, sizeof want, "frame:%d ", 60 + i);
                rig_until_log(&rig, want);
        }
        rig_stop(&rig);
}

static void on_share(framebus_subscription *sub, int channel, const struct framebus_error *error,
                     void *userdata) {
        *(int *)userdata = channel;
}

TEST(a_share_keeps_order_as_well) {
        const struct framebus_share_options options = { .version = FRAMEBUS_SHARE_OPTIONS_VERSION,
                                                        .set_order = true,
                                                        .order = FRAMEBUS_ORDER_CAUSAL };
        _cleanup_close_ int ours = -1;
        framebus_subscription *sub;
        int channel = -1, theirs;
        Rig rig;

        sub = watching(&rig, FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_DROP_NEWEST);
        REQUIRE(sub);
        CHECK_INT(framebus_subscription_share(sub, &options, on_share, &channel), 0);
        CHECK(rig_until(&rig, channel >= 0));
        CHECK_STR(rig.fake.options, "order=causal ");
        close(channel);

        REQUIRE(fd_socketpair(&ours, &theirs) == 0);
        rig.fake.two = true;
        fake_swap(&rig.fake);
        fake_adopt(&rig.fake, take_fd(ours));
        CHECK_INT(framebus_subscribe_fd(rig.fb, theirs, NULL, 0, &rig_events, &rig, &sub), 0);
        CHECK(rig_until(&rig, rig.fake.n_get_order == 2));
        fake_format(&rig.fake, 8);
        fake_frame(&rig.fake, 50);
        rig_settle(&rig);
        CHECK_STR(rig.log, "attached ");
        fake_commit(&rig.fake, 50, true);
        rig_until_log(&rig, "frame:50 ");
        framebus_subscription_close(sub);
        fake_swap(&rig.fake);
        rig.fake.format = 7;
        fake_frame(&rig.fake, 60);
        fake_commit(&rig.fake, 60, true);
        rig_until_log(&rig, "frame:60 ");
        rig_stop(&rig);
}

/* It is gone before it could be attached: that is told, and not that something went wrong. */
TEST(what_ends_early_says_so) {
        for (size_t i = 0; i < FB_ELEMENTSOF(transports); i++) {
                Rig rig;

                ROW("transport %zu", i);
                REQUIRE(rig_start(&rig));
                rig.fake.causal = true;
                rig.fake.commits = transports[i] == FRAMEBUS_TRANSPORT_BUS ? COMMITS : NULL;
                REQUIRE(subscribe_causal(&rig, transports[i], FRAMEBUS_DROP_NEWEST));
                CHECK(rig_until(&rig, rig.fake.n_attach == 1));
                rig.fake.silent = true; /* neither page nor answer */
                CHECK(rig_until(&rig, rig.fake.subscriber || rig.fake.n_get_order == 1));
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Ended", "ts", (uint64_t)5, "destroyed");
                fake_signal(&rig.fake, FB_IFACE_SUBSCRIPTION, "Committed", "t", (uint64_t)5);
                rig_until_log(&rig, "ended:");
                CHECK_STR(rig.log, "attached ended:destroyed:- ");
                rig_stop(&rig);
        }
}

static void on_frame_commit_next(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        Rig *rig = userdata;
        uint64_t seq = framebus_frame_get_seq(frame);

        rig_log(rig, "frame:%llu ", (unsigned long long)seq);
        if (seq == 43) {
                fake_frame(&rig->fake, 44);
                fake_commit(&rig->fake, 44, true);
        }
}

/* The bell is heard when what was released is sent: in the middle of a turn that is about older frames. */
TEST(what_is_committed_meanwhile_is_not_forgotten) {
        static const struct framebus_subscription_events events = { .version = 0,
                                                                    .frame = on_frame_commit_next };
        const struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                                                            .order = FRAMEBUS_ORDER_CAUSAL };
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        rig.fake.causal = true;
        REQUIRE(framebus_subscribe(rig.fb, "cam", &options, &events, &rig, &sub) == 0);
        CHECK(rig_until(&rig, rig.fake.n_get_order == 1));
        fake_format(&rig.fake, 7);
        fake_frame(&rig.fake, 42);
        fake_frame(&rig.fake, 43);
        fake_commit(&rig.fake, 43, true);
        rig_until_log(&rig, "frame:44 ");
        rig_stop(&rig);
}

static void on_last(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        rig_log(userdata, "last:%llu ", (unsigned long long)framebus_frame_get_seq(frame));
        framebus_subscription_close(sub);
}

TEST(a_callback_may_close_it_with_more_to_come) {
        static const struct framebus_subscription_events events = { .version = 0, .frame = on_last };
        const struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                                                            .order = FRAMEBUS_ORDER_CAUSAL };
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        rig.fake.causal = true;
        REQUIRE(framebus_subscribe(rig.fb, "cam", &options, &events, &rig, &sub) == 0);
        CHECK(rig_until(&rig, rig.fake.n_get_order == 1));
        fake_format(&rig.fake, 7);
        fake_frame(&rig.fake, 42);
        fake_frame(&rig.fake, 43);
        fake_commit(&rig.fake, 43, true);
        rig_until_log(&rig, "last:42 ");
        rig_settle(&rig);
        CHECK_STR(rig.log, "last:42 ");
        rig_stop(&rig);
}

TEST(orders_that_do_not_exist_are_refused) {
        struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                                                      .order = (enum framebus_order)2 };
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        CHECK_INT(framebus_subscribe(rig.fb, "cam", &options, &rig_events, &rig, &sub), -EINVAL);
        options.version = 1; /* of before there were any */
        CHECK_INT(framebus_subscribe(rig.fb, "cam", &options, &rig_events, &rig, &sub), 0);
        rig_until_log(&rig, "attached ");
        CHECK(!strstr(rig.fake.options, "order="));
        rig_stop(&rig);
}

TEST_MAIN
