/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Manager1's Reload and Explain. Rules are swapped as a whole, in one go: what was granted by the old ones
 * and is not by the new ones has ended when Reload is answered, and no frame is published in between.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "broker/api/announce.h"
#include "broker/api/audit.h"
#include "broker/api/errors.h"
#include "broker/api/legacy.h"
#include "broker/api/rights.h"
#include "broker/api/subscription.h"
#include "wire/vardict.h"

static int load(const Api *api, Rules *ret, char **ret_error) {
        return rules_load(api->config.rules_folders, api->config.n_rules_folders, api->access.own, ret,
                          ret_error);
}

int rights_init(Api *api) {
        _cleanup_free_ char *error = NULL;
        int r = load(api, &api->access.rules, &error);

        audit_init(&api->audit);
        api->access.broken = r < 0;
        if (!error)
                return r;
        log_error("%s", error);
        log_error("the rules of access are bad: until they are good nobody may do anything");
        return 0;
}

void rights_deinit(Api *api) {
        rules_clear(&api->access.rules);
}

/* ---- taking back ---- */

static void tell_revoked(Api *api, const Identity *who, const char *client, const char *source,
                         const Verdict *v) {
        const AuditEvent e = { .what = AUDIT_REVOKED, .who = who, .client = client, .source = source,
                               .verb = v->verb, .rule = v->rule };

        audit_say(&api->audit, &e, clock_now_ns());
}

/* Whether @who may go on watching @s, in the kinds of memory @kinds. */
static bool may_watch(const Source *s, const Identity *who, uint32_t kinds, Verdict *ret) {
        const AccessSource names = rights_names(s);
        const Access *a = &s->api->access;

        *ret = access_judge(a, &who->subject, &names, ACCESS_WATCH);
        if (ret->decision != ACCESS_ALLOW)
                return false;
        for (uint32_t kind = 0; kind < FB_MEMORY_KINDS; kind++) {
                if (!(kinds & 1u << kind) ||
                    access_allows_memory(a, &who->subject, &names, s->worker != NULL, s->owner_uid, kind))
                        continue;
                *ret = access_judge(a, &who->subject, &names,
                                    kind == FB_MEMORY_LEASED ? ACCESS_LEASE : ACCESS_RAW);
                return false;
        }
        return true;
}

static bool revoke_subscription(Subscription *s) {
        Verdict v;

        if (!s->source || may_watch(s->source, s->identity, s->subscriber.options.memories, &v))
                return false;
        tell_revoked(s->api, s->identity, s->client, s->source_name, &v);
        stream_end_subscriber(&s->source->stream, &s->subscriber, "revoked", clock_now_ns());
        return true;
}

static bool revoke_viewer(LegacyViewer *w) {
        Verdict v;

        if (!w->source || may_watch(w->source, w->identity, 0, &v))
                return false;
        tell_revoked(w->api, w->identity, w->client, w->source_name, &v);
        stream_end_subscriber(&w->source->stream, &w->subscriber, "revoked", clock_now_ns());
        return true;
}

static bool revoke_source(Source *s) {
        const AccessSource names = rights_names(s);
        Verdict v;

        if (!s->owner_identity)
                return false;
        v = access_judge(&s->api->access, &s->owner_identity->subject, &names, ACCESS_PUBLISH);
        if (v.decision == ACCESS_ALLOW)
                return false;
        tell_revoked(s->api, s->owner_identity, s->owner, s->name, &v);
        source_free(s, "revoked");
        return true;
}

/* One; the end of one may bring the end of others, so that one looks from the beginning again. */
static bool revoke_one(Api *api) {
        RegistryEntry *e;
        Subscription *s;
        LegacyViewer *v;
        Source *waiting;

        list_for_each(s, &api->subscriptions, link)
                if (revoke_subscription(s))
                        return true;
        list_for_each(v, &api->viewers, link)
                if (revoke_viewer(v))
                        return true;
        list_for_each(waiting, &api->waiting, waiting_link)
                if (revoke_source(waiting))
                        return true;
        list_for_each(e, &api->sources.entries, link)
                if (revoke_source(fb_container_of(e, Source, entry)))
                        return true;
        return false;
}

/* ---- what is seen appears, what is hidden goes ---- */

static void tell_difference(Api *api, const Access *before) {
        const Caller *c;
        RegistryEntry *e;

        list_for_each(c, &api->callers.callers, link) {
                if (!c->looks || !c->identity)
                        continue;
                list_for_each(e, &api->sources.entries, link) {
                        Source *s = fb_container_of(e, Source, entry);
                        const AccessSource names = rights_names(s);
                        bool saw = access_allows(before, &c->identity->subject, &names, ACCESS_SEE);

                        if (!s->exported || saw == rights_may_see(s, c))
                                continue;
                        if (saw)
                                announce_removed_to(s, c);
                        else
                                announce_added_to(s, c);
                }
        }
}

