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

/* ---- users ---- */

typedef struct Usage {
        uint32_t committed, windows; /* of one user */
        uint32_t users;              /* this one included */
} Usage;

static bool is_first_of_user(const FdLedger *l, const FdAccount *a) {
        const FdAccount *b;

        list_for_each(b, &l->accounts, link)
                if (b->uid == a->uid)
                        return a == b;
        return false;
}

static Usage usage_of(const FdLedger *l, uid_t uid) {
        Usage u = { .users = 1 };
        const FdAccount *a;

        list_for_each(a, &l->accounts, link)
                if (a->uid == uid) {
                        u.committed += commitment(a);
                        u.windows += a->windows;
                } else if (is_first_of_user(l, a))
                        u.users++;
        return u;
}

/* Who has most, for those who are told that there is no more. */
static void find_most(const FdLedger *l, FdRefusal *why) {
        const FdAccount *a;

        why->most = 0;
        list_for_each(a, &l->accounts, link) {
                Usage u = usage_of(l, a->uid);
                uint32_t has = why->limit == FD_LIMIT_WINDOWS ? u.windows : u.committed;

                if (has > why->most) {
                        why->most = has;
                        why->most_uid = a->uid;
                }
        }
}

/* How much more the account may commit, with @reserve left. */
static uint32_t room_of(const FdAccount *a, uint32_t reserve) {
        const FdLedger *l = a->ledger;
        uint32_t free = FB_BUS_LIVE_FDS_MAX - l->committed, share;
        Usage u;

        if (free <= reserve)
                return 0;
        if (a->uid == l->favoured)
                return free - reserve;
        u = usage_of(l, a->uid);
        share = (free + u.committed) / (u.users + 1);
        return share <= u.committed ? 0 : FB_MIN(free - reserve, share - u.committed);
}

/* ---- changes ---- */

static uint32_t change_begin(const FdAccount *a) {
        return commitment(a);
}

/* With little left, those who have borrowed are to give it back. */
static void press(FdLedger *l) {
        FdAccount *a;

        if (!l->handler || FB_BUS_LIVE_FDS_MAX - l->committed >= FD_RESERVE)
                return;
        list_for_each(a, &l->accounts, link)
                if (fd_account_outstanding(a) > a->windows && !a->marked)
                        l->handler->ask(a, l->userdata);
}

static void change_end(FdAccount *a, uint32_t before) {
        FdLedger *l = a->ledger;
        uint32_t now = commitment(a);

        l->committed = l->committed - before + now;
        assert(l->committed <= FB_BUS_LIVE_FDS_MAX);
        if (now > 0 && before == 0)
                list_append(&l->accounts, &a->link);
        else if (now == 0)
                list_remove(&a->link);
        if (now > before)
                press(l);
        else if (now < before && l->handler)
                l->handler->freed(l->userdata);
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

static int refuse(const FdLedger *l, FdLimit limit, uint32_t used, uint32_t max, FdRefusal *ret_why) {
        *ret_why = (FdRefusal){ .limit = limit, .used = used, .max = max };
        find_most(l, ret_why);
        return FB_E_LIMIT;
}

static int check_windows(const FdAccount *a, uint32_t more, FdRefusal *ret_why) {
        const FdLedger *l = a->ledger;
        Usage u = usage_of(l, a->uid);
        uint32_t share = (FB_BUS_FDS_MAX - l->windows + u.windows) / (u.users + 1);

        if (l->windows + more > FB_BUS_FDS_MAX)
                return refuse(l, FD_LIMIT_WINDOWS, l->windows, FB_BUS_FDS_MAX, ret_why);
        if (a->uid != l->favoured && u.windows + more > share)
                return refuse(l, FD_LIMIT_SHARE, u.windows, share, ret_why);
        return 0;
}

int fd_account_grant(FdAccount *a, uint32_t before, uint32_t window, FdRefusal *ret_why) {
        FdLedger *l = a->ledger;
        uint32_t was = change_begin(a);
        FdAccount wanted = *a;

        wanted.windows = a->windows - before + window;
        if (window > before) {
                int r = check_windows(a, window - before, ret_why);

                if (r != 0)
                        return r;
                if (commitment(&wanted) - was > room_of(a, 0))
                        return refuse(l, FD_LIMIT_ROOM, l->committed, FB_BUS_LIVE_FDS_MAX, ret_why);
        }
        a->windows = wanted.windows;
        l->windows += window - before;
        change_end(a, was);
        if (a->windows == 0) /* no frame will bring the question up */
                fd_account_ask(a);
        return 0;
}

/* ---- descriptors ---- */

/* How many may be outstanding, with what can be borrowed if @reserve stays. */
static uint32_t limit_of(const FdAccount *a, uint32_t reserve) {
        uint32_t have = claim(a), room;

        if (have >= FD_BORROW_MAX)
                return have;
        room = room_of(a, reserve);
        if (commitment(a) == 0 && room > 0)
                room--; /* for the mark */
        return FB_MIN(have + room, FD_BORROW_MAX);
}

static uint32_t ask_at(const FdAccount *a) {
        uint32_t limit = limit_of(a, FD_RESERVE);

        return limit >= FD_BORROW_MAX ? FD_ASK_AT : FB_MAX(limit / 2, 1u);
}

int fd_account_check_frame(FdAccount *a, uint32_t n) {
        if (fd_account_outstanding(a) + n <= limit_of(a, FD_RESERVE))
                return 0;
        if (fd_account_outstanding(a) == 0)
                return -EDQUOT;
        if (!a->marked)
                fd_account_ask(a);
        return -EAGAIN;
}

bool fd_account_check_reply(FdAccount *a) {
        if (fd_account_outstanding(a) + 1 <= limit_of(a, 0))
                return true;
        fd_account_ask(a);
        return false;
}

bool fd_account_check_mark(const FdAccount *a) {
        return !a->marked && (commitment(a) > 0 || room_of(a, 0) > 0);
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
