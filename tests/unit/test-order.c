/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Causal order: everybody is sent a frame before anybody may believe in it. */
#include "tests/unit/stream-fixture.h"

static const Mode vga = { DRM_FORMAT_NV12, .width = 640, .height = 480, .rate = { 30, 1 } };

static void source_of(Source *source) {
        source_init(source, &vga, 1);
}

static bool sink_add_causal(Sink *k, Source *source, uint32_t window, bool activate) {
        SubscriberOptions options = { .window = window, .causal = true, .replay = true };

        return sink_add(k, source, &options, activate);
}

/* What was committed, and how many had the frame by then. */
typedef struct Seen {
        unsigned n_sent, n_expected;
} Seen;

static void on_retire(void *userdata, uint64_t slots) {
}

static void on_sent(void *userdata, Sink *k, const Frame *f, bool replayed) {
        Seen *seen = userdata;

        seen->n_sent++;
        CHECK(replayed || source_get_committed(k->source) < f->order);
}

TEST(all_are_sent_it_before_the_page_and_the_notice_say_so) {
        static const SourceHooks hooks = { on_retire, on_sent };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 }, c = { 0 };
        Seen seen = { 0 };
        uint64_t before;

        source_of(&source);
        source.hooks = &hooks;
        source.userdata = &seen;
        REQUIRE(sink_add_causal(&a, &source, 4, true));
        REQUIRE(sink_add_plain(&b, &source, 4, false));
        REQUIRE(sink_add_causal(&c, &source, 4, true));
        REQUIRE(stream_open_page(&source.stream) >= 0);
        stream_set_format(&source.stream, &vga);
        before = source_get_committed(&source);
        source_run(&source, 1);
        CHECK_INT(seen.n_sent, 3);
        CHECK(source_get_committed(&source) > before);
        CHECK_INT(source_get_committed(&source), a.last_order);
        CHECK_SINK(&a, "f1 1 c");
        CHECK_SINK(&b, "f1 1");
        CHECK_SINK(&c, "f1 1 c");
        stream_end_all(&source.stream, "destroyed", source.now);
        CHECK_SINK(&a, "end:destroyed c over");
        CHECK_SINK(&b, "end:destroyed over");
        CHECK_SINK(&c, "end:destroyed c over");
        CHECK_INT(source_get_committed(&source), source.order.last);
}

TEST(nothing_is_kept_for_later) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        source_of(&source);
        REQUIRE(sink_add_causal(&a, &source, 2, true));
        REQUIRE(sink_add_causal(&b, &source, 2, false)); /* not looked at yet */
        stream_set_format(&source.stream, &vga);
        source_run(&source, 3);
        CHECK_SINK(&a, "f1 1 c 2 c");
        sink_release(&a, 1); /* the third is lost, whatever comes back */
        CHECK_SINK(&a, "");
        CHECK_SINK(&b, "");
        subscriber_activate(&b.sub, source.now);
        CHECK_SINK(&b, "f1 3r"); /* outside of the order: needs no commit */
        source_run(&source, 1);
        CHECK_SINK(&a, "-1:no-credit 4 c");
        CHECK_SINK(&b, "-3:no-credit 4 c");
}

TEST(what_is_lost_is_not_committed) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(sink_add_causal(&a, &source, 4, true));
        stream_set_format(&source.stream, &vga);
        a.room = FB_E_LIMIT;
        a.room_why = LOSS_NO_CREDIT;
        source_run(&source, 1);
        CHECK_SINK(&a, "");
        a.room = 0;
        source_run(&source, 1);
        CHECK_SINK(&a, "-1:no-credit f1 2 c");
}

/* The page is of use from the moment when it is asked for. */
TEST(the_page_begins_with_what_was) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(sink_add_plain(&a, &source, 16, false));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 3);
        REQUIRE(stream_open_page(&source.stream) >= 0);
        CHECK_INT(stream_open_page(&source.stream), source.stream.page.fd);
        CHECK_INT(source_get_committed(&source), a.last_order);
        CHECK_INT(source.stream.page.map->version, FB_ORDER_PAGE_VERSION);
        source_run(&source, 1); /* whether anybody looks or not */
        CHECK_INT(source_get_committed(&source), a.last_order);
}

TEST(what_comes_in_a_pause_is_lost) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        source_of(&source);
        REQUIRE(sink_add_causal(&a, &source, 4, true));
        stream_set_format(&source.stream, &vga);
        source_run(&source, 1);
        subscriber_pause(&a.sub);
        source_run(&source, 2);
        subscriber_activate(&a.sub, source.now);
        source_run(&source, 1);
        CHECK_SINK(&a, "f1 1 c -2:suspended 4 c"); /* and nothing is replayed */
}

/* One who is ended in the loop has an order above the frame's: with that, not before the others have it. */
TEST(an_end_within_a_frame_is_committed_with_it) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };
        SubscriberOptions suspect = { .window = 1, .causal = true, .must_release_first = true };

        source_of(&source);
        REQUIRE(sink_add(&a, &source, &suspect, true));
        REQUIRE(sink_add_causal(&b, &source, 16, true));
        REQUIRE(stream_open_page(&source.stream) >= 0);
        stream_set_format(&source.stream, &vga);
        source_run(&source, 1);
        source.now += FB_SUSPEND_AFTER_NS + MS;
        source_run(&source, 1);
        source.now += 250 * MS;
        source_run(&source, 1);
        CHECK_SINK(&a, "f1 1 c -2:no-credit end:undeliverable c over");
        CHECK_SINK(&b, "f1 1 c 2 c 3 c");
        CHECK_INT(source_get_committed(&source), source.order.last);
}

TEST_MAIN
