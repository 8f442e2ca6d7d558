/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/access/quota.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "interfaces/wire.h"

void quota_init(Quota *q) {
        list_init(&q->users);
}

static QuotaUser *find_user(Quota *q, uid_t uid) {
        QuotaUser *u;

        list_for_each(u, &q->users, link)
                if (u->uid == uid)
                        return u;
        return NULL;
}

void quota_deinit(Quota *q) {
        QuotaUser *u, *tmp;

        list_for_each_safe(u, tmp, &q->users, link) {
                list_remove(&u->link);
                free(u);
        }
}

int quota_charge(Quota *q, uid_t uid, QuotaKind kind) {
        static const unsigned int max[] = {
                [QUOTA_SUBSCRIPTIONS] = FB_SUBSCRIPTIONS_PER_UID,
                [QUOTA_SOURCES] = FB_SOURCES_PER_UID,
        };
        QuotaUser *u = find_user(q, uid);

        if (!u) {
                u = calloc(1, sizeof *u);
                if (!u)
                        return -ENOMEM;
                u->uid = uid;
                list_append(&q->users, &u->link);
        }
        if (u->n[kind] >= max[kind])
                return FB_E_LIMIT;
        u->n[kind]++;
        return 0;
}

void quota_return(Quota *q, uid_t uid, QuotaKind kind) {
        QuotaUser *u = find_user(q, uid);

        if (!u || --u->n[kind] > 0)
                return;
        for (QuotaKind k = 0; k < _QUOTA_KIND_MAX; k++)
                if (u->n[k] > 0)
                        return;
        list_remove(&u->link);
        free(u);
}
