/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whatever subscribers, the source and the clock do, in any order: the sinks' own checks hold (exact gaps,
 * and frames that can be decoded, above all), every frame is delivered, lost or held, credit is never
 * exceeded, no reference is left, and no memory is filled while somebody may look at it (pool-fixture.h).
 * Runs are numbered; a number that fails can be given as the argument.
 */
#include <linux/videodev2.h>

#include "tests/unit/pool-fixture.h"

#define N_SINKS POOL_SINKS
#define N_STEPS 600
#define N_RUNS  400

static const Mode modes[] = {
        { DRM_FORMAT_NV12, .width = 640, .height = 480, .rate = { 100, 1 } },
        { DRM_FORMAT_NV12, .width = 1280, .height = 720, .rate = { 100, 1 } },
        { DRM_FORMAT_YUYV, .width = 640, .height = 480, .rate = { 100, 1 } },
        { V4L2_PIX_FMT_H264, .width = 640, .height = 480, .rate = { 100, 1 } },
};

typedef struct Run {
        Source source;
        Sink sinks[N_SINKS];
        Pool pool;
        uint64_t granted[N_SINKS]; /* the sequence number when it was added */
        uint32_t max_window[N_SINKS];
        uint32_t state;
} Run;

static uint32_t pick(Run *r, uint32_t below) {
        r->state = r->state * 1664525u + 1013904223u;
        return (r->state >> 8) % below;
}

static bool one_in(Run *r, uint32_t n) {
        return pick(r, n) == 0;
}

static void add(Run *r, unsigned i) {
        SubscriberOptions options = {
                .window = 1 + pick(r, FB_WINDOW_MAX),
                .latest = pick(r, 2),
                .causal = one_in(r, 3),
                .max_rate = { one_in(r, 3) ? 1 + pick(r, 60) : 0, 1 },
                .replay = pick(r, 2),
                .must_release_first = one_in(r, 4),
                .memories = pick(r, 8),
        };

        if (options.causal)
                options.latest = false;

        if (one_in(r, 3)) {
                options.wishes = malloc(sizeof *options.wishes);
                options.wishes[0] = modes[pick(r, FB_ELEMENTSOF(modes))];
                options.n_wishes = 1;
        }
        if (!sink_add(&r->sinks[i], &r->source, &options, false)) {
                r->sinks[i].source = NULL;
                free(options.wishes);
                return;
        }
        r->sinks[i].quiet = true;
        r->granted[i] = r->source.stream.seq;
        r->max_window[i] = options.window;
}

static void remove_sink(Run *r, unsigned i) {
        sink_remove(&r->sinks[i]);
        pool_sink_gone(&r->pool, i);
}

static void change_options(Run *r, unsigned i) {
        uint32_t window = 1 + pick(r, FB_WINDOW_MAX), rate = pick(r, 2) * pick(r, 60);
        bool latest = pick(r, 2) && !r->sinks[i].sub.options.causal;

        r->max_window[i] = FB_MAX(r->max_window[i], window);
        subscriber_set_options(&r->sinks[i].sub, window, latest, (Fraction){ rate, 1 }, r->source.now);
}

static void act(Run *r, unsigned i) {
        Sink *k = &r->sinks[i];

        if (!k->source) {
                if (one_in(r, 8))
                        add(r, i);
                return;
        }
        switch (pick(r, 40)) {
        case 0:
                remove_sink(r, i);
                break;
        case 1:
                change_options(r, i);
                break;
        case 2:
                k->room = one_in(r, 2) ? FB_E_LIMIT : 0;
                k->room_why = one_in(r, 2) ? LOSS_QUOTA : LOSS_NO_CREDIT;
                break;
        case 3:
                k->send_error = one_in(r, 20) ? -EPIPE : one_in(r, 3) ? -ETOOMANYREFS : 0;
                break;
        case 4:
                stream_end_subscriber(&r->source.stream, &k->sub, "mode", r->source.now);
                break;
        case 5 ... 9:
                subscriber_activate(&k->sub, r->source.now);
                break;
        case 10 ... 14:
                subscriber_release_up_to(&k->sub, r->source.stream.seq - pick(r, 4), r->source.now);
                break;
        case 15 ... 24:
                sink_release(k, r->source.stream.seq - pick(r, 20));
                break;
        case 25:
                if (k->sub.options.causal && k->sub.active && !k->sub.over)
                        subscriber_pause(&k->sub);
                break;
        }
        stream_reap(&r->source.stream);
}

