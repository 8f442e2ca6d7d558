/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The part of org.framebus.Publication1 that is about controls. Which values make sense for which control is
 * for the source to judge; here only what is no list of controls, or no values, is refused. */
#include "base/error.h"
#include "broker/publication/publication-internal.h"
#include "interfaces/names.h"
#include "interfaces/wire.h"
#include "wire/codec-control.h"

void publication_settle_controls(Publication *p) {
        ControlList none = {};

        if (p->has_controls)
                return;
        p->has_controls = true;
        p->handler->controls(p, &none, p->userdata);
}

int publication_method_controls(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        VardictError error = {};
        ControlList list = {};
        int r;

        r = codec_read_controls(m, &list, &error);
        if (r < 0)
                return r;
        if (r > 0)
                return sd_bus_error_setf(ret_error, FB_ERROR_INVALID_OPTION,
                                         "at most %u controls, each with id, name and type (key '%s'%s%s)",
                                         FB_CONTROLS_MAX, error.key ?: "controls", error.expected ? ": " : "",
                                         error.expected ?: "");
        p->has_controls = true;
        p->handler->controls(p, &list, p->userdata);
        return sd_bus_reply_method_return(m, NULL);
}

static int read_values(sd_bus_message *m, ControlSettings *ret, sd_bus_error *ret_error) {
        VardictError error = {};
        int r = codec_read_settings(m, ret, &error);

        if (r > 0)
                return sd_bus_error_setf(ret_error, FB_ERROR_INVALID_VALUE,
                                         "at most %u values, each control once (control '%s')",
                                         FB_CONTROLS_MAX, error.key ?: "");
        return r;
}

int publication_method_control_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        ControlSettings values = {};
        int r = read_values(m, &values, ret_error);

        if (r < 0)
                return r;
        p->handler->control_changed(p, &values, p->userdata);
        control_settings_clear(&values);
        return sd_bus_reply_method_return(m, NULL);
}

int publication_method_control_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        ControlSettings values = {};
        const char *failed, *reason;
        uint64_t cookie;
        int r;

        r = sd_bus_message_read_basic(m, SD_BUS_TYPE_UINT64, &cookie);
        if (r >= 0)
                r = read_values(m, &values, ret_error);
        if (r < 0)
                return r;
        r = sd_bus_message_read(m, "ss", &failed, &reason);
        if (r >= 0)
                p->handler->control_answered(p, cookie, &values, failed, reason, p->userdata);
        control_settings_clear(&values);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int send_question(Publication *p, sd_bus_message *m, int r) {
        if (r >= 0)
                r = channel_send(p->channel, m);
        sd_bus_message_unref(m);
        return r < 0 ? r : 0;
}

int publication_set_controls(Publication *p, uint64_t cookie, const ControlSettings *values) {
        sd_bus_message *m = NULL;
        int r = publication_signal(p, "SetControl", &m);

        if (r >= 0)
                r = sd_bus_message_append(m, "t", cookie);
        if (r >= 0)
                r = codec_append_settings(m, values);
        return send_question(p, m, r);
}

int publication_get_controls(Publication *p, uint64_t cookie, const char *const *names) {
        sd_bus_message *m = NULL;
        int r = publication_signal(p, "GetControl", &m);

        if (r >= 0)
                r = sd_bus_message_append(m, "t", cookie);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **)names);
        return send_question(p, m, r);
}
