/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A name of PulseVideo's, and the connection that owns it. It has callers and books of descriptors of its
 * own, as the bus daemon has for each connection.
 */
#include "broker/api/legacy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "interfaces/names.h"

static void on_caller_gone(Caller *c, void *userdata) {
        LegacyName *n = userdata;

        legacy_caller_gone(n->source->api, &n->callers, c->unique_name);
}

static void on_caller_room(Caller *c, void *userdata) {
        LegacyName *n = userdata;

        legacy_caller_room(n->source->api, &n->callers, c->unique_name);
}

static const CallersHandler callers_handler = { .gone = on_caller_gone, .room = on_caller_room };

static int on_requested(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        LegacyName *n = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(m);
        uint32_t answer = 0;

        n->request_slot = sd_bus_slot_unref(n->request_slot);
        if (!error)
                (void)sd_bus_message_read(m, "u", &answer);
        if (error || answer == 2) /* in the queue */
                log_warning("source %s: %s is not to be had: %s", n->source->name, n->name,
                            error ? error->message : "somebody else owns it; taken when it is free");
        return 0;
}

static int connect_bus(LegacyName *n) {
        Api *api = n->source->api;
        int r;

        r = api->config.system ? sd_bus_open_system_with_description(&n->bus, n->name) :
                                 sd_bus_open_user_with_description(&n->bus, n->name);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(n->bus, 1);
        if (r >= 0) /* before that of the callers is added: it comes behind it */
                r = sd_bus_add_filter(n->bus, &n->filter_slot, legacy_filter, api);
        if (r >= 0)
                r = callers_init(&n->callers, n->bus, api->config.system, &n->ledger, &callers_handler, n);
        n->callers.quota = &api->quota;
        if (r >= 0)
                r = legacy_add_vtables(n);
        if (r >= 0)
                r = sd_bus_attach_event(n->bus, api->event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? r :
                       sd_bus_request_name_async(n->bus, &n->request_slot, n->name,
                                                 SD_BUS_NAME_QUEUE | SD_BUS_NAME_ALLOW_REPLACEMENT |
                                                                 SD_BUS_NAME_REPLACE_EXISTING,
                                                 on_requested, n);
}

int legacy_name_new(Source *s, const char *suffix) {
        LegacyName *n = calloc(1, sizeof *n);
        Api *api = s->api;
        int r;

        if (!n)
                return -ENOMEM;
        n->source = s;
        fd_ledger_init(&n->ledger, api->config.system ? (uid_t)-1 : api->access.own);
        list_append(&api->legacy_names, &n->link);
        if (asprintf(&n->name, "%s%s", FB_LEGACY_NAME_PREFIX, suffix) < 0) {
                n->name = NULL;
                r = -ENOMEM;
        } else
                r = connect_bus(n);
        if (r < 0)
                legacy_name_free(n);
        return r < 0 ? r : 0;
}

LegacyName *legacy_name_free(LegacyName *n) {
        list_remove(&n->link);
        callers_deinit(&n->callers);
        sd_bus_slot_unref(n->request_slot);
        sd_bus_slot_unref(n->filter_slot);
        sd_bus_slot_unref(n->object_slots[0]);
        sd_bus_slot_unref(n->object_slots[1]);
        sd_bus_flush_close_unref(n->bus);
        free(n->name);
        free(n);
        return NULL;
}

LegacyName *legacy_name_of(Api *api, const sd_bus *bus) {
        LegacyName *n;

        list_for_each(n, &api->legacy_names, link)
                if (n->bus == bus)
                        return n;
        return NULL;
}
