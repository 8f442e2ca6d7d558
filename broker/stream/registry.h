/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of sources: their grammar, and who has which. Embedded links; owns nothing. */
#pragma once

#include <stdbool.h>

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

/* 1 to 64 characters out of [A-Za-z0-9._:-], not beginning with a dot. */
bool registry_name_is_valid(const char *name);

/* FB_E_INVALID_NAME, FB_E_NAME_TAKEN. @name must stay valid until registry_remove(). */
int registry_add(Registry *r, RegistryEntry *e, const char *name);
void registry_remove(Registry *r, RegistryEntry *e);
RegistryEntry *registry_find(const Registry *r, const char *name);
