/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watching: matches on the bus, then Watch (which keeps the broker running), then a full look; from then on
 * signals of the broker that answered. When it goes, its sources go, and all but the matches is done again
 * with the next one.
 *
 * A signal that says less than everything (properties invalidated) has the full look repeated.
 */
#include "libframebus/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "libframebus/export.h"
#include "libframebus/sources.h"

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata);
static int watch_look(Watch *w);

/* What is known */

static Source *find(Watch *w, const char *path) {
        Source *s;

        list_for_each(s, &w->sources, link)
                if (strcmp(s->path, path) == 0)
                        return s;
        return NULL;
}

static Source *find_or_add(const char *path, void *userdata) {
        Watch *w = userdata;
        Source *s = find(w, path);

        if (!s) {
                s = source_new(path);
                if (!s)
                        return NULL;
                list_append(&w->sources, &s->link);
        }
        s->seen = true;
        return s;
}

static void watch_tell_changed(Watch *w, const Source *s) {
        struct framebus_source_info info;

        source_get_info(s, &info);
        if (!w->closed && w->events->changed)
                w->events->changed(w->fb, &info, w->userdata);
}

static void watch_remove(Watch *w, Source *s) {
        list_remove(&s->link);
        if (!w->closed && w->events->removed)
                w->events->removed(w->fb, s->name ?: "", w->userdata);
        source_free(s);
}

static void watch_remove_all(Watch *w) {
        Source *s;

        while ((s = list_first(&w->sources, Source, link)))
                watch_remove(w, s);
}

/* Coming and going */

static void watch_retry(Watch *w) {
        w->call = sd_bus_slot_unref(w->call);
        free(take_ptr(w->owner));
        watch_remove_all(w);
        if (!w->closed && !w->fb->lost)
                (void)connection_set_timer(w->fb, &w->timer, connection_backoff_ns(w->attempt++), on_timer,
                                           w);
}

static void watch_fail(Watch *w, const struct framebus_error *error) {
        if (!w->closed && w->events->failed)
                w->events->failed(w->fb, error, w->userdata);
        watch_retry(w);
}

static void watch_fail_errno(Watch *w, int r) {
        struct framebus_error error = { .name = SD_BUS_ERROR_FAILED, .message = strerror(-r), .error = -r };

        watch_fail(w, &error);
}

/* A callback may end the watch in the middle of this: then it is told nothing more, and freed later. */
static int on_objects(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Watch *w = userdata;
        struct framebus_error error;
        Source *s, *next;
        int r;

        w->call = sd_bus_slot_unref(w->call);
        if (message_get_error(m, &error)) {
                watch_fail(w, &error);
                return 0;
        }
        list_for_each(s, &w->sources, link)
                s->seen = false;
        r = sources_read_objects(m, find_or_add, w);
        if (r < 0) {
                watch_fail_errno(w, r);
                return 0;
        }
        w->attempt = 0;
        list_for_each_safe(s, next, &w->sources, link)
                if (s->seen)
                        watch_tell_changed(w, s);
                else
                        watch_remove(w, s);
        return 0;
}

static int watch_look(Watch *w) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = sources_new_get_objects(w->fb->bus, w->owner, &m);

        if (r < 0)
                return r;
        w->call = sd_bus_slot_unref(w->call);
        return connection_call(w->fb, &w->call, m, on_objects, w);
}

static void send_unwatch(sd_bus *bus, const char *owner) {
        _cleanup_message_ sd_bus_message *m = NULL;

        if (sd_bus_message_new_method_call(bus, &m, owner, FB_PATH_MANAGER, FB_IFACE_MANAGER, "Unwatch") >=
                            0 &&
            sd_bus_message_set_expect_reply(m, 0) >= 0)
                (void)sd_bus_send(bus, m, NULL);
}

/* Without a watch in @userdata it was ended meanwhile: what the broker counts is taken back. */
static int on_watching(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Watch *w = userdata;
        struct framebus_error error;
        int r;

        if (!w) {
                if (!message_get_error(m, &error))
                        send_unwatch(sd_bus_message_get_bus(m), sd_bus_message_get_sender(m));
                return 0;
        }
        w->call = sd_bus_slot_unref(w->call);
        if (message_get_error(m, &error)) {
                watch_fail(w, &error);
                return 0;
        }
        w->owner = strdup(sd_bus_message_get_sender(m) ?: FB_BUS_NAME);
        r = w->owner ? watch_look(w) : -ENOMEM;
        if (r < 0)
                watch_fail_errno(w, r);
        return 0;
}

static int watch_ask(Watch *w) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(w->fb->bus, &m, FB_BUS_NAME, FB_PATH_MANAGER, FB_IFACE_MANAGER,
                                               "Watch");

        return r < 0 ? r : connection_call(w->fb, &w->call, m, on_watching, w);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Watch *w = userdata;
        int r;

        w->timer = sd_event_source_disable_unref(w->timer);
        r = watch_ask(w);
        if (r < 0)
                watch_fail_errno(w, r);
        return 0;
}

void watch_on_owner_changed(Watch *w, const char *old_owner, const char *new_owner) {
        if (w->closed)
                return;
        if (w->owner && strcmp(w->owner, old_owner) == 0)
                watch_retry(w);
        if (w->timer && *new_owner)
                (void)connection_set_timer(w->fb, &w->timer, 0, on_timer, w);
}

/* Signals */

static bool is_ours(Watch *w, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return !w->closed && w->owner && sender && strcmp(sender, w->owner) == 0;
}

