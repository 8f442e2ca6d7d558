/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one connection and one user may have at once. Charged when granted; a channel stays charged to the
 * connection it was handed to until hang-up, since a reply that is not read keeps its descriptor alive.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/list.h"

typedef struct QuotaUser {
        List link; /* Quota::users */
        uid_t uid;
        unsigned int n_subscriptions, n_sources;
} QuotaUser;

typedef struct Quota {
        List users;
} Quota;

void quota_init(Quota *q);
void quota_deinit(Quota *q);

/* One more subscription of @uid: FB_E_LIMIT at FB_SUBSCRIPTIONS_PER_UID. */
int quota_charge_subscription(Quota *q, uid_t uid);
void quota_return_subscription(Quota *q, uid_t uid);

/* One more published source: FB_E_LIMIT at FB_SOURCES_PER_UID. */
int quota_charge_source(Quota *q, uid_t uid);
void quota_return_source(Quota *q, uid_t uid);
