/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals on a private channel. One encoded message serves all channels that a frame goes to.
 *
 * Descriptors in unread messages count against the broker's user: above RLIMIT_NOFILE the kernel refuses
 * descriptors to every process of that user. So all channels together hold at most FB_PEER_FDS_MAX unread
 * ones. What was read is asked of the kernel, never believed of the receiver, and only when the books say
 * that the bound is near.
 */
#pragma once

#include "base/list.h"
#include "broker/conduit/conduit.h"
#include "wire/channel.h"

typedef struct PeerBudget {
        List conduits;       /* of PeerConduit::link */
        uint32_t fds_unread; /* at most; an upper bound until it is asked */
} PeerBudget;

typedef struct PeerConduit {
        Conduit conduit;
        List link; /* PeerBudget::conduits */
        PeerBudget *budget;
        Channel *channel;    /* borrowed */
        sd_bus *encoder;     /* borrowed: the connection that shared messages are made on */
        uint32_t fds_unread; /* of this one, at most */
} PeerConduit;

void peer_budget_init(PeerBudget *b);

void peer_conduit_init(PeerConduit *p, PeerBudget *budget, Channel *channel, sd_bus *encoder);
void peer_conduit_deinit(PeerConduit *p);
