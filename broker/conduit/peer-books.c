/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant: the channels, and what each has unread beyond one, are at most FB_PEER_FDS_MAX together. Extras
 * leave room for as many channels as one user may have, so that nobody's are refused because some of its own
 * have stopped; and where users share, for a few more.
 */
#include "broker/conduit/peer-books.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "interfaces/wire.h"
#include "wire/share.h"

#define KEPT_FOR_OTHERS 16u

void peer_books_init(PeerBooks *b, uid_t unshared) {
        *b = (PeerBooks){ .unshared = unshared };
        list_init(&b->users);
}

uint32_t peer_books_get_committed(const PeerBooks *b) {
        return b->n_channels + b->extras;
}

static uint32_t n_free(const PeerBooks *b) {
        return FB_PEER_FDS_MAX - peer_books_get_committed(b);
}

static uint32_t n_free_extras(const PeerBooks *b) {
        uint32_t kept = b->n_channels + (b->unshared == PEER_SHARED_BY_ALL ? KEPT_FOR_OTHERS : 0);

        if (kept < FB_SUBSCRIPTIONS_PER_UID)
                kept = FB_SUBSCRIPTIONS_PER_UID;
        return kept + b->extras < FB_PEER_FDS_MAX ? FB_PEER_FDS_MAX - kept - b->extras : 0;
}

static PeerUser *find_user(PeerBooks *b, uid_t uid) {
        PeerUser *u;

        list_for_each(u, &b->users, link)
                if (u->uid == uid)
                        return u;
        return NULL;
}

/* FB_E_LIMIT: @uid has as many channels as it may. */
static int judge(const PeerBooks *b, uid_t uid, const PeerUser *u, PeerRefusal *ret_why) {
        uint32_t own = u ? u->n_channels : 0, max;

        max = (uint32_t)share_limit(FB_PEER_FDS_MAX - b->n_channels, own, b->n_users + !u);
        if (uid != b->unshared && own >= max) {
                *ret_why = (PeerRefusal){ .used = own, .max = max, .share = true };
                return FB_E_LIMIT;
        }
        if (n_free(b) == 0) {
                *ret_why = (PeerRefusal){ .used = peer_books_get_committed(b), .max = FB_PEER_FDS_MAX };
                return FB_E_LIMIT;
        }
        return 0;
}

int peer_account_open(PeerAccount *a, PeerBooks *b, uid_t uid, PeerRefusal *ret_why) {
        PeerUser *u = find_user(b, uid);

        fb_try(judge(b, uid, u, ret_why));
        if (!u) {
                u = calloc(1, sizeof *u);
                if (!u)
                        return -ENOMEM;
                u->uid = uid;
                list_append(&b->users, &u->link);
                b->n_users++;
        }
        u->n_channels++;
        b->n_channels++;
        *a = (PeerAccount){ .books = b, .user = u };
        return 0;
}

static uint32_t extras_of(uint32_t unread) {
        return unread > 1 ? unread - 1 : 0;
}

static void set_unread(PeerAccount *a, uint32_t unread) {
        const uint32_t was = extras_of(a->unread), is = extras_of(unread);
        PeerUser *u = a->user;

        a->books->n_users_extras -= u->extras > 0;
        u->n_extras = u->n_extras - (was > 0) + (is > 0);
        u->extras = u->extras - was + is;
        a->books->extras = a->books->extras - was + is;
        a->books->n_users_extras += u->extras > 0;
        a->unread = unread;
        if (unread == 0)
                a->most = 0;
}

void peer_account_close(PeerAccount *a) {
        PeerBooks *b = a->books;

        if (!b)
                return;
        set_unread(a, 0);
        b->n_channels--;
        if (--a->user->n_channels == 0) {
                b->n_users--;
                list_remove(&a->user->link);
                free(a->user);
        }
        *a = (PeerAccount){ 0 };
}

/* What the user may have beyond what it has. */
static uint32_t free_for_user(const PeerBooks *b, const PeerUser *u) {
        uint32_t max;

        if (u->uid == b->unshared)
                return n_free_extras(b);
        max = (uint32_t)share_limit(n_free_extras(b), u->extras, b->n_users_extras + (u->extras == 0));
        return max > u->extras ? max - u->extras : 0;
}

bool peer_account_fits(const PeerAccount *a, uint32_t n) {
        const uint32_t was = extras_of(a->unread), is = extras_of(a->unread + n);
        const PeerUser *u = a->user;
        uint32_t free, others;

        if (is == was)
                return true;
        free = free_for_user(a->books, u);
        others = u->n_channels - u->n_extras - (was == 0); /* they have none, and may want one */
        if (is > 1)
                free = free > others ? free - others : 0;
        return is <= share_limit(free, was, u->n_extras + (was == 0));
}

void peer_account_sent(PeerAccount *a, uint32_t n) {
        set_unread(a, a->unread + n);
        if (n > a->most)
                a->most = n;
}

void peer_account_read(PeerAccount *a, uint32_t n) {
        if (n < a->unread)
                set_unread(a, n);
}
