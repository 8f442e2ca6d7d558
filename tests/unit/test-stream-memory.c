/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kinds of memory: who gets a frame in which, what the source is told, and which buffers are retired when. */
#include "tests/unit/stream-fixture.h"

#define SEALED (1u << FB_MEMORY_SEALED)
#define LEASED (1u << FB_MEMORY_LEASED)
#define DMABUF (1u << FB_MEMORY_DMABUF)

static const Mode vga = { DRM_FORMAT_NV12, .width = 640, .height = 480, .rate = { 100, 1 } };

/* What each sink was sent last. */
typedef struct Watch {
        uint32_t kinds[8];
        uint64_t slots[8];
        unsigned n;
} Watch;

static void on_retire(void *userdata, uint64_t slots) {
}

static void on_sent(void *userdata, Sink *k, const Frame *f, bool replayed) {
        Watch *w = userdata;

        w->kinds[w->n % 8] = frame_get_memory_kind(f);
        w->slots[w->n++ % 8] = f->slot;
}

static const SourceHooks hooks = { on_retire, on_sent };

static void begin(Source *source, Watch *w) {
        source_init(source, &vga, 1);
        *w = (Watch){ 0 };
        source->hooks = &hooks;
        source->userdata = w;
}

static bool add(Sink *k, Source *source, uint32_t window, uint32_t memories) {
        SubscriberOptions options = { .window = window, .memories = memories, .replay = true };

        return sink_add(k, source, &options, true);
}

/* A frame in slot @slot (sealed: 0), with a sealed twin if @pair. */
static void publish(Source *source, uint32_t kind, uint64_t slot, bool pair) {
        Frame *f = frame_new(&frame_home, source);

        source->now += 10 * MS;
        source->n_frames++;
        f->pts_ns = source->now;
        f->n_fds = f->n_planes = 1;
        f->flags = kind << FB_FRAME_MEMORY_SHIFT;
        f->slot = slot;
        if (pair) {
                f->sealed = frame_new(&frame_home, source);
                f->sealed->n_fds = 1;
                f->sealed->pts_ns = f->pts_ns;
                source->n_frames++;
        }
        stream_publish(&source->stream, f, 0, source->now);
        frame_unref(f);
}