/* In sealed memory, in another, or in both. */
static void publish(Run *r) {
        uint64_t n_skipped = one_in(r, 10) ? pick(r, 4) : 0;
        uint32_t kind = pick(r, FB_MEMORY_KINDS);
        uint32_t key = one_in(r, 6) ? FB_FRAME_KEYFRAME : 0;
        Frame *f = kind != FB_MEMORY_SEALED ? pool_lend(&r->pool, kind) : NULL;

        if (!f) {
                source_publish_flags(&r->source, n_skipped, key);
                return;
        }
        f->flags |= key;
        if (one_in(r, 2)) {
                f->sealed = frame_new(&frame_home, &r->source);
                f->sealed->n_fds = f->sealed->n_planes = 1;
                f->sealed->pts_ns = f->pts_ns;
                f->sealed->flags = key;
                r->source.n_frames++;
        }
        stream_publish(&r->source.stream, f, n_skipped, r->source.now);
        frame_unref(f);
}

static void act_source(Run *r) {
        Stream *s = &r->source.stream;

        switch (pick(r, 30)) {
        case 0:
                stream_lose(s, pick(r, 5), LOSS_CORRUPT);
                break;
        case 1:
                if (s->n_subscribers > 0)
                        stream_set_format(s, r->source.started.fourcc ? &r->source.started : &modes[0]);
                break;
        case 2:
                if (one_in(r, 5)) {
                        pool_restart(&r->pool);
                        stream_run_ended(s);
                }
                break;
        case 3:
                if (one_in(r, 30))
                        stream_end_all(s, "destroyed", r->source.now);
                break;
        case 4:
                r->source.now += pick(r, 3000) * MS;
                break;
        case 5:
                pool_forget(&r->pool);
                break;
        default:
                r->source.now += pick(r, 20) * MS;
                if (s->mode.fourcc == 0)
                        stream_set_format(s, r->source.started.fourcc ? &r->source.started : &modes[0]);
                publish(r);
        }
}

static void check(Run *r, unsigned i) {
        const Sink *k = &r->sinks[i];
        const Subscriber *s = &k->sub;

        if (!k->source || s->over)
                return;
        CHECK_INT(s->delivered, k->n_delivered);
        CHECK_INT(s->delivered + sink_lost(k) + (s->held ? 1 : 0), r->source.stream.seq - r->granted[i]);
        CHECK(window_in_flight(&s->window) <= r->max_window[i]);
        CHECK(!s->held || !s->suspended);
        CHECK(!s->held || !s->options.causal);
        CHECK_INT(k->staged, 0);
        CHECK_INT(s->suspended, k->is_suspended);
}

static void run(uint32_t number) {
        Run *r = calloc(1, sizeof *r);
        unsigned failures = test_failures;

        r->state = number;
        source_init(&r->source, modes, FB_ELEMENTSOF(modes));
        pool_init(&r->pool, &r->source, r->sinks);
        if (one_in(r, 2))
                CHECK(stream_open_page(&r->source.stream) >= 0);
        for (unsigned step = 0; step < N_STEPS && test_failures == failures; step++) {
                ROW("run %u, step %u", number, step);
                act_source(r);
                pool_check(&r->pool);
                for (unsigned i = 0; i < N_SINKS; i++) {
                        act(r, i);
                        check(r, i);
                }
        }
        for (unsigned i = 0; i < N_SINKS; i++)
                remove_sink(r, i);
        pool_deinit(&r->pool);
        source_deinit(&r->source);
        free(r);
}

static uint32_t only;

TEST(everything_in_any_order) {
        for (uint32_t i = only ? only : 1; i <= (only ? only : N_RUNS) && test_failures == 0; i++)
                run(i);
}

int main(int argc, char **argv) {
        only = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
        return test_main();
}
