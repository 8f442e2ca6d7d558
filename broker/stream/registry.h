/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of sources: their grammar, and who has which. Embedded links; owns nothing. */
#pragma once

#include "base/list.h"

typedef struct RegistryEntry {
        List link; /* Registry::entries */
        const char *name;
} RegistryEntry;

typedef struct Registry {
        List entries;
        unsigned int n;
} Registry;

void registry_init(Registry *r);

/* FB_E_INVALID_NAME, FB_E_NAME_TAKEN. @name must stay valid until registry_remove(). */
int registry_add(Registry *r, RegistryEntry *e, const char *name);
void registry_remove(Registry *r, RegistryEntry *e);
RegistryEntry *registry_find(const Registry *r, const char *name);