TEST(who_gets_which_memory) {
        static const struct {
                uint32_t memories, kind;
                bool pair;
                int got; /* -1: lost */
        } rows[] = {
                { SEALED, FB_MEMORY_SEALED, false, FB_MEMORY_SEALED },
                { SEALED, FB_MEMORY_LEASED, false, -1 },
                { SEALED, FB_MEMORY_LEASED, true, FB_MEMORY_SEALED },
                { SEALED, FB_MEMORY_DMABUF, true, FB_MEMORY_SEALED },
                { LEASED | SEALED, FB_MEMORY_SEALED, false, FB_MEMORY_SEALED },
                { LEASED | SEALED, FB_MEMORY_LEASED, true, FB_MEMORY_LEASED },
                { LEASED | SEALED, FB_MEMORY_LEASED, false, FB_MEMORY_LEASED },
                { LEASED | SEALED, FB_MEMORY_DMABUF, true, FB_MEMORY_SEALED },
                { LEASED | SEALED, FB_MEMORY_DMABUF, false, -1 },
                { LEASED, FB_MEMORY_SEALED, false, -1 },
                { LEASED, FB_MEMORY_DMABUF, true, -1 },
                { DMABUF, FB_MEMORY_DMABUF, true, FB_MEMORY_DMABUF },
                { DMABUF, FB_MEMORY_LEASED, false, -1 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_source_ Source source;
                _cleanup_sink_ Sink a = { 0 };
                Watch w;

                ROW("%zu", i);
                begin(&source, &w);
                REQUIRE(add(&a, &source, 4, rows[i].memories));
                stream_set_format(&source.stream, &vga);
                publish(&source, rows[i].kind, rows[i].kind ? 1 : 0, rows[i].pair);
                CHECK_INT(w.n, rows[i].got >= 0 ? 1 : 0);
                if (rows[i].got >= 0) {
                        CHECK_INT(w.kinds[0], rows[i].got);
                        CHECK_SINK(&a, "f1 1");
                }
                CHECK_INT(a.sub.lost[LOSS_SOURCE], rows[i].got < 0 ? 1 : 0);
        }
}

TEST(the_source_hears_what_is_needed) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 }, c = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, SEALED));
        CHECK_INT(source.n_started, 1);
        CHECK_INT(source.stream.memories, SEALED);
        CHECK_INT(source.stream.n_buffers, 0);
        REQUIRE(add(&b, &source, 5, SEALED | LEASED));
        CHECK_INT(source.n_started, 2);
        CHECK_INT(source.stream.memories, SEALED | LEASED);
        CHECK_INT(source.stream.n_buffers, 5);
        REQUIRE(add(&c, &source, 3, LEASED));
        CHECK_INT(source.n_started, 3);
        CHECK_INT(source.stream.n_buffers, 8);
        sink_remove(&a);
        CHECK_INT(source.n_started, 4);
        CHECK_INT(source.stream.memories, LEASED);
        subscriber_set_options(&b.sub, 7, false, (Fraction){ 0, 1 }, source.now);
        CHECK_INT(source.n_started, 5);
        CHECK_INT(source.stream.n_buffers, 10);
        subscriber_set_options(&b.sub, 7, true, (Fraction){ 0, 1 }, source.now);
        CHECK_INT(source.stream.n_buffers, 11); /* one is held */
        subscriber_set_options(&b.sub, 7, true, (Fraction){ 10, 1 }, source.now);
        CHECK_INT(source.n_started, 6);
        stream_end_all(&source.stream, "destroyed", source.now);
        CHECK_INT(source.n_started, 6); /* not at each of those that end */
        CHECK_INT(source.n_stopped, 1);
        CHECK_INT(source.stream.memories, 0);
}

/* Both at once cannot be made of one frame: whose kind it is not gets it sealed. */
TEST(two_kinds_beside_sealed_need_that_too) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, LEASED | SEALED));
        CHECK_INT(source.stream.memories, LEASED);
        REQUIRE(add(&b, &source, 4, DMABUF | SEALED));
        CHECK_INT(source.stream.memories, LEASED | DMABUF | SEALED);
        sink_remove(&a);
        CHECK_INT(source.stream.memories, DMABUF);
}

/* Nothing of that for those who have always been there. */
TEST(sealed_subscribers_start_once) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, SEALED));
        REQUIRE(add(&b, &source, 8, 0));
        subscriber_set_options(&b.sub, 7, true, (Fraction){ 0, 1 }, source.now);
        sink_remove(&a);
        CHECK_INT(source.n_started, 1);
}

TEST(who_leaves_retires_all_leased_memory_that_it_was_ever_sent) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, LEASED | SEALED));
        REQUIRE(add(&b, &source, 4, DMABUF | SEALED));
        stream_set_format(&source.stream, &vga);
        publish(&source, FB_MEMORY_LEASED, 1 << 0, true);
        publish(&source, FB_MEMORY_LEASED, 1 << 1, true);
        publish(&source, FB_MEMORY_DMABUF, 1 << 2, true);
        subscriber_release_up_to(&a.sub, 3, source.now);
        CHECK_INT(source.retired, 0);
        sink_remove(&b);
        CHECK_INT(source.retired, 0); /* a dma-buf is just given back */
        CHECK_INT(source.n_frames, 2);
        sink_remove(&a);
        CHECK_INT(source.retired, 1 << 0 | 1 << 1);
        CHECK_INT(source.n_frames, 0);
}

