/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.framebus.Controls1. Calls need to know the controls; while the capture program has not said them, the
 * call waits and comes again, as those of Source1 do. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "broker/api/announce.h"
#include "broker/api/errors.h"
#include "broker/api/rights.h"
#include "broker/api/source.h"
#include "interfaces/names.h"
#include "interfaces/wire.h"
#include "wire/codec-control.h"

static int call_list(Source *s, sd_bus_message *m) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(m, &reply);

        if (r >= 0)
                r = codec_append_controls(reply, &s->controls.list);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* ---- Get ---- */

static int no_such_control(const Source *s, const char *name, sd_bus_error *ret_error) {
        return api_error(ret_error, FB_E_NO_SUCH_CONTROL, "source '%s' has no control '%s'", s->name, name);
}

/* What is asked for: points into the source's list. */
typedef struct Wanted {
        const Control *controls[FB_CONTROLS_MAX];
        size_t n;
} Wanted;

static int want(const Source *s, const char *name, Wanted *w, sd_bus_error *ret_error) {
        const Control *c = control_list_find(&s->controls.list, name);

        if (!c)
                return no_such_control(s, name, ret_error);
        if (c->value.kind == CONTROL_VALUE_NONE)
                return api_error(ret_error, FB_E_CONTROL_FAILED, "control '%s' has no value", name);
        for (size_t i = 0; i < w->n; i++)
                if (w->controls[i] == c)
                        return 0;
        w->controls[w->n++] = c;
        return 0;
}

static int read_wanted(const Source *s, sd_bus_message *m, Wanted *w, sd_bus_error *ret_error) {
        const char *name;
        size_t n = 0;
        int r;

        w->n = 0;
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "s");
        if (r < 0)
                return r;
        for (; (r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &name)) > 0; n++) {
                r = want(s, name, w, ret_error);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        for (size_t i = 0; n == 0 && i < s->controls.list.n; i++)
                if (s->controls.list.controls[i].value.kind != CONTROL_VALUE_NONE)
                        w->controls[w->n++] = &s->controls.list.controls[i];
        return 0;
}

static int reply_wanted(sd_bus_message *m, const Wanted *w) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        ControlSetting values[FB_CONTROLS_MAX];
        int r;

        for (size_t i = 0; i < w->n; i++)
                values[i] = (ControlSetting){ w->controls[i]->id, w->controls[i]->value };
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = codec_append_settings(reply, &(ControlSettings){ values, w->n });
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int controls_reply_get(Source *s, sd_bus_message *m, sd_bus_error *ret_error) {
        Wanted w;
        int r = sd_bus_message_rewind(m, 1);

        if (r >= 0)
                r = read_wanted(s, m, &w, ret_error);
        return r < 0 ? r : reply_wanted(m, &w);
}

static int call_get(Source *s, sd_bus_message *m, sd_bus_error *ret_error) {
        const char *ask[FB_CONTROLS_MAX + 1];
        size_t n = 0;
        Wanted w;
        int r;

        r = read_wanted(s, m, &w, ret_error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < w.n; i++)
                if (w.controls[i]->flags & CONTROL_VOLATILE)
                        ask[n++] = w.controls[i]->id;
        ask[n] = NULL;
        return n == 0 ? reply_wanted(m, &w) : controls_ask(s, m, NULL, ask, ret_error);
}

/* ---- Set ---- */

static int judge(const Source *s, ControlSettings *values, sd_bus_error *ret_error) {
        char why[768];

        if (values->n == 0 || values->n > FB_CONTROLS_SET_MAX)
                return api_error(ret_error, FB_E_INVALID_VALUE,
                                 "1 to %u values can be set in one call, not %zu", FB_CONTROLS_SET_MAX,
                                 values->n);
        for (size_t i = 0; i < values->n; i++) {
                const char *id = values->settings[i].id;
                const Control *c = control_list_find(&s->controls.list, id);
                int r;

                if (!c)
                        return no_such_control(s, id, ret_error);
                r = control_judge(c, &values->settings[i].value, why, sizeof why);
                if (r > 0)
                        return api_error(ret_error, r, "%s %s", id, why);
        }
        return 0;
}

static int call_set(Source *s, sd_bus_message *m, sd_bus_error *ret_error) {
        _cleanup_(control_settings_clear) ControlSettings values = {};
        VardictError error = {};
        int r;

        r = codec_read_settings(m, &values, &error);
        if (r > 0)
                return api_error(ret_error, r,
                                 "control '%s': each once, with a number, a boolean or a text of "
                                 "at most %u bytes",
                                 error.key ?: "", FB_TEXT_MAX);
        if (r == 0)
                r = judge(s, &values, ret_error);
        return r < 0 ? r : controls_ask(s, m, &values, NULL, ret_error);
}

/* ---- all ---- */

int controls_call(Source *s, sd_bus_message *m, sd_bus_error *ret_error) {
        const char *member = sd_bus_message_get_member(m);
        bool sets = strcmp(member, "Set") == 0;
        const Caller *c = callers_of(&s->api->callers, m);
        int r;

        if (!c)
                return 1; /* it has left the bus while it waited */
        r = rights_check_source(s, c, sets ? ACCESS_CONTROL : ACCESS_SEE, ret_error);
        if (r < 0)
                return r;
        if (!s->publication || !publication_is_ready(s->publication))
                return source_wait_for_modes(s, m, ret_error);
        source_keep(s);
        if (sets)
                rights_granted(s->api, c->identity, c->unique_name, s->name, ACCESS_CONTROL);
        if (sets)
                return call_set(s, m, ret_error);
        return strcmp(member, "Get") == 0 ? call_get(s, m, ret_error) : call_list(s, m);
}

static int method_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return controls_call(userdata, m, ret_error);
}

const sd_bus_vtable controls_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("List", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", controls), method_call,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Get", SD_BUS_ARGS("as", names), SD_BUS_RESULT("a{sv}", values), method_call,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Set", SD_BUS_ARGS("a{sv}", values), SD_BUS_RESULT("a{sv}", now), method_call,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("Changed", SD_BUS_ARGS("a{sv}", values), 0),
        SD_BUS_SIGNAL_WITH_ARGS("ListChanged", SD_BUS_NO_ARGS, 0),
        SD_BUS_VTABLE_END,
};

void controls_emit_changed(Source *s, const ControlSettings *values) {
        const Audience a = announce_audience(s->api);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_signal(s->api->bus, &m, s->path, FB_IFACE_CONTROLS, "Changed");

        if (r >= 0)
                r = codec_append_settings(m, values);
        if (r >= 0)
                announce_send(&a, s, m);
}

void controls_emit_list_changed(Source *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const Audience a = announce_audience(s->api);

        if (sd_bus_message_new_signal(s->api->bus, &m, s->path, FB_IFACE_CONTROLS, "ListChanged") >= 0)
                announce_send(&a, s, m);
}
