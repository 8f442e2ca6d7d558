/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A source's side: modes, states, numbers, who gets what, and the end. */
#include "tests/unit/stream-fixture.h"

static const Mode vga = { DRM_FORMAT_NV12, .width = 640, .height = 480, .rate = { 30, 1 } };
static const Mode hd = { DRM_FORMAT_NV12, .width = 1280, .height = 720, .rate = { 30, 1 } };

/* A source that runs in @mode. */
static void source_of(Source *source) {
        Mode modes[] = { vga, hd };

        source_init(source, modes, 2);
}

static Mode *wish_for(const Mode *mode) {
        Mode *m = malloc(sizeof *m);

        *m = *mode;
        return m;
}

TEST(states_have_words) {
        static const char *const words[] = {
                "idle", "starting", "streaming", "no-signal", "absent", "failed",
        };

        for (int i = 0; i < _STREAM_STATE_MAX; i++) {
                CHECK_STR(stream_state_to_string((StreamState)i), words[i]);
                CHECK_INT(stream_state_from_string(words[i]), i);
        }
        CHECK((int)stream_state_from_string("running") < 0);
        CHECK((int)stream_state_from_string("") < 0);
}

TEST(losses_have_words) {
        static const char *const words[] = { "no-credit", "rate",   "superseded", "suspended",
                                             "keyframe",  "source", "corrupt",    "quota" };

        for (int i = 0; i < _LOSS_MAX; i++)
                CHECK_STR(loss_reason_to_string((LossReason)i), words[i]);
}

TEST(order_grows_whatever_the_clock_does) {
        Order o = { 0 };

        CHECK_INT(order_next(&o, 100), 100);
        CHECK_INT(order_next(&o, 100), 101);
        CHECK_INT(order_next(&o, 50), 102);
        CHECK_INT(order_next(&o, 200), 200);
}

TEST(the_first_subscriber_starts_and_the_last_stops) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 4, false));
        CHECK_INT(source.n_started, 1);
        CHECK(mode_equal(&source.started, &vga));
        CHECK_INT(source.stream.state, STREAM_STARTING);
        REQUIRE(sink_add_plain(&b, &source, 4, false));
        CHECK_INT(source.n_started, 1);
        stream_set_format(&source.stream, &vga);
        source_run(&source, 1);
        CHECK_INT(source.stream.state, STREAM_STREAMING);
        CHECK(source.changed & STREAM_CHANGED_MODE);
        sink_remove(&a);
        CHECK_INT(source.n_stopped, 0);
        sink_remove(&b);
        CHECK_INT(source.n_stopped, 1);
        CHECK_INT(source.stream.state, STREAM_IDLE);
        CHECK_INT(source.stream.mode.fourcc, 0);
        CHECK_INT(source.n_frames, 0); /* nothing is kept for a replay */
}

TEST(a_failed_source_stays_failed_without_subscribers) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 4, false));
        stream_set_state(&source.stream, STREAM_FAILED, "it broke");
        sink_remove(&a);
        CHECK_INT(source.stream.state, STREAM_FAILED);
        CHECK_STR(source.stream.reason, "it broke");
}

TEST(states_change_once) {
        _cleanup_source_ Source source;
        char longer[2 * FB_TEXT_MAX];

        source_of(&source);
        source.changed = 0;
        stream_set_state(&source.stream, STREAM_IDLE, "");
        CHECK_INT(source.changed, 0);
        stream_set_state(&source.stream, STREAM_ABSENT, "unplugged");
        CHECK_INT(source.changed, STREAM_CHANGED_STATE);
        source.changed = 0;
        stream_set_state(&source.stream, STREAM_ABSENT, "unplugged");
        CHECK_INT(source.changed, 0);
        stream_set_state(&source.stream, STREAM_ABSENT, "");
        CHECK_INT(source.changed, STREAM_CHANGED_STATE);
        CHECK_STR(source.stream.reason, "");

        memset(longer, 'x', sizeof longer - 1);
        longer[sizeof longer - 1] = 0;
        stream_set_state(&source.stream, STREAM_ABSENT, longer);
        CHECK_INT(strlen(source.stream.reason), FB_TEXT_MAX);
}

TEST(frames_of_a_quick_reader) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 2, false));
        stream_set_format(&source.stream, &vga);
        for (uint64_t i = 1; i <= 3; i++) {
                source_run(&source, 1);
                sink_release(&a, i);
        }
        CHECK_SINK(&a, "f1 1 2 3");
        CHECK_INT(a.sub.delivered, 3);
        CHECK_INT(source.stream.frames, 3);
}

