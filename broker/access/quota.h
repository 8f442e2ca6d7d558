/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one connection and one user may have at once. Charged when granted; a channel stays charged to the
 * connection it was handed to until hang-up, since a reply that is not read keeps its descriptor alive.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/list.h"

typedef enum QuotaKind {
        QUOTA_SUBSCRIPTIONS, /* at most FB_SUBSCRIPTIONS_PER_UID */
        QUOTA_SOURCES,       /* published ones: at most FB_SOURCES_PER_UID */
        _QUOTA_KIND_MAX,
} QuotaKind;

typedef struct QuotaUser {
        List link; /* Quota::users */
        uid_t uid;
        unsigned int n[_QUOTA_KIND_MAX];
} QuotaUser;

typedef struct Quota {
        List users;
} Quota;

void quota_init(Quota *q);
void quota_deinit(Quota *q);

/* One more of @uid: FB_E_LIMIT if it has the most that one may have. */
int quota_charge(Quota *q, uid_t uid, QuotaKind kind);
void quota_return(Quota *q, uid_t uid, QuotaKind kind);
