/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See quota.h. Invariants, for each kind: Quota::used is the sum over users, that of a user the sum over its
 * charges; used is at most the limit; n_users is the number of users whose sum is not 0. A user is there
 * while it has charges, also empty ones.
 */
#include "broker/access/quota.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "wire/share.h"

#define BYTES_MIN (UINT64_C(256) << 20)

static const char *const kind_names[_QUOTA_KIND_MAX] = {
        [QUOTA_SUBSCRIPTIONS] = "Subscriptions", [QUOTA_WINDOW_BYTES] = "WindowBytes",
        [QUOTA_CHANNELS] = "Channels",           [QUOTA_SOURCES] = "Sources",
        [QUOTA_BUFFER_BYTES] = "BufferBytes",    [QUOTA_DESCRIPTORS] = "Descriptors",
        [QUOTA_CALLS] = "Calls",
};

const char *quota_kind_to_string(QuotaKind kind) {
        return kind_names[kind];
}

QuotaKind quota_kind_from_string(const char *word) {
        for (int i = 0; i < _QUOTA_KIND_MAX; i++)
                if (strcmp(kind_names[i], word) == 0)
                        return (QuotaKind)i;
        return (QuotaKind)-EINVAL;
}

bool quota_kind_is_bytes(QuotaKind kind) {
        return kind == QUOTA_WINDOW_BYTES || kind == QUOTA_BUFFER_BYTES;
}

void quota_limits_init(QuotaLimits *l) {
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
        uint64_t half = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : 0;

        *l = (QuotaLimits){ .max = {
                [QUOTA_SUBSCRIPTIONS] = 256,
                [QUOTA_WINDOW_BYTES] = FB_MAX(half, BYTES_MIN),
                [QUOTA_CHANNELS] = 256,
                [QUOTA_SOURCES] = 64,
                [QUOTA_BUFFER_BYTES] = FB_MAX(half, BYTES_MIN),
                [QUOTA_DESCRIPTORS] = 4096,
                [QUOTA_CALLS] = 4096,
        } };
}

/* ---- words ---- */

static const char *amount_to_string(QuotaKind kind, uint64_t n, char buffer[static 32]) {
        const char *unit = quota_kind_is_bytes(kind) ? " bytes" : "";

        if (quota_kind_is_bytes(kind) && n >= UINT64_C(10) << 20)
                snprintf(buffer, 32, "%llu MiB", (unsigned long long)(n >> 20));
        else
                snprintf(buffer, 32, "%llu%s", (unsigned long long)n, unit);
        return buffer;
}

const char *quota_refusal_to_string(const QuotaRefusal *r, char buffer[static QUOTA_TEXT_MAX]) {
        char own[32], wanted[32], share[32], used[32], max[32], most[32], others[96] = "";

        if (r->most > 0)
                snprintf(others, sizeof others, "; of others most has user %u, %s", r->most_uid,
                         amount_to_string(r->kind, r->most, most));
        snprintf(buffer, QUOTA_TEXT_MAX,
                 "%s: you (user %u) have %s and want %s more; your share is %s, as all users have %s of %s%s",
                 kind_names[r->kind], r->uid, amount_to_string(r->kind, r->own, own),
                 amount_to_string(r->kind, r->wanted, wanted), amount_to_string(r->kind, r->share, share),
                 amount_to_string(r->kind, r->used, used), amount_to_string(r->kind, r->max, max), others);
        return buffer;
}

/* ---- users ---- */

void quota_init(Quota *q, const QuotaLimits *limits, uid_t favoured) {
        *q = (Quota){ .limits = *limits, .favoured = favoured };
        list_init(&q->users);
}

void quota_deinit(Quota *q) {
        assert(list_is_empty(&q->users));
}

static uint64_t share_of(const Quota *q, const QuotaUser *u, QuotaKind kind) {
        uint64_t max = q->limits.max[kind], free = max > q->used[kind] ? max - q->used[kind] : 0;

        if (u->uid == q->favoured)
                return free + u->n[kind];
        return share_limit(free, u->n[kind], q->n_users[kind] + (u->n[kind] == 0));
}

static int refuse(const Quota *q, const QuotaUser *u, QuotaKind kind, uint64_t more, QuotaRefusal *ret_why) {
        const QuotaUser *other;

        *ret_why = (QuotaRefusal){ .kind = kind,
                                   .uid = u->uid,
                                   .wanted = more,
                                   .own = u->n[kind],
                                   .share = share_of(q, u, kind),
                                   .used = q->used[kind],
                                   .max = q->limits.max[kind] };
        list_for_each(other, &q->users, link)
                if (other != u && other->n[kind] > ret_why->most) {
                        ret_why->most = other->n[kind];
                        ret_why->most_uid = other->uid;
                }
        return FB_E_LIMIT;
}

/* ---- charges ---- */

int quota_charge_open(QuotaCharge *c, Quota *q, uid_t uid) {
        QuotaUser *u;

        if (c->quota)
                return 0;
        list_for_each(u, &q->users, link)
                if (u->uid == uid) {
                        u->n_charges++;
                        *c = (QuotaCharge){ .quota = q, .user = u };
                        return 0;
                }
        u = calloc(1, sizeof *u);
        if (!u)
                return -ENOMEM;
        u->uid = uid;
        u->n_charges = 1;
        list_append(&q->users, &u->link);
        *c = (QuotaCharge){ .quota = q, .user = u };
        return 0;
}

static void put(QuotaCharge *c, QuotaKind kind, uint64_t n) {
        QuotaUser *u = c->user;

        c->quota->n_users[kind] -= u->n[kind] > 0;
        c->quota->used[kind] += n - c->n[kind];
        u->n[kind] += n - c->n[kind];
        c->n[kind] = n;
        c->quota->n_users[kind] += u->n[kind] > 0;
}

int quota_charge_set(QuotaCharge *c, QuotaKind kind, uint64_t n, QuotaRefusal *ret_why) {
        if (n > quota_charge_get_max(c, kind) && n > c->n[kind])
                return refuse(c->quota, c->user, kind, n - c->n[kind], ret_why);
        put(c, kind, n);
        return 0;
}

uint64_t quota_charge_get_max(const QuotaCharge *c, QuotaKind kind) {
        uint64_t share = share_of(c->quota, c->user, kind), own = c->user->n[kind];

        return share > own ? c->n[kind] + (share - own) : c->n[kind];
}

void quota_charge_clear(QuotaCharge *c) {
        if (!c->quota)
                return;
        for (QuotaKind kind = 0; kind < _QUOTA_KIND_MAX; kind++)
                put(c, kind, 0);
        if (--c->user->n_charges == 0) {
                list_remove(&c->user->link);
                free(c->user);
        }
        *c = (QuotaCharge){ 0 };
}
