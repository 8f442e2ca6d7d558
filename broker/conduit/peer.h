/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals on a private channel. One encoded message serves all channels that a frame goes to.
 *
 * Descriptors in unread messages count against the broker's user: above RLIMIT_NOFILE the kernel refuses
 * descriptors to every process of that user. So all channels together hold at most FB_PEER_FDS_MAX unread
 * ones, by the books of peer-books.h. What was read is asked of the kernel, never believed of the receiver:
 * when the books say that there is no room.
 */
#pragma once

#include "base/list.h"
#include "broker/conduit/conduit.h"
#include "broker/conduit/peer-books.h"
#include "wire/channel.h"

typedef struct PeerBudget {
        PeerBooks books;
        List conduits;     /* of PeerConduit::link */
        uint64_t asked_ns; /* all of them, for what they have read */
} PeerBudget;

typedef struct PeerConduit {
        Conduit conduit;
        List link; /* PeerBudget::conduits */
        PeerBudget *budget;
        PeerAccount account;
        Channel *channel; /* borrowed */
        sd_bus *encoder;  /* borrowed: the connection that shared messages are made on */
} PeerConduit;

/* @unshared: the one user whom shares do not bound, or PEER_SHARED_BY_ALL. */
void peer_budget_init(PeerBudget *b, uid_t unshared);

/* For a channel of @uid: 0, or FB_E_LIMIT with @ret_why filled, or -ENOMEM. */
int peer_conduit_init(PeerConduit *p, PeerBudget *budget, uid_t uid, Channel *channel, sd_bus *encoder,
                      PeerRefusal *ret_why);
void peer_conduit_deinit(PeerConduit *p);