/* What it was sent is retired, of whatever kind, and what is under way in that is not to come. */
TEST(who_is_revoked_sees_nothing_any_more) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, LEASED | SEALED));
        REQUIRE(add(&b, &source, 4, DMABUF | SEALED));
        stream_set_format(&source.stream, &vga);
        publish(&source, FB_MEMORY_LEASED, 1 << 0, true);
        publish(&source, FB_MEMORY_DMABUF, 1 << 1, true);
        publish(&source, FB_MEMORY_DMABUF, 1 << 2, true);
        sink_release(&b, 3);
        stream_end_subscriber(&source.stream, &b.sub, "revoked", source.now);
        CHECK(b.is_ended && b.is_over);
        CHECK_INT(source.retired, 1 << 1 | 1 << 2);
        CHECK_INT(source.revoked, 1 << 1 | 1 << 2);
        sink_remove(&a);
        CHECK_INT(source.retired, 1 << 0 | 1 << 1 | 1 << 2);
        CHECK_INT(source.revoked, 1 << 1 | 1 << 2);
}

TEST(another_buffer_in_its_slot_was_not_sent) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, LEASED));
        stream_set_format(&source.stream, &vga);
        publish(&source, FB_MEMORY_LEASED, 1 << 0, false);
        publish(&source, FB_MEMORY_LEASED, 1 << 1, false);
        subscriber_release_up_to(&a.sub, 2, source.now);
        stream_renew_slots(&source.stream, 1 << 0);
        sink_remove(&a);
        CHECK_INT(source.retired, 1 << 1);
}

TEST(who_is_suspended_keeps_its_buffers_for_itself) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 3, DMABUF | SEALED));
        REQUIRE(add(&b, &source, 16, LEASED | SEALED));
        stream_set_format(&source.stream, &vga);
        publish(&source, FB_MEMORY_DMABUF, 1 << 0, true);
        sink_release(&a, 1);
        publish(&source, FB_MEMORY_DMABUF, 1 << 1, true);
        publish(&source, FB_MEMORY_DMABUF, 1 << 2, true);
        publish(&source, FB_MEMORY_DMABUF, 1 << 3, true);
        publish(&source, FB_MEMORY_DMABUF, 1 << 4, true);
        CHECK_INT(source.n_frames, 5); /* three in flight, the newest with its twin */
        source.now += 3000 * MS;
        sink_release(&b, 1);
        publish(&source, FB_MEMORY_DMABUF, 1 << 5, true);
        CHECK(a.is_suspended && !b.is_suspended);
        CHECK_INT(source.retired, 1 << 1 | 1 << 2 | 1 << 3);
        CHECK_INT(source.n_frames, 2);
        CHECK_INT(window_in_flight(&a.sub.window), 3); /* the credit is gone until it releases */

        sink_release(&a, 2);
        CHECK(!a.is_suspended);
        publish(&source, FB_MEMORY_DMABUF, 1 << 6, true);
        CHECK_INT(a.last_seq, 7);
        CHECK_INT(b.n_delivered, 7);
        sink_remove(&a);
        CHECK_INT(source.retired, 1 << 1 | 1 << 2 | 1 << 3);
}

/* The newest frame is kept for who comes, but not in memory that was retired. */
/* Of three, two have stopped: the one that has held one longest, and who has the same ones, give way. */
TEST(who_has_held_a_buffer_longest_gives_way) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 }, c = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, LEASED | SEALED));
        REQUIRE(add(&b, &source, 4, LEASED | SEALED));
        REQUIRE(add(&c, &source, 4, SEALED));
        stream_take_back(&source.stream); /* nobody has any */
        stream_set_format(&source.stream, &vga);
        for (unsigned i = 1; i <= 3; i++)
                publish(&source, FB_MEMORY_LEASED, UINT64_C(1) << i, true);
        sink_release(&b, 1);
        source.retired = 0;
        stream_take_back(&source.stream);
        CHECK(a.is_suspended && !b.is_suspended && !c.is_suspended);
        CHECK_INT(source.retired, 2 | 4 | 8);
        CHECK_SINK(&a, "f1 1 2 3 susp");
        sink_release(&a, 1);
        CHECK_SINK(&a, "res");
        publish(&source, FB_MEMORY_LEASED, 16, true);
        sink_release(&a, 4); /* b has 2, 3 and 4, and 2 for longest; a what is its own by now */
        stream_take_back(&source.stream);
        CHECK(b.is_suspended && !a.is_suspended && !c.is_suspended);
        stream_take_back(&source.stream);
        CHECK(!a.is_suspended && !c.is_suspended);
}

