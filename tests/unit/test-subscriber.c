/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A subscription's side: credit, what is held, what is told, suspension, failures. */
#include "tests/unit/stream-fixture.h"

static const Mode vga = { DRM_FORMAT_NV12, .width = 640, .height = 480, .rate = { 30, 1 } };

static void source_of(Source *source) {
        source_init(source, &vga, 1);
}

/* A source that runs, with one sink. */
static bool begin(Source *source, Sink *k, const SubscriberOptions *options, bool activate) {
        if (!sink_add(k, source, options, activate))
                return false;
        stream_set_format(&source->stream, &vga);
        return true;
}

static bool begin_plain(Source *source, Sink *k, uint32_t window, bool latest) {
        SubscriberOptions options = { .window = window, .latest = latest };

        return begin(source, k, &options, true);
}

TEST(without_credit_the_newest_is_lost) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 2, false));
        source_run(&source, 5);
        CHECK_SINK(&a, "f1 1 2");
        sink_release(&a, 1);
        CHECK_SINK(&a, "");
        source_run(&source, 2);
        CHECK_SINK(&a, "-3:no-credit 6");
        CHECK_INT(a.sub.lost[LOSS_NO_CREDIT], 4);
}

TEST(latest_holds_the_newest_for_when_credit_returns) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 1, true));
        source_run(&source, 5);
        CHECK_SINK(&a, "f1 1");
        CHECK_INT(source.n_frames, 1); /* the one held is also the newest */
        sink_release(&a, 1);
        CHECK_SINK(&a, "-3:superseded 5");
        sink_release(&a, 5);
        CHECK_SINK(&a, "");
        source_run(&source, 1);
        CHECK_SINK(&a, "6");
}

/* What is lost while a frame is held comes after that frame, and is told after it. */
TEST(losses_are_told_where_they_were) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 1, true));
        source_run(&source, 2); /* 2 is held */
        stream_lose(&source.stream, 3, LOSS_SOURCE);
        sink_release(&a, 1);
        CHECK_SINK(&a, "f1 1 2");
        sink_release(&a, 2);
        source_run(&source, 1);
        CHECK_SINK(&a, "-3:source 6");
}

TEST(what_max_rate_drops_after_a_held_frame_is_told_after_it) {
        SubscriberOptions options = { .window = 1, .latest = true, .max_rate = { 10, 1 } };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin(&source, &a, &options, true));
        source_run(&source, 15); /* every 10 ms: 1 is sent, 10 or 11 held, what follows comes too soon */
        CHECK(a.sub.held);
        sink_release(&a, 1);
        CHECK_INT(a.n_delivered, 2);
        sink_release(&a, a.last_seq);
        source_run(&source, 15);
        CHECK_INT(a.n_delivered, 3);
}

TEST(a_held_frame_that_is_superseded_counts_all_between) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 1, true));
        source_run(&source, 2);
        stream_lose(&source.stream, 2, LOSS_SOURCE);
        source_run(&source, 1);
        sink_release(&a, 1);
        CHECK_SINK(&a, "f1 1 -1:superseded -2:source 5");
}

TEST(max_rate) {
        SubscriberOptions options = { .window = 4, .max_rate = { 50, 1 } };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin(&source, &a, &options, true));
        for (uint64_t i = 1; i <= 4; i++) {
                source_run(&source, 2);
                sink_release(&a, 2 * i - 1);
        }
        CHECK_SINK(&a, "f1 1 -1:rate 3 -1:rate 5 -1:rate 7");
        CHECK_INT(a.sub.lost[LOSS_RATE], 4);
}

TEST(releases_that_make_no_sense_are_harmless) {
        static const uint64_t nonsense[] = { 0, 7, 1, 1, UINT64_MAX, 2 };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 2, false));
        source_run(&source, 2);
        subscriber_release(&a.sub, nonsense, FB_ELEMENTSOF(nonsense), source.now);
        CHECK_INT(window_in_flight(&a.sub.window), 0);
        subscriber_release(&a.sub, NULL, 0, source.now);
        subscriber_release_up_to(&a.sub, UINT64_MAX, source.now);
        source_run(&source, 3);
        subscriber_release_up_to(&a.sub, 3, source.now);
        source_run(&source, 1);
        CHECK_SINK(&a, "f1 1 2 3 4 -1:no-credit 6");
}

TEST(nonsense_is_no_credit) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 1, true));
        source_run(&source, 2);
        sink_release(&a, 99);
        subscriber_release_up_to(&a.sub, 0, source.now);
        CHECK_SINK(&a, "f1 1");
        CHECK(a.sub.held);
}

TEST(latency_is_from_capture_to_release) {
        static const double median = 50;
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };
        uint64_t p50 = 0;

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 2, false));
        source_run(&source, 1);
        source.now += 7 * MS;
        sink_release(&a, 1);
        sampler_percentiles(&a.sub.latency, &median, 1, &p50);
        CHECK_INT(p50, 7 * MS);
}

TEST(silence_suspends_and_a_release_resumes) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 2, false));
        REQUIRE(sink_add_plain(&b, &source, 2, true));
        a.quiet = b.quiet = true;
        source_run(&source, 201); /* 2 s after the first */
        CHECK(!a.is_suspended && !b.is_suspended);
        a.quiet = b.quiet = false;
        source_run(&source, 3);
        CHECK_SINK(&a, "susp");
        CHECK_SINK(&b, "susp");
        CHECK(!b.sub.held);
        sink_release(&a, 1);
        sink_release(&b, 99); /* a sign of life, though no credit */
        CHECK_SINK(&a, "res");
        CHECK_SINK(&b, "res");
        source_run(&source, 2);
        CHECK_SINK(&a, "-199:no-credit -3:suspended 205");
        CHECK_SINK(&b, "");
        CHECK(b.sub.held);
        sink_release(&b, 1);
        CHECK_SINK(&b, "-199:superseded -4:suspended 206");
}

