/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors in unread messages count against the broker's user: above RLIMIT_NOFILE the kernel refuses
 * descriptors to every process of that user. So all sockets that frames leave by hold at most FB_PEER_FDS_MAX
 * unread ones together, by the books of peer-books.h. What was read is asked of the kernel, never believed of
 * the receiver: when the books say that there is no room.
 */
#pragma once

#include "base/list.h"
#include "broker/conduit/peer-books.h"

/* A message with descriptors occupies at least this much of a socket's send buffer. */
#define PEER_TRUESIZE_MIN (sizeof(void *) == 8 ? 768u : 512u)

typedef struct PeerBudget {
        PeerBooks books;
        List seats;        /* of PeerSeat::link */
        uint64_t asked_ns; /* all of them, for what they have read */
} PeerBudget;

/* One socket's place in it. Zeros: none. */
typedef struct PeerSeat PeerSeat;
struct PeerSeat {
        List link; /* PeerBudget::seats */
        PeerBudget *budget;
        PeerAccount account;
        /* Bytes of the socket's send buffer that are not read yet; negative: not known. */
        int (*get_unread)(const PeerSeat *s);
};

/* @unshared: the one user whom shares do not bound, or PEER_SHARED_BY_ALL. */
void peer_budget_init(PeerBudget *b, uid_t unshared);

/* One more socket of @uid: 0, or FB_E_LIMIT with @ret_why filled, or -ENOMEM. @s stays where it is. */
int peer_seat_open(PeerSeat *s, PeerBudget *b, uid_t uid, int (*get_unread)(const PeerSeat *s),
                   PeerRefusal *ret_why);
void peer_seat_close(PeerSeat *s);

/* Whether @n_fds more may be sent, as ConduitOps::check_room. */
int peer_seat_check_room(PeerSeat *s, uint32_t n_fds);
