/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what, for the interfaces: judges callers, says no, and takes back what was granted when the
 * rules change.
 *
 * A source that a caller may not see does not exist for it. Therefore its object is found for each call anew
 * (rights_find_source()), nothing that can be seen of it is in the tree of objects, and what is said about it
 * goes to those who may see it (announce.h).
 */
#pragma once

#include "broker/api/source.h"

typedef struct Subscription Subscription;

static inline AccessSource rights_names(const Source *s) {
        return (AccessSource){ s->name, s->entry.aliases };
}

bool rights_may_see(const Source *s, const Caller *c);

/*
 * Whether @c may do @verb with @what; @what NULL: with all sources. 0, or AccessDenied in @ret_error, of
 * which the audit is told. Where a rule has somebody asked: nobody is there to ask, and that is the error; a
 * call that waits for an answer would wait as those for modes do, see source_wait_for_modes().
 */
int rights_check(Api *api, const Caller *c, const AccessSource *what, AccessVerb verb,
                 sd_bus_error *ret_error);

/* The same for a source, which is UnknownObject for who may not see it. */
int rights_check_source(const Source *s, const Caller *c, AccessVerb verb, sd_bus_error *ret_error);

/* @verb was granted, and done: for the audit. @source: its name. */
void rights_granted(Api *api, const Identity *who, const char *client, const char *source, AccessVerb verb);

/* The source of that name or alias among those that @c may see, or NULL: one that is hidden does not make an
 * alias ambiguous. */
Source *rights_resolve(Api *api, const Caller *c, const char *name);

/* For fallback vtables at FB_PATH_SOURCE_PREFIX, with the Api. */
int rights_find_source(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                       sd_bus_error *ret_error);

/* Adds the objects of all sources to the bus. */
int rights_add_sources(Api *api);

/* Reads the rules for the first time. If they are bad, nobody may do anything; -ENOMEM. */
int rights_init(Api *api);
void rights_deinit(Api *api);

/* Manager1's Reload and Explain. */
int rights_method_reload(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int rights_method_explain(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
