/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl controls: what can be set on a source, what it is set to, and setting it.
 *
 * The list is asked for first, as it says how the words of the command line are to be understood. What makes
 * no sense for its control goes to the broker as it is, which says in its refusal what would make sense.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "interfaces/wire.h"
#include "tools/client.h"
#include "tools/json.h"
#include "tools/table.h"
#include "tools/text.h"
#include "tools/verbs.h"

static const char *const heads[] = { "CONTROL", "TYPE", "VALUE", "DEFAULT", "FLAGS", "TAKES" };
static const char *const type_names[] = { "integer", "boolean", "menu",    "integer-menu",
                                          "button",  "string",  "bitmask", "integer64" };
static const char *const flag_names[] = { "read-only", "write-only", "inactive", "disabled",
                                          "grabbed",   "volatile",   "update",   "slider" };

typedef struct Controls {
        Client client;
        char **words; /* NAME or NAME=VALUE, NULL-terminated */
        const char *reads[FB_CONTROLS_MAX]; /* NAME */
        size_t n_reads;
        struct framebus_control_value sets[FB_CONTROLS_SET_MAX]; /* NAME=VALUE */
        size_t n_sets;
        framebus_control_watch *watch;
} Controls;

/* ---- showing ---- */

static void print_takes(FILE *f, const struct framebus_control *c) {
        if (c->type == FRAMEBUS_CONTROL_BOOLEAN)
                fputs("0, 1", f);
        else if (c->type == FRAMEBUS_CONTROL_BUTTON)
                fputs("anything, to press it", f);
        else if (c->type == FRAMEBUS_CONTROL_BITMASK)
                fprintf(f, "bits of 0x%" PRIx64, (uint64_t)c->max);
        else if (c->type == FRAMEBUS_CONTROL_STRING)
                fprintf(f, "%" PRId64 " to %" PRId64 " bytes", c->min, c->max);
        else if (c->n_items == 0)
                fprintf(f, "%" PRId64 " to %" PRId64 " in steps of %" PRId64, c->min, c->max, c->step);
        for (size_t i = 0; i < c->n_items; i++)
                fprintf(f, "%s%" PRId64 " %s", i ? ", " : "", c->items[i].value, c->items[i].name);
}

static const char *join_flags(const struct framebus_control *c, char *buffer, size_t size) {
        buffer[0] = 0;
        for (size_t i = 0; i < FB_ELEMENTSOF(flag_names); i++)
                if (c->flags & (1u << i))
                        snprintf(buffer + strlen(buffer), size - strlen(buffer), "%s%s", *buffer ? "," : "",
                                 flag_names[i]);
        return *buffer ? buffer : "-";
}

static int table_add_control(Table *t, const struct framebus_control *c) {
        bool has_default = c->type != FRAMEBUS_CONTROL_BUTTON && c->type != FRAMEBUS_CONTROL_STRING;
        char value[24], standard[24], flags[128];
        _cleanup_free_ char *takes = NULL;
        size_t size;
        FILE *f = open_memstream(&takes, &size);

        if (!f)
                return -ENOMEM;
        print_takes(f, c);
        if (fclose(f) != 0)
                return -ENOMEM;
        snprintf(value, sizeof(value), "%" PRId64, c->value);
        snprintf(standard, sizeof(standard), "%" PRId64, c->default_value);
        return table_add(t, (const char *const[]){ c->id,
                                                   type_names[c->type],
                                                   !c->has_value ? "-" : c->text ? c->text : value,
                                                   has_default ? standard : "-",
                                                   join_flags(c, flags, sizeof(flags)),
                                                   takes });
}

static void put_value(Json *j, const char *key, int64_t value, const char *text) {
        if (text)
                json_string(j, key, text);
        else
                json_int(j, key, value);
}

static int print_control_json(const struct framebus_control *c) {
        Json j;

        json_begin_line(&j, stdout);
        json_string(&j, "id", c->id);
        json_string(&j, "name", c->name);
        json_string(&j, "group", c->group);
        json_string(&j, "type", type_names[c->type]);
        json_int(&j, "min", c->min);
        json_int(&j, "max", c->max);
        json_int(&j, "step", c->step);
        json_int(&j, "default", c->default_value);
        json_begin_array(&j, "items");
        for (size_t i = 0; i < c->n_items; i++) {
                json_begin_object(&j, NULL);
                json_int(&j, "value", c->items[i].value);
                json_string(&j, "name", c->items[i].name);
                json_end_object(&j);
        }
        json_end_array(&j);
        json_begin_array(&j, "flags");
        for (size_t i = 0; i < FB_ELEMENTSOF(flag_names); i++)
                if (c->flags & (1u << i))
                        json_string(&j, NULL, flag_names[i]);
        json_end_array(&j);
        if (c->has_value)
                put_value(&j, "value", c->value, c->text);
        else
                json_string(&j, "value", NULL);
        return json_end_line(&j);
}

