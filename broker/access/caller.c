/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See caller.h. Order: held messages are queued again one at a time, the next when the one before was seen
 * again; newer ones of that sender join the held ones meanwhile. sd_bus_query_sender_creds() and sd_bus_track
 * are not used: both wait for the driver.
 */
#include "broker/access/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/names.h"

typedef struct HeldMessage {
        List link; /* Caller::held */
        sd_bus_message *message;
} HeldMessage;

static void held_free(HeldMessage *h) {
        list_remove(&h->link);
        sd_bus_message_unref(h->message);
        free(h);
}

static void caller_free(Caller *c) {
        HeldMessage *h, *tmp;

        list_for_each_safe(h, tmp, &c->held, link)
                held_free(h);
        list_remove(&c->link);
        sd_bus_message_unref(c->expected);
        sd_bus_slot_unref(c->credentials_slot);
        sd_bus_slot_unref(c->probe_slot);
        free(c->unique_name);
        free(c);
}

Caller *callers_find(Callers *cs, const char *unique_name) {
        Caller *c;

        list_for_each(c, &cs->callers, link)
                if (strcmp(c->unique_name, unique_name) == 0)
                        return c;
        return NULL;
}

Caller *callers_of(Callers *cs, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return sender ? callers_find(cs, sender) : NULL;
}

bool callers_hold_calls(const Callers *cs) {
        const Caller *c;

        list_for_each(c, &cs->callers, link)
                if (c->state != CALLER_KNOWN)
                        return true;
        return false;
}

static void caller_gone(Caller *c) {
        c->callers->handler->gone(c, c->callers->userdata);
        caller_free(c);
}

bool callers_from_driver(sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return sender && strcmp(sender, "org.freedesktop.DBus") == 0;
}

static int on_name_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old, *new;
        Caller *c;

        if (callers_from_driver(m) && sd_bus_message_read(m, "sss", &name, &old, &new) >= 0 &&
            name[0] == ':' && !new[0]) {
                c = callers_find(userdata, name);
                if (c)
                        caller_gone(c);
        }
        return 0;
}

/* The credentials' keys that count; others are skipped. */
static int read_credentials(sd_bus_message *m, Caller *c) {
        uint32_t uid = (uint32_t)-1, pid = 0;
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                if (strcmp(key, "UnixUserID") == 0)
                        r = sd_bus_message_read(m, "v", "u", &uid);
                else if (strcmp(key, "ProcessID") == 0)
                        r = sd_bus_message_read(m, "v", "u", &pid);
                else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r < 0)
                return r;
        if (uid == (uint32_t)-1)
                return -ENODATA;
        c->uid = uid;
        c->pid = (pid_t)pid;
        return 0;
}

static void release_next(Caller *c);

static int on_credentials(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Caller *c = userdata;

        c->credentials_slot = sd_bus_slot_unref(c->credentials_slot);
        /* an error: it has left already, and nobody waits for its answers */
        if (sd_bus_message_is_method_error(m, NULL) > 0 || read_credentials(m, c) < 0)
                caller_gone(c);
        else
                release_next(c);
        return 0;
}

static int on_probe(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Caller *c = userdata;

        c->probe_slot = sd_bus_slot_unref(c->probe_slot);
        if (callers_from_driver(m) &&
            (sd_bus_message_is_method_error(m, SD_BUS_ERROR_NOT_SUPPORTED) > 0 ||
             sd_bus_message_is_method_error(m, SD_BUS_ERROR_FAILED) > 0))
                c->cannot_pass_fds = true;
        return 0;
}

static bool needs_fds(sd_bus_message *m) {
        static const char *const members[] = { "Subscribe", "Attach", "AttachTo", "Publish" };
        const char *member = sd_bus_message_get_member(m);

        for (size_t i = 0; member && i < FB_ELEMENTSOF(members); i++)
                if (strcmp(member, members[i]) == 0)
                        return true;
        return false;
}

static void probe_fds(Caller *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        c->probed = true;
        if (fd < 0 ||
            sd_bus_message_new_method_call(c->callers->bus, &m, c->unique_name, "/",
                                           "org.freedesktop.DBus.Peer", "Ping") < 0 ||
            sd_bus_message_append(m, "h", fd) < 0 || sd_bus_message_set_auto_start(m, 0) < 0)
                return;
        (void)sd_bus_call_async(c->callers->bus, &c->probe_slot, m, on_probe, c, 0);
}

