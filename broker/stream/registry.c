/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/stream/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "interfaces/wire.h"

void registry_init(Registry *r) {
        list_init(&r->entries);
        r->n = 0;
}

static void free_all(char **texts) {
        for (char **t = texts; t && *t; t++)
                free(*t);
        free(texts);
}

static bool has_alias(const RegistryEntry *e, const char *name) {
        for (char **a = e->aliases; a && *a; a++)
                if (strcmp(*a, name) == 0)
                        return true;
        return false;
}

static RegistryEntry *find_name(const Registry *r, const char *name) {
        RegistryEntry *e;

        list_for_each(e, &r->entries, link)
                if (strcmp(e->name, name) == 0)
                        return e;
        return NULL;
}

/* How many have it, and one of them. */
static unsigned int count_alias(const Registry *r, const char *name, RegistryEntry **ret_last) {
        unsigned int n = 0;
        RegistryEntry *e;

        list_for_each(e, &r->entries, link)
                if (has_alias(e, name)) {
                        *ret_last = e;
                        n++;
                }
        return n;
}

int registry_add(Registry *r, RegistryEntry *e, const char *name) {
        RegistryEntry *other;

        if (!fb_source_name_is_valid(name))
                return FB_E_INVALID_NAME;
        if (find_name(r, name) || count_alias(r, name, &other) > 0)
                return FB_E_NAME_TAKEN;
        e->name = name;
        list_append(&r->entries, &e->link);
        r->n++;
        return 0;
}

void registry_remove(Registry *r, RegistryEntry *e) {
        free_all(e->aliases);
        e->aliases = NULL;
        if (!e->link.next)
                return;
        list_remove(&e->link);
        r->n--;
}

RegistryEntry *registry_find(const Registry *r, const char *name) {
        RegistryEntry *e = find_name(r, name), *other;

        if (e)
                return e;
        return count_alias(r, name, &other) == 1 ? other : NULL;
}

RegistryEntry *registry_find_among(const Registry *r, const char *name,
                                   bool (*counts)(const RegistryEntry *e, void *userdata), void *userdata) {
        RegistryEntry *e, *found = NULL;
        unsigned int n = 0;

        list_for_each(e, &r->entries, link) {
                if (!counts(e, userdata))
                        continue;
                if (strcmp(e->name, name) == 0)
                        return e;
                if (has_alias(e, name)) {
                        found = e;
                        n++;
                }
        }
        return n == 1 ? found : NULL;
}

static bool are_aliases(const RegistryEntry *e, const char *const *aliases) {
        size_t i = 0;

        for (; aliases[i]; i++)
                if (!e->aliases || !e->aliases[i] || strcmp(e->aliases[i], aliases[i]) != 0)
                        return false;
        return !e->aliases || !e->aliases[i];
}

int registry_set_aliases(RegistryEntry *e, const char *const *aliases) {
        size_t n = 0;
        char **copy;

        if (are_aliases(e, aliases))
                return 0;
        while (aliases[n])
                n++;
        copy = calloc(n + 1, sizeof *copy);
        for (size_t i = 0; copy && i < n; i++) {
                copy[i] = strdup(aliases[i]);
                if (!copy[i]) {
                        free_all(copy);
                        copy = NULL;
                }
        }
        if (!copy)
                return -ENOMEM;
        free_all(e->aliases);
        e->aliases = copy;
        return 1;
}