TEST(setting_options_resumes_too) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 1, false));
        a.quiet = true;
        source_run(&source, 250);
        CHECK(a.is_suspended);
        a.quiet = false;
        subscriber_set_options(&a.sub, 2, false, (Fraction){ 0, 1 }, source.now);
        CHECK_SINK(&a, "res");
        source_run(&source, 1);
        CHECK_INT(a.n_delivered, 2);
}

TEST(options_change_while_it_runs) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 1, true));
        source_run(&source, 3);
        CHECK_SINK(&a, "f1 1");
        subscriber_set_options(&a.sub, 2, true, (Fraction){ 0, 1 }, source.now); /* room for the one held */
        CHECK_SINK(&a, "-1:superseded 3");
        source_run(&source, 2);
        subscriber_set_options(&a.sub, 2, false, (Fraction){ 0, 1 }, source.now);
        CHECK(!a.sub.held);
        sink_release(&a, 1);
        source_run(&source, 1);
        CHECK_SINK(&a, "-1:no-credit -1:superseded 6");
}

TEST(the_newest_frame_waits_for_the_conduit) {
        SubscriberOptions options = { .window = 4, .replay = true };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin(&source, &a, &options, false));
        source_run(&source, 3);
        CHECK_SINK(&a, "");
        subscriber_activate(&a.sub, source.now);
        CHECK_SINK(&a, "-2:no-credit f1 3");
        subscriber_activate(&a.sub, source.now);
        CHECK_SINK(&a, "");
        source_run(&source, 1);
        CHECK_SINK(&a, "4");
}

TEST(options_may_change_before_the_conduit_opens) {
        SubscriberOptions options = { .window = 4, .latest = true, .replay = true };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin(&source, &a, &options, false));
        source_run(&source, 1);
        subscriber_set_options(&a.sub, 2, false, (Fraction){ 0, 1 }, source.now);
        CHECK_SINK(&a, "");
        subscriber_activate(&a.sub, source.now);
        CHECK_SINK(&a, "f1 1"); /* neither lost nor a replay */
}

TEST(an_end_before_the_conduit_opened_is_handed_on) {
        SubscriberOptions options = { .window = 4 };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin(&source, &a, &options, false));
        source_run(&source, 3);
        stream_end_subscriber(&source.stream, &a.sub, "destroyed", source.now);
        CHECK_SINK(&a, "-3:no-credit end:destroyed over"); /* the conduit keeps it for when it opens */
        subscriber_activate(&a.sub, source.now);
        CHECK_SINK(&a, "");
}

TEST(the_first_frame_has_to_come_back) {
        SubscriberOptions options = { .window = 4, .must_release_first = true };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        source_of(&source);
        REQUIRE(begin(&source, &a, &options, true));
        REQUIRE(sink_add(&b, &source, &options, true));
        source_run(&source, 1);
        sink_release(&b, 1);
        CHECK_SINK(&a, "f1 1");
        CHECK_SINK(&b, "f1 1");
        a.quiet = b.quiet = true;
        source_run(&source, 200);
        CHECK(!a.is_ended);
        source_run(&source, 20); /* a release may be waiting to be read */
        CHECK(!a.is_ended);
        a.quiet = b.quiet = false;
        source_run(&source, 2);
        CHECK_SINK(&a, "-219:no-credit end:undeliverable over");
        CHECK(!b.is_ended);
        CHECK_SINK(&b, "");
}

TEST(no_room_is_a_loss_with_its_reason) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 4, false));
        source_run(&source, 1);
        a.room = FB_E_LIMIT;
        a.room_why = LOSS_QUOTA;
        source_run(&source, 2);
        a.room_why = LOSS_NO_CREDIT;
        source_run(&source, 1);
        a.room = 0;
        source_run(&source, 1);
        CHECK_SINK(&a, "f1 1 -1:no-credit -2:quota 5");
}

/* Too many descriptors under way, for this user or in this process, passes; anything else does not. */
TEST(errors_of_sending) {
        static const struct {
                int error;
                bool over;
        } rows[] = { { -ETOOMANYREFS, false }, { -EMFILE, false }, { -ENFILE, false }, { -EPIPE, true },
                     { -ENOMEM, true },        { -EXFULL, true },  { -ENOTCONN, true } };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_source_ Source source;
                _cleanup_sink_ Sink a = { 0 };

                ROW("%s", strerrorname_np(-rows[i].error));
                source_of(&source);
                REQUIRE(begin_plain(&source, &a, 4, false));
                source_run(&source, 1);
                a.send_error = rows[i].error;
                source_run(&source, 2);
                a.send_error = 0;
                source_run(&source, 1);
                CHECK_SINK(&a, rows[i].over ? "f1 1 over" : "f1 1 -2:quota 4");
        }
}

TEST(nothing_comes_after_the_end) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        source_of(&source);
        REQUIRE(begin_plain(&source, &a, 2, true));
        REQUIRE(sink_add_plain(&b, &source, 4, false));
        source_run(&source, 2);
        stream_end_subscriber(&source.stream, &a.sub, "revoked", source.now);
        CHECK_SINK(&a, "f1 1 2 end:revoked over");
        source_run(&source, 2);
        subscriber_release_up_to(&a.sub, 9, source.now);
        subscriber_set_options(&a.sub, 9, true, (Fraction){ 0, 1 }, source.now);
        subscriber_end(&a.sub, order_next(&source.order, source.now), "again");
        CHECK_SINK(&a, "");
        CHECK_SINK(&b, "f1 1 2 3 4");
}

TEST_MAIN
