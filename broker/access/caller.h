/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who calls: credentials of bus connections, from the bus driver and never from the client's words.
 *
 * They are asked for once a connection, asynchronously, ahead of the vtables: a filter holds the messages of
 * a sender that is not known yet and queues them again, in order, when it is. So no method ever waits, and
 * callers_of() is never NULL in one. They are forgotten when the connection leaves the bus.
 *
 * Whether a connection can receive descriptors is known to the bus alone. Before a call that needs it
 * (Subscribe, Attach, AttachTo, Share, Publish) the connection is sent a Peer.Ping that carries one: both
 * dbus-daemon and dbus-broker refuse it in the driver's name if it cannot, and that answer is there before
 * the credentials asked for next.
 *
 * Each connection has an account of the descriptors sent to it by the bus, and a receipt that proves what was
 * read, see receipt.h. Calls that need descriptors wait here, in order, while there is no room for what they
 * send; other calls of that connection, and everybody else's, go on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "base/list.h"
#include "broker/access/identity.h"
#include "broker/access/quota.h"
#include "broker/access/receipt.h"
#include "wire/fd-ledger.h"

/* Messages of one unknown sender that are held; what comes beyond is refused. */
#define CALLER_HELD_MAX 1024u

typedef struct Callers Callers;

typedef struct Caller {
        List link; /* Callers::callers */
        Callers *callers;
        char *unique_name;
        Identity *identity; /* never NULL once a method is called */
        uid_t uid;          /* its, */
        pid_t pid;          /* and its; 0: not known */
        bool cannot_pass_fds;
        bool looks; /* it has looked at sources, and is told what changes */

        unsigned int n_channels; /* handed to it and not hung up, see quota.h */
        unsigned int n_watches;
        FdAccount account;

        /* private to caller.c */
        enum { CALLER_ASKED, CALLER_DRAINING, CALLER_KNOWN } state;
        bool probed;
        List waiting; /* of HeldMessage::link: had their turn and found no room; ahead of those held */
        List held;    /* of HeldMessage::link, in order */
        unsigned int n_held; /* in both */
        QuotaCharge charge;  /* for these, once it is known whose they are */
        QuotaRefusal refusal; /* the last one */
        sd_bus_message *expected; /* queued again and not seen again yet */
        sd_bus_slot *credentials_slot;
        Receipt receipt;
        bool mark_by_call;
        sd_event_source *ask_later; /* a mark was refused, or could not be made */
} Caller;

typedef struct CallersHandler {
        /* The connection has left the bus. @c is freed afterwards. */
        void (*gone)(Caller *c, void *userdata);
        /* It has read: there may be room for a frame that is held. */
        void (*room)(Caller *c, void *userdata);
} CallersHandler;

struct Callers {
        sd_bus *bus; /* borrowed */
        bool system;
        FdLedger *ledger; /* borrowed */
        Quota *quota;     /* borrowed; NULL: nobody is charged for calls that are held */
        const CallersHandler *handler;
        void *userdata;
        List callers;
        sd_bus_slot *filter_slot, *gone_slot;
};

/* @bus must be a bus connection whose vtables are added afterwards or before, but that is not processed
 * yet. @system: it is the system's, see identity_new(). */
int callers_init(Callers *c, sd_bus *bus, bool system, FdLedger *ledger, const CallersHandler *handler,
                 void *userdata);
void callers_deinit(Callers *c);

/* Whether calls are held at this moment. */
bool callers_hold_calls(const Callers *c);

/* Whether calls wait for room. */
bool callers_wait_for_room(const Callers *c);

/* @m, a call of @c's, comes again when fd_account_check_reply() says yes. As a method handler. */
int caller_wait_for_room(Caller *c, sd_bus_message *m);

/* A reply with a descriptor was sent to it. What that descriptor is the other end of proves this with its
 * first byte: caller_read_reply() with the number returned here. */
uint64_t caller_sent_reply(Caller *c);
void caller_read_reply(Caller *c, uint64_t reply);

/* The sender of @m, or NULL if it has left the bus. */
Caller *callers_of(Callers *c, sd_bus_message *m);

/* Whether the bus driver itself says this. A match on its name lets directed signals of any connection
 * through: sd-bus does not know who owns a well-known name. */
bool callers_from_driver(sd_bus_message *m);

/* The connection with that unique name, or NULL. */
Caller *callers_find(Callers *c, const char *unique_name);