static int ask(Caller *c, bool with_fds) {
        if (with_fds && !c->probed)
                probe_fds(c);
        c->state = CALLER_ASKED;
        return sd_bus_call_method_async(c->callers->bus, &c->credentials_slot, "org.freedesktop.DBus",
                                        "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                        "GetConnectionCredentials", on_credentials, c, "s", c->unique_name);
}

/* Queues the oldest held message again, behind what the connection has already read. */
static void release_next(Caller *c) {
        HeldMessage *h = list_first(&c->held, HeldMessage, link);

        c->state = h ? CALLER_DRAINING : CALLER_KNOWN;
        if (!h)
                return;
        if (!c->probed && needs_fds(h->message) && ask(c, true) >= 0)
                return; /* again when that is answered */
        if (sd_bus_enqueue_for_read(c->callers->bus, h->message) >= 0)
                c->expected = sd_bus_message_ref(h->message);
        held_free(h);
        c->n_held--;
        if (!c->expected)
                release_next(c);
}

static Caller *caller_new(Callers *cs, const char *unique_name) {
        Caller *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        c->unique_name = strdup(unique_name);
        if (!c->unique_name) {
                free(c);
                return NULL;
        }
        c->callers = cs;
        c->uid = (uid_t)-1;
        list_init(&c->held);
        list_append(&cs->callers, &c->link);
        return c;
}

static int hold(Caller *c, sd_bus_message *m) {
        HeldMessage *h;

        if (c->n_held >= CALLER_HELD_MAX)
                return sd_bus_reply_method_errorf(
                                m, FB_ERROR_LIMITS_EXCEEDED,
                                "more than %u calls while the caller's credentials are asked for",
                                CALLER_HELD_MAX);
        h = calloc(1, sizeof *h);
        if (!h)
                return -ENOMEM;
        h->message = sd_bus_message_ref(m);
        list_append(&c->held, &h->link);
        c->n_held++;
        return 1;
}

/* 1: kept from the vtables; 0: goes on. */
static int on_first_message(Callers *cs, sd_bus_message *m, const char *sender) {
        Caller *c = caller_new(cs, sender);

        if (!c)
                return -ENOMEM;
        if (ask(c, needs_fds(m)) < 0) {
                caller_free(c);
                return -ENOMEM;
        }
        return hold(c, m);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *sender = sd_bus_message_get_sender(m);
        Callers *cs = userdata;
        Caller *c;

        if (sd_bus_message_is_method_call(m, NULL, NULL) <= 0 || !sender || sender[0] != ':')
                return 0;
        c = callers_find(cs, sender);
        if (!c)
                return on_first_message(cs, m, sender);
        if (c->state == CALLER_KNOWN && (c->probed || !needs_fds(m)))
                return 0;
        if (c->state == CALLER_DRAINING && m == c->expected) {
                c->expected = sd_bus_message_unref(c->expected);
                release_next(c);
                return 0;
        }
        if (c->state == CALLER_KNOWN && ask(c, true) < 0)
                return 0;
        return hold(c, m);
}

int callers_init(Callers *cs, sd_bus *bus, const CallersHandler *handler, void *userdata) {
        int r;

        *cs = (Callers){ .bus = bus, .handler = handler, .userdata = userdata };
        list_init(&cs->callers);
        r = sd_bus_add_filter(bus, &cs->filter_slot, on_message, cs);
        if (r < 0)
                return r;
        return sd_bus_match_signal_async(bus, &cs->gone_slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                         "org.freedesktop.DBus", "NameOwnerChanged", on_name_owner_changed,
                                         NULL, cs);
}

void callers_deinit(Callers *cs) {
        Caller *c, *tmp;

        if (!cs->bus)
                return;
        list_for_each_safe(c, tmp, &cs->callers, link)
                caller_free(c);
        cs->filter_slot = sd_bus_slot_unref(cs->filter_slot);
        cs->gone_slot = sd_bus_slot_unref(cs->gone_slot);
        cs->bus = NULL;
}
