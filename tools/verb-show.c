/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl show: everything about one source.
 * It negotiates first, so that a source that has not been asked yet tells its modes, and so that it can say
 * what a viewer would get, or why not. That a negotiation fails is an answer here and no failure.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "interfaces/names.h"
#include "tools/client.h"
#include "tools/json.h"
#include "tools/mode-arg.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/verbs.h"

typedef struct ShowVerb {
        Client client;
        struct framebus_granted granted; /* its strings: owned here, below */
        char *drop, *memory, *order, *epoch;
        char *error_name, *error_message; /* why nothing was granted */
        bool found;
} ShowVerb;

static void show_deinit(ShowVerb *s) {
        free(s->drop);
        free(s->memory);
        free(s->order);
        free(s->epoch);
        free(s->error_name);
        free(s->error_message);
        client_close(&s->client);
}

static char *copy(const char *s) {
        return strdup(s ? s : "");
}

static void print_line(const char *label, const char *value) {
        printf("%13s: ", label);
        text_print(stdout, value);
        putchar('\n');
}

static void print_modes(const struct framebus_source_info *info) {
        char mode[MODE_ARG_MAX];

        for (size_t i = 0; i < info->n_modes; i++)
                print_line(i == 0 ? "Modes" : "", mode_format(&info->modes[i], mode));
        if (info->n_modes == 0)
                print_line("Modes", "not known");
}

static int print_text(ShowVerb *s, const struct framebus_source_info *info) {
        char mode[MODE_ARG_MAX];

        print_line("Name", info->name);
        for (const char *const *a = info->aliases; *a; a++)
                print_line(a == info->aliases ? "Also" : "", *a);
        print_line("Description", info->description);
        print_line("Driver", info->driver);
        print_line("State", info->state);
        if (info->state_reason && *info->state_reason)
                print_line("Reason", info->state_reason);
        print_line("Mode", mode_format(&info->mode, mode));
        printf("%13s: %u\n%13s: %llu\n", "Subscribers", info->subscribers, "Frames",
               (unsigned long long)info->frames);
        print_modes(info);
        if (s->error_message)
                print_line("Not to be had", s->error_message);
        else {
                printf("%13s: ", "You would get");
                show_granted(stdout, &s->granted);
                putchar('\n');
        }
        return text_flush(stdout);
}

static int print_json(ShowVerb *s, const struct framebus_source_info *info) {
        Json j;

        json_begin_line(&j, stdout);
        show_source_json(&j, info);
        if (s->error_message) {
                json_begin_object(&j, "refused");
                json_string(&j, "error", s->error_name);
                json_string(&j, "message", s->error_message);
        } else {
                json_begin_object(&j, "granted");
                show_granted_json(&j, &s->granted);
        }
        json_end_object(&j);
        return json_end_line(&j);
}

/* It was negotiated by that name: if it is an alias, it is nobody else's. */
static bool is_meant(const struct framebus_source_info *info, const char *name) {
        for (const char *const *a = info->aliases; *a; a++)
                if (strcmp(*a, name) == 0)
                        return true;
        return strcmp(info->name, name) == 0;
}

static void on_source(framebus *fb, const struct framebus_source_info *info,
                      const struct framebus_error *error, void *userdata) {
        ShowVerb *s = userdata;

        if (error) {
                client_fail(&s->client, error);
                return;
        }
        if (info && is_meant(info, s->client.source) && !s->found) {
                s->found = true;
                client_check_output(&s->client,
                                    s->client.options->json ? print_json(s, info) : print_text(s, info));
        }
        if (info)
                return;
        if (!s->found) {
                client_fail(&s->client, &(struct framebus_error){ .name = FB_ERROR_NO_SUCH_SOURCE });
                return;
        }
        client_finish(&s->client, STATUS_OK);
}

static void on_negotiated(framebus *fb, const struct framebus_granted *granted,
                          const struct framebus_error *error, void *userdata) {
        ShowVerb *s = userdata;
        int r;

        if (error && client_is_about_presence(error)) {
                client_fail(&s->client, error);
                return;
        }
        if (error) {
                s->error_name = copy(error->name);
                s->error_message = copy(error->message && *error->message ? error->message
                                                                          : strerror(error->error));
        } else {
                s->granted = *granted;
                s->granted.drop = s->drop = copy(granted->drop);
                s->granted.memory = s->memory = copy(granted->memory);
                s->granted.order = s->order = copy(granted->order);
                s->granted.epoch = s->epoch = copy(granted->epoch);
        }
        r = framebus_list(fb, on_source, s);
        if (r < 0)
                client_fail_errno(&s->client, r, "cannot ask for the sources");
}

int verb_show(const Options *o, char **args) {
        _cleanup_(show_deinit) ShowVerb s = {};
        struct framebus_subscribe_options options = options_to_subscribe(o);
        int r;

        r = client_open(&s.client, o, args[0]);
        if (r != STATUS_OK)
                return r;
        client_wait_for(&s.client, "an answer about the source", 30 * NSEC_PER_SEC);
        r = framebus_negotiate(s.client.fb, args[0], &options, on_negotiated, &s);
        if (r < 0)
                client_fail_errno(&s.client, r, "cannot negotiate");
        return client_run(&s.client);
}
