/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl negotiate: what a viewer with these options would get, or why it would be refused.
 * Nothing is captured for it.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "tools/client.h"
#include "tools/json.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/verbs.h"

static int print_refused_json(const struct framebus_error *error) {
        Json j;

        json_begin_line(&j, stdout);
        json_begin_object(&j, "refused");
        json_string(&j, "error", error->name);
        json_string(&j, "message", error->message);
        json_end_object(&j);
        return json_end_line(&j);
}

static void on_negotiated(framebus *fb, const struct framebus_granted *granted,
                          const struct framebus_error *error, void *userdata) {
        Client *c = userdata;
        Json j;

        if (error) {
                if (c->options->json && !client_is_about_presence(error))
                        (void)print_refused_json(error);
                client_fail(c, error);
                return;
        }
        if (c->options->json) {
                json_begin_line(&j, stdout);
                json_begin_object(&j, "granted");
                show_granted_json(&j, granted);
                json_end_object(&j);
                client_check_output(c, json_end_line(&j));
        } else {
                show_granted(stdout, granted);
                putchar('\n');
                client_check_output(c, text_flush(stdout));
        }
        client_finish(c, STATUS_OK);
}

int verb_negotiate(const Options *o, char **args) {
        _cleanup_(client_close) Client c = {};
        struct framebus_subscribe_options options = options_to_subscribe(o);
        int r;

        r = client_open(&c, o, args[0]);
        if (r != STATUS_OK)
                return r;
        client_wait_for(&c, "an answer about the source", 30 * NSEC_PER_SEC);
        r = framebus_negotiate(c.fb, args[0], &options, on_negotiated, &c);
        if (r < 0)
                client_fail_errno(&c, r, "cannot negotiate");
        return client_run(&c);
}