/* The broker's own user and root can change the files, and may say so; if nobody else may anything, too. */
static int check_admin(Api *api, const Caller *c, sd_bus_error *ret_error) {
        if (c->uid == 0 || c->uid == api->access.own)
                return 0;
        return rights_check(api, c, NULL, ACCESS_ADMIN, ret_error);
}

int rights_method_reload(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ char *error = NULL;
        Api *api = userdata;
        Caller *c = callers_of(&api->callers, m);
        Access before = api->access;
        Rules rules;
        int r;

        if (!c)
                return -ENOTCONN;
        r = check_admin(api, c, ret_error);
        if (r >= 0)
                r = load(api, &rules, &error);
        if (error) {
                log_warning("rules of access are not taken, the old ones stay: %s", error);
                return api_error(ret_error, FB_E_INVALID_RULES, "%s", error);
        }
        if (r < 0)
                return r;
        api->access.rules = rules;
        api->access.broken = false;
        tell_difference(api, &before);
        while (revoke_one(api))
                ;
        rules_clear(&before.rules);
        log_info("%zu rules of access are read", rules.n);
        return sd_bus_reply_method_return(m, NULL);
}

/* ---- explaining ---- */

static int read_uid(sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_read(m, "u", &((Subject *)userdata)->uid);

        return r < 0 ? r : 0;
}

static int read_gids(sd_bus_message *m, void *userdata) {
        Subject *s = userdata;
        const uint32_t *gids;
        size_t size;
        int r = sd_bus_message_read_array(m, 'u', (const void **)&gids, &size);

        if (r < 0)
                return r;
        s->gids = size > 0 ? malloc(size) : NULL;
        if (size > 0 && !s->gids)
                return -ENOMEM;
        if (size > 0)
                memcpy(s->gids, gids, size);
        s->n_gids = size / sizeof *gids;
        return 0;
}

static int read_text(sd_bus_message *m, char **ret) {
        const char *text;
        int r = sd_bus_message_read(m, "s", &text);

        if (r < 0)
                return r;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int read_unit(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Subject *)userdata)->unit);
}

static int read_cgroup(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Subject *)userdata)->cgroup);
}

static int read_app(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Subject *)userdata)->app);
}

static int read_endpoint(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Subject *)userdata)->endpoint);
}

static const VardictKey subject_keys[] = {
        { "uid", "u", read_uid },       { "gids", "au", read_gids }, { "unit", "s", read_unit },
        { "cgroup", "s", read_cgroup }, { "app", "s", read_app },    { "endpoint", "s", read_endpoint },
};

/* A connection's name, or else what is said of somebody. */
static int read_subject(Api *api, sd_bus_message *m, Subject *ret, const Subject **ret_who,
                        sd_bus_error *ret_error) {
        VardictError error = {};
        const char *client;
        const Caller *c;
        int r = sd_bus_message_read(m, "s", &client);

        if (r < 0)
                return r;
        *ret_who = ret;
        r = vardict_read(m, subject_keys, FB_ELEMENTSOF(subject_keys), false, ret, &error);
        if (r > 0)
                return api_error(ret_error, r, "key '%s' is not known, or not of its type", error.key);
        if (r < 0 || !client[0])
                return r;
        c = callers_find(&api->callers, client);
        if (!c || !c->identity)
                return api_error(ret_error, FB_E_INVALID_OPTION,
                                 "%s has not called here, or has left the bus", client);
        *ret_who = &c->identity->subject;
        return 0;
}

static const char *without_rule(const Access *a) {
        if (a->broken)
                return "the rules could not be read: nobody may do anything";
        return a->system ? "no rule fits, and then nobody may" :
                           "no rule fits, and then the session's own user may, and nobody else";
}

static int reply(Api *api, sd_bus_message *m, const Verdict *v) {
        return sd_bus_reply_method_return(m, "ssss", access_decision_to_string(v->decision),
                                          access_verb_to_string(v->verb), v->rule ? v->rule->where : "",
                                          v->rule ? v->rule->text : without_rule(&api->access));
}

int rights_method_explain(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(subject_clear) Subject said = { .uid = (uid_t)-1, .gids_known = true, .unit_known = true,
                                                  .app_known = true };
        const char *source, *word;
        const Subject *who;
        Api *api = userdata;
        Caller *c = callers_of(&api->callers, m);
        AccessSource what;
        RegistryEntry *e;
        AccessVerb verb;
        Verdict v;
        int r;

        if (!c)
                return -ENOTCONN;
        r = check_admin(api, c, ret_error);
        if (r >= 0)
                r = read_subject(api, m, &said, &who, ret_error);
        if (r >= 0)
                r = sd_bus_message_read(m, "ss", &source, &word);
        if (r < 0)
                return r;
        verb = access_verb_from_string(word);
        if ((int)verb < 0)
                return api_error(ret_error, FB_E_INVALID_OPTION, "'%s' is no verb of rules", word);
        e = registry_find(&api->sources, source);
        what = (AccessSource){ e ? e->name : source, e ? e->aliases : NULL };
        v = access_judge(&api->access, who, strcmp(source, "*") == 0 ? NULL : &what, verb);
        return reply(api, m, &v);
}
