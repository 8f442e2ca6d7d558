/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may have how many descriptors under way on the bus, against clients that say what they like. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "tests/unit/test.h"
#include "wire/fd-ledger.h"

#define NOBODY ((uid_t)-1)
#define N_MAX  80

typedef struct Bus {
        FdLedger ledger;
        FdAccount accounts[N_MAX];
        unsigned n_asked[N_MAX], n_freed;
        bool answers; /* a mark is sent when it is asked for */
} Bus;

static Bus bus;

static void on_ask(FdAccount *a, void *userdata) {
        Bus *b = userdata;

        CHECK(!a->marked);
        CHECK(fd_account_outstanding(a) > 0);
        b->n_asked[a - b->accounts]++;
        if (b->answers)
                fd_account_marked(a);
}

static void on_freed(void *userdata) {
        ((Bus *)userdata)->n_freed++;
}

static const FdLedgerHandler handler = { on_ask, on_freed };

/* Accounts 0 to @n - 1; number i belongs to user i modulo @n_users. */
static void bus_init(uid_t favoured, unsigned n, unsigned n_users) {
        bus = (Bus){ .answers = true };
        fd_ledger_init(&bus.ledger, favoured);
        fd_ledger_set_handler(&bus.ledger, &handler, &bus);
        for (unsigned i = 0; i < n; i++)
                fd_account_open(&bus.accounts[i], &bus.ledger, i % n_users);
}

static int grant(unsigned i, uint32_t window) {
        FdRefusal why = { 0 };
        int r = fd_account_grant(&bus.accounts[i], bus.accounts[i].windows, window, &why);

        CHECK(r == 0 || (r == FB_E_LIMIT && why.most <= FB_BUS_LIVE_FDS_MAX));
        return r;
}

/* How many frames may leave in a row, @n descriptors each. */
static unsigned send_all(unsigned i, uint32_t n) {
        unsigned sent = 0;

        while (sent < 100 && fd_account_check_frame(&bus.accounts[i], n) == 0) {
                fd_account_sent(&bus.accounts[i], n);
                sent++;
        }
        return sent;
}

static unsigned reply_all(unsigned i) {
        unsigned sent = 0;

        while (sent < 100 && fd_account_check_reply(&bus.accounts[i])) {
                fd_account_sent(&bus.accounts[i], 1);
                sent++;
        }
        return sent;
}

/* Reads all that was sent, and the marks behind it. */
static void read_all(unsigned i) {
        while (bus.accounts[i].marked)
                fd_account_mark_over(&bus.accounts[i], true);
}

/* What the bus holds. */
static unsigned live(void) {
        unsigned n = 0;

        for (unsigned i = 0; i < N_MAX; i++)
                n += fd_account_outstanding(&bus.accounts[i]) + bus.accounts[i].marked;
        return n;
}

static void check_invariants(void) {
        unsigned committed = 0, granted = 0, windows = 0;
        const FdAccount *a;

        CHECK(live() <= FB_BUS_LIVE_FDS_MAX);
        for (unsigned i = 0; i < N_MAX; i++) {
                unsigned n = FB_MAX(bus.accounts[i].windows, fd_account_outstanding(&bus.accounts[i]));

                committed += n + (n > 0 || bus.accounts[i].marked);
                windows += bus.accounts[i].windows;
                granted += bus.accounts[i].windows + (bus.accounts[i].windows > 0);
        }
        CHECK_INT(committed, bus.ledger.committed);
        CHECK(committed <= FB_BUS_LIVE_FDS_MAX);
        CHECK_INT(windows, bus.ledger.windows);
        CHECK(windows <= FB_BUS_FDS_MAX);
        CHECK_INT(granted, bus.ledger.granted);
        CHECK(granted <= FD_GRANTS_MAX);
        list_for_each(a, &bus.ledger.accounts, link)
                CHECK(a->ledger && (a->windows > 0 || fd_account_outstanding(a) > 0 || a->marked));
}

/* It says that it has released all, and reads nothing. */
TEST(who_does_not_read_gets_no_more_than_its_window_or_a_little) {
        bus_init(0, 2, 1);
        CHECK_INT(grant(0, 4), 0);
        CHECK_INT(send_all(0, 1), FD_LEND_MAX);
        CHECK_INT(bus.n_asked[0], 1);
        CHECK_INT(fd_account_check_frame(&bus.accounts[0], 1), -EAGAIN);
        CHECK_INT(grant(1, 16), 0);
        CHECK_INT(send_all(1, 1), 16);
        check_invariants();
        read_all(0);
        CHECK(send_all(0, 1) >= 4);
}

