/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A query lives until its last callback ran; the callback finds it gone already, and may ask again. */
#include "libframebus/query.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "libframebus/export.h"
#include "libframebus/sources.h"

Query *query_free(Query *q) {
        if (!q)
                return NULL;
        sd_bus_slot_unref(q->call);
        list_remove(&q->waiter.link);
        list_remove(&q->link);
        options_deinit(&q->options);
        control_settings_clear(&q->settings);
        for (char **id = q->ids; id && *id; id++)
                free(*id);
        free(q->ids);
        free(q->source);
        free(q);
        return NULL;
}

FB_DEFINE_CLEANUP(Query *, query_free)

int query_new(framebus *fb, const char *source, void *userdata, Query **ret_query) {
        _cleanup_(query_freep) Query *q = NULL;
        int r = connection_check(fb);

        if (r < 0)
                return r;
        q = calloc(1, sizeof *q);
        if (!q)
                return -ENOMEM;
        q->fb = fb;
        q->userdata = userdata;
        list_append(&fb->queries, &q->link);
        if (source && !(q->source = strdup(source)))
                return -ENOMEM;
        *ret_query = take_ptr(q);
        return 0;
}

void query_fail(Query *query, const struct framebus_error *error) {
        _cleanup_(query_freep) Query *q = query;

        if (q->on_list)
                q->on_list(q->fb, NULL, error, q->userdata);
        else if (q->on_controls)
                q->on_controls(q->fb, NULL, 0, error, q->userdata);
        else if (q->on_values)
                q->on_values(q->fb, NULL, 0, error, q->userdata);
        else
                q->on_negotiate(q->fb, NULL, error, q->userdata);
}

void query_fail_errno(Query *q, int r) {
        struct framebus_error error = {
                .name = r == -EBADMSG ? "org.freedesktop.DBus.Error.InconsistentMessage"
                                      : SD_BUS_ERROR_FAILED,
                .message = strerror(-r),
                .error = -r
        };

        query_fail(q, &error);
}

/* List */

static Source *list_add(const char *path, void *userdata) {
        Source *s = source_new(path);

        if (s)
                list_append(userdata, &s->link);
        return s;
}

static void list_tell(Query *q, List *sources) {
        struct framebus_source_info info;
        Source *s;

        list_for_each(s, sources, link) {
                source_get_info(s, &info);
                q->on_list(q->fb, &info, NULL, q->userdata);
        }
        q->on_list(q->fb, NULL, NULL, q->userdata);
}

static int on_objects(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Query *q = userdata;
        struct framebus_error error;
        List sources = LIST_INIT(sources);
        Source *s;
        int r;

        if (message_get_error(m, &error)) {
                query_fail(q, &error);
                return 0;
        }
        r = sources_read_objects(m, list_add, &sources);
        if (r < 0)
                query_fail_errno(q, r);
        else {
                list_tell(q, &sources);
                query_free(q);
        }
        while ((s = list_first(&sources, Source, link)))
                source_free(s);
        return 0;
}

static int list_send(Query *q) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = sources_new_get_objects(q->fb->bus, FB_BUS_NAME, &m);

        return r < 0 ? r : connection_call(q->fb, &q->call, m, on_objects, q);
}

/* Negotiate */

static int on_negotiated(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Query *q = userdata;
        struct framebus_error error;
        Granted granted;
        int r;

        if (message_get_error(m, &error)) {
                query_fail(q, &error);
                return 0;
        }
        r = granted_read(m, &granted);
        if (r < 0) {
                query_fail_errno(q, -EBADMSG);
                return 0;
        }
        q->on_negotiate(q->fb, &granted.granted, NULL, q->userdata);
        query_free(q);
        return 0;
}

static int negotiate_ask(Query *q, const char *owner, const char *path) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(q->fb->bus, &m, owner, path, FB_IFACE_SOURCE, "Negotiate");

        if (r >= 0)
                r = options_append(m, &q->options);
        return r < 0 ? r : connection_call(q->fb, &q->call, m, on_negotiated, q);
}

static int on_resolved(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Query *q = userdata;
        struct framebus_error error;
        const char *path;
        int r;

        q->call = sd_bus_slot_unref(q->call);
        if (message_get_error(m, &error)) {
                query_fail(q, &error);
                return 0;
        }
        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = q->on_negotiate ? negotiate_ask(q, sd_bus_message_get_sender(m), path)
                                    : controls_ask(q, sd_bus_message_get_sender(m), path);
        if (r < 0)
                query_fail_errno(q, r);
        return 0;
}

static int resolve_send(Query *q) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(q->fb->bus, &m, FB_BUS_NAME, FB_PATH_MANAGER, FB_IFACE_MANAGER,
                                           "Resolve");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", q->source);
        return r < 0 ? r : connection_call(q->fb, &q->call, m, on_resolved, q);
}

/* All */

static int query_send(Query *q) {
        return q->on_list ? list_send(q) : resolve_send(q);
}

static void on_bus_ready(Waiter *w) {
        Query *q = list_entry(w, Query, waiter);
        int r = query_send(q);

        if (r < 0)
                query_fail_errno(q, r);
}

int query_start(Query *query) {
        _cleanup_(query_freep) Query *q = query;
        int r;

        if (q->fb->bus) {
                r = query_send(q);
                if (r < 0)
                        return r;
        } else
                connection_when_ready(q->fb, &q->waiter, on_bus_ready);
        q = NULL;
        return 0;
}

FB_PUBLIC int framebus_list(framebus *fb, framebus_list_callback callback, void *userdata) {
        Query *q;
        int r = query_new(fb, NULL, userdata, &q);

        if (r < 0)
                return r;
        q->on_list = callback;
        return query_start(q);
}

FB_PUBLIC int framebus_negotiate(framebus *fb, const char *source,
                                 const struct framebus_subscribe_options *options,
                                 framebus_negotiate_callback callback, void *userdata) {
        _cleanup_(query_freep) Query *q = NULL;
        int r = query_new(fb, source, userdata, &q);

        if (r < 0)
                return r;
        q->on_negotiate = callback;
        r = options_init(&q->options, options);
        if (r < 0)
                return r;
        return query_start(take_ptr(q));
}
