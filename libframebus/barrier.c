/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A barrier is over when a turn has been done that began after it, and, where frames come by the bus, when
 * the bus driver has answered: whatever the bus had passed on before is then here, and was dispatched before.
 *
 * A program's calls need nothing more: a turn precedes every message of the bus (framebus_process()).
 */
#include "libframebus/barrier.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "libframebus/export.h"
#include "libframebus/subscription.h"

typedef struct Barrier Barrier;
struct Barrier {
        framebus *fb;
        List link;      // Ordering::barriers
        uint64_t after; /* turns that had begun */
        sd_bus_slot *ping;
        bool waits; /* for the answer to that */
        framebus_barrier_callback done;
        void *userdata;
};

typedef struct Call Call;
struct Call {
        framebus *fb;
        List link; // Ordering::calls
        sd_bus_slot *slot;
        framebus_call_callback callback;
        void *userdata;
};

/* Barriers */

static Barrier *barrier_free(Barrier *b) {
        if (!b)
                return NULL;
        list_remove(&b->link);
        sd_bus_slot_unref(b->ping);
        free(b);
        return NULL;
}

FB_DEFINE_CLEANUP(Barrier *, barrier_free)

static bool is_attached(const framebus_subscription *sub, bool by_bus) {
        return sub->causal.on && !sub->closed && sub->state == SUBSCRIPTION_ATTACHED &&
               by_bus == !sub->channel;
}

static bool has_any(framebus *fb, bool by_bus) {
        const framebus_subscription *sub;

        list_for_each(sub, &fb->subscriptions, link)
                if (is_attached(sub, by_bus))
                        return true;
        return false;
}

/* What has come up to there has been dispatched. */
static bool is_dispatched(framebus *fb, uint64_t order) {
        const Ordering *o = &fb->ordering;

        return (o->by_channel >= order || !has_any(fb, false)) && (o->by_bus >= order || !has_any(fb, true));
}

static Barrier *barrier_first_over(framebus *fb) {
        Barrier *b;

        list_for_each(b, &fb->ordering.barriers, link)
                if (!b->waits && fb->ordering.n_turns > b->after)
                        return b;
        return NULL;
}

void barriers_finish(framebus *fb) {
        Barrier *over;

        while ((over = barrier_first_over(fb))) {
                _cleanup_(barrier_freep) Barrier *b = over;

                list_remove(&b->link);
                b->done(fb, b->userdata);
        }
}

/* An error says as much: what the bus had for us before it came first. */
static int on_pong(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Barrier *b = userdata;

        b->ping = sd_bus_slot_unref(b->ping);
        b->waits = false;
        order_set_due(b->fb);
        return 0;
}

static int barrier_ping(Barrier *b) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(b->fb->bus, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetId");
        if (r >= 0)
                r = connection_call(b->fb, &b->ping, m, on_pong, b);
        b->waits = r >= 0;
        return r;
}

FB_PUBLIC int framebus_barrier(framebus *fb, uint64_t order, framebus_barrier_callback done, void *userdata) {
        _cleanup_(barrier_freep) Barrier *b = NULL;
        int r;

        if (!done)
                return -EINVAL;
        if (is_dispatched(fb, order))
                return 1;
        b = calloc(1, sizeof *b);
        if (!b)
                return -ENOMEM;
        b->fb = fb;
        b->after = fb->ordering.n_turns;
        b->done = done;
        b->userdata = userdata;
        if (has_any(fb, true)) {
                r = barrier_ping(b);
                if (r < 0)
                        return r;
        }
        list_append(&fb->ordering.barriers, &b->link);
        order_set_due(fb);
        b = NULL;
        return 0;
}

/* The bus, for the program's own use */

FB_PUBLIC sd_bus *framebus_get_bus(framebus *fb) {
        return fb->lost ? NULL : fb->bus;
}

static Call *call_free(Call *c) {
        if (!c)
                return NULL;
        list_remove(&c->link);
        sd_bus_slot_unref(c->slot);
        free(c);
        return NULL;
}

FB_DEFINE_CLEANUP(Call *, call_free)

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(call_freep) Call *c = userdata;

        list_remove(&c->link);
        c->callback(c->fb, m, c->userdata);
        return 0;
}

FB_PUBLIC int framebus_call_async(framebus *fb, sd_bus_message *m, framebus_call_callback callback,
                                  void *userdata, uint64_t timeout_ns) {
        _cleanup_(call_freep) Call *c = NULL;
        uint64_t usec = timeout_ns == 0 ? CALL_DEADLINE_USEC : timeout_ns / NSEC_PER_USEC;
        int r;

        if (!callback)
                return -EINVAL;
        if (!framebus_get_bus(fb))
                return -ENOTCONN;
        c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->fb = fb;
        c->callback = callback;
        c->userdata = userdata;
        r = sd_bus_call_async(fb->bus, &c->slot, m, on_answer, c, FB_MAX(usec, 1u));
        if (r < 0)
                return r;
        list_append(&fb->ordering.calls, &c->link);
        c = NULL;
        return 0;
}

void barriers_free(Ordering *o) {
        Barrier *b;
        Call *c;

        while ((b = list_first(&o->barriers, Barrier, link)))
                barrier_free(b);
        while ((c = list_first(&o->calls, Call, link)))
                call_free(c);
}
