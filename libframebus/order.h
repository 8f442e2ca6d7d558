/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Causal order: what comes for causal subscriptions is kept until the broker has committed it, and given to
 * the program in one order over all of them, before anything else of the connection is dispatched.
 *
 * Committed is what the source's page says, of a subscription with a channel; of one on the bus, what a
 * signal has told (commits.c).
 */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/list.h"
#include "interfaces/wire.h"
#include "libframebus/framebus.h"

#define FB_COMMITS_PATH_MAX 64

/* Of a framebus. */
typedef struct Ordering {
        unsigned int n_causal; /* open subscriptions that asked for it; 0: nothing here costs anything */
        bool turning;
        bool hung_up;          /* a channel ended since the turn began to look */
        uint64_t n_turns;      /* begun */
        uint64_t by_channel, by_bus; /* all up to here has been dispatched */
        sd_event_source *due;  /* has framebus_process() called, and so a turn done */
        List barriers;         // Barrier::link
        List calls;            // Call::link
} Ordering;

/* Of a subscription, for one attachment. */
typedef struct Causal {
        bool on;           /* granted */
        bool hung_up;      /* nothing more will come, and what is committed is known for good, */
        bool ending;       /* which this turn knows */
        bool is_settled;   /* `attached` is to be told */
        List kept;         // Kept::link
        unsigned int n_kept;
        uint64_t committed;
        uint64_t n_superseded; /* drop=latest: not told yet */
        const FbOrderPage *page;
        sd_bus_slot *page_call;
        /* bus: where Committed comes from, and came from before the broker had it moved */
        char path[FB_COMMITS_PATH_MAX], former_path[FB_COMMITS_PATH_MAX];
        sd_bus_slot *match, *new_match, *commits_call;
} Causal;

/* Before and after use, and for each subscription that asks for it. */
void order_init(Ordering *o);
int order_enable(framebus *fb);
void order_disable(framebus *fb);
/* Frees all of it, without a callback. */
void order_deinit(Ordering *o);

/* Has framebus_process() come here soon, if it is not running. */
void order_set_due(framebus *fb);

/*
 * Gives the program what is committed: all of it that was when this is called. Before each message that is
 * dispatched: what made its sender send it was then committed before.
 */
void order_turn(framebus *fb);

/* The channel is open: asks for the page. One that was made by somebody else is taken to be causal if there
 * is one. Negative errno: it could not be asked for. */
int order_begin(framebus_subscription *sub);
/* The attachment is complete: `attached` is told by the next turn, and then what was kept. */
void order_settle(framebus_subscription *sub);
/* A signal of Subscription1. */
void order_keep(framebus_subscription *sub, sd_bus_message *m);
/* An answer on the channel, for @handler when what came before it was dispatched. */
void order_keep_reply(framebus_subscription *sub, sd_bus_message *m, sd_bus_message_handler_t handler);
/* The channel is gone, or of no use: what is committed is given out, and then it is attached again. */
void order_hang_up(framebus_subscription *sub);
/* The highest order of what is kept; 0: none. */
uint64_t order_get_newest(const framebus_subscription *sub);
/* Takes all that is in the channel. Not inside of that channel's own dispatch. */
void order_drain(framebus_subscription *sub);
/* Drops all that is kept. */
void order_forget(framebus_subscription *sub);
