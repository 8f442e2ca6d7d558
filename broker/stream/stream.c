/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See stream.h. The loop over subscribers never frees: who fails or ends in it is marked over, and reaped
 * after it. Losses before any subscription (the source's, and refused frames) advance seq for everybody.
 * Between the loop and the commit nothing is sent, and after the commit nothing of before.
 */
#include "broker/stream/stream.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"
#include "wire/format.h"

static const char *const state_names[_STREAM_STATE_MAX] = {
        [STREAM_IDLE] = "idle",           [STREAM_STARTING] = "starting", [STREAM_STREAMING] = "streaming",
        [STREAM_NO_SIGNAL] = "no-signal", [STREAM_ABSENT] = "absent",     [STREAM_FAILED] = "failed",
};

const char *stream_state_to_string(StreamState state) {
        return state_names[state];
}

StreamState stream_state_from_string(const char *s) {
        for (int i = 0; i < _STREAM_STATE_MAX; i++)
                if (strcmp(state_names[i], s) == 0)
                        return (StreamState)i;
        return (StreamState)-EINVAL;
}

void stream_init(Stream *s, const StreamHandler *handler, Order *order) {
        *s = (Stream){ .handler = handler, .order = order };
        list_init(&s->subscribers);
}

void stream_deinit(Stream *s) {
        assert(list_is_empty(&s->subscribers));
        s->last = frame_unref(s->last);
        order_page_close(&s->page);
        free(take_ptr(s->modes));
}

/* ---- memory ---- */

/* A frame is made in sealed memory and in one kind beside that: of two others, one gets it sealed. */
static uint32_t possible(uint32_t memories) {
        uint32_t sealed = 1u << FB_MEMORY_SEALED;

        return __builtin_popcount(memories & ~sealed) > 1 ? memories | sealed : memories;
}

/* Whether something is needed that was not asked for so far. */
static bool update_needs(Stream *s) {
        uint32_t memories = 0, n_buffers = 0;
        const Subscriber *sub;

        list_for_each(sub, &s->subscribers, link)
                if (!sub->over) {
                        memories |= 1u << subscriber_get_memory(sub);
                        n_buffers += subscriber_get_n_buffers(sub);
                }
        memories = possible(memories);
        if (memories == 0 || (memories == s->memories && n_buffers == s->n_buffers))
                return false;
        s->memories = memories;
        s->n_buffers = n_buffers;
        return true;
}

void stream_update_needs(Stream *s) {
        if (update_needs(s) && s->target.fourcc != 0)
                s->handler->start(s, &s->target);
}

void stream_renew_slots(Stream *s, uint64_t slots) {
        Subscriber *sub;

        list_for_each(sub, &s->subscribers, link) {
                sub->sent_slots &= ~slots;
                sub->shown_slots &= ~slots;
        }
}

/* For nobody but who has it already. */
static void forget_last(Stream *s) {
        if (s->last) /* its twin was for replay: in flight, that is memory for nothing */
                s->last->sealed = frame_unref(s->last->sealed);
        s->last = frame_unref(s->last);
}

static void retire(Stream *s, uint64_t slots, bool revoked) {
        Frame *f;

        if (slots == 0 && !revoked)
                return;
        s->handler->retire(s, slots, revoked);
        if (!s->last || !(s->last->slot & slots))
                return;
        f = take_ptr(s->last->sealed);
        frame_unref(s->last);
        s->last = f;
}

void stream_retire(Stream *s, uint64_t slots) {
        retire(s, slots, false);
}

static Subscriber *find_longest_lent(const Stream *s) {
        uint64_t oldest = UINT64_MAX;
        Subscriber *sub, *found = NULL;

        list_for_each(sub, &s->subscribers, link)
                if (!sub->over && subscriber_get_oldest_lent(sub) < oldest) {
                        oldest = subscriber_get_oldest_lent(sub);
                        found = sub;
                }
        return found;
}

void stream_take_back(Stream *s) {
        Subscriber *sub;

        while ((sub = find_longest_lent(s)) && !subscriber_suspend(sub, "buffers"))
                ;
        stream_reap(s);
}

void stream_want_keyframe(Stream *s, uint64_t now_ns) {
        if (s->asked_ns != 0 && now_ns - s->asked_ns < FB_KEYFRAME_NS)
                return;
        s->asked_ns = now_ns;
        s->handler->want_keyframe(s);
}

/* ---- modes and subscribers ---- */

void stream_set_modes(Stream *s, Mode *modes, size_t n_modes) {
        free(s->modes);
        s->modes = modes;
        s->n_modes = n_modes;
        s->handler->changed(s, STREAM_CHANGED_MODES);
}

void stream_set_state(Stream *s, StreamState state, const char *reason) {
        if (s->state == state && strcmp(s->reason, reason) == 0)
                return;
        s->state = state;
        strncpy(s->reason, reason, sizeof s->reason - 1);
        text_trim(s->reason);
        s->handler->changed(s, STREAM_CHANGED_STATE);
}

/* One mode for all of @lists; what is in force is kept if it suits. */
static bool choose_for(const Stream *s, const ModeList *lists, size_t n, unsigned *steps, Mode *ret_mode) {
        return mode_choose_within((ModeList){ s->modes, s->n_modes }, lists, n,
                                  s->target.fourcc ? &s->target : NULL, steps, ret_mode);
}

static ModeList subscriber_wishes(const Subscriber *sub) {
        return (ModeList){ sub->options.wishes, sub->options.n_wishes };
}

int stream_negotiate(const Stream *s, ModeList wishes, Mode *ret_mode) {
        _cleanup_free_ ModeList *all = calloc(s->n_subscribers + 1, sizeof *all);
        unsigned steps = MODE_STEPS_MAX;
        const Subscriber *sub;
        size_t n = 0;

        if (!all)
                return -ENOMEM;
        all[n++] = wishes;
        list_for_each(sub, &s->subscribers, link)
                if (!sub->over)
                        all[n++] = subscriber_wishes(sub);
        return choose_for(s, all, n, &steps, ret_mode) ? 0 : FB_E_NO_COMMON_MODE;
}

bool stream_can(const Stream *s, ModeList wishes) {
        unsigned steps = MODE_STEPS_MAX;
        Mode ignored;

        return choose_for(s, &wishes, 1, &steps, &ignored);
}

size_t stream_count_opponents(const Stream *s, ModeList wishes, ModeList *ret_theirs) {
        unsigned steps = MODE_STEPS_MAX; /* for all together */
        const Subscriber *sub;
        size_t n = 0;

        list_for_each(sub, &s->subscribers, link) {
                ModeList both[] = { wishes, subscriber_wishes(sub) };
                Mode ignored;

                if (sub->over || choose_for(s, both, FB_ELEMENTSOF(both), &steps, &ignored))
                        continue;
                if (steps == 0)
                        break;
                if (n++ == 0)
                        *ret_theirs = both[1];
        }
        return n;
}

void stream_add(Stream *s, Subscriber *sub, const Mode *mode) {
        bool more;

        sub->stream = s;
        list_append(&s->subscribers, &sub->link);
        s->n_subscribers++;
        sub->suits = s->mode.fourcc == 0 || mode_list_accepts(subscriber_wishes(sub), &s->mode);
        s->handler->changed(s, STREAM_CHANGED_SUBSCRIBERS);
        more = update_needs(s);
        if (s->target.fourcc != 0 && mode_equal(&s->target, mode) && !more)
                return;
        s->target = *mode;
        if (s->state == STREAM_IDLE)
                stream_set_state(s, STREAM_STARTING, "");
        s->handler->start(s, mode);
}

void stream_remove(Stream *s, Subscriber *sub) {
        bool revoked = sub->revoked && subscriber_get_memory(sub) != FB_MEMORY_SEALED;

        retire(s, sub->sent_slots | (revoked ? sub->shown_slots : 0), revoked);
        sub->sent_slots = sub->shown_slots = 0;
        list_remove(&sub->link);
        s->n_subscribers--;
        if (s->n_subscribers == 0) {
                s->target = (Mode){};
                s->memories = s->n_buffers = 0;
                s->handler->stop(s);
                stream_run_ended(s);
                if (s->state == STREAM_STARTING || s->state == STREAM_STREAMING ||
                    s->state == STREAM_NO_SIGNAL)
                        stream_set_state(s, STREAM_IDLE, "");
        }
        s->handler->changed(s, STREAM_CHANGED_SUBSCRIBERS);
        stream_update_needs(s);
}

void stream_set_format(Stream *s, const Mode *mode) {
        Subscriber *sub;

        if (s->format != 0 && mode_equal(&s->mode, mode))
                return;
        forget_last(s); /* it has the old format */
        s->mode = *mode;
        s->format++;
        s->first_keyframe = 0;
        list_for_each(sub, &s->subscribers, link) {
                subscriber_drop_held(sub, LOSS_SUPERSEDED);
                sub->suits = mode_list_accepts(subscriber_wishes(sub), mode);
        }
        s->handler->changed(s, STREAM_CHANGED_MODE);
}

void stream_reap(Stream *s) {
        bool again;

        if (s->looping)
                return;
        do {
                Subscriber *sub;

                again = false;
                list_for_each(sub, &s->subscribers, link)
                        if (sub->over) {
                                /* takes it out of the list, and may do more: look again */
                                sub->ops->over(sub);
                                again = true;
                                break;
                        }
        } while (again);
}

void stream_lose(Stream *s, uint64_t count, LossReason reason) {
        Subscriber *sub;

        if (count == 0)
                return;
        s->seq += count;
        s->lost[reason] += count;
        list_for_each(sub, &s->subscribers, link)
                subscriber_lose(sub, count, reason);
}

static void copy_numbers(Frame *twin, const Frame *f) {
        twin->seq = f->seq;
        twin->order = f->order;
        twin->format = f->format;
}

/* ---- stage and commit ---- */

/* Tests make the way from one subscriber to the next long, */
static void stage_pause(void) {
        uint64_t usec = (uint64_t)fault_point("stage-delay"), end_ns;

        if (usec == 0)
                return;
        end_ns = clock_now_ns() + usec * NSEC_PER_USEC;
        while (clock_now_ns() < end_ns)
                ;
}

/* and stop or kill the broker where everybody was sent something, and nobody may believe it. */
static void stage_fault(void) {
        long stop_at = fault_point("stage-stop"), kill_at = fault_point("stage-kill");
        static long n_commits;

        n_commits++;
        if (n_commits == stop_at)
                (void)raise(SIGSTOP);
        if (n_commits == kill_at)
                (void)raise(SIGKILL);
}

static void commit(Stream *s) {
        Subscriber *sub;

        if (s->n_staged > 0)
                stage_fault();
        order_page_commit(&s->page, s->staged_order);
        if (s->n_staged == 0)
                return;
        list_for_each(sub, &s->subscribers, link)
                subscriber_commit(sub, s->staged_order);
        s->n_staged = 0;
}

int stream_open_page(Stream *s) {
        return order_page_open(&s->page, s->order->last);
}

void stream_publish(Stream *s, Frame *f, uint64_t n_skipped, uint64_t now_ns) {
        Subscriber *sub;

        stream_lose(s, n_skipped, LOSS_SOURCE);
        if (s->mode.fourcc == 0 && s->n_subscribers > 0) {
                /* made for a run that is over; what it looks like was not said to those who came since */
                stream_lose(s, 1, LOSS_SOURCE);
                return;
        }
        f->seq = ++s->seq;
        f->order = s->staged_order = order_next(s->order, now_ns);
        f->format = s->format;
        if (f->sealed)
                copy_numbers(f->sealed, f);
        s->frames++;
        if (s->first_keyframe == 0 && (f->flags & FB_FRAME_KEYFRAME) && format_has_deltas(s->mode.fourcc))
                s->first_keyframe = f->seq;

        s->looping = true;
        list_for_each(sub, &s->subscribers, link) {
                subscriber_offer(sub, f, now_ns);
                stage_pause();
        }
        s->looping = false;
        commit(s);

        if (s->n_subscribers > 0) {
                if (!stream_is_delta(s, f)) {
                        forget_last(s);
                        s->last = frame_ref(f);
                        s->last_ns = now_ns;
                }
                stream_set_state(s, STREAM_STREAMING, "");
        }
        stream_reap(s);
}

void stream_run_ended(Stream *s) {
        Subscriber *sub;

        forget_last(s);
        list_for_each(sub, &s->subscribers, link) {
                subscriber_let_go(sub);
                sub->sent_slots = sub->shown_slots = 0;
        }
        if (s->mode.fourcc == 0)
                return;
        s->mode = (Mode){};
        list_for_each(sub, &s->subscribers, link)
                subscriber_drop_held(sub, LOSS_SOURCE);
        s->handler->changed(s, STREAM_CHANGED_MODE);
}

void stream_end_subscriber(Stream *s, Subscriber *sub, const char *reason, uint64_t now_ns) {
        s->staged_order = order_next(s->order, now_ns);
        subscriber_end(sub, s->staged_order, reason);
        if (!s->looping) /* else it is committed with the frame */
                commit(s);
        stream_reap(s);
}

void stream_end_all(Stream *s, const char *reason, uint64_t now_ns) {
        Subscriber *sub;

        s->staged_order = order_next(s->order, now_ns);
        list_for_each(sub, &s->subscribers, link)
                subscriber_end(sub, s->staged_order, reason);
        commit(s);
        stream_reap(s);
}

Frame *stream_get_replay(const Stream *s, uint64_t now_ns) {
        uint64_t interval = fraction_interval_ns(s->mode.rate);
        uint64_t age = FB_MAX(FB_REPLAY_AGE_NS, 2 * interval);

        if (!s->last || now_ns - s->last_ns > age)
                return NULL;
        return s->last;
}
