/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call that needs the publisher's answer waits here for at most 5 s; the broker goes on meanwhile. Values
 * are what the publisher said last. It is not believed to say sensible ones: what does not fit is ignored.
 */
#include "broker/api/controls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "broker/api/errors.h"
#include "broker/api/source.h"
#include "interfaces/wire.h"
#include "wire/codec-control.h"
#include "wire/keep.h"

typedef struct ControlCall {
        List link; /* SourceControls::calls */
        Source *source;
        sd_bus_message *message;
        uint64_t cookie;
        bool gets;
        sd_event_source *deadline;
} ControlCall;

static ControlCall *call_free(ControlCall *call) {
        list_remove(&call->link);
        call->source->controls.n_calls--;
        sd_event_source_disable_unref(call->deadline);
        sd_bus_message_unref(call->message);
        free(call);
        return NULL;
}

void controls_init(SourceControls *c) {
        list_init(&c->calls);
}

void controls_deinit(SourceControls *c) {
        ControlCall *call;

        while (c->calls.next && (call = list_first(&c->calls, ControlCall, link)))
                call_free(call);
        c->changes_timer = sd_event_source_disable_unref(c->changes_timer);
        control_list_clear(&c->list);
}

/* ---- changes ---- */

static void tell_changes(Source *s) {
        SourceControls *c = &s->controls;
        _cleanup_free_ ControlSetting *changed = calloc(c->list.n + 1, sizeof *changed);
        size_t n = 0;

        if (c->list_changed)
                controls_emit_list_changed(s);
        c->list_changed = false;
        c->n_changes++;
        for (size_t i = 0; changed && i < c->list.n; i++) {
                Control *control = &c->list.controls[i];

                if (control->changed)
                        changed[n++] = (ControlSetting){ control->id, control->value };
                control->changed = false;
        }
        if (n > 0)
                controls_emit_changed(s, &(ControlSettings){ changed, n });
}

static int on_changes_due(sd_event_source *e, uint64_t usec, void *userdata) {
        Source *s = userdata;

        s->controls.changes_timer = sd_event_source_disable_unref(s->controls.changes_timer);
        s->controls.changes_ns = clock_now_ns();
        s->controls.n_changes = 0;
        tell_changes(s);
        return 0;
}

static bool has_changes(const SourceControls *c) {
        for (size_t i = 0; i < c->list.n; i++)
                if (c->list.controls[i].changed)
                        return true;
        return c->list_changed;
}

/* Now, or, if that is too often, together with what comes meanwhile. */
static void schedule_changes(Source *s) {
        SourceControls *c = &s->controls;
        uint64_t now_ns = clock_now_ns();

        if (!s->exported || c->changes_timer || !has_changes(c))
                return;
        if (now_ns - c->changes_ns >= NSEC_PER_SEC) {
                c->changes_ns = now_ns;
                c->n_changes = 0;
        }
        if (c->n_changes < SOURCE_CHANGES_PER_SECOND ||
            sd_event_add_time(s->api->event, &c->changes_timer, CLOCK_MONOTONIC,
                              (c->changes_ns + NSEC_PER_SEC) / NSEC_PER_USEC, 1, on_changes_due, s) < 0)
                tell_changes(s);
}

/* What is volatile changes all the time; who wants to know it asks. */
static void apply(Source *s, const ControlSettings *values) {
        for (size_t i = 0; i < values->n; i++) {
                ControlValue *v = &values->settings[i].value;
                Control *c = control_list_find(&s->controls.list, values->settings[i].id);

                if (!c || c->type == CONTROL_BUTTON || c->flags & CONTROL_WRITE_ONLY ||
                    control_fit_kind(c, v) != 0 || control_value_equal(&c->value, v) ||
                    control_value_copy(&c->value, v) < 0)
                        continue;
                c->changed = !(c->flags & CONTROL_VOLATILE);
        }
        schedule_changes(s);
}

void controls_on_said(Publication *p, ControlList *list_consume, void *userdata) {
        Source *s = userdata;
        SourceControls *c = &s->controls;

        c->list_changed |= !control_list_equal(&c->list, list_consume);
        for (size_t i = 0; i < list_consume->n; i++) {
                Control *now = &list_consume->controls[i], *before = control_list_find(&c->list, now->id);

                now->changed = before && now->value.kind != CONTROL_VALUE_NONE &&
                               (before->changed || (!(now->flags & CONTROL_VOLATILE) &&
                                                    !control_value_equal(&before->value, &now->value)));
        }
        control_list_clear(&c->list);
        c->list = *list_consume;
        schedule_changes(s);
}

void controls_on_changed(Publication *p, const ControlSettings *values, void *userdata) {
        apply(userdata, values);
}

/* ---- calls ---- */

