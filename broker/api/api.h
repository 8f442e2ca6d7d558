/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the interfaces' implementations share: the broker's parts, put together. Streams, conduits,
 * publications and access know nothing of each other; here they meet.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "broker/access/access.h"
#include "broker/access/caller.h"
#include "broker/access/quota.h"
#include "broker/api/source-interfaces.h"
#include "broker/api/audit.h"
#include "broker/conduit/bus.h"
#include "broker/conduit/peer.h"
#include "broker/stream/order.h"
#include "broker/stream/registry.h"
#include "wire/fd-ledger.h"

typedef struct Api Api;

typedef struct ApiHandler {
        /* Something began or ended: api_is_busy() may have changed. */
        void (*activity)(Api *api, void *userdata);
} ApiHandler;

typedef struct ApiConfig {
        bool system;
        const char *capture_socket; /* system bus: where capture programs are reached; borrowed */
        const char *const *rules_folders; /* see rules_load(); borrowed */
        size_t n_rules_folders;
        uint64_t program_period_ns; /* how often a capture program has to answer; UINT64_MAX: never */
} ApiConfig;

struct Api {
        sd_event *event; /* borrowed */
        sd_bus *bus;     /* borrowed */
        ApiConfig config;
        const ApiHandler *handler;
        void *userdata;
        Access access;
        Audit audit;
        Order order;
        Callers callers;
        Quota quota;
        Registry sources;   /* of Source::entry */
        List waiting;       /* of Source::waiting_link: publishers in line for a name */
        List subscriptions; /* of Subscription::link */
        List viewers;       /* of LegacyViewer::link */
        List legacy_names;  /* of LegacyName::link */
        FdLedger ledger;
        PeerBudget peer_budget;
        char epoch[33];
        unsigned int n_watches;
        unsigned int n_busy_sources; /* with a capture program at work or a call waiting for it */
        sd_bus_slot *manager_slot, *object_manager_slot, *subscription_slot, *errors_slot,
                        *legacy_slot;
        sd_bus_slot *source_slots[SOURCE_INTERFACES_MAX + 1]; /* the last one: of their names */
};

/* Adds all objects and filters to @bus. */
int api_init(Api *api, sd_event *event, sd_bus *bus, const ApiConfig *config, const ApiHandler *handler,
             void *userdata);
/* Ends all that there is, without a word to anybody. */
void api_deinit(Api *api);

/* Ends every subscription with Ended(@reason). */
void api_end_all(Api *api, const char *reason);

/* Whether leaving the bus now would be noticed: subscriptions, publishers, watchers, capture programs. */
bool api_is_busy(const Api *api);

static inline void api_activity(Api *api) {
        api->handler->activity(api, api->userdata);
}