static int on_added(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Watch *w = userdata;
        const char *path;
        Source *s = NULL;

        if (is_ours(w, m) && sd_bus_message_read(m, "o", &path) > 0 &&
            sources_read_interfaces(m, path, find_or_add, w, &s) > 0)
                watch_tell_changed(w, s);
        return 0;
}

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Watch *w = userdata;
        const char *path, *interface;
        Source *s;

        if (!is_ours(w, m) || sd_bus_message_read(m, "o", &path) <= 0 || !(s = find(w, path)) ||
            sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "s") < 0)
                return 0;
        while (sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &interface) > 0)
                if (strcmp(interface, FB_IFACE_SOURCE) == 0) {
                        watch_remove(w, s);
                        break;
                }
        return 0;
}

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Watch *w = userdata;
        const char *interface, *invalidated;
        Source *s;

        if (!is_ours(w, m) || sd_bus_message_read(m, "s", &interface) <= 0 ||
            strcmp(interface, FB_IFACE_SOURCE) != 0 || !(s = find(w, sd_bus_message_get_path(m))))
                return 0;
        if (source_read_properties(s, m) < 0 ||
            (sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "s") > 0 &&
             sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &invalidated) > 0))
                (void)watch_look(w);
        else
                watch_tell_changed(w, s);
        return 0;
}

/* Without the matches nothing changes any more: told, but no reason for sd-bus to give up the bus. */
static int on_match_installed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Watch *w = userdata;
        struct framebus_error error;

        if (message_get_error(m, &error) && !w->closed && w->events->failed)
                w->events->failed(w->fb, &error, w->userdata);
        return 0;
}

static int watch_match(Watch *w) {
        static const struct {
                const char *rule;
                sd_bus_message_handler_t callback;
        } rules[] = {
                { "type='signal',sender='" FB_BUS_NAME "',path='" FB_PATH_MANAGER "',"
                  "interface='org.freedesktop.DBus.ObjectManager',member='InterfacesAdded'",
                  on_added },
                { "type='signal',sender='" FB_BUS_NAME "',path='" FB_PATH_MANAGER "',"
                  "interface='org.freedesktop.DBus.ObjectManager',member='InterfacesRemoved'",
                  on_removed },
                { "type='signal',sender='" FB_BUS_NAME "',path_namespace='" FB_PATH_SOURCE_PREFIX "',"
                  "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',"
                  "arg0='" FB_IFACE_SOURCE "'",
                  on_properties },
        };
        int r = 0;

        _Static_assert(FB_ELEMENTSOF(rules) == FB_ELEMENTSOF(w->matches), "a slot for each match");
        for (size_t i = 0; r >= 0 && i < FB_ELEMENTSOF(rules); i++)
                r = sd_bus_add_match_async(w->fb->bus, &w->matches[i], rules[i].rule, rules[i].callback,
                                           on_match_installed, w);
        return r;
}

static int watch_start(Watch *w) {
        int r = watch_match(w);

        return r < 0 ? r : watch_ask(w);
}

static void on_bus_ready(Waiter *waiter) {
        Watch *w = list_entry(waiter, Watch, waiter);
        int r = watch_start(w);

        if (r < 0)
                watch_fail_errno(w, r);
}

/* For programs */

Watch *watch_free(Watch *w) {
        Source *s;

        if (!w)
                return NULL;
        sd_bus_slot_unref(w->call);
        for (size_t i = 0; i < FB_ELEMENTSOF(w->matches); i++)
                sd_bus_slot_unref(w->matches[i]);
        sd_event_source_disable_unref(w->timer);
        list_remove(&w->waiter.link);
        list_remove(&w->link);
        while ((s = list_first(&w->sources, Source, link)))
                source_free(s);
        free(w->owner);
        free(w);
        return NULL;
}

FB_DEFINE_CLEANUP(Watch *, watch_free)

void watch_reap(Watch *w) {
        if (w->closed)
                watch_free(w);
}

static Watch *watch_get(framebus *fb) {
        Watch *w;

        list_for_each(w, &fb->watches, link)
                if (!w->closed)
                        return w;
        return NULL;
}

FB_PUBLIC int framebus_watch(framebus *fb, const struct framebus_watch_events *events, void *userdata) {
        _cleanup_(watch_freep) Watch *w = NULL;
        int r;

        if (!events || events->version > FRAMEBUS_WATCH_EVENTS_VERSION)
                return -EINVAL;
        r = connection_check(fb);
        if (r < 0)
                return r;
        if (watch_get(fb))
                return -EBUSY;
        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->fb = fb;
        w->events = events;
        w->userdata = userdata;
        list_init(&w->sources);
        list_append(&fb->watches, &w->link);
        if (fb->bus)
                r = watch_start(w);
        else
                connection_when_ready(fb, &w->waiter, on_bus_ready);
        if (r < 0)
                return r;
        w = NULL;
        return 0;
}

FB_PUBLIC void framebus_unwatch(framebus *fb) {
        Watch *w = watch_get(fb);

        if (!w)
                return;
        if (w->owner && !fb->lost)
                send_unwatch(fb->bus, w->owner);
        else if (w->call && sd_bus_slot_set_floating(w->call, 1) >= 0) /* Watch is on its way */
                (void)sd_bus_slot_set_userdata(w->call, NULL);
        w->call = sd_bus_slot_unref(w->call);
        w->timer = sd_event_source_disable_unref(w->timer);
        w->closed = true;
        if (!fb->processing)
                watch_free(w);
}
