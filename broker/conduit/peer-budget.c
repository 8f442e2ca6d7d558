/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/conduit/peer-budget.h"

#include <errno.h>

#include "base/clock.h"
#include "base/error.h"

/* When there is no room for frames, all sockets are not asked for each of them. */
#define ASK_EVERY_NS NSEC_PER_MSEC

/* Asks the kernel what was read. */
static void seat_refresh(PeerSeat *s) {
        int bytes = s->account.unread == 0 ? -1 : s->get_unread(s);
        uint32_t n_messages;

        if (bytes < 0)
                return;
        n_messages = ((uint32_t)bytes + PEER_TRUESIZE_MIN - 1) / PEER_TRUESIZE_MIN;
        peer_account_read(&s->account, n_messages * s->account.most);
}

/* False: that was done just now. */
static bool budget_refresh(PeerBudget *b) {
        uint64_t now_ns = clock_now_ns();
        PeerSeat *s;

        if (b->asked_ns != 0 && now_ns - b->asked_ns < ASK_EVERY_NS)
                return false;
        b->asked_ns = now_ns;
        list_for_each(s, &b->seats, link)
                seat_refresh(s);
        return true;
}

void peer_budget_init(PeerBudget *b, uid_t unshared) {
        list_init(&b->seats);
        peer_books_init(&b->books, unshared);
        b->asked_ns = 0;
}

int peer_seat_open(PeerSeat *s, PeerBudget *b, uid_t uid, int (*get_unread)(const PeerSeat *s),
                   PeerRefusal *ret_why) {
        PeerAccount account = { 0 };
        int r;

        r = peer_account_open(&account, &b->books, uid, ret_why);
        if (r == FB_E_LIMIT && budget_refresh(b))
                r = peer_account_open(&account, &b->books, uid, ret_why);
        if (r != 0)
                return r;
        *s = (PeerSeat){ .budget = b, .account = account, .get_unread = get_unread };
        list_append(&b->seats, &s->link);
        return 0;
}

void peer_seat_close(PeerSeat *s) {
        if (!s->budget)
                return;
        list_remove(&s->link);
        peer_account_close(&s->account);
        s->budget = NULL;
}

int peer_seat_check_room(PeerSeat *s, uint32_t n_fds) {
        if (peer_account_fits(&s->account, n_fds))
                return 0;
        seat_refresh(s);
        if (peer_account_fits(&s->account, n_fds))
                return 0;
        if (budget_refresh(s->budget) && peer_account_fits(&s->account, n_fds))
                return 0;
        return s->account.unread > 0 ? -EAGAIN : -EDQUOT;
}
