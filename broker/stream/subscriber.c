/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See subscriber.h. Everything a frame costs a subscriber is in subscriber_offer() and send(): no allocation,
 * no lookup. A failed send marks the subscriber; nothing is freed here.
 */
#include "broker/stream/subscriber.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/stream/stream.h"

const char *loss_reason_to_string(LossReason reason) {
        static const char *const names[_LOSS_MAX] = {
                        [LOSS_NO_CREDIT] = "no-credit",   [LOSS_RATE] = "rate",
                        [LOSS_SUPERSEDED] = "superseded", [LOSS_SUSPENDED] = "suspended",
                        [LOSS_KEYFRAME] = "keyframe",     [LOSS_SOURCE] = "source",
                        [LOSS_CORRUPT] = "corrupt",       [LOSS_QUOTA] = "quota",
        };

        return names[reason];
}

static uint64_t min_interval_ns(Fraction max_rate) {
        return max_rate.num == 0 ? 0 : fraction_interval_ns(max_rate);
}

void subscriber_init(Subscriber *s, const SubscriberOps *ops, const SubscriberOptions *options) {
        *s = (Subscriber){ .ops = ops, .options = *options, .suits = true, .broken = true, .asking = true };
        if (s->options.memories == 0)
                s->options.memories = 1u << FB_MEMORY_SEALED;
        window_init(&s->window, options->window, options->latest, min_interval_ns(options->max_rate));
}

uint32_t subscriber_get_memory(const Subscriber *s) {
        uint32_t better = s->options.memories & ~(1u << FB_MEMORY_SEALED);

        return better ? (uint32_t)__builtin_ctz(better) : FB_MEMORY_SEALED;
}

uint32_t subscriber_get_n_buffers(const Subscriber *s) {
        if (subscriber_get_memory(s) == FB_MEMORY_SEALED)
                return 0;
        return s->options.window + (s->options.latest ? 1 : 0); /* one is held */
}

/* The slots of frames in flight. */
static uint64_t slots_in_flight(const Subscriber *s) {
        uint64_t slots = 0;

        for (uint32_t i = 0; i < FB_WINDOW_MAX; i++) {
                const Frame *f = s->window.entries[i].frame;

                slots |= f ? f->slot : 0;
        }
        return slots;
}

uint64_t subscriber_get_oldest_lent(const Subscriber *s) {
        uint64_t seq = UINT64_MAX;

        for (uint32_t i = 0; i < FB_WINDOW_MAX; i++)
                if (s->window.entries[i].frame && s->window.entries[i].seq < seq)
                        seq = s->window.entries[i].seq;
        return seq;
}

bool subscriber_let_go(Subscriber *s) {
        bool was_last = false;

        for (uint32_t i = 0; i < FB_WINDOW_MAX; i++) {
                Frame *f = take_ptr(s->window.entries[i].frame);

                was_last |= f && f->n_refs == 1;
                frame_unref(f);
        }
        return was_last;
}

void subscriber_deinit(Subscriber *s) {
        WindowEntry e;

        while (window_returned_up_to(&s->window, UINT64_MAX, 0, &e))
                frame_unref(e.frame);
        s->held = frame_unref(s->held);
        free(take_ptr(s->options.wishes));
        s->options.n_wishes = 0;
}

static void fail(Subscriber *s) {
        s->over = true;
}

void subscriber_lose(Subscriber *s, uint64_t count, LossReason reason) {
        s->lost[reason] += count;
        (s->held ? s->untold_after : s->untold)[reason] += count;
        s->broken = true;
        if (reason != LOSS_RATE && reason != LOSS_KEYFRAME) /* who thins out a stream takes what there is */
                s->asking = true;
}

/* What goes out or is kept now, all before it is there. What is lost from here on comes after it. */
static void is_whole(Subscriber *s) {
        s->broken = s->asking = false;
}

