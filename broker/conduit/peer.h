/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals on a private channel. One encoded message serves all channels that a frame goes to. Unread
 * descriptors are on the books of peer-budget.h.
 */
#pragma once

#include "broker/conduit/conduit.h"
#include "broker/conduit/peer-budget.h"
#include "wire/channel.h"

typedef struct PeerConduit {
        Conduit conduit;
        PeerSeat seat;
        Channel *channel; /* borrowed */
        sd_bus *encoder;  /* borrowed: the connection that shared messages are made on */
} PeerConduit;

/* For a channel of @uid: 0, or FB_E_LIMIT with @ret_why filled, or -ENOMEM. */
int peer_conduit_init(PeerConduit *p, PeerBudget *budget, uid_t uid, Channel *channel, sd_bus *encoder,
                      PeerRefusal *ret_why);
void peer_conduit_deinit(PeerConduit *p);

/* A reply with a descriptor went out on its channel, for which check_room() found room. */
void peer_conduit_sent_reply(PeerConduit *p);
