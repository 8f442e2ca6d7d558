/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's time on the bus: takes the name, or waits in line for it, leaves it when nothing is to be
 * done, ends on a signal or when replaced.
 *
 * Who waits in line answers nobody: what it sent would come from somebody who does not own the name.
 *
 * Leaving loses no call: the name is released first; calls that came before are still answered, and if one of
 * them gives the broker work it takes the name again, from an activated successor if there is one by then;
 * calls that come after activate a new one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/api/api.h"

typedef struct LifecycleOptions {
        bool replace;     /* take the name over */
        bool queue;       /* wait for it, where it cannot be had */
        uint64_t idle_ns; /* UINT64_MAX: never leaves by itself */
} LifecycleOptions;

typedef struct Lifecycle {
        Api *api;
        LifecycleOptions options;
        bool told_to_end; /* by a signal */
        enum {
                LIFECYCLE_ARRIVING,
                LIFECYCLE_IN_LINE,
                LIFECYCLE_SERVING,
                LIFECYCLE_LEAVING,
                LIFECYCLE_LEFT,
        } state;
        sd_event_source *idle_timer, *look_again, *sigterm, *sigint;
        sd_bus_slot *request_slot, *release_slot, *lost_slot, *acquired_slot, *filter_slot;
} Lifecycle;

/* Asks for the name and handles SIGTERM and SIGINT, which must be blocked. */
int lifecycle_init(Lifecycle *l, Api *api, const LifecycleOptions *options);
void lifecycle_deinit(Lifecycle *l);

/* api_is_busy() may have changed. */
void lifecycle_activity(Lifecycle *l);
