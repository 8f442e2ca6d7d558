/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/publication/pulse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"

struct Pulse {
        sd_bus *bus;
        sd_event_source *timer;
        sd_bus_slot *call; /* NULL: it has answered */
        uint64_t period_usec;
        pulse_silent_handler silent;
        void *userdata;
};

/* An error is an answer as well. */
static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Pulse *p = userdata;

        p->call = sd_bus_slot_unref(p->call);
        return 0;
}

static int pulse_await(Pulse *p) {
        int r = sd_event_source_set_time_relative(p->timer, p->period_usec);

        return r < 0 ? r : sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Pulse *p = userdata;

        if (p->call) {
                p->silent(p->userdata);
                return 0;
        }
        /* a channel that is closing is told elsewhere */
        if (sd_bus_call_method_async(p->bus, &p->call, NULL, "/", "org.freedesktop.DBus.Peer", "Ping",
                                     on_answer, p, NULL) >= 0)
                (void)pulse_await(p);
        return 0;
}

int pulse_new(sd_event *event, sd_bus *bus, uint64_t period_ns, pulse_silent_handler silent, void *userdata,
              Pulse **ret) {
        Pulse *p = malloc(sizeof *p);
        int r;

        if (!p)
                return -ENOMEM;
        *p = (Pulse){ .bus = sd_bus_ref(bus),
                      .period_usec = period_ns / NSEC_PER_USEC,
                      .silent = silent,
                      .userdata = userdata };
        r = sd_event_add_time_relative(event, &p->timer, CLOCK_MONOTONIC, p->period_usec, 0, on_timer, p);
        if (r < 0) {
                pulse_free(p);
                return r;
        }
        (void)sd_event_source_set_description(p->timer, "pulse");
        *ret = p;
        return 0;
}

Pulse *pulse_free(Pulse *p) {
        if (!p)
                return NULL;
        sd_bus_slot_unref(p->call);
        sd_event_source_disable_unref(p->timer);
        sd_bus_unref(p->bus);
        free(p);
        return NULL;
}
