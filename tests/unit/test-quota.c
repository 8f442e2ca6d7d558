/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shares of users: kdbus's numbers, as far as they carry over, and what holds whatever anybody does. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "broker/access/quota.h"
#include "tests/unit/test.h"

#define MIB (UINT64_C(1) << 20)
#define NOBODY ((uid_t)-1)

static Quota quota;

static void begin(QuotaKind kind, uint64_t max, uid_t favoured) {
        QuotaLimits limits;

        quota_limits_init(&limits);
        limits.max[kind] = max;
        quota_init(&quota, &limits, favoured);
}

static void end(void) {
        for (QuotaKind kind = 0; kind < _QUOTA_KIND_MAX; kind++) {
                CHECK_INT(quota.used[kind], 0);
                CHECK_INT(quota.n_users[kind], 0);
        }
        quota_deinit(&quota);
}

/* The most that one may have now, in KiB. */
static uint64_t most(const QuotaCharge *c, QuotaKind kind) {
        return quota_charge_get_max(c, kind) >> 10;
}

static void take_all(QuotaCharge *c, QuotaKind kind) {
        QuotaRefusal why;

        CHECK_INT(quota_charge_set(c, kind, quota_charge_get_max(c, kind), &why), 0);
}

/* The pool of a kdbus receiver, 16 MiB of which half is its own; there a user has (free + own) / 3 of that,
 * here (free + own) / (users + 1). */
TEST(numbers_of_kdbus) {
        QuotaKind kind = QUOTA_WINDOW_BYTES;
        QuotaCharge a = { 0 }, b = { 0 }, c = { 0 };
        QuotaRefusal why;

        begin(kind, 8 * MIB, NOBODY);
        REQUIRE_INT(quota_charge_open(&a, &quota, 1), 0);
        REQUIRE_INT(quota_charge_open(&b, &quota, 2), 0);
        REQUIRE_INT(quota_charge_open(&c, &quota, 3), 0);
        CHECK_INT(most(&a, kind), 4096); /* 8 / 2 */
        take_all(&a, kind);
        CHECK_INT(most(&b, kind), 1365); /* 4 / 3 */
        take_all(&b, kind);
        CHECK_INT(most(&c, kind), 682); /* 2.67 / 4 */
        take_all(&c, kind);
        /* a asks again: (2 + 4) / 4 is less than it has */
        CHECK_INT(quota_charge_set(&a, kind, 4 * MIB + 1, &why), FB_E_LIMIT);
        CHECK_INT(why.own, 4 * MIB);
        CHECK_INT(why.share >> 10, 1536);
        /* until it drains: what it gives back is there for others first */
        CHECK_INT(quota_charge_set(&a, kind, MIB, &why), 0);
        CHECK_INT(most(&a, kind), 1536);
        CHECK_INT(most(&b, kind), (5 * 1024 + 1365) / 4);
        quota_charge_clear(&a);
        CHECK_INT(most(&b, kind), (8 * 1024 - 682) / 3);
        quota_charge_clear(&b);
        CHECK_INT(most(&c, kind), 4096);
        quota_charge_clear(&c);
        end();
}

TEST(a_users_things_count_together) {
        QuotaCharge a[3] = { 0 }, b = { 0 };
        QuotaRefusal why;

        begin(QUOTA_SOURCES, 9, NOBODY);
        for (size_t i = 0; i < 3; i++) {
                REQUIRE_INT(quota_charge_open(&a[i], &quota, 7), 0);
                CHECK_INT(quota_charge_set(&a[i], QUOTA_SOURCES, 1, &why), 0);
        }
        CHECK_INT(quota_charge_set(&a[0], QUOTA_SOURCES, 2, &why), 0);
        CHECK_INT(quota_charge_set(&a[1], QUOTA_SOURCES, 2, &why), FB_E_LIMIT);
        CHECK_INT(why.own, 4);
        CHECK_INT(a[1].n[QUOTA_SOURCES], 1);
        REQUIRE_INT(quota_charge_open(&b, &quota, 8), 0);
        CHECK_INT(quota_charge_get_max(&b, QUOTA_SOURCES), 1); /* 5 / 3 */
        CHECK_INT(quota_charge_get_max(&b, QUOTA_CALLS), 2048); /* of other things nobody has any */
        for (size_t i = 0; i < 3; i++)
                quota_charge_clear(&a[i]);
        CHECK_INT(quota_charge_get_max(&b, QUOTA_SOURCES), 4);
        quota_charge_clear(&b);
        quota_charge_clear(&b);
        end();
}

TEST(the_own_user_of_a_session_has_all) {
        QuotaCharge own = { 0 }, other = { 0 };
        QuotaRefusal why;

        begin(QUOTA_SUBSCRIPTIONS, 10, 1000);
        REQUIRE_INT(quota_charge_open(&own, &quota, 1000), 0);
        REQUIRE_INT(quota_charge_open(&other, &quota, 0), 0);
        take_all(&other, QUOTA_SUBSCRIPTIONS);
        CHECK_INT(other.n[QUOTA_SUBSCRIPTIONS], 5);
        take_all(&own, QUOTA_SUBSCRIPTIONS);
        CHECK_INT(own.n[QUOTA_SUBSCRIPTIONS], 5);
        CHECK_INT(quota_charge_set(&own, QUOTA_SUBSCRIPTIONS, 6, &why), FB_E_LIMIT);
        quota_charge_clear(&other);
        CHECK_INT(quota_charge_get_max(&own, QUOTA_SUBSCRIPTIONS), 10);
        quota_charge_clear(&own);
        end();
}

