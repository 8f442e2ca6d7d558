/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One subscription's side of a stream: its credit, what it lost, and the references it holds.
 *
 * What is sent leaves through SubscriberOps, given at init. The ops never free the subscriber; what fails is
 * marked and reaped by the stream after its loop. Invariant: delivered + sum(lost) = seq of the stream - seq
 * when it was added (but for a held frame and for replayed ones, which are outside of the sequence).
 *
 * Of a format whose frames build on others (stream_is_delta()) nothing is sent, or held, that could not be
 * decoded: after a loss, and for a newcomer, the next frame is a keyframe, and a held frame only gives way to
 * one. With max-rate what is left are keyframes, mostly.
 *
 * A causal subscriber is sent a frame when everybody is, or never: it holds none, not even one for when its
 * conduit opens. What it was sent is staged until subscriber_commit().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/sampler.h"
#include "broker/stream/loss.h"
#include "wire/frame.h"
#include "wire/mode.h"
#include "wire/window.h"

typedef struct Stream Stream;
typedef struct Subscriber Subscriber;

typedef struct SubscriberOps {
        /* Whether a frame with @n_fds descriptors can leave now: 0, or FB_E_LIMIT with the reason it would be
         * lost for. */
        int (*check_room)(Subscriber *s, uint32_t n_fds, LossReason *ret_why);
        /* Sends a frame. @ret_cookie: of the message, 0 if errors cannot answer it. Negative: see
         * stream_publish(). */
        int (*send_frame)(Subscriber *s, Frame *f, uint32_t extra_flags, uint64_t *ret_cookie);
        int (*send_format)(Subscriber *s, uint64_t order, uint32_t format, const Mode *mode);
        int (*send_lost)(Subscriber *s, uint64_t count, LossReason reason);
        int (*send_suspended)(Subscriber *s, const char *reason);
        int (*send_resumed)(Subscriber *s);
        void (*send_ended)(Subscriber *s, uint64_t order, const char *reason);
        /* Causal ones only: everybody has been sent all that there is up to @order. */
        int (*send_committed)(Subscriber *s, uint64_t order);
        /* It is over or failed: to be freed, later, by its owner. Called once, outside of any loop over
         * subscribers. */
        void (*over)(Subscriber *s);
} SubscriberOps;

typedef struct SubscriberOptions {
        uint32_t window;
        bool latest;
        Fraction max_rate; /* num 0: none */
        bool replay;
        bool causal; /* and not latest */
        /* on a bus: the first frame not released in time means that it cannot be delivered */
        bool must_release_first;
        /* The kinds of memory that it takes: a mask. One that is not sealed is what it was granted, and
         * sealed memory is then for frames that do not exist in that. 0: sealed. */
        uint32_t memories;
        Mode *wishes;            /* owned by the subscriber once added; may be NULL */
        size_t n_wishes;
} SubscriberOptions;

struct Subscriber {
        List link; /* Stream::subscribers */
        Stream *stream;
        const SubscriberOps *ops;
        SubscriberOptions options;
        Window window;
        /* the newest frame, for when credit or room returns (drop=latest) or the conduit opens; a reference
         */
        Frame *held;
        uint64_t lost[_LOSS_MAX];
        uint64_t untold[_LOSS_MAX];       /* since the last frame; before the one that is held */
        uint64_t untold_after[_LOSS_MAX]; /* after the one that is held */
        uint64_t delivered;
        uint32_t format_told;
        /* leased buffers that it was ever sent, as Frame::slot: it may have them mapped */
        uint64_t sent_slots;
        /* the same of dma-bufs, which it has to give back if it may not look any more */
        uint64_t shown_slots;
        uint64_t suspect_ns; /* since when its frames seem not to reach it; 0: they do */
        Sampler latency; /* capture to release */
        bool suits;      /* it accepts the mode in force */
        bool active;     /* its conduit is open */
        bool paused;     /* it was active, and will be: until then it loses as if it were suspended */
        bool suspended, over;
        bool revoked; /* over, as it may not look any more */
        bool staged; /* it was sent something that is not committed yet */
        bool broken; /* something was lost, or it is new: what comes next is of no use without it */
        bool asking; /* and for another reason than max-rate: the source is to make a keyframe */
};

/* The kind of memory that it was granted, FB_MEMORY_*. */
uint32_t subscriber_get_memory(const Subscriber *s);
/* How many buffers that are not sealed it may hold at the same time. */
uint32_t subscriber_get_n_buffers(const Subscriber *s);

/* Takes over @options->wishes. */
void subscriber_init(Subscriber *s, const SubscriberOps *ops, const SubscriberOptions *options);

/* Its publisher is gone, and nobody writes to what it has: drops the references to frames in flight, not the
 * credit that they took. Whether nobody else had one of them. */
bool subscriber_let_go(Subscriber *s);

/* Since which frame it has held one that is lent; UINT64_MAX: it has none. */
uint64_t subscriber_get_oldest_lent(const Subscriber *s);

/* For the stream: it may hold what is in flight for ever: nobody waits for that, and nobody writes to it.
 * As subscriber_let_go(). */
bool subscriber_suspend(Subscriber *s, const char *reason);

/* Drops what it holds. It must have been removed from its stream. */
void subscriber_deinit(Subscriber *s);

/* Its conduit is open: it may get frames, and the newest one at once if it asked for that. */
void subscriber_activate(Subscriber *s, uint64_t now_ns);

/* It is sent nothing until it is activated again; nothing is replayed then. */
void subscriber_pause(Subscriber *s);

/* Gives credit back; unknown and repeated numbers are ignored. Resumes if suspended, and sends the frame
 * held. */
void subscriber_release(Subscriber *s, const uint64_t *seqs, size_t n, uint64_t now_ns);
void subscriber_release_up_to(Subscriber *s, uint64_t seq, uint64_t now_ns);

/* There may be room for a frame that is held, where check_room() said LOSS_NO_CREDIT. */
void subscriber_room(Subscriber *s, uint64_t now_ns);

/* Changes window, drop and max-rate; resumes. */
void subscriber_set_options(Subscriber *s, uint32_t window, bool latest, Fraction max_rate, uint64_t now_ns);

/* For the stream: offers a frame, counts a loss, says the end. */
void subscriber_offer(Subscriber *s, Frame *f, uint64_t now_ns);
void subscriber_lose(Subscriber *s, uint64_t count, LossReason reason);

/* Tells what was lost and Ended, once; marks it over. @order: of the notice. */
void subscriber_end(Subscriber *s, uint64_t order, const char *reason);

/* For the stream: what was staged is there for everybody. */
void subscriber_commit(Subscriber *s, uint64_t order);

/* Drops a frame held, e.g. because its format is over. */
void subscriber_drop_held(Subscriber *s, LossReason reason);