/* No frame is held any more: what was lost after it comes before the next one. */
static void losses_move_up(Subscriber *s) {
        for (LossReason i = 0; i < _LOSS_MAX; i++) {
                s->untold[i] += s->untold_after[i];
                s->untold_after[i] = 0;
        }
}

void subscriber_drop_held(Subscriber *s, LossReason reason) {
        if (!s->held)
                return;
        s->held = frame_unref(s->held);
        losses_move_up(s);
        subscriber_lose(s, 1, reason);
}

static int tell_losses(Subscriber *s) {
        for (LossReason i = 0; i < _LOSS_MAX; i++) {
                int r;

                if (s->untold[i] == 0)
                        continue;
                r = s->ops->send_lost(s, s->untold[i], i);
                if (r < 0)
                        return r;
                s->untold[i] = 0;
        }
        return 0;
}

/* Whether it is worth to wait with @f for room: a quota that is used up does not tell when it has some. */
static bool has_room(Subscriber *s, const Frame *f) {
        LossReason why = LOSS_QUOTA;

        return s->ops->check_room(s, f->n_fds, &why) == 0 || why != LOSS_NO_CREDIT;
}

/* A receiver keeps leased memory mapped, whatever it releases; a dma-buf is just with it for now. */
static void lend(Subscriber *s, WindowEntry *e, Frame *f) {
        e->frame = frame_ref(f);
        if (frame_get_memory_kind(f) == FB_MEMORY_LEASED)
                s->sent_slots |= f->slot;
        else
                s->shown_slots |= f->slot;
}

static void stage(Subscriber *s) {
        if (!s->options.causal || s->staged)
                return;
        s->staged = true;
        s->stream->n_staged++;
}

void subscriber_commit(Subscriber *s, uint64_t order) {
        if (!s->staged)
                return;
        s->staged = false;
        if (s->ops->send_committed(s, order) < 0)
                fail(s);
}

/* The caller checked credit. False: lost. */
static bool send(Subscriber *s, Frame *f, uint32_t extra_flags, uint64_t now_ns) {
        WindowEntry e = { .seq = f->seq, .pts_ns = f->pts_ns, .bytes = f->bytes };
        bool replayed = extra_flags & FB_FRAME_REPLAYED;
        LossReason why = LOSS_QUOTA;
        int r;

        if (s->ops->check_room(s, f->n_fds, &why) != 0) {
                if (!replayed)
                        subscriber_lose(s, 1, why);
                return false;
        }
        r = replayed ? 0 : tell_losses(s);
        if (r >= 0 && !replayed)
                stage(s);
        if (r >= 0 && s->format_told != f->format) {
                r = s->ops->send_format(s, replayed ? 0 : f->order, f->format, stream_get_mode(s->stream));
                if (r >= 0)
                        s->format_told = f->format;
        }
        if (r >= 0)
                r = s->ops->send_frame(s, f, extra_flags, &e.cookie);
        if (r < 0) {
                if (!replayed)
                        subscriber_lose(s, 1, LOSS_QUOTA);
                /* too many descriptors in flight, for this user or in this process: a loss, not an end */
                if (r != -ETOOMANYREFS && r != -EMFILE && r != -ENFILE)
                        fail(s);
                return false;
        }
        if (frame_get_memory_kind(f) != FB_MEMORY_SEALED)
                lend(s, &e, f);
        window_sent(&s->window, &e, now_ns);
        if (!replayed)
                s->delivered++;
        return true;
}

/* A broker that had no processor for a while sees frames before it sees the releases that wait for it. */
#define SUSPICION_NS (200 * NSEC_PER_MSEC)

/* The first frame was sent long ago and did not come back: perhaps a bus policy keeps it away. */
static bool is_suspect(const Subscriber *s, uint64_t now_ns) {
        return s->options.must_release_first && !s->window.ever_returned && s->window.n > 0 &&
               now_ns > s->window.returned_ns && now_ns - s->window.returned_ns > FB_SUSPEND_AFTER_NS;
}