TEST(what_the_source_loses_is_told_to_all) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 4, false));
        REQUIRE(sink_add_plain(&b, &source, 1, false));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 2);
        source_publish_kind(&source, 3, FB_MEMORY_SEALED);
        stream_lose(&source.stream, 1, LOSS_CORRUPT);
        stream_lose(&source.stream, 0, LOSS_CORRUPT);
        CHECK_SINK(&a, "f1 1 2 -3:source 6");
        sink_release(&b, 1);
        source_run(&source, 1);
        CHECK_SINK(&a, "-1:corrupt 8");
        CHECK_SINK(&b, "f1 1 -2:no-credit -3:source -1:corrupt 8");
        CHECK_INT(source.stream.lost[LOSS_SOURCE], 3);
        CHECK_INT(source.stream.lost[LOSS_CORRUPT], 1);
        CHECK_INT(source.stream.frames, 4);
}

TEST(a_late_subscriber_does_not_miss_what_was_before_it) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 8, false));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 5);
        REQUIRE(sink_add_plain(&b, &source, 8, false));
        source_run(&source, 1);
        CHECK_SINK(&b, "f1 6");
}

TEST(wishes_are_judged_together) {
        Mode wish = hd, other = hd, got;
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };
        SubscriberOptions options = { .window = 1, .wishes = wish_for(&hd), .n_wishes = 1 };

        source_of(&source);
        CHECK_INT(stream_negotiate(&source.stream, (ModeList){ NULL, 0 }, &got), 0);
        CHECK(mode_equal(&got, &vga));
        CHECK_INT(stream_negotiate(&source.stream, (ModeList){ &wish, 1 }, &got), 0);
        CHECK(mode_equal(&got, &hd));
        other.fourcc = DRM_FORMAT_YUYV;
        CHECK_INT(stream_negotiate(&source.stream, (ModeList){ &other, 1 }, &got), FB_E_NO_COMMON_MODE);
        CHECK_INT(source.n_started, 0); /* asking changes nothing */

        REQUIRE(sink_add(&a, &source, &options, true));
        wish = vga;
        CHECK_INT(stream_negotiate(&source.stream, (ModeList){ &wish, 1 }, &got), FB_E_NO_COMMON_MODE);
        sink_remove(&a);
        CHECK_INT(stream_negotiate(&source.stream, (ModeList){ &wish, 1 }, &got), 0);
}

TEST(a_newcomer_may_change_the_mode) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };
        SubscriberOptions options = { .window = 4, .wishes = wish_for(&hd), .n_wishes = 1 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 4, false));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 1);
        REQUIRE(sink_add(&b, &source, &options, true));
        CHECK_INT(source.n_started, 2);
        CHECK(mode_equal(&source.started, &hd));
        source_run(&source, 1); /* still in the old mode, which b does not want */
        stream_set_format(&source.stream, &hd);
        source_run(&source, 1);
        CHECK_SINK(&a, "f1 1 2 f2 3");
        CHECK_SINK(&b, "-1:source f2 3");
}

TEST(a_running_source_is_left_alone) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 }, c = { 0 };
        SubscriberOptions options = { .window = 4, .wishes = wish_for(&hd), .n_wishes = 1 };

        source_of(&source);
        REQUIRE(sink_add(&a, &source, &options, true));
        REQUIRE(sink_add_plain(&b, &source, 4, false));
        sink_remove(&a);
        REQUIRE(sink_add_plain(&c, &source, 4, false)); /* would have got vga otherwise */
        CHECK_INT(source.n_started, 1);
        CHECK(mode_equal(&source.started, &hd));
}

TEST(who_is_in_the_way) {
        Mode small = vga, large = hd, other = hd;
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };
        SubscriberOptions anything = { .window = 4 };
        SubscriberOptions only = { .window = 4, .wishes = wish_for(&hd), .n_wishes = 1 };
        ModeList theirs = { NULL, 77 };

        source_of(&source);
        other.fourcc = DRM_FORMAT_YUYV;
        REQUIRE(sink_add(&a, &source, &anything, true));
        CHECK(stream_can(&source.stream, (ModeList){ &small, 1 }));
        CHECK_INT(stream_count_opponents(&source.stream, (ModeList){ &small, 1 }, &theirs), 0);
        CHECK_INT(theirs.n, 77);
        REQUIRE(sink_add(&b, &source, &only, true));
        CHECK(stream_can(&source.stream, (ModeList){ &small, 1 }));
        CHECK_INT(stream_count_opponents(&source.stream, (ModeList){ &small, 1 }, &theirs), 1);
        CHECK(theirs.n == 1 && mode_equal(theirs.modes, only.wishes));
        CHECK_INT(stream_count_opponents(&source.stream, (ModeList){ &large, 1 }, &theirs), 0);
        CHECK(!stream_can(&source.stream, (ModeList){ &other, 1 }));
        CHECK_INT(source.n_started, 2); /* asking changes nothing */
}

TEST(who_is_over_has_no_say) {
        Mode wish = vga, got;
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };
        SubscriberOptions options = { .window = 4, .wishes = wish_for(&hd), .n_wishes = 1 };

        source_of(&source);
        REQUIRE(sink_add(&a, &source, &options, true));
        CHECK_INT(stream_negotiate(&source.stream, (ModeList){ &wish, 1 }, &got), FB_E_NO_COMMON_MODE);
        subscriber_end(&a.sub, 1 + T0, "mode"); /* not reaped yet */
        CHECK_INT(stream_negotiate(&source.stream, (ModeList){ &wish, 1 }, &got), 0);
}

