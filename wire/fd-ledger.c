/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See fd-ledger.h. An account is in the ledger's list while it commits something; as each then commits at
 * least one, the list is short and sums over it are cheap. Every change goes through change_begin() and
 * change_end(), which keep the sum. Handlers are called last, when all numbers are right.
 */
#include "wire/fd-ledger.h"

#include <assert.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/error.h"

void fd_ledger_init(FdLedger *l, uid_t favoured) {
        *l = (FdLedger){ .favoured = favoured };
        list_init(&l->accounts);
}

void fd_ledger_set_handler(FdLedger *l, const FdLedgerHandler *handler, void *userdata) {
        l->handler = handler;
        l->userdata = userdata;
}

/* Without the mark. */
static uint32_t claim(const FdAccount *a) {
        return FB_MAX(a->windows, fd_account_outstanding(a));
}

static uint32_t commitment(const FdAccount *a) {
        return claim(a) + (claim(a) > 0 || a->marked);
}

/* What of it is granted; the rest is lent. */
static uint32_t granted(const FdAccount *a) {
        return a->windows + (a->windows > 0);
}

/* ---- users ---- */

typedef enum Kind {
        LENT,
        WINDOWS,
        ALL,
} Kind;

static uint32_t used(const FdAccount *a, Kind kind) {
        return kind == LENT    ? commitment(a) - granted(a) :
               kind == WINDOWS ? a->windows :
                                 commitment(a);
}

static uint32_t used_by(const FdLedger *l, uid_t uid, Kind kind) {
        const FdAccount *a;
        uint32_t n = 0;

        list_for_each(a, &l->accounts, link)
                if (a->uid == uid)
                        n += used(a, kind);
        return n;
}

static bool is_first_of_user(const FdLedger *l, const FdAccount *a) {
        const FdAccount *b;

        list_for_each(b, &l->accounts, link)
                if (b->uid == a->uid)
                        return a == b;
        return false;
}

static uint32_t free_of(const FdLedger *l) {
        return FB_BUS_LIVE_FDS_MAX - l->committed;
}

/* What user @uid may commit in all. */
static uint32_t share_of(const FdLedger *l, uid_t uid) {
        const FdAccount *a;
        uint32_t users = 1;

        if (uid == l->favoured)
                return FB_BUS_LIVE_FDS_MAX;
        list_for_each(a, &l->accounts, link)
                if (a->uid != uid && is_first_of_user(l, a))
                        users++;
        return (free_of(l) + used_by(l, uid, ALL)) / (users + 1);
}

/* Who has most, for those who are told that there is no more. */
static void find_most(const FdLedger *l, FdRefusal *why) {
        const FdAccount *a;

        why->most = 0;
        list_for_each(a, &l->accounts, link) {
                uint32_t has = used_by(l, a->uid, why->limit == FD_LIMIT_WINDOWS ? WINDOWS : ALL);

                if (has > why->most) {
                        why->most = has;
                        why->most_uid = a->uid;
                }
        }
}

static uint32_t minus(uint32_t a, uint32_t b) {
        return a > b ? a - b : 0;
}

/* How much more may be lent to the account, with @reserve left. */
static uint32_t room_of(const FdAccount *a, uint32_t reserve) {
        const FdLedger *l = a->ledger;
        uint32_t free = free_of(l), room;

        if (free <= reserve)
                return 0;
        if (a->uid == l->favoured)
                return free - reserve;
        room = FB_MIN(free, minus(share_of(l, a->uid), used_by(l, a->uid, ALL)));
        if (reserve == 0)
                return FB_MAX(room, FB_MIN(free, minus(FD_ALWAYS_LENT, used_by(l, a->uid, LENT))));
        return minus(room, reserve);
}

/* ---- changes ---- */

static uint32_t change_begin(const FdAccount *a) {
        return commitment(a);
}

/* Those who have borrowed are to give it back to @whom. */
static void press(FdLedger *l, const FdAccount *whom) {
        FdAccount *a;

        if (!l->handler)
                return;
        list_for_each(a, &l->accounts, link)
                if (a != whom && fd_account_outstanding(a) > a->windows && !a->marked)
                        l->handler->ask(a, l->userdata);
}

static void change_end(FdAccount *a, uint32_t before) {
        FdLedger *l = a->ledger;
        uint32_t now = commitment(a);

        l->committed = l->committed - before + now;
        assert(l->committed <= FB_BUS_LIVE_FDS_MAX);
        if (now > 0 && before == 0) {
                list_append(&l->accounts, &a->link);
                l->n_accounts++;
        } else if (now == 0 && before > 0) {
                list_remove(&a->link);
                l->n_accounts--;
        }
        if (now > before && l->wanted)
                press(l, NULL);
        else if (now > before && (claim(a) == 0 || free_of(l) < FD_RESERVE))
                press(l, a); /* somebody new, or little is left */
        else if (now < before && l->handler) {
                l->wanted = false; /* unless who waits says so again */
                l->handler->freed(l->userdata);
        }
}

void fd_account_open(FdAccount *a, FdLedger *l, uid_t uid) {
        if (a->ledger)
                return;
        *a = (FdAccount){ .ledger = l, .uid = uid };
}

void fd_account_close(FdAccount *a) {
        FdLedger *l = a->ledger;
        uint32_t before;

        if (!l)
                return;
        before = change_begin(a);
        l->windows -= a->windows;
        l->granted -= granted(a);
        a->windows = 0;
        a->proven = a->sent;
        a->marked = false;
        change_end(a, before);
        a->ledger = NULL;
}