static void lose_as_suspect(Subscriber *s, uint64_t now_ns) {
        subscriber_lose(s, 1, LOSS_NO_CREDIT);
        if (s->suspect_ns == 0)
                s->suspect_ns = now_ns;
        else if (now_ns - s->suspect_ns > SUSPICION_NS)
                stream_end_subscriber(s->stream, s, "undeliverable", now_ns);
}

bool subscriber_suspend(Subscriber *s, const char *reason) {
        bool was_last;

        s->suspended = true;
        subscriber_drop_held(s, LOSS_SUSPENDED);
        stream_retire(s->stream, slots_in_flight(s));
        was_last = subscriber_let_go(s);
        if (s->ops->send_suspended(s, reason) < 0)
                fail(s);
        return was_last;
}

static void hold(Subscriber *s, Frame *f, LossReason instead) {
        subscriber_drop_held(s, instead);
        is_whole(s);
        s->held = frame_ref(f);
}

/* The frame in memory that it takes, or NULL: it is not made so. */
static Frame *choose(const Subscriber *s, Frame *f) {
        if (s->options.memories & (1u << frame_get_memory_kind(f)))
                return f;
        return s->options.memories & (1u << FB_MEMORY_SEALED) ? f->sealed : NULL;
}

/* Asks the source for a keyframe, if one would help now. */
static void ask_for_keyframe(Subscriber *s, uint64_t now_ns) {
        if (s->asking && s->stream->first_keyframe != 0 && s->active && !s->held &&
            window_has_credit(&s->window))
                stream_want_keyframe(s->stream, now_ns);
}

/* A frame that builds on one that was lost, or that waits itself and so is the newest that can be decoded. */
static void lose_delta(Subscriber *s, uint64_t now_ns) {
        if (window_is_stuck(&s->window, now_ns)) {
                subscriber_lose(s, 1, LOSS_SUSPENDED);
                (void)subscriber_suspend(s, "no-release");
                return;
        }
        subscriber_lose(s, 1, s->broken ? LOSS_KEYFRAME : LOSS_NO_CREDIT);
        ask_for_keyframe(s, now_ns);
}

void subscriber_offer(Subscriber *s, Frame *f, uint64_t now_ns) {
        if (s->over)
                return;
        f = choose(s, f);
        if (!f || !s->suits || s->suspended) {
                subscriber_lose(s, 1, s->suspended ? LOSS_SUSPENDED : LOSS_SOURCE);
                return;
        }
        if (s->active && is_suspect(s, now_ns)) {
                lose_as_suspect(s, now_ns);
                return;
        }
        if (stream_is_delta(s->stream, f) && (s->broken || s->held)) {
                lose_delta(s, now_ns);
                return;
        }
        if (!s->active && s->options.causal) {
                subscriber_lose(s, 1, s->paused ? LOSS_SUSPENDED : LOSS_NO_CREDIT);
                return;
        }
        if (!s->active) { /* the newest waits for the conduit to open */
                hold(s, f, LOSS_NO_CREDIT);
                return;
        }
        switch (window_offer(&s->window, f->pts_ns, now_ns)) {
        case WINDOW_SEND:
                /* a frame held while credit returned, but no room, is older than this one */
                subscriber_drop_held(s, LOSS_SUPERSEDED);
                if (s->options.latest && !has_room(s, f)) {
                        hold(s, f, LOSS_SUPERSEDED);
                } else {
                        is_whole(s);
                        (void)send(s, f, 0, now_ns);
                }
                break;
        case WINDOW_HOLD:
                hold(s, f, LOSS_SUPERSEDED);
                break;
        case WINDOW_DROP:
                subscriber_lose(s, 1, LOSS_NO_CREDIT);
                break;
        case WINDOW_DROP_RATE:
                subscriber_lose(s, 1, LOSS_RATE);
                break;
        case WINDOW_SUSPEND:
                subscriber_lose(s, 1, LOSS_SUSPENDED);
                (void)subscriber_suspend(s, "no-release");
                break;
        }
}

