/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* framebus_watch_controls(): the controls of one source, as long as the program wants to know. */
#pragma once

#include "libframebus/connection.h"

struct framebus_control_watch {
        framebus *fb;
        List link; // framebus::control_watches
        Waiter waiter;
        bool closed;
        const struct framebus_control_events *events;
        void *userdata;
        char *path;
        char *owner; /* the broker that answered; its signals are believed */
        sd_bus_slot *call, *match;
};

void control_watch_reap(framebus_control_watch *w);
void control_watch_on_owner_changed(framebus_control_watch *w, const char *new_owner);
