/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The books of what is unread on channels: what holds whatever anybody does. */
#include <stdlib.h>

#include "base/error.h"
#include "broker/conduit/peer-books.h"
#include "interfaces/wire.h"
#include "tests/unit/test.h"
#include "wire/share.h"

#define N_ACCOUNTS 300u

TEST(shares) {
        static const struct {
                uint32_t free, own, n, limit;
        } rows[] = {
                { 256, 0, 1, 128 }, { 128, 128, 1, 128 }, { 128, 0, 2, 42 }, { 86, 42, 2, 42 },
                { 1, 0, 50, 1 },    { 0, 0, 50, 0 },      { 1, 1, 50, 0 },   { 0, 0, 0, 0 },
                { 10, 0, 0, 10 },   { UINT32_MAX, UINT32_MAX, 1, UINT32_MAX },
        };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                ROW("%zu", i);
                CHECK_INT(share_limit(rows[i].free, rows[i].own, rows[i].n), rows[i].limit);
        }
}

typedef struct Books {
        PeerBooks books;
        PeerAccount accounts[N_ACCOUNTS];
} Books;

static Books b;

static void begin(uid_t unshared) {
        b = (Books){ 0 };
        peer_books_init(&b.books, unshared);
}

static void end(void) {
        for (unsigned i = 0; i < N_ACCOUNTS; i++)
                peer_account_close(&b.accounts[i]);
        CHECK_INT(b.books.n_channels, 0);
        CHECK_INT(b.books.n_users, 0);
        CHECK_INT(b.books.extras, 0);
        CHECK_INT(b.books.n_users_extras, 0);
        CHECK(list_is_empty(&b.books.users));
}

/* Sends while it may; who never reads. Returns how many. */
static unsigned stop(unsigned i, unsigned window) {
        unsigned n = 0;

        while (n < window && peer_account_fits(&b.accounts[i], 1)) {
                peer_account_sent(&b.accounts[i], 1);
                n++;
        }
        return n;
}

static unsigned open_up_to(unsigned first, unsigned n, uid_t uid, PeerRefusal *why) {
        unsigned i;

        for (i = 0; i < n && peer_account_open(&b.accounts[first + i], &b.books, uid, why) == 0; i++)
                ;
        return i;
}

/* One user with 12 stopped channels and as many more as it gets; one of another user that reads. */
TEST(one_user_cannot_have_all) {
        PeerRefusal why = { 0 };
        unsigned n;

        begin(PEER_SHARED_BY_ALL);
        REQUIRE_INT(open_up_to(0, 12, 1, &why), 12);
        for (unsigned i = 0; i < 12; i++)
                CHECK(stop(i, 16) >= 1);
        n = 12 + open_up_to(12, N_ACCOUNTS - 12 - 20, 1, &why);
        CHECK_INT(n, FB_PEER_FDS_MAX / 2);
        CHECK(why.share);
        CHECK_INT(why.used, FB_PEER_FDS_MAX / 2);
        for (unsigned i = 12; i < n; i++)
                CHECK(stop(i, 16) >= 1);

        REQUIRE_INT(open_up_to(n, 4, 2, &why), 4);
        for (unsigned i = n; i < n + 4; i++)
                for (int frame = 0; frame < 100; frame++) {
                        CHECK(peer_account_fits(&b.accounts[i], 1));
                        peer_account_sent(&b.accounts[i], 1);
                        CHECK(peer_account_fits(&b.accounts[i], 1)); /* it is late by a frame */
                        peer_account_sent(&b.accounts[i], 1);
                        peer_account_read(&b.accounts[i], 0);
                }
        end();
}

