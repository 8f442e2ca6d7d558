/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may do what with which source: the rules, and what holds where none fits. Pure. Behind the bus's own
 * policy, which is asked first.
 *
 * Where no rule fits: on the session bus the own user and uid 0 may do everything; on the system bus, and at
 * an endpoint, nobody may do anything. Rules that cannot be read let nobody do anything, as one of them may
 * have been to keep somebody away.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/access/match.h"

typedef struct Access {
        bool system; /* on the system bus */
        uid_t own;   /* the broker's user */
        Rules rules;
        bool broken; /* they could not be read */
} Access;

typedef struct Verdict {
        AccessDecision decision;
        AccessVerb verb;  /* that it was decided by: seeing, where watching was asked for */
        const Rule *rule; /* NULL: none fits */
} Verdict;

/*
 * @what NULL: all sources. Whoever may not see a source may not watch or control it, and whoever may not
 * watch it gets its frames in no kind of memory.
 * ACCESS_RAW and ACCESS_LEASE without a rule: ACCESS_DENY, see access_judge_memory().
 */
Verdict access_judge(const Access *a, const Subject *who, const AccessSource *what, AccessVerb verb);

/* Whether it is ACCESS_ALLOW. */
bool access_allows(const Access *a, const Subject *who, const AccessSource *what, AccessVerb verb);

/* Whether whoever can be on the bus may see it, so that signals about it may be sent to all. */
bool access_is_public(const Access *a, const AccessSource *what);

/*
 * Whether @who, who may watch a source, may be given its frames in memory of @kind (FB_MEMORY_*).
 * Sealed memory is for everybody. Without a rule, leased memory, which its maker could change, is from the
 * broker's own capture programs (@configured), or from a publisher of the same user, @publisher; dma-bufs,
 * which a device writes and nobody can take back, are for uid 0, for the own user on a session bus, and from
 * a publisher of the same user.
 */
bool access_allows_memory(const Access *a, const Subject *who, const AccessSource *what, bool configured,
                          uid_t publisher, uint32_t kind);
