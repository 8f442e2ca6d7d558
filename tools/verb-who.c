/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl who: the subscriptions that the caller may know about.
 *
 * The process's name is this program's guess from the process id, which may have
 * been reused.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "interfaces/names.h"
#include "tools/client.h"
#include "tools/json.h"
#include "tools/manager.h"
#include "tools/table.h"
#include "tools/tally.h"
#include "tools/verbs.h"

static const char *const heads[] = { "SOURCE", "USER",      "PID",   "PROCESS",   "CLIENT", "BY",
                                     "MEMORY", "WINDOW",    "IN-FLIGHT", "SINCE", "DELIVERED", "LOST" };

typedef struct Viewer {
        const char *source, *client, *conduit, *memory, *unit, *app; /* of the message */
        uint32_t uid, pid, window, in_flight;
        uint64_t since_ns, delivered;
        int suspended;
        Tally lost;
} Viewer;

static int read_lost(sd_bus_message *m, Tally *ret) {
        const char *reason;
        uint64_t count;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "a{st}");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{st}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "{st}", &reason, &count)) > 0)
                tally_lost(ret, count, reason);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_member(sd_bus_message *m, const char *key, Viewer *v) {
        const struct {
                const char *key, *type;
                void *to;
        } members[] = {
                { "source", "s", &v->source },       { "client", "s", &v->client },
                { "conduit", "s", &v->conduit },     { "uid", "u", &v->uid },
                { "pid", "u", &v->pid },             { "window", "u", &v->window },
                { "in-flight", "u", &v->in_flight }, { "since", "t", &v->since_ns },
                { "delivered", "t", &v->delivered }, { "suspended", "b", &v->suspended },
                { "memory", "s", &v->memory },       { "unit", "s", &v->unit },
                { "app", "s", &v->app },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(members); i++)
                if (strcmp(key, members[i].key) == 0)
                        return sd_bus_message_read(m, "v", members[i].type, members[i].to);
        return strcmp(key, "lost") == 0 ? read_lost(m, &v->lost) : sd_bus_message_skip(m, "v");
}

/* Returns > 0 with a viewer, 0 at the end of the list. */
static int read_viewer(sd_bus_message *m, Viewer *ret) {
        Viewer v = { .memory = "sealed" }; /* a broker that does not say it knows no other */
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r <= 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0)
                        r = read_member(m, key, &v);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = v;
        return 1;
}

static const char *process_name(uint32_t pid, char *buffer, size_t size) {
        _cleanup_free_ char *path = NULL;
        FILE *f = NULL;

        buffer[0] = 0;
        if (pid > 0 && asprintf(&path, "/proc/%u/comm", pid) > 0)
                f = fopen(path, "re");
        if (!f)
                return "-";
        if (!fgets(buffer, (int)size, f))
                buffer[0] = 0;
        fclose(f);
        buffer[strcspn(buffer, "\n")] = 0;
        return buffer[0] ? buffer : "-";
}

static int viewer_print_json(const Viewer *v) {
        char process[32];
        Json j;

        json_begin_line(&j, stdout);
        json_string(&j, "source", v->source);
        json_uint(&j, "uid", v->uid);
        json_uint(&j, "pid", v->pid);
        if (v->unit)
                json_string(&j, "unit", v->unit);
        if (v->app)
                json_string(&j, "app", v->app);
        json_string(&j, "process", process_name(v->pid, process, sizeof(process)));
        json_string(&j, "client", v->client);
        json_string(&j, "conduit", v->conduit);
        json_string(&j, "memory", v->memory);
        json_uint(&j, "window", v->window);
        json_uint(&j, "in-flight", v->in_flight);
        json_uint(&j, "since-ns", v->since_ns);
        json_bool(&j, "suspended", v->suspended);
        json_uint(&j, "delivered", v->delivered);
        json_uint(&j, "lost", v->lost.lost);
        json_begin_object(&j, "lost-by-reason");
        for (size_t i = 0; i < v->lost.n_reasons; i++)
                json_uint(&j, v->lost.reasons[i].reason, v->lost.reasons[i].count);
        json_end_object(&j);
        return json_end_line(&j);
}

static int viewer_add(Table *t, const Viewer *v) {
        char user[32], pid[16], process[32], window[16], in_flight[32], since[32], delivered[24], lost[256];
        uint64_t age_s = (clock_now_ns() - v->since_ns) / NSEC_PER_SEC;
        struct passwd *pw = getpwuid(v->uid);

        snprintf(user, sizeof(user), "%u", v->uid);
        snprintf(pid, sizeof(pid), "%u", v->pid);
        snprintf(window, sizeof(window), "%u", v->window);
        snprintf(in_flight, sizeof(in_flight), "%u%s", v->in_flight, v->suspended ? " (suspended)" : "");
        snprintf(since, sizeof(since), "%" PRIu64 ":%02u:%02u", age_s / 3600, (unsigned)(age_s / 60 % 60),
                 (unsigned)(age_s % 60));
        snprintf(delivered, sizeof(delivered), "%" PRIu64, v->delivered);
        return table_add(t, (const char *const[FB_ELEMENTSOF(heads)]){
                                            v->source, pw ? pw->pw_name : user, pid,
                                            process_name(v->pid, process, sizeof(process)), v->client,
                                            v->conduit, v->memory, window, in_flight, since, delivered,
                                            tally_lost_format(&v->lost, lost, sizeof(lost)) });
}

static int viewers_print(Client *c, sd_bus_message *m) {
        _cleanup_(table_deinit) Table table = { heads, FB_ELEMENTSOF(heads) };
        Viewer v;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
        if (r < 0)
                return r;
        while ((r = read_viewer(m, &v)) > 0) {
                r = c->options->json ? viewer_print_json(&v) : viewer_add(&table, &v);
                if (r < 0)
                        return r;
        }
        if (r < 0 || c->options->json)
                return r;
        if (table.n_rows == 0) {
                client_message("nobody watches, as far as you may know: only who may administer a "
                               "source is told about others");
                return 0;
        }
        table_sort(&table);
        return table_print(&table, stdout);
}

static void who_ask(Client *c, sd_bus *bus, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call_method(bus, FB_BUS_NAME, FB_PATH_MANAGER, FB_IFACE_MANAGER, "Who", &error, &reply,
                               "");
        if (r < 0) {
                manager_fail(c, r, &error);
                return;
        }
        r = viewers_print(c, reply);
        if (r == -EBADMSG || r == -ENXIO)
                client_fail_errno(c, r, "the broker's answer is not one");
        else
                client_check_output(c, r);
        client_finish(c, STATUS_OK);
}

int verb_who(const Options *o, char **args) {
        _cleanup_(client_close) Client c = {};
        int r;

        r = client_open(&c, o, NULL);
        if (r != STATUS_OK)
                return r;
        manager_ask(&c, who_ask, NULL);
        return client_run(&c);
}
