/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where configuration is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Of the user, for a session's broker; NULL: there is none. Owned by the caller. */
char *folders_get_user(void);

typedef struct Folders {
        char *own;
        const char *list[2]; /* the most important first */
        size_t n;
} Folders;

/* Those that have access.d: @config alone if it is given; the user's for a session; for the system /etc's,
 * and what the package brought. */
void folders_of_rules(bool system, const char *config, Folders *ret);
void folders_done(Folders *f);
