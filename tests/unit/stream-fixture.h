/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream with a fake source, fake sinks and a clock that is a number. A sink writes down what it is sent:
 *
 *      f1              FormatChanged, format 1         12 12r          Frame 12, replayed
 *      -3:no-credit    Lost                            susp res        Suspended, Resumed
 *      end:destroyed   Ended                           over            handed to its owner
 *      c               Committed
 *
 * and checks what holds always: numbers grow, every gap is exactly what Lost told since the frame before, no
 * frame comes in a format that was not told, no frame while suspended, nothing after Ended, and of a format
 * with deltas no frame that builds on one that the sink does not have. Of a causal one: what it is sent with
 * an order is new to the page, and committed before anything else is sent.
 */
#pragma once

#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "broker/stream/stream.h"
#include "tests/unit/test.h"

#define MS NSEC_PER_MSEC
#define T0 (1000 * NSEC_PER_SEC)

typedef struct Sink Sink;

/* For a test that looks closer. */
typedef struct SourceHooks {
        void (*retire)(void *userdata, uint64_t slots);
        void (*sent)(void *userdata, Sink *k, const Frame *f, bool replayed);
} SourceHooks;

typedef struct Source {
        Stream stream;
        Order order;
        unsigned n_started, n_stopped, changed;
        Mode started;
        uint64_t now;
        unsigned n_frames; /* alive */
        uint64_t retired;  /* all slots that the stream said so of, */
        uint64_t revoked;  /* and those that nobody is to see any more */
        const SourceHooks *hooks;
        void *userdata;
        unsigned n_asked;  /* for a keyframe */
        uint64_t asked_ns; /* the last time */
} Source;

struct Sink {
        Subscriber sub;
        Source *source;
        char log[4096];
        uint64_t last_seq, last_order, n_told, n_delivered;
        uint64_t shown_seq; /* of the last frame, replayed ones as well */
        uint64_t staged;    /* the order of what is not committed; 0: nothing */
        uint32_t format;
        bool is_suspended, is_ended, is_over, quiet;
        int room, send_error; /* what check_room and the sends answer */
        LossReason room_why;
        const char *end_in_send; /* ends itself from within the next frame */
};

static void source_start(Stream *s, const Mode *mode) {
        Source *source = fb_container_of(s, Source, stream);

        source->n_started++;
        source->started = *mode;
}

static void source_stop(Stream *s) {
        fb_container_of(s, Source, stream)->n_stopped++;
}

static void source_retire(Stream *s, uint64_t slots, bool revoked) {
        Source *source = fb_container_of(s, Source, stream);

        CHECK(slots != 0 || revoked);
        source->retired |= slots;
        if (revoked)
                source->revoked |= slots;
        if (source->hooks)
                source->hooks->retire(source->userdata, slots);
}

static void source_want_keyframe(Stream *s) {
        Source *source = fb_container_of(s, Source, stream);

        CHECK(source->n_asked == 0 || source->now - source->asked_ns >= FB_KEYFRAME_NS);
        source->asked_ns = source->now;
        source->n_asked++;
}

static void source_changed(Stream *s, unsigned int what) {
        fb_container_of(s, Source, stream)->changed |= what;
}

static const StreamHandler source_handler = { source_start, source_stop, source_retire, source_want_keyframe,
                                              source_changed };

static inline void source_init(Source *source, const Mode *modes, size_t n_modes) {
        Mode *copy = calloc(n_modes + 1, sizeof *copy);

        *source = (Source){ .now = T0 };
        stream_init(&source->stream, &source_handler, &source->order);
        memcpy(copy, modes, n_modes * sizeof *copy);
        stream_set_modes(&source->stream, copy, n_modes);
}

static inline void source_deinit(Source *source) {
        stream_deinit(&source->stream);
        CHECK_INT(source->n_frames, 0);
}

#define _cleanup_source_ _cleanup_(source_deinit)

static void frame_gone(Frame *f, void *userdata) {
        ((Source *)userdata)->n_frames--;
        free(f);
}

static const FrameHome frame_home = { frame_gone };

