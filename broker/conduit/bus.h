/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals directed to one unique name, from the connection that owns ours (so that matches on the sender
 * work, and receive policy applies). Stock buses give a sender neither backpressure nor errors to rely on,
 * and stop reading it when too many descriptors wait in them: what is under way is on the books of
 * wire/fd-ledger.h, and leaves them by proof, not by Release.
 */
#pragma once

#include "broker/conduit/conduit.h"
#include "wire/fd-ledger.h"

typedef struct BusConduit {
        Conduit conduit;
        sd_bus *bus;             /* borrowed */
        FdAccount *account;      /* of the receiver; borrowed */
        const char *destination; /* unique name, borrowed */
        const char *path;        /* borrowed */
        uint32_t window;         /* granted, on the account */
} BusConduit;

/* Takes @window on the account. FB_E_LIMIT and why: no room for it; nothing changed. */
int bus_conduit_init(BusConduit *b, sd_bus *bus, FdAccount *account, const char *destination,
                     const char *path, uint32_t window, FdRefusal *ret_why);
/* Whether the window may become @window. FB_E_LIMIT and why; nothing changed then. */
int bus_conduit_set_window(BusConduit *b, uint32_t window, FdRefusal *ret_why);
/* Tells all who want to know by a broadcast at @path, behind the frames: who has that one has them. */
int bus_broadcast_committed(sd_bus *bus, const char *path, uint64_t order);
/* Gives the window back. What was sent stays on the account until it is proven read. */
void bus_conduit_deinit(BusConduit *b);
