/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One subscription: binds a stream's subscriber to the conduit that its signals leave by, and to who asked
 * for it. Its D-Bus interface is in subscription-interface.c.
 *
 * A channel that was handed out stays on the caller's account until hang-up, even if the subscription ends
 * before anybody has opened it: whoever opens it then gets Ended and nothing else.
 */
#pragma once

#include "broker/api/options.h"
#include "broker/api/source.h"

typedef struct Subscription {
        Subscriber subscriber;
        List link; /* Api::subscriptions */
        Api *api;
        Source *source;    /* NULL: it has ended, and the channel was not hung up yet */
        char *source_path;
        char *source_name;
        char *path;   /* of the object */
        char *client; /* unique name of who asked */
        uid_t uid;
        pid_t pid;
        Identity *identity; /* of who asked: outlives its connection */
        uint64_t since_ns, granted_seq;
        Channel *channel;    /* peer */
        uint64_t reply_mark; /* of the answer that its other end is in, see caller.h; 0: it is in none */
        union {
                Conduit conduit;
                BusConduit bus;
                PeerConduit peer;
        };
        Bounds bounds; /* of a share: what its options may be at most */
        bool has_commits; /* counted in Source::commits */
        /* there, at the path from which it moves, or not (yet) */
        enum { LISTENS_NOT, LISTENS_OLD, LISTENS } listens;
        QuotaCharge charge; /* to its user, until it is freed */
        bool counted;       /* in Caller::n_channels of its maker */
        char ended_reason[32];
        uint64_t ended_order;
} Subscription;

/* A subscription on the bus, for @c. Takes over @o->wishes. 0, or a filled @ret_error. */
int subscription_new_bus(Source *s, Caller *c, Options *o, const Mode *mode, Subscription **ret,
                         sd_bus_error *ret_error);
/* The same on a channel of its own; @fd_consume is the broker's end. */
int subscription_new_peer(Source *s, Caller *c, Options *o, const Mode *mode, int fd_consume,
                          Subscription **ret, sd_bus_error *ret_error);

/* It gets nothing from now on. On the bus it is gone; a channel stays on the books until hang-up, since
 * descriptors that were not read keep counting. */
void subscription_end(Subscription *s);

/* Frees it without a word. Returns NULL. */
Subscription *subscription_free(Subscription *s);

/* It may get frames: on the bus once the reply is sent, on a channel once that is open. */
void subscription_activate(Subscription *s);

const char *subscription_get_path(const Subscription *s);

/* The caller has left the bus: its subscriptions on the bus end. */
void subscriptions_caller_gone(Api *api, const char *client);

/* The caller has read something: there may be room for a frame that is held. */
void subscriptions_caller_room(Api *api, const char *client);

/* Errors that answer a Frame on the bus. A filter. */
int subscriptions_on_error(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* Says why no window can be granted. */
int subscription_refuse(const FdRefusal *why, sd_bus_error *ret_error);

/* In share.c: Share, as a method handler. */
int subscription_method_share(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* In subscription-interface.c: */
int subscription_append_lost(sd_bus_message *m, const uint64_t lost[static _LOSS_MAX]);
int subscription_add_vtable(Subscription *s, sd_bus *bus);  /* on a channel */
int subscriptions_add_vtable(Api *api, sd_bus_slot **slot); /* all those on the bus */
