/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/manager.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

typedef struct Question {
        Client *client;
        void (*ask)(Client *c, sd_bus *bus, void *userdata);
        void *userdata;
} Question;

static int bus_open(const char *address, sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (strcmp(address, "system") == 0)
                r = sd_bus_open_system(&bus);
        else if (strcmp(address, "session") == 0)
                r = sd_bus_open_user(&bus);
        else {
                r = sd_bus_new(&bus);
                if (r >= 0)
                        r = sd_bus_set_address(bus, address);
                if (r >= 0)
                        r = sd_bus_set_bus_client(bus, 1);
                if (r >= 0)
                        r = sd_bus_start(bus);
        }
        if (r < 0)
                return r;
        *ret = take_ptr(bus);
        return 0;
}

static void connect_and_ask(Question *q) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        Client *c = q->client;
        const char *address = framebus_get_address(c->fb);
        int r;

        r = bus_open(address ? address : "session", &bus);
        if (r < 0) {
                client_fail_errno(c, r, "cannot connect to the bus");
                return;
        }
        if (c->options->has_timeout)
                (void)sd_bus_set_method_call_timeout(bus, c->options->timeout_ns / NSEC_PER_USEC);
        q->ask(c, bus, q->userdata);
}

static void on_source(framebus *fb, const struct framebus_source_info *info,
                      const struct framebus_error *error, void *userdata) {
        Question *q = userdata;

        if (error)
                client_fail(q->client, error);
        else if (!info)
                connect_and_ask(q);
}

void manager_ask(Client *c, void (*ask)(Client *c, sd_bus *bus, void *userdata), void *userdata) {
        static Question q; /* one a process */
        int r;

        q = (Question){ c, ask, userdata };
        client_wait_for(c, "an answer of the broker", 30 * NSEC_PER_SEC);
        r = framebus_list(c->fb, on_source, &q);
        if (r < 0)
                client_fail_errno(c, r, "cannot ask the broker");
}

void manager_fail(Client *c, int r, const sd_bus_error *error) {
        if (sd_bus_error_is_set(error))
                client_fail(c, &(struct framebus_error){ error->name, error->message, -r });
        else
                client_fail_errno(c, r, "the broker's answer is not one");
}
