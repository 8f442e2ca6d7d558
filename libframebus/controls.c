/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions about controls that are asked once: framebus_list_controls(), _get_controls(), _set_controls().
 * How they come to the source, and what becomes of failures, is in query.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/names.h"
#include "interfaces/wire.h"
#include "libframebus/control.h"
#include "libframebus/export.h"
#include "libframebus/query.h"
#include "wire/codec-control.h"

FB_DEFINE_CLEANUP(Query *, query_free)

static void tell_list(Query *q, const ControlList *l) {
        _cleanup_free_ struct framebus_control *controls = controls_to_public(l);

        if (!controls) {
                query_fail_errno(q, -ENOMEM);
                return;
        }
        q->on_controls(q->fb, controls, l->n, NULL, q->userdata);
        query_free(q);
}

static void tell_values(Query *q, const ControlSettings *s) {
        _cleanup_free_ struct framebus_control_value *values = control_values_to_public(s);

        if (!values) {
                query_fail_errno(q, -ENOMEM);
                return;
        }
        q->on_values(q->fb, values, s->n, NULL, q->userdata);
        query_free(q);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(control_list_clear) ControlList list = {};
        _cleanup_(control_settings_clear) ControlSettings values = {};
        Query *q = userdata;
        VardictError wrong = {};
        struct framebus_error error;
        int r;

        if (message_get_error(m, &error)) {
                query_fail(q, &error);
                return 0;
        }
        r = q->on_controls ? codec_read_known_controls(m, &list, &wrong)
                           : codec_read_settings(m, &values, &wrong);
        if (r != 0)
                query_fail_errno(q, -EBADMSG);
        else if (q->on_controls)
                tell_list(q, &list);
        else
                tell_values(q, &values);
        return 0;
}

int controls_ask(Query *q, const char *owner, const char *path) {
        const char *member = q->on_controls ? "List" : q->ids ? "Get" : "Set";
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(q->fb->bus, &m, owner, path, FB_IFACE_CONTROLS, member);

        if (r >= 0 && q->ids)
                r = sd_bus_message_append_strv(m, q->ids);
        else if (r >= 0 && q->on_values)
                r = codec_append_settings(m, &q->settings);
        return r < 0 ? r : connection_call(q->fb, &q->call, m, on_answer, q);
}

FB_PUBLIC int framebus_list_controls(framebus *fb, const char *source, framebus_controls_callback callback,
                                     void *userdata) {
        Query *q;
        int r = query_new(fb, source, userdata, &q);

        if (r < 0)
                return r;
        q->on_controls = callback;
        return query_start(q);
}

static char **copy_ids(const char *const *ids, size_t n) {
        char **copy = calloc(n + 1, sizeof *copy);

        for (size_t i = 0; copy && i < n; i++) {
                copy[i] = strdup(ids[i]);
                if (copy[i])
                        continue;
                while (i-- > 0)
                        free(copy[i]);
                return free(copy), NULL;
        }
        return copy;
}

FB_PUBLIC int framebus_get_controls(framebus *fb, const char *source, const char *const *ids, size_t n,
                                    framebus_control_values_callback callback, void *userdata) {
        _cleanup_(query_freep) Query *q = NULL;
        int r = query_new(fb, source, userdata, &q);

        if (r < 0)
                return r;
        q->on_values = callback;
        q->ids = copy_ids(ids, n);
        return q->ids ? query_start(take_ptr(q)) : -ENOMEM;
}

FB_PUBLIC int framebus_set_controls(framebus *fb, const char *source,
                                    const struct framebus_control_value *values, size_t n,
                                    framebus_control_values_callback callback, void *userdata) {
        _cleanup_(query_freep) Query *q = NULL;
        int r;

        if (n == 0 || n > FB_CONTROLS_SET_MAX)
                return -EINVAL;
        r = query_new(fb, source, userdata, &q);
        if (r < 0)
                return r;
        q->on_values = callback;
        r = control_values_from_public(values, n, &q->settings);
        return r < 0 ? r : query_start(take_ptr(q));
}
