/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A subscription, between subscription.c (what the broker says, and the public functions) and attach.c (how
 * it comes and goes). */
#pragma once

#include "interfaces/wire.h"
#include "libframebus/connection.h"
#include "libframebus/maps.h"
#include "libframebus/mode.h"
#include "libframebus/options.h"
#include "wire/channel.h"

typedef enum SubscriptionState {
        SUBSCRIPTION_WAITING,    /* for the bus to be found */
        SUBSCRIPTION_RESOLVING,  /* the source's name is asked for */
        SUBSCRIPTION_REQUESTING, /* Attach or Subscribe was sent */
        SUBSCRIPTION_OPENING,    /* the channel authenticates */
        SUBSCRIPTION_ATTACHED,
        SUBSCRIPTION_BACKOFF, /* tried again later; without a bus never */
        SUBSCRIPTION_ENDED,
        _SUBSCRIPTION_STATE_MAX,
} SubscriptionState;

struct framebus_subscription {
        framebus *fb;
        List link; // framebus::subscriptions
        Waiter waiter;
        bool closed; /* by the user: no callback runs any more, freed at the next reaping */

        char *source; /* NULL: the channel came from somebody else, and is all there is */
        Options options;
        const struct framebus_subscription_events *events;
        void *userdata;

        SubscriptionState state;
        sd_bus_slot *call;
        sd_event_source *timer; /* back-off, or the deadline of opening */
        unsigned int attempt;
        uint64_t attached_ns;
        char *owner; /* unique name of the broker that is talked to */
        char *path;  /* of the subscription on the bus */
        Channel *channel;
        Granted granted;
        Causal causal;

        sd_bus_slot *share_call; /* Share was sent */
        framebus_share_callback share_callback;
        void *share_userdata;

        FormatRef *format; /* as FormatChanged told last */
        Maps *maps;        /* of its leased memory */
        List frames;       // framebus_frame::link; held by the program
        uint64_t generation; /* of the attachment: frames of an earlier one are not released any more */
        uint64_t releases[FB_WINDOW_MAX];
        size_t n_releases;
        struct framebus_subscription_stats stats;
};

/* Changes the state, and asserts that it may. */
void subscription_set_state(framebus_subscription *sub, SubscriptionState state);

/* Runs @callback if there is one and the subscription is not closed. */
#define subscription_tell(sub, callback, ...)                                                           \
        do {                                                                                            \
                if (!(sub)->closed && (sub)->events->callback)                                          \
                        (sub)->events->callback((sub), ##__VA_ARGS__, (sub)->userdata);                 \
        } while (0)

/* One signal of org.framebus.Subscription1 for @sub. */
void subscription_dispatch(framebus_subscription *sub, sd_bus_message *m);

/* The same for what came on the bus. False: not for @sub. */
bool subscription_on_bus_signal(framebus_subscription *sub, sd_bus_message *m);

/* Counts and tells frames that were lost. */
void subscription_lose(framebus_subscription *sub, uint64_t count, const char *reason);

/* How many memories, and so descriptors, a frame in its present format may have. */
unsigned int subscription_count_memories(const framebus_subscription *sub);

/* Gives the credit of frame @seq back: soon. */
void subscription_release(framebus_subscription *sub, uint64_t seq);

/* A message without reply to the broker's end. Negative errno: not attached, or it could not be queued. */
int subscription_new_call(framebus_subscription *sub, const char *member, sd_bus_message **ret);
int subscription_send(framebus_subscription *sub, sd_bus_message *m);

/* Sends what is to be released. */
void subscription_flush(framebus_subscription *sub);
/* Frees it if it was closed. */
void subscription_reap(framebus_subscription *sub);

void subscription_on_bus_lost(framebus_subscription *sub);
void subscription_on_owner_changed(framebus_subscription *sub, const char *old_owner, const char *new_owner);