/* On its own bus a user has what there is; its stopped channels still leave some for the one that is late. */
TEST(channels_of_one_user) {
        PeerRefusal why = { 0 };

        begin(1);
        CHECK_INT(open_up_to(0, FB_SUBSCRIPTIONS_PER_UID, 1, &why), FB_SUBSCRIPTIONS_PER_UID);
        for (unsigned i = 1; i < FB_SUBSCRIPTIONS_PER_UID; i++)
                CHECK(stop(i, 16) >= 2);
        CHECK(stop(0, 16) >= 2);
        CHECK(peer_books_get_committed(&b.books) <= FB_PEER_FDS_MAX);
        end();

        begin(1); /* the first ones have all that they get before the others come */
        for (unsigned i = 0; i < FB_SUBSCRIPTIONS_PER_UID; i++) {
                CHECK_INT(open_up_to(i, 1, 1, &why), 1);
                CHECK(stop(i, 16) >= 1);
        }
        CHECK(peer_books_get_committed(&b.books) > FB_PEER_FDS_MAX * 3 / 4);
        end();
}

/* Of many users, each as greedy as it may be. */
TEST(many_users) {
        unsigned n = 0;

        begin(PEER_SHARED_BY_ALL);
        for (uid_t uid = 1; uid <= 4; uid++) {
                PeerRefusal why = { 0 };
                unsigned first = n;

                n += open_up_to(n, N_ACCOUNTS - n, uid, &why);
                CHECK(n - first >= 5);
                for (unsigned i = first; i < n; i++)
                        CHECK(stop(i, 16) >= 1);
        }
        CHECK(n > 128);
        end();
}

TEST(frames_with_several) {
        PeerRefusal why = { 0 };

        begin(PEER_SHARED_BY_ALL);
        REQUIRE_INT(open_up_to(0, 2, 1, &why), 2);
        CHECK(peer_account_fits(&b.accounts[0], FB_MEMORIES_MAX));
        peer_account_sent(&b.accounts[0], FB_MEMORIES_MAX);
        CHECK_INT(b.books.extras, FB_MEMORIES_MAX - 1);
        while (peer_account_fits(&b.accounts[1], 1))
                peer_account_sent(&b.accounts[1], 1);
        peer_account_read(&b.accounts[0], 0);
        peer_account_read(&b.accounts[0], 3); /* it knows better already */
        CHECK_INT(b.accounts[0].unread, 0);
        CHECK(peer_account_fits(&b.accounts[0], FB_MEMORIES_MAX));
        end();
}

static unsigned dice(unsigned n) {
        return (unsigned)random() % n;
}

static void check_all(void) {
        uint32_t unread = 0, extras = 0;

        for (unsigned i = 0; i < N_ACCOUNTS; i++) {
                const PeerAccount *a = &b.accounts[i];

                unread += a->unread;
                extras += a->unread > 1 ? a->unread - 1 : 0;
                if (a->books && a->unread == 0)
                        CHECK(peer_account_fits(a, 1));
        }
        CHECK_INT(b.books.extras, extras);
        CHECK(unread <= FB_PEER_FDS_MAX);
        CHECK(peer_books_get_committed(&b.books) <= FB_PEER_FDS_MAX);
}

TEST(whatever_anybody_does) {
        unsigned n_sent = 0, n_refused = 0;

        for (unsigned seed = 1; seed <= 20; seed++) {
                ROW("seed %u", seed);
                srandom(seed);
                begin(seed % 2 ? PEER_SHARED_BY_ALL : 0);
                for (unsigned step = 0; step < 4000; step++) {
                        PeerAccount *a = &b.accounts[dice(N_ACCOUNTS)];
                        PeerRefusal why = { 0 };
                        uint32_t n = 1 + (dice(4) == 0) * dice(FB_MEMORIES_MAX);

                        if (!a->books) {
                                int r = peer_account_open(a, &b.books, (uid_t)dice(1 + seed % 6), &why);

                                CHECK(r == 0 || (r == FB_E_LIMIT && why.max > 0));
                                CHECK_INT(!a->books, r != 0);
                        } else if (dice(20) == 0)
                                peer_account_close(a);
                        else if (dice(6) == 0)
                                peer_account_read(a, dice(a->unread + 1));
                        else if (peer_account_fits(a, n)) {
                                peer_account_sent(a, n);
                                n_sent++;
                        } else
                                n_refused++;
                        if (step % 16 == 0)
                                check_all();
                }
                check_all();
                end();
        }
        CHECK(n_sent > 1000);
        CHECK(n_refused > 1000);
}

TEST_MAIN
