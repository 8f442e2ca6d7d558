/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may have how many descriptors unread on channels; FB_PEER_FDS_MAX in all.
 *
 * One of them belongs to each channel, from its beginning to hang-up, so who has read everything may be sent
 * one at any time: that is seen to by admission. What is unread beyond the first, the extras, is shared:
 * first by users, then by the channels of a user, always so that as much is left for the next one. So any
 * number of channels that have stopped reading leave something for one that is late by a frame, and those of
 * one user leave most for others. The user that a session's broker runs as is alone on its bus, and shares
 * with nobody.
 *
 * Descriptors are counted, not frames: of a frame with several, all but the first are extras, and it goes out
 * only if there is room for them.
 *
 * Pure arithmetic: no socket, no clock. What was read, somebody else has to find out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

#define PEER_SHARED_BY_ALL ((uid_t)-1)

typedef struct PeerUser {
        List link; /* PeerBooks::users */
        uid_t uid;
        uint32_t n_channels;
        uint32_t extras;   /* of all its channels */
        uint32_t n_extras; /* channels that have some */
} PeerUser;

typedef struct PeerBooks {
        List users; /* those with channels */
        uid_t unshared;
        uint32_t n_channels, n_users;
        uint32_t extras;         /* of all */
        uint32_t n_users_extras; /* users that have some */
} PeerBooks;

/* One channel. Zeros: of no books. */
typedef struct PeerAccount {
        PeerBooks *books;
        PeerUser *user;
        uint32_t unread; /* descriptors, at most */
        uint32_t most;   /* of one message, of those that may be unread */
} PeerAccount;

/* Why there is no room for a channel. */
typedef struct PeerRefusal {
        uint32_t used, max; /* channels of that user and its share, or descriptors of all */
        bool share;
} PeerRefusal;

/* @unshared: whom shares do not bound, or PEER_SHARED_BY_ALL. */
void peer_books_init(PeerBooks *b, uid_t unshared);

/* One more channel of @uid: 0, FB_E_LIMIT with @ret_why filled, -ENOMEM. */
int peer_account_open(PeerAccount *a, PeerBooks *b, uid_t uid, PeerRefusal *ret_why);
void peer_account_close(PeerAccount *a);

/* Whether @n more descriptors may be sent. Always, if nothing is unread and @n is 1. */
bool peer_account_fits(const PeerAccount *a, uint32_t n);
void peer_account_sent(PeerAccount *a, uint32_t n);
/* At most @n are unread still. */
void peer_account_read(PeerAccount *a, uint32_t n);

/* All that may be unread, with what belongs to each channel; at most FB_PEER_FDS_MAX. */
uint32_t peer_books_get_committed(const PeerBooks *b);
