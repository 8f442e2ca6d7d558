/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/access/quota.h"

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

int quota_charge_subscription(Quota *q, uid_t uid) {
        QuotaUser *u = find_user(q, uid);

        if (u && u->n_subscriptions >= FB_SUBSCRIPTIONS_PER_UID)
                return FB_E_LIMIT;
        if (!u) {
                u = calloc(1, sizeof *u);
                if (!u)
                        return -ENOMEM;
                u->uid = uid;
                list_append(&q->users, &u->link);
        }
        u->n_subscriptions++;
        return 0;
}

void quota_return_subscription(Quota *q, uid_t uid) {
        QuotaUser *u = find_user(q, uid);

        if (!u || --u->n_subscriptions > 0)
                return;
        list_remove(&u->link);
        free(u);
}