static int print_list(const Controls *s, const struct framebus_control *controls, size_t n) {
        _cleanup_(table_deinit) Table table = { heads, FB_ELEMENTSOF(heads) };

        for (size_t i = 0; i < n; i++) {
                int r = s->client.options->json ? print_control_json(&controls[i])
                                                : table_add_control(&table, &controls[i]);

                if (r < 0)
                        return r;
        }
        if (s->client.options->json)
                return 0;
        if (n == 0) {
                client_message("%s has no controls", s->client.source);
                return 0;
        }
        return table_print(&table, stdout);
}

static bool is_wanted(const Controls *s, const char *id) {
        for (size_t i = 0; i < s->n_reads; i++)
                if (strcmp(s->reads[i], id) == 0)
                        return true;
        return s->n_reads == 0;
}

static int print_values(const Controls *s, const struct framebus_control_value *values, size_t n) {
        Json j;

        if (s->client.options->json) {
                json_begin_line(&j, stdout);
                json_begin_object(&j, s->watch ? "changed" : "values");
                for (size_t i = 0; i < n; i++)
                        if (!s->watch || is_wanted(s, values[i].id))
                                put_value(&j, values[i].id, values[i].value, values[i].text);
                json_end_object(&j);
                return json_end_line(&j);
        }
        for (size_t i = 0; i < n; i++) {
                if (s->watch && !is_wanted(s, values[i].id))
                        continue;
                printf("%s: ", values[i].id);
                if (values[i].text)
                        text_print(stdout, values[i].text);
                else
                        printf("%" PRId64, values[i].value);
                putchar('\n');
        }
        return text_flush(stdout);
}

/* ---- words ---- */

static bool parse_boolean(const char *word, int64_t *ret) {
        static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

        for (size_t i = 0; i < FB_ELEMENTSOF(words); i++)
                if (strcasecmp(word, words[i]) == 0)
                        return *ret = i % 2, true;
        return false;
}

static bool parse_item(const struct framebus_control *c, const char *word, int64_t *ret) {
        for (size_t i = 0; i < c->n_items; i++)
                if (c->type == FRAMEBUS_CONTROL_MENU && strcasecmp(word, c->items[i].name) == 0)
                        return *ret = c->items[i].value, true;
        return false;
}

static void parse_value(const struct framebus_control *c, const char *word,
                        struct framebus_control_value *v) {
        char *end;

        v->text = word;
        if (c && c->type == FRAMEBUS_CONTROL_STRING)
                return;
        errno = 0;
        v->value = strtoll(word, &end, 0);
        if ((*word && !*end && errno == 0) || (c && parse_item(c, word, &v->value)) ||
            (c && c->type == FRAMEBUS_CONTROL_BOOLEAN && parse_boolean(word, &v->value)))
                v->text = NULL;
}

static const struct framebus_control *find(const struct framebus_control *controls, size_t n,
                                           const char *id) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(controls[i].id, id) == 0)
                        return &controls[i];
        return NULL;
}

/* The words stay, and may be written to. Returns a status. */
static int parse_words(Controls *s, const struct framebus_control *controls, size_t n) {
        for (char **w = s->words; *w; w++) {
                char *value = strchr(*w, '=');

                if (!value && s->n_reads < FB_ELEMENTSOF(s->reads))
                        s->reads[s->n_reads++] = *w;
                if (!value)
                        continue;
                *value++ = 0;
                if (s->n_sets == FB_ELEMENTSOF(s->sets)) {
                        client_message("at most %u controls can be set at once", FB_CONTROLS_SET_MAX);
                        return STATUS_USAGE;
                }
                s->sets[s->n_sets].id = *w;
                parse_value(find(controls, n, *w), value, &s->sets[s->n_sets++]);
        }
        return STATUS_OK;
}

/* ---- asking ---- */