static void send_answer(sd_bus_message *m, int r, sd_bus_error *error) {
        if (sd_bus_error_is_set(error))
                (void)sd_bus_reply_method_error(m, error);
        else if (r < 0)
                (void)sd_bus_reply_method_errno(m, r, NULL);
        sd_bus_error_free(error);
}

static void fail_call(ControlCall *call, const char *reason) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = api_error(&error, FB_E_SOURCE_FAILED, "source '%s': %s", call->source->name, reason);

        send_answer(call->message, r, &error);
        call_free(call);
}

void controls_fail_calls(Source *s, const char *reason) {
        ControlCall *call;

        while ((call = list_first(&s->controls.calls, ControlCall, link)))
                fail_call(call, reason);
}

static int on_deadline(sd_event_source *e, uint64_t usec, void *userdata) {
        ControlCall *call = userdata;
        Source *s = call->source;

        fail_call(call, "it did not answer within 5 s");
        source_keep(s);
        return 0;
}

/* What the publisher says they have now, of those that there are. */
static int reply_set(Source *s, sd_bus_message *m, const ControlSettings *values) {
        _cleanup_free_ ControlSetting *now = calloc(values->n + 1, sizeof *now);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        size_t n = 0;
        int r;

        if (!now)
                return -ENOMEM;
        for (size_t i = 0; i < values->n; i++) {
                const Control *c = control_list_find(&s->controls.list, values->settings[i].id);

                if (c)
                        now[n++] = (ControlSetting){ c->id, c->value };
        }
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = codec_append_settings(reply, &(ControlSettings){ now, n });
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int answer_call(ControlCall *call, const ControlSettings *values, const char *failed,
                       const char *reason, sd_bus_error *ret_error) {
        Source *s = call->source;

        if (reason[0] && failed[0])
                return api_error(ret_error, FB_E_CONTROL_FAILED, "control '%s': %s", failed, reason);
        if (reason[0])
                return api_error(ret_error, FB_E_CONTROL_FAILED, "source '%s': %s", s->name, reason);
        if (call->gets)
                return controls_reply_get(s, call->message, ret_error);
        return reply_set(s, call->message, values);
}

void controls_on_answered(Publication *p, uint64_t cookie, const ControlSettings *values, const char *failed,
                          const char *reason, void *userdata) {
        Source *s = userdata;
        ControlCall *call, *found = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        list_for_each(call, &s->controls.calls, link)
                if (call->cookie == cookie)
                        found = call;
        if (!found)
                return; /* too late */
        apply(s, values);
        r = answer_call(found, values, failed, reason, &error);
        send_answer(found->message, r, &error);
        call_free(found);
        source_keep(s);
}

static unsigned int count_calls(const SourceControls *c, const char *sender) {
        ControlCall *call;
        unsigned int n = 0;

        list_for_each(call, &c->calls, link)
                n += strcmp(sd_bus_message_get_sender(call->message), sender) == 0;
        return n;
}

static int check_room(const Source *s, sd_bus_message *m, sd_bus_error *ret_error) {
        unsigned int n = count_calls(&s->controls, sd_bus_message_get_sender(m));

        if (n >= FB_CONTROL_CALLS_PER_CONNECTION)
                return api_error(ret_error, FB_E_LIMIT, "%u calls of your connection wait for source '%s'", n,
                                 s->name);
        if (s->controls.n_calls >= FB_CONTROL_CALLS_MAX)
                return api_error(ret_error, FB_E_LIMIT, "%u calls wait for source '%s'", s->controls.n_calls,
                                 s->name);
        return 0;
}

int controls_ask(Source *s, sd_bus_message *m, const ControlSettings *values, const char *const *names,
                 sd_bus_error *ret_error) {
        ControlCall *call;
        int r = check_room(s, m, ret_error);

        if (r < 0)
                return r;
        call = calloc(1, sizeof *call);
        if (!call)
                return -ENOMEM;
        call->source = s;
        r = message_keep(m, &call->message);
        if (r != 0) {
                free(call);
                return api_error(ret_error, r, "a call that has to wait has at most %zu bytes",
                                 KEEP_BYTES_MAX);
        }
        call->cookie = ++s->controls.cookie;
        call->gets = !values;
        list_append(&s->controls.calls, &call->link);
        s->controls.n_calls++;
        r = sd_event_add_time_relative(s->api->event, &call->deadline, CLOCK_MONOTONIC,
                                       CONTROLS_TIMEOUT_NS / NSEC_PER_USEC, 0, on_deadline, call);
        if (r >= 0)
                r = values ? publication_set_controls(s->publication, call->cookie, values)
                           : publication_get_controls(s->publication, call->cookie, names);
        if (r < 0) {
                call_free(call);
                return api_error(ret_error, FB_E_SOURCE_FAILED, "source '%s': it cannot be asked: %s",
                                 s->name, strerror(-r));
        }
        source_keep(s);
        return 1;
}
