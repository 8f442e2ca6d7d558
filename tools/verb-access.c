/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl access: which rule of the broker's decides about somebody, or the rules anew. Names of users
 * and groups are looked up here, so that the broker waits for nobody.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "interfaces/names.h"
#include "tools/json.h"
#include "tools/manager.h"
#include "tools/verbs.h"

#define GIDS_MAX 256

/* Somebody, in the words of a rule. */
typedef struct Who {
        const char *client; /* a connection, of which the broker knows the rest */
        bool has_uid;
        uint32_t uid;
        gid_t gids[GIDS_MAX];
        size_t n_gids;
        const char *texts[4]; /* of text_keys */
} Who;

static const char *const text_keys[] = { "unit", "cgroup", "app", "endpoint" };

typedef struct Access {
        Who who;
        const char *source, *verb;
} Access;

/* ---- who ---- */

static int who_add_gid(Who *w, gid_t gid) {
        if (w->n_gids >= GIDS_MAX)
                return -E2BIG;
        w->gids[w->n_gids++] = gid;
        return 0;
}

/* With all groups that the accounts say. */
static int who_set_user(Who *w, const struct passwd *pw) {
        gid_t gids[GIDS_MAX];
        int n = GIDS_MAX;

        if (!pw)
                return -ESRCH;
        w->uid = pw->pw_uid;
        w->has_uid = true;
        if (getgrouplist(pw->pw_name, pw->pw_gid, gids, &n) < 0)
                return -E2BIG;
        for (int i = 0; i < n; i++)
                if (who_add_gid(w, gids[i]) < 0)
                        return -E2BIG;
        return 0;
}

static int number_parse(const char *s, uint32_t *ret) {
        unsigned long long v;
        char *end;

        errno = 0;
        v = strtoull(s, &end, 10);
        if (errno != 0 || *end || s[0] < '0' || s[0] > '9' || v >= UINT32_MAX)
                return -EINVAL;
        *ret = (uint32_t)v;
        return 0;
}

/* A number without an account is in no group. */
static int who_set_uid(Who *w, const char *value) {
        const struct passwd *pw;

        if (number_parse(value, &w->uid) < 0)
                return -EINVAL;
        w->has_uid = true;
        pw = getpwuid(w->uid);
        return pw ? who_set_user(w, pw) : 0;
}

static int who_add_group(Who *w, const char *kind, const char *value) {
        const struct group *gr;
        uint32_t gid;

        if (strcmp(kind, "gid") == 0)
                return number_parse(value, &gid) < 0 ? -EINVAL : who_add_gid(w, gid);
        gr = getgrnam(value);
        return gr ? who_add_gid(w, gr->gr_gid) : -ESRCH;
}

static int who_add(Who *w, const char *kind, const char *value) {
        if (strcmp(kind, "user") == 0)
                return who_set_user(w, getpwnam(value));
        if (strcmp(kind, "uid") == 0)
                return who_set_uid(w, value);
        if (strcmp(kind, "group") == 0 || strcmp(kind, "gid") == 0)
                return who_add_group(w, kind, value);
        for (size_t i = 0; i < FB_ELEMENTSOF(text_keys); i++)
                if (strcmp(kind, text_keys[i]) == 0) {
                        w->texts[i] = value;
                        return 0;
                }
        return -EINVAL;
}

static int who_parse(Who *w, char *s) {
        if (strcmp(s, "world") == 0)
                return 0;
        if (s[0] == ':') {
                w->client = s;
                return 0;
        }
        for (char *next; s; s = next) {
                char *value = strchr(s, ':');
                int r;

                next = strchr(s, '+');
                if (next)
                        *next++ = 0;
                if (!value || (next && value > next)) {
                        client_message("%s: not a subject of rules, such as user:NAME+group:NAME", s);
                        return -EINVAL;
                }
                *value++ = 0;
                r = who_add(w, s, value);
                if (r < 0) {
                        client_message("%s:%s: %s", s, value,
                                       r == -ESRCH ? "there is none of that name" :
                                       r == -E2BIG ? "more groups than can be asked for" :
                                                     "not a subject of rules, such as user:NAME+group:NAME");
                        return r;
                }
        }
        return 0;
}

static int who_append(const Who *w, sd_bus_message *m) {
        int r = sd_bus_message_append(m, "s", w->client ?: "");

        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && w->has_uid)
                r = sd_bus_message_append(m, "{sv}", "uid", "u", w->uid);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "gids");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "au");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'u', w->gids, w->n_gids * sizeof *w->gids);
        for (int i = 0; i < 2 && r >= 0; i++)
                r = sd_bus_message_close_container(m);
        for (size_t i = 0; i < FB_ELEMENTSOF(text_keys) && r >= 0; i++)
                if (w->texts[i])
                        r = sd_bus_message_append(m, "{sv}", text_keys[i], "s", w->texts[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- --explain ---- */

static int print_answer(const Client *c, const Access *a, sd_bus_message *reply) {
        const char *decision, *decided, *where, *rule;
        Json j;
        int r = sd_bus_message_read(reply, "ssss", &decision, &decided, &where, &rule);

        if (r < 0)
                return r;
        if (c->options->json) {
                json_begin_line(&j, stdout);
                json_string(&j, "decision", decision);
                json_string(&j, "decided-by-verb", decided);
                json_string(&j, "where", where[0] ? where : NULL);
                json_string(&j, "rule", rule);
                return json_end_line(&j);
        }
        if (printf("%s\n", decision) < 0)
                return -errno;
        if (strcmp(decided, a->verb) != 0 &&
            printf("  %s needs %s, and that is refused\n", a->verb, decided) < 0)
                return -errno;
        if (printf("  %s%s%s\n", where, where[0] ? ": " : "", rule) < 0)
                return -errno;
        return fflush(stdout) == EOF ? -errno : 0;
}

static void ask_explain(Client *c, sd_bus *bus, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const Access *a = userdata;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, FB_BUS_NAME, FB_PATH_MANAGER, FB_IFACE_MANAGER,
                                           "Explain");
        if (r >= 0)
                r = who_append(&a->who, m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", a->source, a->verb);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r < 0) {
                manager_fail(c, r, &error);
                return;
        }
        client_check_output(c, print_answer(c, a, reply));
        client_finish(c, STATUS_OK);
}

/* ---- --reload ---- */

static void ask_reload(Client *c, sd_bus *bus, void *userdata) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(bus, FB_BUS_NAME, FB_PATH_MANAGER, FB_IFACE_MANAGER, "Reload", &error,
                                   NULL, "");

        if (r < 0)
                manager_fail(c, r, &error);
        else
                client_finish(c, STATUS_OK);
}

int verb_access(const Options *o, char **args) {
        _cleanup_(client_close) Client c = {};
        Access a = {};
        int r;

        if (o->explain == o->reload || (o->explain && (!args[0] || !args[1] || !args[2])) ||
            (o->reload && args[0])) {
                client_message("either --explain WHO SOURCE VERB, or --reload");
                return STATUS_USAGE;
        }
        if (o->explain) {
                if (who_parse(&a.who, args[0]) < 0)
                        return STATUS_USAGE;
                a.source = args[1];
                a.verb = args[2];
        }
        r = client_open(&c, o, NULL);
        if (r != STATUS_OK)
                return r;
        manager_ask(&c, o->explain ? ask_explain : ask_reload, &a);
        return client_run(&c);
}
