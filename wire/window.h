/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Credit of one subscription: which frames are in flight, and whether the next one may leave. Pure
 * arithmetic; time is an argument.
 *
 * Invariants: n <= FB_WINDOW_MAX; seqs in flight are strictly growing from head; a seq is given back once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "interfaces/wire.h"

typedef enum WindowVerdict {
        WINDOW_SEND,      /* credit: send it, then window_sent() */
        WINDOW_HOLD,      /* drop=latest without credit: keep this one instead of the one held before */
        WINDOW_DROP,      /* drop=newest without credit */
        WINDOW_DROP_RATE, /* sooner than max-rate allows */
        /* without credit, and nothing was returned for FB_SUSPEND_AFTER_NS: suspend, and drop it */
        WINDOW_SUSPEND,
} WindowVerdict;

typedef struct WindowEntry {
        uint64_t seq;
        uint64_t pts_ns;  /* of the frame, for latency */
        uint64_t cookie;  /* of the message, for errors that answer it; 0: none */
        void *frame;      /* a reference owned by this entry, or NULL */
        uint64_t bytes;   /* of its memory */
} WindowEntry;

typedef struct Window {
        WindowEntry entries[FB_WINDOW_MAX]; /* ring, oldest at head */
        uint32_t head, n;
        uint64_t bytes; /* of all in flight */
        uint32_t size; /* the window: 1 to FB_WINDOW_MAX */
        bool latest;   /* drop=latest */
        uint64_t min_interval_ns; /* of max-rate; 0: none */
        uint64_t next_due_ns;     /* when max-rate allows the next one */
        uint64_t returned_ns;     /* when credit was last returned, or when the window last began to fill */
        bool ever_returned;
} Window;

void window_init(Window *w, uint32_t size, bool latest, uint64_t min_interval_ns);

/* What to do with a frame captured at @pts_ns and offered at @now_ns. Changes nothing but the rate's clock on
 * SEND/HOLD. */
WindowVerdict window_offer(Window *w, uint64_t pts_ns, uint64_t now_ns);

/* Nothing has come back for FB_SUSPEND_AFTER_NS, and the credit is used up: when window_offer() would say
 * WINDOW_SUSPEND. */
bool window_is_stuck(const Window *w, uint64_t now_ns);

/* Records a frame as in flight; only after WINDOW_SEND, or with window_has_credit(). @e is copied. */
void window_sent(Window *w, const WindowEntry *e, uint64_t now_ns);

/* Takes one frame out of flight. False: unknown, late or given back before: harmless, nothing changes. */
bool window_returned(Window *w, uint64_t seq, uint64_t now_ns, WindowEntry *ret_entry);

/* Takes out the oldest frame in flight whose seq is at most @seq; false: there is none. Call it until it
 * is. */
bool window_returned_up_to(Window *w, uint64_t seq, uint64_t now_ns, WindowEntry *ret_entry);

/* Finds the frame whose message had @cookie. */
bool window_has_cookie(const Window *w, uint64_t cookie);

static inline bool window_has_credit(const Window *w) {
        return w->n < w->size;
}

/* The number of frames in flight may be above a window that was made smaller; credit comes back when it is
 * below. */
static inline uint32_t window_in_flight(const Window *w) {
        return w->n;
}
