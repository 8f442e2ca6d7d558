/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/api/rights.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "broker/api/audit.h"
#include "broker/api/errors.h"
#include "broker/api/legacy.h"
#include "broker/api/source-interfaces.h"
#include "interfaces/names.h"

/* ---- judging ---- */

bool rights_may_see(const Source *s, const Caller *c) {
        const AccessSource names = rights_names(s);

        return c->identity && access_allows(&s->api->access, &c->identity->subject, &names, ACCESS_SEE);
}

static int refuse(const AccessSource *what, AccessVerb verb, AccessDecision decision,
                  sd_bus_error *ret_error) {
        const char *word = access_verb_to_string(verb), *name = what ? what->name : "";

        if (decision == ACCESS_ASK)
                return api_error(
                                ret_error, FB_E_ACCESS_DENIED,
                                "you may %s '%s' if somebody who is asked allows it, and nobody can be asked",
                                word, name);
        if (verb == ACCESS_PUBLISH)
                return api_error(ret_error, FB_E_ACCESS_DENIED, "you may not publish '%s'", name);
        if (!what)
                return api_error(ret_error, FB_E_ACCESS_DENIED, "that is for who may %s all sources", word);
        return api_error(ret_error, FB_E_ACCESS_DENIED, "you may not %s source '%s'", word, name);
}

static void tell_audit(Api *api, const char *what, const Identity *who, const char *client,
                       const char *source, AccessVerb verb, const Rule *rule) {
        const AuditEvent e = { .what = what, .who = who, .client = client, .source = source, .verb = verb,
                               .rule = rule };

        audit_say(&api->audit, &e, clock_now_ns());
}

int rights_check(Api *api, const Caller *c, const AccessSource *what, AccessVerb verb,
                 sd_bus_error *ret_error) {
        Verdict v = access_judge(&api->access, &c->identity->subject, what, verb);

        if (v.decision == ACCESS_ALLOW)
                return 0;
        tell_audit(api, AUDIT_REFUSED, c->identity, c->unique_name, what ? what->name : "*", verb, v.rule);
        return refuse(what, verb, v.decision, ret_error);
}

int rights_check_source(const Source *s, const Caller *c, AccessVerb verb, sd_bus_error *ret_error) {
        const AccessSource names = rights_names(s);
        int r = rights_check(s->api, c, &names, verb, ret_error);

        if (r >= 0 || rights_may_see(s, c))
                return r;
        sd_bus_error_free(ret_error); /* it became hidden while the call waited: sd-bus's own words */
        return sd_bus_error_setf(ret_error, SD_BUS_ERROR_UNKNOWN_OBJECT, "Unknown object '%s'.", s->path);
}

void rights_granted(Api *api, const Identity *who, const char *client, const char *source, AccessVerb verb) {
        tell_audit(api, AUDIT_GRANTED, who, client, source, verb, NULL);
}

/* ---- finding ---- */

static Source *source_of(RegistryEntry *e) {
        return fb_container_of(e, Source, entry);
}

typedef struct Viewer {
        const Caller *caller;
} Viewer;

static bool is_shown(const RegistryEntry *e, void *userdata) {
        const Viewer *v = userdata;
        const Source *s = fb_container_of(e, const Source, entry);

        return s->exported && rights_may_see(s, v->caller);
}

/* Somebody asks for what is there and hidden. */
static void tell_hidden(Api *api, const Caller *c, const Source *s) {
        const AccessSource names = rights_names(s);
        Verdict v = access_judge(&api->access, &c->identity->subject, &names, ACCESS_SEE);

        tell_audit(api, AUDIT_REFUSED, c->identity, c->unique_name, s->name, ACCESS_SEE, v.rule);
}

Source *rights_resolve(Api *api, const Caller *c, const char *name) {
        Viewer v = { c };
        RegistryEntry *e = registry_find_among(&api->sources, name, is_shown, &v);

        if (e)
                return source_of(e);
        e = registry_find(&api->sources, name);
        if (e && source_of(e)->exported)
                tell_hidden(api, c, source_of(e));
        return NULL;
}

/* A call of one of the interfaces of sources itself, which ends here if it finds none. */
static bool is_call_to(sd_bus_message *m, const char *path) {
        const char *to = sd_bus_message_get_path(m), *interface = sd_bus_message_get_interface(m);

        return to && strcmp(to, path) == 0 && interface && strncmp(interface, "org.freedesktop.", 16) != 0;
}

int rights_find_source(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                       sd_bus_error *ret_error) {
        sd_bus_message *m = sd_bus_get_current_message(bus);
        Api *api = userdata;
        Caller *c = m ? callers_of(&api->callers, m) : NULL;
        RegistryEntry *e;

        if (!c)
                return 0;
        c->looks = true;
        list_for_each(e, &api->sources.entries, link) {
                Source *s = source_of(e);

                if (!s->exported || strcmp(s->path, path) != 0)
                        continue;
                if (rights_may_see(s, c)) {
                        *ret_found = s;
                        return 1;
                }
                if (is_call_to(m, path))
                        tell_hidden(api, c, s);
        }
        return 0;
}

/* The paths of what the caller may see. */
static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                     sd_bus_error *ret_error) {
        sd_bus_message *m = sd_bus_get_current_message(bus);
        Api *api = userdata;
        Caller *c = m ? callers_of(&api->callers, m) : NULL;
        char **paths = calloc(api->sources.n + 1, sizeof *paths);
        Viewer v = { c };
        RegistryEntry *e;
        size_t n = 0;

        if (!paths)
                return -ENOMEM;
        if (c)
                c->looks = true;
        list_for_each(e, &api->sources.entries, link)
                if (c && is_shown(e, &v) && (paths[n] = strdup(source_of(e)->path)))
                        n++;
        *ret_nodes = paths;
        return 0;
}

int rights_add_sources(Api *api) {
        size_t n;
        const SourceInterface *all = source_interfaces(&n);
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = sd_bus_add_fallback_vtable(api->bus, &api->source_slots[i], FB_PATH_SOURCE_PREFIX,
                                               all[i].name, all[i].vtable, rights_find_source, api);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(api->bus, &api->source_slots[SOURCE_INTERFACES_MAX],
                                               FB_PATH_SOURCE_PREFIX, enumerate, api);
        return r;
}
