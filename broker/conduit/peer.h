/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals on a private channel. One encoded message serves all channels that a frame goes to. Unread
 * descriptors are on the books of peer-budget.h.
 *
 * With order=causal a frame leaves only if all of it, and what is said before it, is in the socket at once:
 * else there is no room. So after the loop over all receivers everybody has it.
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
        bool at_once;     /* order=causal */
        int send_buffer;  /* what the kernel takes until the receiver reads; 0: not known yet */
} PeerConduit;

/* For a channel of @uid: 0, or FB_E_LIMIT with @ret_why filled, or -ENOMEM. */
int peer_conduit_init(PeerConduit *p, PeerBudget *budget, uid_t uid, Channel *channel, sd_bus *encoder,
                      PeerRefusal *ret_why);
void peer_conduit_deinit(PeerConduit *p);

/* From now on nothing of a frame is sent later than its send_frame(). */
void peer_conduit_send_at_once(PeerConduit *p);

/* A reply with a descriptor went out on its channel, for which check_room() found room. */
void peer_conduit_sent_reply(PeerConduit *p);