TEST(a_refusal_says_what_and_who) {
        QuotaCharge a = { 0 }, b = { 0 };
        char text[QUOTA_TEXT_MAX];
        QuotaRefusal why;

        begin(QUOTA_WINDOW_BYTES, 64 * MIB, NOBODY);
        REQUIRE_INT(quota_charge_open(&a, &quota, 1000), 0);
        REQUIRE_INT(quota_charge_open(&b, &quota, 1001), 0);
        CHECK_INT(quota_charge_set(&a, QUOTA_WINDOW_BYTES, 33 * MIB, &why), FB_E_LIMIT);
        CHECK_STR(quota_refusal_to_string(&why, text),
                  "WindowBytes: you (user 1000) have 0 bytes and want 33 MiB more; your share is 32 MiB, as "
                  "all users have 0 bytes of 64 MiB");
        take_all(&a, QUOTA_WINDOW_BYTES);
        CHECK_INT(quota_charge_set(&b, QUOTA_WINDOW_BYTES, 11 * MIB, &why), FB_E_LIMIT);
        CHECK_STR(quota_refusal_to_string(&why, text),
                  "WindowBytes: you (user 1001) have 0 bytes and want 11 MiB more; your share is 10 MiB, as "
                  "all users have 32 MiB of 64 MiB; of others most has user 1000, 32 MiB");
        quota_charge_clear(&a);
        quota_charge_clear(&b);
        end();
}

TEST(kinds_have_words) {
        for (QuotaKind kind = 0; kind < _QUOTA_KIND_MAX; kind++)
                CHECK_INT(quota_kind_from_string(quota_kind_to_string(kind)), kind);
        CHECK((int)quota_kind_from_string("subscriptions") < 0);
}

/* ---- anything at all ---- */

#define N_CHARGES 40u
#define N_USERS   6u

static QuotaCharge charges[N_CHARGES];
static uint64_t model[N_CHARGES][_QUOTA_KIND_MAX];
static uid_t users[N_CHARGES];

static uint64_t sum_of(QuotaKind kind, uid_t user) {
        uint64_t n = 0;

        for (unsigned i = 0; i < N_CHARGES; i++)
                if (user == NOBODY || users[i] == user)
                        n += model[i][kind];
        return n;
}

/* What @i may have, from nothing but what everybody has. */
static uint64_t model_max(unsigned i, QuotaKind kind) {
        uint64_t free = quota.limits.max[kind] - sum_of(kind, NOBODY), own = sum_of(kind, users[i]), n = 1;
        uint64_t share;

        for (uid_t user = 1; user <= N_USERS; user++)
                n += user != users[i] && sum_of(kind, user) > 0;
        share = users[i] == quota.favoured ? free + own : (free + own) / (n + 1);
        if (share == 0 && own == 0 && free > 0)
                share = 1;
        return share > own ? model[i][kind] + share - own : model[i][kind];
}

static void set_at_random(unsigned i, QuotaKind kind, uint64_t n) {
        uint64_t max = model_max(i, kind), before = model[i][kind];
        QuotaRefusal why;
        int r;

        CHECK_INT(quota_charge_get_max(&charges[i], kind), max);
        r = quota_charge_set(&charges[i], kind, n, &why);
        CHECK_INT(r, n <= max || n <= before ? 0 : FB_E_LIMIT);
        if (r == 0) {
                model[i][kind] = n;
        } else {
                CHECK_INT(why.uid, users[i]);
                CHECK_INT(why.wanted, n - before);
                CHECK_INT(why.own, sum_of(kind, users[i]));
                CHECK_INT(why.used, sum_of(kind, NOBODY));
                CHECK(why.most <= why.used - why.own);
        }
        CHECK_INT(charges[i].n[kind], model[i][kind]);
        CHECK(sum_of(kind, NOBODY) <= quota.limits.max[kind]);
}

/* As long as something is free, who has nothing gets some. */
static void newcomer_gets_some(QuotaKind kind) {
        QuotaCharge c = { 0 };

        REQUIRE_INT(quota_charge_open(&c, &quota, N_USERS + 1), 0);
        CHECK_INT(quota_charge_get_max(&c, kind) > 0, sum_of(kind, NOBODY) < quota.limits.max[kind]);
        quota_charge_clear(&c);
}

TEST(at_random) {
        for (unsigned seed = 0; seed < 30; seed++) {
                QuotaKind kinds[] = { QUOTA_SUBSCRIPTIONS, QUOTA_WINDOW_BYTES };

                ROW("seed %u", seed);
                srand(seed);
                memset(model, 0, sizeof model);
                begin(QUOTA_SUBSCRIPTIONS, 1 + (uint64_t)rand() % 60, seed % 3 ? NOBODY : 2);
                quota.limits.max[QUOTA_WINDOW_BYTES] = 1 + (uint64_t)rand();
                for (unsigned step = 0; step < 2000; step++) {
                        unsigned i = (unsigned)rand() % N_CHARGES;
                        QuotaKind kind = kinds[rand() % 2];

                        if (!charges[i].quota) {
                                users[i] = 1 + (uid_t)rand() % N_USERS;
                                REQUIRE_INT(quota_charge_open(&charges[i], &quota, users[i]), 0);
                        } else if (rand() % 5 == 0) {
                                quota_charge_clear(&charges[i]);
                                memset(model[i], 0, sizeof model[i]);
                                continue;
                        }
                        set_at_random(i, kind, (uint64_t)rand() % (model_max(i, kind) * 2 + 2));
                        newcomer_gets_some(kind);
                }
                for (unsigned i = 0; i < N_CHARGES; i++)
                        quota_charge_clear(&charges[i]);
                end();
        }
}

TEST_MAIN
