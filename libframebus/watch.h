/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* framebus_watch(): all sources, as long as the program wants to know. */
#pragma once

#include "libframebus/connection.h"

typedef struct Watch Watch;
struct Watch {
        framebus *fb;
        List link; // framebus::watches
        Waiter waiter;
        bool closed;
        const struct framebus_watch_events *events;
        void *userdata;
        sd_bus_slot *call;
        sd_bus_slot *matches[3];
        sd_event_source *timer; /* back-off */
        unsigned int attempt;
        char *owner;  /* the broker that was told Watch; its signals are believed */
        List sources; // Source::link
};

Watch *watch_free(Watch *w); /* without callbacks; takes NULL, returns NULL */
void watch_reap(Watch *w);
void watch_on_owner_changed(Watch *w, const char *old_owner, const char *new_owner);