static void on_values(framebus *fb, const struct framebus_control_value *values, size_t n,
                      const struct framebus_error *error, void *userdata) {
        Controls *s = userdata;
        int r = 0;

        if (error) {
                client_fail(&s->client, error);
                return;
        }
        client_check_output(&s->client, print_values(s, values, n));
        if (s->n_sets == 0 || s->n_reads == 0) {
                client_finish(&s->client, STATUS_OK);
                return;
        }
        s->n_sets = 0;
        r = framebus_get_controls(fb, s->client.source, s->reads, s->n_reads, on_values, s);
        if (r < 0)
                client_fail_errno(&s->client, r, "cannot get controls");
}

static void on_controls(framebus *fb, const struct framebus_control *controls, size_t n,
                        const struct framebus_error *error, void *userdata) {
        Controls *s = userdata;
        int r = STATUS_OK;

        if (error) {
                client_fail(&s->client, error);
                return;
        }
        if (!*s->words) {
                client_check_output(&s->client, print_list(s, controls, n));
                client_finish(&s->client, STATUS_OK);
                return;
        }
        r = parse_words(s, controls, n);
        if (r != STATUS_OK) {
                client_finish(&s->client, r);
                return;
        }
        r = s->n_sets > 0 ? framebus_set_controls(fb, s->client.source, s->sets, s->n_sets, on_values, s)
                          : framebus_get_controls(fb, s->client.source, s->reads, s->n_reads, on_values, s);
        if (r == -EINVAL)
                client_message("a name of a control is of a-z, 0-9 and -, a text has at most %u bytes",
                               FB_TEXT_MAX);
        if (r < 0)
                client_fail_errno(&s->client, r, "cannot ask for controls");
}

/* ---- watching ---- */

static void on_watch_changed(framebus_control_watch *w, const struct framebus_control_value *values, size_t n,
                             void *userdata) {
        Controls *s = userdata;
        bool any = false;

        for (size_t i = 0; i < n; i++)
                any |= is_wanted(s, values[i].id);
        if (any)
                client_check_output(&s->client, print_values(s, values, n));
}

static void on_watch_listed(framebus_control_watch *w, const struct framebus_control *controls, size_t n,
                            void *userdata) {
        Controls *s = userdata;

        s->client.deadline_ns = UINT64_MAX;
        if (s->client.tick_ns == UINT64_MAX)
                s->client.tick_ns = clock_now_ns() + NSEC_PER_SEC;
}

static void on_watch_failed(framebus_control_watch *w, const struct framebus_error *error, void *userdata) {
        client_fail(&((Controls *)userdata)->client, error);
}

static const struct framebus_control_events watch_events = { .version = FRAMEBUS_CONTROL_EVENTS_VERSION,
                                                             .listed = on_watch_listed,
                                                             .changed = on_watch_changed,
                                                             .failed = on_watch_failed };

static void on_asked(framebus *fb, const struct framebus_control *controls, size_t n,
                     const struct framebus_error *error, void *userdata) {}

/* A capture program that is asked now and then stays, and tells what changes at its device. */
static void on_tick(Client *c, uint64_t now_ns, void *userdata) {
        c->tick_ns = now_ns + NSEC_PER_SEC;
        (void)framebus_list_controls(c->fb, c->source, on_asked, NULL);
}

static int watch(Controls *s) {
        for (char **w = s->words; *w; w++) {
                if (strchr(*w, '=')) {
                        client_message("--watch sets nothing: leave out the = of %s", *w);
                        client_finish(&s->client, STATUS_USAGE);
                        return 0;
                }
                if (s->n_reads < FB_ELEMENTSOF(s->reads))
                        s->reads[s->n_reads++] = *w;
        }
        s->client.interrupt_status = STATUS_OK;
        s->client.on_tick = on_tick;
        s->client.userdata = s;
        return framebus_watch_controls(s->client.fb, s->client.source, &watch_events, s, &s->watch);
}

int verb_controls(const Options *o, char **args) {
        Controls s = { .words = args + 1 };
        int r;

        r = client_open(&s.client, o, args[0]);
        if (r != STATUS_OK)
                return r;
        client_wait_for(&s.client, "an answer about the controls", 30 * NSEC_PER_SEC);
        r = o->watch ? watch(&s) : framebus_list_controls(s.client.fb, args[0], on_controls, &s);
        if (r < 0)
                client_fail_errno(&s.client, r, "cannot ask for controls");
        r = client_run(&s.client);
        client_close(&s.client);
        return r;
}
