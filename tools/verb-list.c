/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl list: the sources, in a table sorted by name.
 * Nothing is captured for it; a mode is shown only where one is in force.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tools/client.h"
#include "tools/json.h"
#include "tools/mode-arg.h"
#include "tools/show.h"
#include "tools/table.h"
#include "tools/verbs.h"

static const char *const heads[] = { "NAME", "STATE", "DRIVER", "MODE", "SUBSCRIBERS", "DESCRIPTION" };

typedef struct ListVerb {
        Client client;
        Table table;
} ListVerb;

static void list_deinit(ListVerb *l) {
        table_deinit(&l->table);
        client_close(&l->client);
}

static int list_add(ListVerb *l, const struct framebus_source_info *info) {
        char mode[MODE_ARG_MAX], subscribers[16];

        mode_format(&info->mode, mode);
        snprintf(subscribers, sizeof(subscribers), "%u", info->subscribers);
        return table_add(&l->table, (const char *const[FB_ELEMENTSOF(heads)]){
                                            info->name, info->state, info->driver, mode, subscribers,
                                            info->description });
}

static int list_print(ListVerb *l) {
        if (l->table.n_rows == 0) {
                client_message("there is no source: no camera is plugged in, none is configured "
                               "(framebus-sources.d(5)), and nobody publishes one (`framebusctl publish`)");
                return 0;
        }
        table_sort(&l->table);
        return table_print(&l->table, stdout);
}

static void on_source(framebus *fb, const struct framebus_source_info *info,
                      const struct framebus_error *error, void *userdata) {
        ListVerb *l = userdata;
        Client *c = &l->client;
        Json j;
        int r;

        if (error)
                client_fail(c, error);
        else if (!info) {
                if (!c->options->json)
                        client_check_output(c, list_print(l));
                client_finish(c, STATUS_OK);
        } else if (c->options->json) {
                json_begin_line(&j, stdout);
                show_source_json(&j, info);
                client_check_output(c, json_end_line(&j));
        } else {
                r = list_add(l, info);
                if (r < 0)
                        client_fail_errno(c, r, "cannot keep the list");
        }
}

int verb_list(const Options *o, char **args) {
        _cleanup_(list_deinit) ListVerb l = { .table = { heads, FB_ELEMENTSOF(heads) } };
        int r;

        r = client_open(&l.client, o, NULL);
        if (r != STATUS_OK)
                return r;
        client_wait_for(&l.client, "the list of sources", 30 * NSEC_PER_SEC);
        r = framebus_list(l.client.fb, on_source, &l);
        if (r < 0)
                client_fail_errno(&l.client, r, "cannot ask for the sources");
        return client_run(&l.client);
}
