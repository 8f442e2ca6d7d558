/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/broker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "broker/api/api.h"
#include "broker/feeds.h"
#include "broker/folders.h"
#include "broker/lifecycle.h"

/* What clients may make us hold is bounded per client, but sd-bus takes up to 1024 descriptors in one message
 * that is not complete yet: as many as we can have, then. What we send is bounded far below the default soft
 * limit, see wire.h. */
#define FDS_WANTED 524288

#define CAPTURE_SOCKET "/run/framebus/capture"

typedef struct Broker {
        sd_event *event;
        sd_bus *bus;
        Api api;
        Feeds feeds;
        Folders rules_folders;
        Lifecycle lifecycle;
        bool api_ready, feeds_ready, lifecycle_ready;
} Broker;

static void on_activity(Api *api, void *userdata) {
        Broker *b = userdata;

        if (b->lifecycle_ready)
                lifecycle_activity(&b->lifecycle);
}

static const ApiHandler api_handler = { .activity = on_activity };

static void block_signals(void) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGCHLD);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
}

static int open_bus(Broker *b, bool system) {
        int r = system ? sd_bus_open_system_with_description(&b->bus, "framebusd") :
                         sd_bus_open_user_with_description(&b->bus, "framebusd");

        if (r < 0) {
                log_error("cannot connect to the %s bus: %s%s", system ? "system" : "session", strerror(-r),
                          system ? "" : " (DBUS_SESSION_BUS_ADDRESS says where it is)");
                return r;
        }
        r = sd_bus_set_exit_on_disconnect(b->bus, 1);
        return r < 0 ? r : sd_bus_attach_event(b->bus, b->event, SD_EVENT_PRIORITY_NORMAL);
}

static int broker_init(Broker *b, const BrokerOptions *options) {
        ApiConfig config = { .system = options->system, .capture_socket = CAPTURE_SOCKET,
                             .program_period_ns = options->program_period_ns,
                             .rules_folders = b->rules_folders.list };
        LifecycleOptions lifecycle = { .replace = options->replace, .queue = options->queue,
                                       .idle_ns = options->idle_ns };
        int r;

        r = sd_event_default(&b->event);
        if (r >= 0)
                r = sd_event_set_watchdog(b->event, 1);
        if (r < 0)
                return r;
        r = open_bus(b, options->system);
        if (r < 0)
                return r;
        folders_of_rules(options->system, options->config, &b->rules_folders);
        config.n_rules_folders = b->rules_folders.n;
        b->api_ready = true;
        r = api_init(&b->api, b->event, b->bus, &config, &api_handler, b);
        if (r < 0)
                return r;
        b->feeds_ready = true;
        r = feeds_init(&b->feeds, &b->api, options->config);
        if (r < 0)
                return r;
        r = lifecycle_init(&b->lifecycle, &b->api, &lifecycle);
        b->lifecycle_ready = r >= 0;
        return r;
}

static void broker_deinit(Broker *b) {
        if (b->lifecycle_ready)
                lifecycle_deinit(&b->lifecycle);
        b->lifecycle_ready = false;
        if (b->feeds_ready)
                feeds_deinit(&b->feeds);
        if (b->api_ready)
                api_deinit(&b->api);
        folders_done(&b->rules_folders);
        sd_bus_flush_close_unref(b->bus);
        sd_event_unref(b->event);
}

int broker_run(const BrokerOptions *options) {
        Broker b = {};
        int r;

        block_signals();
        (void)fd_raise_limit(FDS_WANTED);
        r = broker_init(&b, options);
        if (r < 0)
                log_error("cannot start: %s", strerror(-r));
        else
                r = sd_event_loop(b.event);
        broker_deinit(&b);
        return r < 0 ? 1 : r;
}