void fd_account_ask(FdAccount *a) {
        if (!a->ledger || fd_account_outstanding(a) == 0 || !a->ledger->handler)
                return;
        if (a->marked)
                a->ask_again = true;
        else
                a->ledger->handler->ask(a, a->ledger->userdata);
}

/* ---- windows ---- */

static int refuse(const FdAccount *a, FdLimit limit, uint32_t n, uint32_t max, FdRefusal *ret_why) {
        *ret_why = (FdRefusal){ .limit = limit, .uid = a->uid, .used = n, .max = max };
        find_most(a->ledger, ret_why);
        return FB_E_LIMIT;
}

/* @wanted: @a as it would be. */
static int check_grant(const FdAccount *a, const FdAccount *wanted, FdRefusal *ret_why) {
        uint32_t more = commitment(wanted) - commitment(a), share, has;
        const FdLedger *l = a->ledger;

        if (l->windows + wanted->windows - a->windows > FB_BUS_FDS_MAX)
                return refuse(a, FD_LIMIT_WINDOWS, l->windows, FB_BUS_FDS_MAX, ret_why);
        if (l->granted + granted(wanted) - granted(a) > FD_GRANTS_MAX || more > free_of(l))
                return refuse(a, FD_LIMIT_ROOM, l->committed, FB_BUS_LIVE_FDS_MAX, ret_why);
        share = share_of(l, a->uid);
        has = used_by(l, a->uid, ALL);
        return more > 0 && has + more > share ? refuse(a, FD_LIMIT_SHARE, has, share, ret_why) : 0;
}

int fd_account_grant(FdAccount *a, uint32_t before, uint32_t window, FdRefusal *ret_why) {
        FdLedger *l = a->ledger;
        uint32_t was = change_begin(a);
        FdAccount wanted = *a;

        wanted.windows = a->windows - before + window;
        if (window > before) {
                int r = check_grant(a, &wanted, ret_why);

                if (r != 0)
                        return r;
        }
        l->windows += wanted.windows - a->windows;
        l->granted += granted(&wanted) - granted(a);
        a->windows = wanted.windows;
        change_end(a, was);
        if (a->windows == 0) /* no frame will bring the question up */
                fd_account_ask(a);
        return 0;
}

/* ---- descriptors ---- */

/* How many may be outstanding, if at most @lend are to be by borrowing and @reserve stays. */
static uint32_t limit_of(const FdAccount *a, uint32_t lend, uint32_t reserve) {
        uint32_t have = claim(a), room;

        if (have >= lend)
                return have;
        room = room_of(a, reserve);
        if (commitment(a) == 0 && room > 0)
                room--; /* for the mark */
        return FB_MIN(have + room, lend);
}

static uint32_t frames_limit_of(const FdAccount *a) {
        uint32_t each = (FB_BUS_LIVE_FDS_MAX - FD_RESERVE) / FB_MAX(a->ledger->n_accounts, 1u);

        return limit_of(a, FB_MIN(FD_LEND_MAX, each - (each > 0)), FD_RESERVE);
}

/* Early enough that the proof is here before the limit is reached, late enough to be rare. */
static uint32_t ask_at(const FdAccount *a) {
        return FB_MAX(frames_limit_of(a) / 2, 2u) - 1;
}

int fd_account_check_frame(FdAccount *a, uint32_t n) {
        if (fd_account_outstanding(a) + n <= frames_limit_of(a))
                return 0;
        if (fd_account_outstanding(a) == 0)
                return -EDQUOT;
        if (!a->marked)
                fd_account_ask(a);
        return -EAGAIN;
}

static bool want(FdAccount *a) {
        a->ledger->wanted = true;
        press(a->ledger, NULL);
        fd_account_ask(a);
        return false;
}

bool fd_account_check_reply(FdAccount *a) {
        if (fd_account_outstanding(a) + 1 <= limit_of(a, FD_LEND_MAX, 0))
                return true;
        return want(a);
}

bool fd_account_check_mark(FdAccount *a) {
        return !a->marked && (commitment(a) > 0 || room_of(a, 0) > 0 || want(a));
}

void fd_account_sent(FdAccount *a, uint32_t n) {
        uint32_t before = change_begin(a);

        a->sent += n;
        change_end(a, before);
        if (!a->marked && fd_account_outstanding(a) >= ask_at(a))
                fd_account_ask(a);
}

void fd_account_marked(FdAccount *a) {
        uint32_t before = change_begin(a);

        assert(!a->marked);
        a->marked = true;
        a->ask_again = false;
        a->mark = a->sent;
        change_end(a, before);
}

void fd_account_prove(FdAccount *a, uint64_t up_to) {
        uint32_t before;

        if (!a->ledger || up_to <= a->proven)
                return;
        assert(up_to <= a->sent);
        before = change_begin(a);
        a->proven = up_to;
        change_end(a, before);
}

void fd_account_mark_over(FdAccount *a, bool proven) {
        uint32_t before = change_begin(a);

        a->marked = false;
        if (proven && a->mark > a->proven)
                a->proven = a->mark;
        change_end(a, before);
        if (proven && !a->marked && (a->ask_again || fd_account_outstanding(a) >= ask_at(a)))
                fd_account_ask(a);
}