/* A frame that is captured now, in the mode in force; @n_skipped before it were lost at the source. */
static inline void source_publish_flags(Source *source, uint64_t n_skipped, uint32_t flags) {
        Frame *f = frame_new(&frame_home, source);

        source->n_frames++;
        f->pts_ns = source->now;
        f->n_fds = f->n_planes = 1;
        f->flags = flags;
        stream_publish(&source->stream, f, n_skipped, source->now);
        frame_unref(f);
}

static inline void source_publish_kind(Source *source, uint64_t n_skipped, uint32_t kind) {
        source_publish_flags(source, n_skipped, kind << FB_FRAME_MEMORY_SHIFT);
}

/* @n frames, each 10 ms after the one before. */
static inline void source_run(Source *source, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                source->now += 10 * MS;
                source_publish_kind(source, 0, FB_MEMORY_SEALED);
        }
}

static inline void __attribute__((format(printf, 2, 3))) sink_write(Sink *k, const char *format, ...) {
        size_t n = strlen(k->log);
        va_list ap;

        test_check(!k->is_ended || format[0] == 'o', __FILE__, __LINE__, "\"%s\" comes after Ended", format);
        va_start(ap, format);
        if (!k->quiet)
                (void)vsnprintf(k->log + n, sizeof k->log - n, format, ap);
        va_end(ap);
}

/* What was written since the last time. */
static inline const char *sink_read(Sink *k, char buffer[static sizeof(k->log)]) {
        memcpy(buffer, k->log, sizeof k->log);
        if (buffer[0])
                buffer[strlen(buffer) - 1] = 0;
        k->log[0] = 0;
        return buffer;
}

#define CHECK_SINK(k, want)                                                                             \
        do {                                                                                            \
                char _buffer[sizeof((k)->log)];                                                         \
                CHECK_STR(sink_read((k), _buffer), want);                                               \
        } while (0)

static inline uint64_t source_get_committed(const Source *source) {
        return source->stream.page.map ? source->stream.page.map->committed : 0;
}

static inline void sink_stage(Sink *k, uint64_t order) {
        if (!k->sub.options.causal)
                return;
        CHECK(source_get_committed(k->source) < order);
        CHECK(k->staged == 0 || k->staged == order || k->source->stream.looping);
        k->staged = order;
}

static int sink_check_room(Subscriber *s, uint32_t n_fds, LossReason *ret_why) {
        Sink *k = fb_container_of(s, Sink, sub);

        *ret_why = k->room_why;
        return k->room;
}

static int sink_send_frame(Subscriber *s, Frame *f, uint32_t extra_flags, uint64_t *ret_cookie) {
        Sink *k = fb_container_of(s, Sink, sub);
        bool replayed = extra_flags & FB_FRAME_REPLAYED;

        if (k->send_error < 0)
                return k->send_error;
        CHECK_INT(f->format, k->format);
        CHECK(!k->is_suspended);
        CHECK(s->options.memories & (1u << frame_get_memory_kind(f)));
        if (k->source->hooks)
                k->source->hooks->sent(k->source->userdata, k, f, replayed);
        if (stream_is_delta(s->stream, f) && f->seq > s->stream->first_keyframe)
                CHECK_INT(f->seq, k->shown_seq + 1);
        k->shown_seq = f->seq;
        if (replayed) {
                CHECK(f->seq <= k->last_seq || s->options.causal); /* then it was counted as lost */
        } else {
                CHECK_INT(k->n_told, f->seq - k->last_seq - 1); /* the gap */
                CHECK(f->order > k->last_order);
                k->last_order = f->order;
                k->last_seq = f->seq;
                k->n_told = 0;
                k->n_delivered++;
                sink_stage(k, f->order);
        }
        sink_write(k, "%llu%s ", (unsigned long long)f->seq, replayed ? "r" : "");
        *ret_cookie = f->seq;
        return 0;
}

static int sink_send_format(Subscriber *s, uint64_t order, uint32_t format, const Mode *mode) {
        Sink *k = fb_container_of(s, Sink, sub);

        if (k->send_error < 0)
                return k->send_error;
        CHECK(mode_is_fixed(mode) && mode_equal(mode, &s->stream->mode));
        CHECK_INT(format, s->stream->format);
        k->format = format;
        sink_write(k, "f%u ", format);
        return 0;
}

