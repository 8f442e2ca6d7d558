/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/stream/registry.h"

#include <string.h>

#include "base/error.h"
#include "interfaces/wire.h"

void registry_init(Registry *r) {
        list_init(&r->entries);
        r->n = 0;
}

int registry_add(Registry *r, RegistryEntry *e, const char *name) {
        if (!fb_source_name_is_valid(name))
                return FB_E_INVALID_NAME;
        if (registry_find(r, name))
                return FB_E_NAME_TAKEN;
        e->name = name;
        list_append(&r->entries, &e->link);
        r->n++;
        return 0;
}

void registry_remove(Registry *r, RegistryEntry *e) {
        if (!e->link.next)
                return;
        list_remove(&e->link);
        r->n--;
}

RegistryEntry *registry_find(const Registry *r, const char *name) {
        RegistryEntry *e;

        list_for_each(e, &r->entries, link)
                if (strcmp(e->name, name) == 0)
                        return e;
        return NULL;
}
