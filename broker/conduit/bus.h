/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals directed to one unique name, from the connection that owns ours (so that matches on the sender
 * work, and receive policy applies). Stock buses give a sender neither backpressure nor errors to rely on,
 * and stop reading it at 64 live descriptors: all bus conduits together stay below that, see BusBudget.
 */
#pragma once

#include "broker/conduit/conduit.h"

typedef struct BusBudget {
        uint32_t fds_in_flight; /* sent and not released */
        uint32_t windows;       /* granted */
} BusBudget;

typedef struct BusConduit {
        Conduit conduit;
        sd_bus *bus;             /* borrowed */
        BusBudget *budget;       /* borrowed */
        const char *destination; /* unique name, borrowed */
        const char *path;        /* borrowed */
        uint32_t fds_in_flight;  /* of this one */
        uint32_t window;         /* granted, on the budget's books */
} BusConduit;

/* Takes @window on the books. FB_E_LIMIT: no room for it; nothing changed. */
int bus_conduit_init(BusConduit *b, sd_bus *bus, BusBudget *budget, const char *destination, const char *path,
                     uint32_t window);
/* Whether the window may become @window. FB_E_LIMIT; nothing changed then. */
int bus_conduit_set_window(BusConduit *b, uint32_t window);
/* Takes everything off the books. */
void bus_conduit_deinit(BusConduit *b);
