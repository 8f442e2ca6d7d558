/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/folders.h"

#include <stdio.h>
#include <stdlib.h>

char *folders_get_user(void) {
        const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
        char *path = NULL;

        if (base && base[0] == '/')
                return asprintf(&path, "%s/framebus", base) < 0 ? NULL : path;
        if (home && home[0] == '/')
                return asprintf(&path, "%s/.config/framebus", home) < 0 ? NULL : path;
        return NULL;
}

void folders_of_rules(bool system, const char *config, Folders *ret) {
        *ret = (Folders){};
        if (config)
                ret->list[ret->n++] = config;
        else if (system) {
                ret->list[ret->n++] = FB_SYSCONFDIR "/framebus";
                ret->list[ret->n++] = FB_DATADIR "/framebus";
        } else if ((ret->own = folders_get_user()))
                ret->list[ret->n++] = ret->own;
}

void folders_done(Folders *f) {
        free(f->own);
        *f = (Folders){};
}
