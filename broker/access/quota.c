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

static int get_user(Quota *q, uid_t uid, QuotaUser **ret) {
        QuotaUser *u = find_user(q, uid);

        if (!u) {
                u = calloc(1, sizeof *u);
                if (!u)
                        return -ENOMEM;
                u->uid = uid;
                list_append(&q->users, &u->link);
        }
        *ret = u;
        return 0;
}

static int charge(unsigned int *n, unsigned int max) {
        if (*n >= max)
                return FB_E_LIMIT;
        (*n)++;
        return 0;
}

static void put_back(QuotaUser *u, unsigned int *n) {
        if (--*n > 0 || u->n_subscriptions + u->n_sources > 0)
                return;
        list_remove(&u->link);
        free(u);
}

int quota_charge_subscription(Quota *q, uid_t uid) {
        QuotaUser *u;

        fb_try(get_user(q, uid, &u));
        return charge(&u->n_subscriptions, FB_SUBSCRIPTIONS_PER_UID);
}

void quota_return_subscription(Quota *q, uid_t uid) {
        QuotaUser *u = find_user(q, uid);

        if (u)
                put_back(u, &u->n_subscriptions);
}

int quota_charge_source(Quota *q, uid_t uid) {
        QuotaUser *u;

        fb_try(get_user(q, uid, &u));
        return charge(&u->n_sources, FB_SOURCES_PER_UID);
}

void quota_return_source(Quota *q, uid_t uid) {
        QuotaUser *u = find_user(q, uid);

        if (u)
                put_back(u, &u->n_sources);
}
