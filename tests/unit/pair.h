/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two connected sd-bus objects in one process, so that what is tested went through a real connection. */
#pragma once

#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/test.h"

typedef struct Pair {
        sd_bus *client, *server;
        sd_bus_message *received; /* by the server */
} Pair;

static inline int pair_on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Pair *p = userdata;

        if (!sd_bus_message_is_signal(m, "org.framebus.Test", NULL))
                return 0;
        sd_bus_message_unref(p->received);
        p->received = sd_bus_message_ref(m);
        return 1;
}

static inline sd_bus *pair_end(int fd, bool server) {
        sd_bus *bus = NULL;

        if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_negotiate_fds(bus, 1) < 0)
                return NULL;
        if (server && (sd_bus_set_server(bus, 1, (sd_id128_t){ .bytes = { 1 } }) < 0 ||
                       sd_bus_set_anonymous(bus, 1) < 0))
                return NULL;
        return sd_bus_start(bus) < 0 ? NULL : bus;
}

static inline bool pair_init(Pair *p) {
        int sv[2];

        *p = (Pair){ 0 };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
                return false;
        p->server = pair_end(sv[0], true);
        p->client = pair_end(sv[1], false);
        if (!p->server || !p->client || sd_bus_add_filter(p->server, NULL, pair_on_message, p) < 0)
                return false;
        for (int i = 0; i < 1000 && !(sd_bus_is_ready(p->server) > 0 && sd_bus_is_ready(p->client) > 0); i++)
                if (sd_bus_process(p->server, NULL) < 0 || sd_bus_process(p->client, NULL) < 0)
                        return false;
        return sd_bus_is_ready(p->server) > 0 && sd_bus_is_ready(p->client) > 0;
}

static inline void pair_deinit(Pair *p) {
        sd_bus_message_unref(p->received);
        sd_bus_close_unref(p->client);
        sd_bus_close_unref(p->server);
}

#define _cleanup_pair_ _cleanup_(pair_deinit)

/* An empty message to be filled, sent with pair_send(). */
static inline sd_bus_message *pair_message(Pair *p) {
        sd_bus_message *m = NULL;

        return sd_bus_message_new_signal(p->client, &m, "/test", "org.framebus.Test", "Test") < 0 ? NULL : m;
}

/* Sends and takes @m; what arrived is borrowed from the pair until the next one. NULL: nothing did. */
static inline sd_bus_message *pair_send(Pair *p, sd_bus_message *m) {
        p->received = sd_bus_message_unref(p->received);
        if (!m || sd_bus_send(p->client, m, NULL) < 0 || sd_bus_flush(p->client) < 0) {
                sd_bus_message_unref(m);
                return NULL;
        }
        sd_bus_message_unref(m);
        for (int i = 0; i < 1000 && !p->received; i++)
                if (sd_bus_process(p->server, NULL) < 0)
                        return NULL;
        return p->received;
}
