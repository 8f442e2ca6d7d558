/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may have the next frame.
 *
 * The ring holds what is in flight, the oldest at head; its room is FB_WINDOW_MAX whatever the window
 * is, so that a window may shrink below what is in flight. The references in the entries are moved,
 * never taken or dropped here.
 *
 * max-rate is a due time that moves on by whole intervals, so that rounding and jitter do not add up
 * to a lower rate; a frame counts as due up to a quarter of an interval, at most 10 ms, early.
 */
#include "wire/window.h"

#include <assert.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define RATE_EARLY_MAX_NS (10 * NSEC_PER_MSEC)

static WindowEntry *window_at(Window *w, uint32_t i) {
        return &w->entries[(w->head + i) % FB_WINDOW_MAX];
}

void window_init(Window *w, uint32_t size, bool latest, uint64_t min_interval_ns) {
        assert(size >= FB_WINDOW_MIN && size <= FB_WINDOW_MAX);
        *w = (Window){ .size = size, .latest = latest, .min_interval_ns = min_interval_ns };
}

/* When a frame was captured, for max-rate; when it arrived, if a publisher's time makes no sense. */
static uint64_t rate_time(uint64_t pts_ns, uint64_t now_ns) {
        return pts_ns <= now_ns && now_ns - pts_ns < NSEC_PER_SEC ? pts_ns : now_ns;
}

/* The due time is never so far ahead unless the frames' clock went back or the limit was changed. */
static bool rate_restarts(const Window *w, uint64_t t) {
        return w->next_due_ns == 0 || w->next_due_ns > t + 2 * w->min_interval_ns ||
               t > w->next_due_ns + w->min_interval_ns;
}

static bool rate_allows(const Window *w, uint64_t t) {
        uint64_t early = FB_MIN(w->min_interval_ns / 4, RATE_EARLY_MAX_NS);

        return w->min_interval_ns == 0 || rate_restarts(w, t) || t + early >= w->next_due_ns;
}

static void rate_advance(Window *w, uint64_t t) {
        if (w->min_interval_ns > 0)
                w->next_due_ns = (rate_restarts(w, t) ? t : w->next_due_ns) + w->min_interval_ns;
}

bool window_is_stuck(const Window *w, uint64_t now_ns) {
        return !window_has_credit(w) && now_ns > w->returned_ns &&
               now_ns - w->returned_ns > FB_SUSPEND_AFTER_NS;
}

WindowVerdict window_offer(Window *w, uint64_t pts_ns, uint64_t now_ns) {
        uint64_t t = rate_time(pts_ns, now_ns);

        if (!rate_allows(w, t))
                return WINDOW_DROP_RATE;
        if (window_has_credit(w)) {
                rate_advance(w, t);
                return WINDOW_SEND;
        }
        if (window_is_stuck(w, now_ns))
                return WINDOW_SUSPEND;
        if (!w->latest)
                return WINDOW_DROP;
        rate_advance(w, t);
        return WINDOW_HOLD;
}

void window_sent(Window *w, const WindowEntry *e, uint64_t now_ns) {
        assert(w->n < FB_WINDOW_MAX);
        assert(w->n == 0 || e->seq > window_at(w, w->n - 1)->seq);
        if (w->n == 0)
                w->returned_ns = now_ns;
        *window_at(w, w->n++) = *e;
        w->bytes += e->bytes;
}

static void window_take(Window *w, uint32_t i, uint64_t now_ns, WindowEntry *ret_entry) {
        *ret_entry = *window_at(w, i);
        for (; i > 0; i--)
                *window_at(w, i) = *window_at(w, i - 1);
        *window_at(w, 0) = (WindowEntry){ 0 };
        w->head = (w->head + 1) % FB_WINDOW_MAX;
        w->n--;
        w->bytes -= ret_entry->bytes;
        w->returned_ns = now_ns;
        w->ever_returned = true;
}

bool window_returned(Window *w, uint64_t seq, uint64_t now_ns, WindowEntry *ret_entry) {
        for (uint32_t i = 0; i < w->n; i++)
                if (window_at(w, i)->seq == seq) {
                        window_take(w, i, now_ns, ret_entry);
                        return true;
                }
        return false;
}

bool window_returned_up_to(Window *w, uint64_t seq, uint64_t now_ns, WindowEntry *ret_entry) {
        if (w->n == 0 || window_at(w, 0)->seq > seq)
                return false;
        window_take(w, 0, now_ns, ret_entry);
        return true;
}

bool window_has_cookie(const Window *w, uint64_t cookie) {
        for (uint32_t i = 0; i < w->n && cookie != 0; i++)
                if (w->entries[(w->head + i) % FB_WINDOW_MAX].cookie == cookie)
                        return true;
        return false;
}
