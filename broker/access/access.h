/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what with which source. Pure. Behind the bus's own policy, which is asked first.
 *
 * Without rules: on the session bus the own user and uid 0 may do everything. On the system bus whoever the
 * policy file lets through may see and watch; publishing is for uid 0 and the broker's own user.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
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

/*
 * Whether @uid, who may watch a source, may be given its frames in memory of @kind (FB_MEMORY_*).
 * Sealed memory is for everybody. Leased memory, which its maker could change, is from the broker's own
 * capture programs (@configured), or from a publisher of the same user, @publisher. dma-bufs, which a device
 * writes and nobody can take back, are for uid 0, for the own user on a session bus, and from a publisher of
 * the same user.
 */
bool access_allows_memory(const Access *a, uid_t uid, bool configured, uid_t publisher, uint32_t kind);