static void send_held(Subscriber *s, uint64_t now_ns) {
        Frame *f = take_ptr(s->held);

        (void)send(s, f, 0, now_ns);
        losses_move_up(s);
        frame_unref(f);
}

static void resume(Subscriber *s, uint64_t now_ns) {
        s->paused = false;
        s->window.returned_ns = now_ns;
        ask_for_keyframe(s, now_ns);
}

void subscriber_pause(Subscriber *s) {
        s->active = false;
        s->paused = true;
}

void subscriber_activate(Subscriber *s, uint64_t now_ns) {
        Frame *last;

        if (s->active || s->over)
                return;
        s->active = true;
        if (s->paused) {
                resume(s, now_ns);
                return;
        }
        last = stream_get_replay(s->stream, now_ns);
        last = last ? choose(s, last) : NULL;
        if (s->held)
                send_held(s, now_ns);
        else if (s->options.replay && s->suits && last && send(s, last, FB_FRAME_REPLAYED, now_ns) &&
                 last->seq == s->stream->seq)
                is_whole(s); /* what follows builds on it */
        ask_for_keyframe(s, now_ns);
}

/* Credit returned, or the options changed. */
static void go_on(Subscriber *s, uint64_t now_ns) {
        if (s->over || !(s->active || s->paused))
                return;
        if (s->suspended) {
                s->suspended = false;
                s->window.returned_ns = now_ns;
                if (s->ops->send_resumed(s) < 0) {
                        fail(s);
                        return;
                }
        }
        subscriber_room(s, now_ns);
}

void subscriber_room(Subscriber *s, uint64_t now_ns) {
        if (s->held && !s->over && s->active && window_has_credit(&s->window) && has_room(s, s->held))
                send_held(s, now_ns);
}

static void count_returned(Subscriber *s, WindowEntry *e, uint64_t now_ns) {
        if (now_ns > e->pts_ns)
                sampler_add(&s->latency, now_ns - e->pts_ns);
        frame_unref(take_ptr(e->frame));
}

void subscriber_release(Subscriber *s, const uint64_t *seqs, size_t n, uint64_t now_ns) {
        WindowEntry e;

        for (size_t i = 0; i < n; i++)
                if (window_returned(&s->window, seqs[i], now_ns, &e))
                        count_returned(s, &e, now_ns);
        go_on(s, now_ns);
}

void subscriber_release_up_to(Subscriber *s, uint64_t seq, uint64_t now_ns) {
        WindowEntry e;

        while (window_returned_up_to(&s->window, seq, now_ns, &e))
                count_returned(s, &e, now_ns);
        go_on(s, now_ns);
}

void subscriber_set_options(Subscriber *s, uint32_t window, bool latest, Fraction max_rate, uint64_t now_ns) {
        s->options.window = s->window.size = window;
        s->options.latest = s->window.latest = latest;
        s->options.max_rate = max_rate;
        s->window.min_interval_ns = min_interval_ns(max_rate);
        s->window.next_due_ns = 0;
        stream_update_needs(s->stream);
        if (!latest && s->active) /* else it waits for the conduit, whatever the option says */
                subscriber_drop_held(s, LOSS_NO_CREDIT);
        go_on(s, now_ns);
}

void subscriber_end(Subscriber *s, uint64_t order, const char *reason) {
        if (s->over)
                return;
        subscriber_drop_held(s, LOSS_NO_CREDIT);
        /* a conduit that is not open yet refuses; both are told when it is */
        if (tell_losses(s) >= 0 || !s->active)
                s->ops->send_ended(s, order, reason);
        s->revoked = strcmp(reason, "revoked") == 0;
        stage(s);
        s->over = true;
}