static int sink_send_lost(Subscriber *s, uint64_t count, LossReason reason) {
        Sink *k = fb_container_of(s, Sink, sub);

        if (k->send_error < 0)
                return k->send_error;
        CHECK(count > 0);
        k->n_told += count;
        sink_write(k, "-%llu:%s ", (unsigned long long)count, loss_reason_to_string(reason));
        return 0;
}

static int sink_send_suspended(Subscriber *s, const char *reason) {
        Sink *k = fb_container_of(s, Sink, sub);

        CHECK(strcmp(reason, "no-release") == 0 || strcmp(reason, "buffers") == 0);
        CHECK(!k->is_suspended);
        k->is_suspended = true;
        sink_write(k, "susp ");
        return k->send_error;
}

static int sink_send_resumed(Subscriber *s) {
        Sink *k = fb_container_of(s, Sink, sub);

        CHECK(k->is_suspended);
        k->is_suspended = false;
        sink_write(k, "res ");
        return k->send_error;
}

static void sink_send_ended(Subscriber *s, uint64_t order, const char *reason) {
        Sink *k = fb_container_of(s, Sink, sub);

        CHECK(order > k->last_order);
        if (s->active ||
            k->send_error == 0) /* a conduit that is not open yet refuses Lost, and keeps Ended for then */
                CHECK_INT(k->source->stream.seq - k->last_seq, k->n_told);
        sink_stage(k, order);
        sink_write(k, "end:%s ", reason);
        k->is_ended = true;
}

static int sink_send_committed(Subscriber *s, uint64_t order) {
        Sink *k = fb_container_of(s, Sink, sub);

        CHECK(s->options.causal);
        CHECK(order >= k->staged);
        CHECK(!k->source->stream.page.map || source_get_committed(k->source) >= order);
        k->staged = 0;
        if (k->is_ended) /* the only thing that may come then */
                (void)snprintf(k->log + strlen(k->log), sizeof k->log - strlen(k->log), "c ");
        else
                sink_write(k, "c ");
        return k->send_error;
}

static void sink_over(Subscriber *s) {
        Sink *k = fb_container_of(s, Sink, sub);

        CHECK(!k->is_over);
        CHECK(!s->stream->looping);
        sink_write(k, "over ");
        k->is_over = true;
        stream_remove(&k->source->stream, s);
}

static const SubscriberOps sink_ops = {
        .check_room = sink_check_room,
        .send_frame = sink_send_frame,
        .send_format = sink_send_format,
        .send_lost = sink_send_lost,
        .send_suspended = sink_send_suspended,
        .send_resumed = sink_send_resumed,
        .send_ended = sink_send_ended,
        .send_committed = sink_send_committed,
        .over = sink_over,
};

/* Adds a sink as a subscription is made: negotiate, add, and, if its conduit is open at once, activate. */
static inline bool sink_add(Sink *k, Source *source, const SubscriberOptions *options, bool activate) {
        ModeList wishes = { options->wishes, options->n_wishes };
        Mode mode;

        *k = (Sink){ .source = source };
        if (stream_negotiate(&source->stream, wishes, &mode) != 0)
                return false;
        subscriber_init(&k->sub, &sink_ops, options);
        k->last_seq = source->stream.seq;
        stream_add(&source->stream, &k->sub, &mode);
        if (activate)
                subscriber_activate(&k->sub, source->now);
        return true;
}

/* A sink with a window and without special wishes, active. */
static inline bool sink_add_plain(Sink *k, Source *source, uint32_t window, bool latest) {
        SubscriberOptions options = { .window = window, .latest = latest };

        return sink_add(k, source, &options, true);
}

static inline void sink_remove(Sink *k) {
        if (!k->source)
                return;
        if (!k->is_over)
                stream_remove(&k->source->stream, &k->sub);
        subscriber_deinit(&k->sub);
        k->source = NULL;
}

#define _cleanup_sink_ _cleanup_(sink_remove)

static inline void sink_release(Sink *k, uint64_t seq) {
        subscriber_release(&k->sub, &seq, 1, k->source->now);
}

static inline uint64_t sink_lost(const Sink *k) {
        uint64_t n = 0;

        for (int i = 0; i < _LOSS_MAX; i++)
                n += k->sub.lost[i];
        return n;
}
