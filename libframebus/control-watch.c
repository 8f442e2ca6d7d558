/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A match on the source's signals, then List; from then on signals of the broker that answered. ListChanged
 * has the list asked for again, and so has a broker that comes after it.
 */
#include "libframebus/control-watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/names.h"
#include "interfaces/wire.h"
#include "libframebus/control.h"
#include "libframebus/export.h"
#include "wire/codec-control.h"

static int watch_ask(framebus_control_watch *w);

static void watch_fail(framebus_control_watch *w, const struct framebus_error *error) {
        if (!w->closed && w->events->failed)
                w->events->failed(w, error, w->userdata);
}

static void watch_fail_errno(framebus_control_watch *w, int r) {
        struct framebus_error error = { .name = SD_BUS_ERROR_FAILED, .message = strerror(-r), .error = -r };

        watch_fail(w, &error);
}

static int on_list(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(control_list_clear) ControlList list = {};
        _cleanup_free_ struct framebus_control *controls = NULL;
        framebus_control_watch *w = userdata;
        struct framebus_error error;
        VardictError wrong = {};

        w->call = sd_bus_slot_unref(w->call);
        if (message_get_error(m, &error)) {
                watch_fail(w, &error);
                return 0;
        }
        free(w->owner);
        w->owner = strdup(sd_bus_message_get_sender(m) ?: "");
        if (codec_read_known_controls(m, &list, &wrong) != 0)
                watch_fail_errno(w, -EBADMSG);
        else if (!w->owner || !(controls = controls_to_public(&list)))
                watch_fail_errno(w, -ENOMEM);
        else if (!w->closed && w->events->listed)
                w->events->listed(w, controls, list.n, w->userdata);
        return 0;
}

static int watch_ask(framebus_control_watch *w) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(w->fb->bus, &m, FB_BUS_NAME, w->path, FB_IFACE_CONTROLS,
                                               "List");

        w->call = sd_bus_slot_unref(w->call);
        return r < 0 ? r : connection_call(w->fb, &w->call, m, on_list, w);
}

static void watch_ask_again(framebus_control_watch *w) {
        int r = watch_ask(w);

        if (r < 0)
                watch_fail_errno(w, r);
}

static void watch_tell_changed(framebus_control_watch *w, sd_bus_message *m) {
        _cleanup_(control_settings_clear) ControlSettings s = {};
        _cleanup_free_ struct framebus_control_value *values = NULL;
        VardictError wrong = {};

        if (codec_read_settings(m, &s, &wrong) != 0 || !(values = control_values_to_public(&s)))
                return;
        if (w->events->changed)
                w->events->changed(w, values, s.n, w->userdata);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *sender = sd_bus_message_get_sender(m);
        framebus_control_watch *w = userdata;

        if (w->closed || !w->owner || !sender || strcmp(sender, w->owner) != 0)
                return 0;
        if (sd_bus_message_is_signal(m, FB_IFACE_CONTROLS, "Changed") > 0)
                watch_tell_changed(w, m);
        else if (sd_bus_message_is_signal(m, FB_IFACE_CONTROLS, "ListChanged") > 0)
                watch_ask_again(w);
        return 0;
}

/* Without the match nothing changes any more: told, but no reason for sd-bus to give up the bus. */
static int on_match_installed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        struct framebus_error error;

        if (message_get_error(m, &error))
                watch_fail(userdata, &error);
        return 0;
}

static int watch_start(framebus_control_watch *w) {
        _cleanup_free_ char *rule = NULL;
        int r;

        if (asprintf(&rule,
                     "type='signal',sender='" FB_BUS_NAME "',path='%s',interface='" FB_IFACE_CONTROLS "'",
                     w->path) < 0)
                return -ENOMEM;
        r = sd_bus_add_match_async(w->fb->bus, &w->match, rule, on_signal, on_match_installed, w);
        return r < 0 ? r : watch_ask(w);
}

static void on_bus_ready(Waiter *waiter) {
        framebus_control_watch *w = list_entry(waiter, framebus_control_watch, waiter);
        int r = watch_start(w);

        if (r < 0)
                watch_fail_errno(w, r);
}

void control_watch_on_owner_changed(framebus_control_watch *w, const char *new_owner) {
        if (w->closed || (w->owner && strcmp(w->owner, new_owner) == 0))
                return;
        free(take_ptr(w->owner));
        if (*new_owner)
                watch_ask_again(w);
}

static void control_watch_free(framebus_control_watch *w) {
        sd_bus_slot_unref(w->call);
        sd_bus_slot_unref(w->match);
        list_remove(&w->waiter.link);
        list_remove(&w->link);
        free(w->path);
        free(w->owner);
        free(w);
}

FB_DEFINE_CLEANUP(framebus_control_watch *, control_watch_free)

void control_watch_reap(framebus_control_watch *w) {
        if (w->closed)
                control_watch_free(w);
}

FB_PUBLIC int framebus_watch_controls(framebus *fb, const char *source,
                                      const struct framebus_control_events *events, void *userdata,
                                      framebus_control_watch **ret_watch) {
        _cleanup_(control_watch_freep) framebus_control_watch *w = NULL;
        int r;

        if (!events || events->version > FRAMEBUS_CONTROL_EVENTS_VERSION || !fb_source_name_is_valid(source))
                return -EINVAL;
        r = connection_check(fb);
        if (r < 0)
                return r;
        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->fb = fb;
        w->events = events;
        w->userdata = userdata;
        list_append(&fb->control_watches, &w->link);
        r = sd_bus_path_encode(FB_PATH_SOURCE_PREFIX, source, &w->path);
        if (r < 0)
                return r;
        if (fb->bus)
                r = watch_start(w);
        else
                connection_when_ready(fb, &w->waiter, on_bus_ready);
        if (r < 0)
                return r;
        *ret_watch = take_ptr(w);
        return 0;
}

FB_PUBLIC framebus_control_watch *framebus_control_watch_close(framebus_control_watch *w) {
        if (!w)
                return NULL;
        w->closed = true;
        w->call = sd_bus_slot_unref(w->call);
        w->match = sd_bus_slot_unref(w->match);
        list_remove(&w->waiter.link);
        if (!w->fb->processing)
                control_watch_free(w);
        return NULL;
}