TEST(a_window_that_was_granted_has_room_whatever_others_do) {
        bus_init(0, N_MAX, 1);
        for (unsigned i = 0; i < 5; i++)
                CHECK_INT(grant(i, 4), 0);
        for (unsigned i = 5; i < N_MAX; i++)
                (void)reply_all(i);
        for (unsigned i = 5; i < N_MAX; i++)
                if (fd_account_check_mark(&bus.accounts[i]))
                        fd_account_marked(&bus.accounts[i]);
        check_invariants();
        for (unsigned n = 0; n < 20; n++)
                for (unsigned i = 0; i < 5; i++) {
                        CHECK(send_all(i, 1) >= 1);
                        check_invariants();
                        read_all(i);
                }
        CHECK_INT(bus.ledger.committed, FB_BUS_LIVE_FDS_MAX);
}

TEST(newcomers_find_room) {
        bus_init(0, 10, 1);
        for (unsigned i = 0; i < 4; i++)
                CHECK_INT(grant(i, 1), 0);
        for (unsigned i = 0; i < 4; i++)
                (void)send_all(i, 1);
        CHECK_INT(grant(4, 16), 0);
        for (unsigned i = 0; i < 4; i++) /* who has borrowed is asked to give it back */
                CHECK(fd_account_outstanding(&bus.accounts[i]) <= 1 || bus.accounts[i].marked);
        check_invariants();
        for (unsigned i = 0; i < 4; i++)
                read_all(i);
        for (unsigned i = 5; i < 10; i++)
                CHECK_INT(grant(i, 5), 0);
        check_invariants();
}

TEST(what_is_lent_is_lent_fairly) {
        bus_init(0, 5, 1);
        for (unsigned i = 0; i < 5; i++)
                CHECK_INT(grant(i, 1), 0);
        for (unsigned i = 0; i < 5; i++)
                CHECK(send_all(i, 1) >= 7);
        check_invariants();
}

TEST(all_windows_are_bounded_together) {
        FdRefusal why;

        bus_init(0, 4, 1);
        for (unsigned i = 0; i < 3; i++)
                CHECK_INT(grant(i, 16), 0);
        CHECK_INT(fd_account_grant(&bus.accounts[3], 0, 1, &why), FB_E_LIMIT);
        CHECK_INT(why.limit, FD_LIMIT_WINDOWS);
        CHECK_INT(why.used, FB_BUS_FDS_MAX);
        CHECK_INT(why.most, FB_BUS_FDS_MAX);
        CHECK_INT(grant(0, 15), 0);
        CHECK_INT(grant(3, 2), FB_E_LIMIT);
        CHECK_INT(grant(3, 1), 0);
        CHECK_INT(grant(3, 2), FB_E_LIMIT);
        check_invariants();
}

/* Subscribe, let a frame come, Close, without reading. */
TEST(what_was_not_read_outlives_its_window) {
        unsigned n = 0;

        bus_init(0, 1, 1);
        for (unsigned i = 0; i < 100; i++) {
                CHECK_INT(grant(0, 1), 0);
                if (fd_account_check_frame(&bus.accounts[0], 1) == 0) {
                        fd_account_sent(&bus.accounts[0], 1);
                        n++;
                }
                CHECK_INT(grant(0, 0), 0);
        }
        CHECK_INT(n, FD_LEND_MAX);
        check_invariants();
        fd_account_close(&bus.accounts[0]); /* leaves the bus */
        CHECK_INT(bus.ledger.committed, 0);
        fd_account_close(&bus.accounts[0]);
}

TEST(who_ends_its_last_window_is_asked_at_once) {
        bus_init(0, 1, 1);
        CHECK_INT(grant(0, 4), 0);
        fd_account_sent(&bus.accounts[0], 1);
        CHECK_INT(bus.n_asked[0], 0);
        CHECK_INT(grant(0, 0), 0);
        CHECK_INT(bus.n_asked[0], 1);
        read_all(0);
        CHECK_INT(bus.ledger.committed, 0);
        CHECK(bus.n_freed > 0);
}

TEST(a_mark_that_did_not_get_through_proves_nothing) {
        bus_init(0, 1, 1);
        CHECK_INT(reply_all(0), FD_LEND_MAX);
        CHECK(bus.accounts[0].marked);
        fd_account_mark_over(&bus.accounts[0], false);
        CHECK_INT(fd_account_outstanding(&bus.accounts[0]), FD_LEND_MAX);
        CHECK_INT(bus.n_asked[0], 1); /* not at once: it would be refused again */
        CHECK(!fd_account_check_reply(&bus.accounts[0]));
        CHECK_INT(bus.n_asked[0], 2);
        read_all(0);
        CHECK(fd_account_check_reply(&bus.accounts[0]));
}

