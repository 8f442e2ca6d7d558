/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be set on a publisher's source. Said before the modes, as the broker counts on it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "libframebus/control.h"
#include "libframebus/export.h"
#include "libframebus/publisher.h"
#include "wire/codec-control.h"

int publisher_send_controls(framebus_publisher *pub) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = publisher_new_call(pub, "Controls", &m);

        if (r >= 0)
                r = codec_append_controls(m, &pub->controls);
        return r < 0 ? r : publisher_send(pub, m);
}


void publisher_on_set_control(framebus_publisher *pub, sd_bus_message *m) {
        _cleanup_(control_settings_clear) ControlSettings s = {};
        _cleanup_free_ struct framebus_control_value *values = NULL;
        VardictError wrong = {};
        uint64_t cookie;

        if (sd_bus_message_read(m, "t", &cookie) <= 0 || codec_read_settings(m, &s, &wrong) != 0 ||
            !(values = control_values_to_public(&s)))
                return;
        if (pub->events->version >= 1 && pub->events->set_controls)
                publisher_tell(pub, set_controls, cookie, values, s.n);
        else
                (void)framebus_publisher_answer_controls(pub, cookie, NULL, 0, NULL, "nothing can be set");
}

void publisher_on_get_control(framebus_publisher *pub, sd_bus_message *m) {
        const char *ids[FB_CONTROLS_MAX + 1];
        uint64_t cookie;
        size_t n = 0;

        if (sd_bus_message_read(m, "t", &cookie) <= 0 ||
            sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "s") < 0)
                return;
        while (n < FB_CONTROLS_MAX && sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &ids[n]) > 0)
                n++;
        ids[n] = NULL;
        if (pub->events->version >= 1 && pub->events->get_controls)
                publisher_tell(pub, get_controls, cookie, ids, n);
        else
                (void)framebus_publisher_answer_controls(pub, cookie, NULL, 0, NULL, NULL);
}

FB_PUBLIC int framebus_publisher_set_controls(framebus_publisher *pub,
                                              const struct framebus_control *controls, size_t n_controls) {
        ControlList list;
        int r;

        if (pub->ended)
                return -ENOLINK;
        r = controls_from_public(controls, n_controls, &list);
        if (r < 0)
                return r;
        control_list_clear(&pub->controls);
        pub->controls = list;
        if (!pub->channel || !channel_is_open(pub->channel))
                return 0; /* said when it opens */
        return publisher_send_controls(pub);
}

/* Values of controls that there are, in the kinds that they have. */
static int values_of(const framebus_publisher *pub, const struct framebus_control_value *values, size_t n,
                     ControlSettings *ret) {
        int r = control_values_from_public(values, n, ret);

        for (size_t i = 0; r >= 0 && i < ret->n; i++) {
                const Control *c = control_list_find(&pub->controls, ret->settings[i].id);

                if (!c || control_fit_kind(c, &ret->settings[i].value) != 0)
                        r = -EINVAL;
        }
        return r;
}

FB_PUBLIC int framebus_publisher_controls_changed(framebus_publisher *pub,
                                                  const struct framebus_control_value *values,
                                                  size_t n_values) {
        _cleanup_(control_settings_clear) ControlSettings s = {};
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = values_of(pub, values, n_values, &s);

        if (r >= 0)
                r = publisher_new_call(pub, "ControlChanged", &m);
        if (r >= 0)
                r = codec_append_settings(m, &s);
        return r < 0 ? r : publisher_send(pub, m);
}

FB_PUBLIC int framebus_publisher_answer_controls(framebus_publisher *pub, uint64_t cookie,
                                                 const struct framebus_control_value *values, size_t n_values,
                                                 const char *failed, const char *reason) {
        _cleanup_(control_settings_clear) ControlSettings s = {};
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = values_of(pub, values, n_values, &s);

        if (r >= 0)
                r = publisher_new_call(pub, "ControlAnswer", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "t", cookie);
        if (r >= 0)
                r = codec_append_settings(m, &s);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", failed ?: "", reason ?: "");
        return r < 0 ? r : publisher_send(pub, m);
}