/* Until a buffer has come back: what two have, one does not give back by giving way. */
TEST(who_has_the_same_buffer_gives_way_too) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 }, c = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, LEASED));
        REQUIRE(add(&b, &source, 4, LEASED));
        REQUIRE(add(&c, &source, 4, LEASED));
        stream_set_format(&source.stream, &vga);
        publish(&source, FB_MEMORY_LEASED, 1, false);
        publish(&source, FB_MEMORY_LEASED, 2, false);
        sink_release(&c, 1);
        stream_take_back(&source.stream);
        CHECK(a.is_suspended && b.is_suspended && !c.is_suspended);
}

TEST(nobody_new_gets_a_frame_in_a_retired_buffer) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 }, c = { 0 };
        Watch w;

        for (int pair = 0; pair < 2; pair++) {
                begin(&source, &w);
                REQUIRE(add(&a, &source, 4, LEASED | SEALED));
                REQUIRE(add(&b, &source, 4, LEASED | SEALED));
                stream_set_format(&source.stream, &vga);
                publish(&source, FB_MEMORY_LEASED, 1 << 0, pair);
                CHECK_INT(w.n, 2);
                sink_remove(&a);
                REQUIRE(add(&c, &source, 4, LEASED | SEALED));
                CHECK_INT(w.n, pair ? 3 : 2);
                CHECK_INT(w.kinds[2], FB_MEMORY_SEALED);
                sink_remove(&b);
                sink_remove(&c);
                stream_deinit(&source.stream);
                CHECK_INT(source.n_frames, 0);
        }
        begin(&source, &w);
}

/* Its sealed twin is for who comes, too; it does not live as long as the frame is in flight. */
TEST(a_replay_comes_in_the_memory_that_is_granted) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, LEASED));
        stream_set_format(&source.stream, &vga);
        publish(&source, FB_MEMORY_LEASED, 1 << 0, true);
        REQUIRE(add(&b, &source, 4, LEASED));
        REQUIRE(add(&c, &source, 4, SEALED));
        REQUIRE(add(&d, &source, 4, DMABUF));
        CHECK_INT(w.n, 3);
        CHECK_INT(w.kinds[1], FB_MEMORY_LEASED);
        CHECK_INT(w.kinds[2], FB_MEMORY_SEALED);
        CHECK_INT(source.n_frames, 2);
        publish(&source, FB_MEMORY_LEASED, 1 << 1, false);
        CHECK_INT(source.n_frames, 2); /* both, without the twin */
        CHECK_INT(c.sub.lost[LOSS_SOURCE], 1);
}

/* Its publisher is gone: nobody writes to what is in flight, and nothing is to be retired. */
TEST(a_run_that_is_over_keeps_no_buffers) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };
        Watch w;

        begin(&source, &w);
        REQUIRE(add(&a, &source, 4, LEASED));
        stream_set_format(&source.stream, &vga);
        publish(&source, FB_MEMORY_LEASED, 1 << 0, false);
        CHECK_INT(source.n_frames, 1);
        stream_run_ended(&source.stream);
        CHECK_INT(source.n_frames, 0);
        CHECK_INT(window_in_flight(&a.sub.window), 1);
        sink_remove(&a);
        CHECK_INT(source.retired, 0);
}

TEST_MAIN
