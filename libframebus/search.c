/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Without an address: the system bus if a broker shows a source there, else the session bus, else the system
 * bus after all (its errors then say what is the matter). The question to the system bus activates the broker
 * there and has five seconds; what is asked of the connection meanwhile waits.
 */
#include "libframebus/search.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "libframebus/sources.h"

static void bus_closep(sd_bus **bus) {
        sd_bus_close_unref(*bus);
}

static int bus_open_address(sd_bus **ret_bus, const char *address) {
        _cleanup_(bus_closep) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, 1);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret_bus = take_ptr(bus);
        return 0;
}

static bool is_no_bus(int r) {
        return r == -ENOENT || r == -ECONNREFUSED || r == -ENOMEDIUM || r == -ENOTDIR || r == -EACCES;
}

static int bus_open(framebus *fb, const char *address, sd_bus **ret_bus) {
        _cleanup_(bus_closep) sd_bus *bus = NULL;
        bool known = true;
        int r;

        if (strcmp(address, "system") == 0)
                r = sd_bus_open_system_with_description(&bus, "framebus");
        else if (strcmp(address, "session") == 0)
                r = sd_bus_open_user_with_description(&bus, "framebus");
        else {
                known = false;
                r = bus_open_address(&bus, address);
        }
        if (r < 0)
                return known && is_no_bus(r) ? -ENOMEDIUM : r;
        r = sd_bus_attach_event(bus, fb->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        *ret_bus = take_ptr(bus);
        return 0;
}

/* The session bus, or the system bus @system_consume (may be NULL) if there is no other. */
static int search_settle_session(framebus *fb, sd_bus *system_consume) {
        _cleanup_(bus_closep) sd_bus *system = system_consume, *session = NULL;
        int r = bus_open(fb, "session", &session);

        if (r >= 0)
                return connection_adopt_bus(fb, take_ptr(session), "session");
        if (!system)
                return r;
        return connection_adopt_bus(fb, take_ptr(system), "system");
}

static void search_end(framebus *fb, bool system_has_sources) {
        sd_bus *system = take_ptr(fb->candidate);
        int r;

        fb->candidate_call = sd_bus_slot_unref(fb->candidate_call);
        fb->candidate_deadline = sd_event_source_disable_unref(fb->candidate_deadline);
        r = system_has_sources ? connection_adopt_bus(fb, system, "system")
                               : search_settle_session(fb, system);
        if (r < 0)
                fb->lost = true;
}

static int on_system_sources(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        struct framebus_error error;

        search_end(userdata, !message_get_error(m, &error) && sources_reply_has_any(m));
        return 0;
}

/* A timer of our own: those of calls stand still until a bus has authenticated us. */
static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata) {
        search_end(userdata, false);
        return 0;
}

static int search_ask_system(framebus *fb) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = sources_new_get_objects(fb->candidate, FB_BUS_NAME, &m);

        if (r >= 0)
                r = sd_bus_call_async(fb->candidate, &fb->candidate_call, m, on_system_sources, fb,
                                      UINT64_MAX);
        return r < 0 ? r
                     : connection_set_timer(fb, &fb->candidate_deadline, SEARCH_DEADLINE_NS, on_deadline, fb);
}

int search_start(framebus *fb, const char *address) {
        _cleanup_(bus_closep) sd_bus *bus = NULL;
        int r;

        if (!address)
                address = secure_getenv("FRAMEBUS_ADDRESS");
        if (address && strcmp(address, "none") == 0) {
                fb->address = strdup(address);
                return fb->address ? 0 : -ENOMEM;
        }
        fb->has_broker = true;
        if (address && *address) {
                r = bus_open(fb, address, &bus);
                return r < 0 ? r : connection_adopt_bus(fb, take_ptr(bus), address);
        }
        r = bus_open(fb, "system", &fb->candidate);
        return r < 0 ? search_settle_session(fb, NULL) : search_ask_system(fb);
}
