/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what with which source. Pure. Behind the bus's own policy, which is asked first.
 *
 * Without rules: on the session bus the own user and uid 0 may do everything. On the system bus whoever the
 * policy file lets through may see and watch; publishing is for uid 0 and the broker's own user.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

typedef enum AccessVerb {
        ACCESS_SEE,
        ACCESS_WATCH,
        ACCESS_PUBLISH,
        ACCESS_CONTROL,
        ACCESS_ADMIN,
} AccessVerb;

typedef struct Access {
        bool system; /* on the system bus */
        uid_t own;   /* the broker's user */
} Access;

bool access_allows(const Access *a, uid_t uid, const char *source, AccessVerb verb);