TEST(the_same_format_is_told_once) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 8, false));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 1);
        stream_set_format(&source.stream, &vga);
        source_run(&source, 1);
        stream_run_ended(&source.stream); /* a crash, and the source comes again */
        stream_set_format(&source.stream, &vga);
        source_run(&source, 1);
        CHECK_SINK(&a, "f1 1 2 f2 3");
}

TEST(the_newest_frame_is_replayed) {
        static const struct {
                const char *name;
                uint64_t age;
                bool replay, run_ended;
                const char *expected;
        } rows[] = {
                { "just now", 5 * MS, true, false, "f1 1r f1" },
                { "a second old", FB_REPLAY_AGE_NS, true, false, "1r" },
                { "too old", FB_REPLAY_AGE_NS + 1, true, false, "" },
                { "not wished", 5 * MS, false, false, "" },
                { "of a run that is over", 5 * MS, true, true, "" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                SubscriberOptions options = { .window = 1, .replay = rows[i].replay };
                _cleanup_source_ Source source;
                _cleanup_sink_ Sink a = { 0 }, b = { 0 };

                ROW("%s", rows[i].name);
                source_of(&source);
                REQUIRE(sink_add_plain(&a, &source, 4, false));
                stream_set_format(&source.stream, &vga);
                source_run(&source, 1);
                if (rows[i].run_ended)
                        stream_run_ended(&source.stream);
                source.now += rows[i].age;
                REQUIRE(sink_add(&b, &source, &options, true));
                if (rows[i].expected[0]) {
                        CHECK_SINK(&b, "f1 1r");
                        sink_release(&b, 1); /* it costs credit as any other */
                } else {
                        CHECK_SINK(&b, "");
                }
                CHECK_INT(b.sub.delivered, 0);
        }
}

TEST(slow_sources_have_older_replays) {
        SubscriberOptions options = { .window = 1, .replay = true };
        Mode slow = vga;
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        slow.rate = (Fraction){ 1, 5 };
        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 4, false));
        stream_set_format(&source.stream, &slow);
        source_run(&source, 1);
        source.now += 10 * NSEC_PER_SEC;
        REQUIRE(sink_add(&b, &source, &options, true));
        CHECK_SINK(&b, "f1 1r");
}

TEST(all_end_and_are_handed_over) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 1, false));
        REQUIRE(sink_add_plain(&b, &source, 1, true));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 3);
        stream_end_all(&source.stream, "destroyed", source.now);
        CHECK_SINK(&a, "f1 1 -2:no-credit end:destroyed over");
        CHECK_SINK(&b, "f1 1 -1:no-credit -1:superseded end:destroyed over");
        CHECK(list_is_empty(&source.stream.subscribers));
        CHECK_INT(source.n_stopped, 1);
        stream_end_all(&source.stream, "again", source.now);
        source_run(&source, 1);
}

TEST(who_fails_is_reaped_after_the_loop) {
        _cleanup_source_ Source source;
        Sink sinks[3] = { 0 };

        source_of(&source);
        for (int i = 0; i < 3; i++)
                REQUIRE(sink_add_plain(&sinks[i], &source, 8, false));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 1);
        sinks[0].send_error = sinks[1].send_error = -EPIPE;
        source_run(&source, 1);
        CHECK_SINK(&sinks[0], "f1 1 over");
        CHECK_SINK(&sinks[1], "f1 1 over");
        source_run(&source, 1);
        CHECK_SINK(&sinks[2], "f1 1 2 3");
        CHECK_INT(source.stream.n_subscribers, 1);
        for (int i = 0; i < 3; i++)
                sink_remove(&sinks[i]);
}

/* The frame is a reference of nobody's but those in flight, where its memory must not be used again. */
TEST(references_are_kept_for_memory_that_is_used_again) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };
        SubscriberOptions options = { .window = 4,
                                      .memories = 1u << FB_MEMORY_LEASED | 1u << FB_MEMORY_SEALED };

        source_of(&source);
        REQUIRE(sink_add(&a, &source, &options, true));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 3);
        CHECK_INT(source.n_frames, 1); /* sealed: only the newest, for a replay */
        for (int i = 0; i < 2; i++) {
                sink_release(&a, (uint64_t)i + 1);
                source_publish_kind(&source, 0, FB_MEMORY_LEASED);
        }
        CHECK_INT(source.n_frames, 2);
        sink_release(&a, 4);
        CHECK_INT(source.n_frames, 1);
        sink_release(&a, 5);
        CHECK_INT(source.n_frames, 1);
        stream_run_ended(&source.stream);
        CHECK_INT(source.n_frames, 0);
}

TEST_MAIN
