/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection: an event loop in an epoll descriptor, the bus, and the search for it.
 *
 * Lifetime rule of everything that hangs on it: what the user closes during framebus_process() is marked and
 * stays linked until its end, so that lists may be walked while callbacks run; outside it goes at once.
 */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "base/list.h"
#include "libframebus/framebus.h"
#include "libframebus/order.h"
#include "libframebus/room.h"

#define CALL_DEADLINE_USEC (25u * 1000000u)
#define SEARCH_DEADLINE_NS (5 * NSEC_PER_SEC)

/* Frames' channels come after the bus in an iteration. */
#define CHANNEL_PRIORITY 10

typedef struct Waiter Waiter;
struct Waiter {
        List link; // framebus::waiters
        /* The bus is there. */
        void (*ready)(Waiter *w);
};

struct framebus {
        sd_event *event;
        sd_bus *bus;       /* the one in use; NULL: none, or still looked for */
        sd_bus *candidate; /* the system bus while it is asked for sources */
        sd_bus_slot *candidate_call;
        sd_event_source *candidate_deadline;
        char *address; /* NULL: still looked for */
        char *former_owner; /* unique name that gave org.framebus up last */
        bool has_broker;
        bool lost;
        bool processing;
        Room room;
        Ordering ordering;
        unsigned int n_by_bus; /* open subscriptions whose frames come by the bus */
        List waiters;       // Waiter::link
        List subscriptions; // framebus_subscription::link
        List publishers;    // framebus_publisher::link
        List queries;       // Query::link
        List watches;       // Watch::link; all but one are closed
        List control_watches; // framebus_control_watch::link
};

/* Whether things can be asked of a broker, now or when the bus was found. -ENOMEDIUM: none; -ENOTCONN:
 * lost. */
int connection_check(framebus *fb);

/* Calls @w->ready when the bus is there: now, or later out of framebus_process(). list_remove() takes it
 * back. */
void connection_when_ready(framebus *fb, Waiter *w, void (*ready)(Waiter *w));

/* Sends a call with a deadline of 25 s; @callback gets the reply or an error, always, and out of
 * framebus_process(). */
int connection_call(framebus *fb, sd_bus_slot **ret_slot, sd_bus_message *m,
                    sd_bus_message_handler_t callback, void *userdata);

/* Whether an answer may bring a descriptor: it, and a duplicate for a moment. Where there is no room for it
 * sd-bus gives up the whole bus, so ask before. */
bool connection_can_take_fd(framebus *fb);

/* Whether a message is an error, and which. */
bool message_get_error(sd_bus_message *m, struct framebus_error *ret_error);

/* (Re-)arms a one-shot timer. */
int connection_set_timer(framebus *fb, sd_event_source **timer, uint64_t after_ns,
                         sd_event_time_handler_t callback, void *userdata);

/* The back-off before attempt number @attempt (0: the first retry): 50 ms doubling to 5 s, ± 25 %. */
uint64_t connection_backoff_ns(unsigned int attempt);

static inline void message_unrefp(sd_bus_message **m) {
        sd_bus_message_unref(*m);
}
#define _cleanup_message_ __attribute__((cleanup(message_unrefp)))

/* From now on @bus_consume, found at @address, is the bus; what waited for it begins. Owned also on
 * failure. */
int connection_adopt_bus(framebus *fb, sd_bus *bus_consume, const char *address);