/* A mark proves what was sent before it; the first byte on a channel proves its reply and what was before. */
TEST(a_proof_reaches_as_far_as_it_was_sent_behind) {
        FdAccount *a = &bus.accounts[0];

        bus_init(0, 1, 1);
        fd_account_sent(a, 3);
        fd_account_marked(a);
        fd_account_sent(a, 2);
        fd_account_mark_over(a, true);
        CHECK_INT(fd_account_outstanding(a), 2);
        fd_account_prove(a, 4);
        CHECK_INT(fd_account_outstanding(a), 1);
        fd_account_prove(a, 1); /* late */
        CHECK_INT(fd_account_outstanding(a), 1);
        check_invariants();
}

TEST(no_user_has_it_all) {
        unsigned windows = 0;

        bus_init(NOBODY, 40, 2);
        for (unsigned i = 0; i < 40; i += 2) { /* user 0 takes what it gets */
                windows += grant(i, 2) == 0 ? 2 : 0;
                (void)send_all(i, 1);
                (void)reply_all(i);
        }
        CHECK(windows <= FB_BUS_FDS_MAX / 2);
        CHECK_INT(grant(1, 8), 0);
        CHECK(send_all(1, 1) >= 8);
        CHECK(reply_all(3) >= 1);
        check_invariants();
}

/* Users that have their share, or more than that since others came, can still ask. */
TEST(who_has_windows_can_call) {
        bus_init(NOBODY, 12, 6);
        for (unsigned i = 0; i < 6; i++)
                for (uint32_t window = FB_WINDOW_MAX; window > 0; window--)
                        if (grant(i, window) == 0)
                                break;
        for (unsigned i = 0; i < 6; i++)
                (void)send_all(i, 1);
        for (unsigned i = 6; i < 12; i++) {
                CHECK(fd_account_check_mark(&bus.accounts[i]));
                fd_account_marked(&bus.accounts[i]);
                CHECK(fd_account_check_reply(&bus.accounts[i]));
                read_all(i);
        }
        check_invariants();
}

TEST(the_own_user_has_all_that_is_free) {
        bus_init(1, 40, 2);
        for (unsigned i = 0; i < 40; i += 2)
                (void)reply_all(i);
        CHECK(bus.ledger.committed <= FB_BUS_LIVE_FDS_MAX / 2 + 1);
        CHECK_INT(grant(1, 16), 0);
        CHECK_INT(grant(3, 12), 0);
        check_invariants();
}

TEST(planes_count_each) {
        bus_init(0, 2, 1);
        CHECK_INT(grant(0, 16), 0);
        CHECK_INT(send_all(0, 4), 4);
        read_all(0);
        for (unsigned i = 1; i < 2; i++)
                CHECK_INT(grant(i, 1), 0);
        CHECK(send_all(1, 4) >= 1);
        check_invariants();
}

static void step_at_random(FdAccount *a, unsigned i) {
        switch (rand() % 10) {
        case 0:
                (void)grant(i, (uint32_t)rand() % (FB_WINDOW_MAX + 1));
                break;
        case 1:
                (void)grant(i, 0);
                break;
        case 2:
                if (fd_account_check_reply(a))
                        fd_account_sent(a, 1);
                break;
        case 3:
                if (!a->marked && fd_account_check_mark(a))
                        fd_account_marked(a);
                break;
        case 4:
                if (a->marked)
                        fd_account_mark_over(a, rand() % 4 != 0);
                break;
        case 5:
                fd_account_prove(a, a->proven + (uint64_t)rand() % (fd_account_outstanding(a) + 1));
                break;
        case 6:
                if (rand() % 8 == 0) {
                        uid_t uid = a->uid;

                        fd_account_close(a);
                        fd_account_open(a, &bus.ledger, uid);
                }
                break;
        default:
                (void)send_all(i, 1 + (uint32_t)rand() % FB_MEMORIES_MAX);
                break;
        }
}

TEST(whatever_happens_the_bus_goes_on) {
        for (unsigned seed = 1; seed <= 20; seed++) {
                srand(seed);
                bus_init(seed % 2 ? 0 : NOBODY, 24, 1 + seed % 5);
                bus.answers = seed % 3 != 0;
                for (unsigned n = 0; n < 3000; n++) {
                        unsigned i = (unsigned)rand() % 24;
                        FdAccount *a = &bus.accounts[i];

                        step_at_random(a, i);
                        check_invariants();
                        if (fd_account_outstanding(a) == 0 && a->windows > 0)
                                CHECK_INT(fd_account_check_frame(a, 1), 0);
                }
        }
}

TEST_MAIN
