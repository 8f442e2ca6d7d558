/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that wait until a source has said what it can do. Their callers are charged for them. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "broker/api/errors.h"
#include "broker/api/legacy.h"
#include "broker/api/source.h"
#include "interfaces/names.h"
#include "wire/keep.h"

typedef struct WaitingCall {
        List link; /* Source::calls */
        sd_bus_message *message;
        QuotaCharge charge;
} WaitingCall;

static void call_free(WaitingCall *c) {
        list_remove(&c->link);
        quota_charge_clear(&c->charge);
        sd_bus_message_unref(c->message);
        free(c);
}

static void answer(Source *s, sd_bus_message *m, const char *reason) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        (void)sd_bus_message_rewind(m, 1);
        if (reason)
                r = api_error(&error, FB_E_SOURCE_FAILED, "source '%s': %s", s->name, reason);
        else if (sd_bus_message_is_method_call(m, FB_IFACE_CONTROLS, NULL))
                r = controls_call(s, m, &error);
        else
                r = source_call(s, m, &error);
        if (sd_bus_error_is_set(&error))
                (void)sd_bus_reply_method_error(m, &error);
        else if (r < 0)
                (void)sd_bus_reply_method_errno(m, r, NULL);
        sd_bus_error_free(&error);
}

void source_answer_calls(Source *s, const char *reason) {
        List calls = LIST_INIT(calls);
        WaitingCall *c, *tmp;

        s->modes_timeout = sd_event_source_disable_unref(s->modes_timeout);
        list_for_each_safe(c, tmp, &s->calls, link) {
                list_remove(&c->link);
                list_append(&calls, &c->link);
        }
        list_for_each_safe(c, tmp, &calls, link) {
                answer(s, c->message, reason);
                call_free(c);
        }
        source_update_busy(s);
}

static int on_modes_timeout(sd_event_source *e, uint64_t usec, void *userdata) {
        source_answer_calls(userdata, "it did not say within 15 s what it can do");
        source_keep(userdata);
        return 0;
}

void source_probe(Source *s) {
        source_need_program(s);
        if (!s->modes_timeout &&
            sd_event_add_time_relative(s->api->event, &s->modes_timeout, CLOCK_MONOTONIC,
                                       SOURCE_MODES_TIMEOUT_NS / NSEC_PER_USEC, 0, on_modes_timeout, s) < 0)
                source_answer_calls(s, "no memory");
}

/* Names of PulseVideo's have connections of their own. */
static Caller *find_caller(Api *api, sd_bus_message *m) {
        sd_bus *bus = sd_bus_message_get_bus(m);
        LegacyName *name = bus == api->bus ? NULL : legacy_name_of(api, bus);

        return callers_of(name ? &name->callers : &api->callers, m);
}

static int charge(WaitingCall *call, Source *s, sd_bus_error *ret_error) {
        Caller *c = find_caller(s->api, call->message);
        QuotaRefusal why;
        int r;

        if (!c)
                return -ENOTCONN;
        r = quota_charge_open(&call->charge, &s->api->quota, c->uid);
        if (r == 0)
                r = quota_charge_set(&call->charge, QUOTA_CALLS, 1, &why);
        return r > 0 ? api_refuse(ret_error, &why) : r;
}

int source_wait_for_modes(Source *s, sd_bus_message *m, sd_bus_error *ret_error) {
        WaitingCall *c = calloc(1, sizeof *c);
        int r;

        if (!c)
                return -ENOMEM;
        r = message_keep(m, &c->message);
        if (r == 0)
                r = charge(c, s, ret_error);
        else if (r > 0)
                r = api_error(ret_error, r, "a call that has to wait has at most %zu bytes", KEEP_BYTES_MAX);
        if (r < 0) {
                call_free(c);
                return r;
        }
        list_append(&s->calls, &c->link);
        source_probe(s);
        return 1;
}
