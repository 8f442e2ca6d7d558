/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of sources: their grammar, and who has which. Embedded links; owns nothing, but for the aliases
 * that it was told.
 */
#pragma once

#include <stdbool.h>

#include "base/list.h"

typedef struct RegistryEntry {
        List link; /* Registry::entries */
        const char *name;
        char **aliases; /* NULL-terminated; NULL: none */
} RegistryEntry;

typedef struct Registry {
        List entries;
        unsigned int n;
} Registry;

void registry_init(Registry *r);

/* FB_E_INVALID_NAME, FB_E_NAME_TAKEN (as a name or an alias). @name must stay valid until registry_remove().
 * */
int registry_add(Registry *r, RegistryEntry *e, const char *name);
/* And forgets its aliases. Harmless if it was not added. */
void registry_remove(Registry *r, RegistryEntry *e);

/* By its name, else by an alias that it alone has: if two have it, it would be chance which is meant. */
RegistryEntry *registry_find(const Registry *r, const char *name);

/* The same among those for which @counts says yes, as if there were no others. */
RegistryEntry *registry_find_among(const Registry *r, const char *name,
                                   bool (*counts)(const RegistryEntry *e, void *userdata), void *userdata);

/* Other names for @e, copied; NULL-terminated. 1: they were others before. -ENOMEM, and nothing is changed.
 * */
int registry_set_aliases(RegistryEntry *e, const char *const *aliases);
