/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See peer.h. The encoded message is kept with the frame (Frame::encoded) and dies with it, so that
 * descriptors are duplicated once a frame, not once a receiver.
 */
#include "broker/conduit/peer.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "interfaces/names.h"
#include "wire/codec.h"

/* When there is no room for frames, all channels are not asked for each of them. */
#define ASK_EVERY_NS NSEC_PER_MSEC

/* A message with descriptors occupies at least this much of a socket's send buffer. */
#define MESSAGE_TRUESIZE_MIN (sizeof(void *) == 8 ? 768u : 512u)

static int peer_new_signal(Conduit *c, const char *member, sd_bus_message **ret) {
        PeerConduit *p = fb_container_of(c, PeerConduit, conduit);

        return sd_bus_message_new_signal(p->encoder, ret, FB_PATH_SUBSCRIPTION, FB_IFACE_SUBSCRIPTION,
                                         member);
}

static int peer_send(Conduit *c, sd_bus_message *m) {
        return channel_send(fb_container_of(c, PeerConduit, conduit)->channel, m);
}

/* Asks the kernel what was read. */
static void peer_refresh(PeerConduit *p) {
        uint32_t n_messages;
        int bytes;

        if (p->account.unread == 0 || channel_get_n_unsent(p->channel) > 0 ||
            fd_get_unread(channel_get_fd(p->channel), &bytes) < 0)
                return;
        n_messages = ((uint32_t)bytes + MESSAGE_TRUESIZE_MIN - 1) / MESSAGE_TRUESIZE_MIN;
        peer_account_read(&p->account, n_messages * p->account.most);
}

/* False: that was done just now. */
static bool budget_refresh(PeerBudget *b) {
        uint64_t now_ns = clock_now_ns();
        PeerConduit *p;

        if (b->asked_ns != 0 && now_ns - b->asked_ns < ASK_EVERY_NS)
                return false;
        b->asked_ns = now_ns;
        list_for_each(p, &b->conduits, link)
                peer_refresh(p);
        return true;
}

static int peer_check_room(Conduit *c, uint32_t n_fds) {
        PeerConduit *p = fb_container_of(c, PeerConduit, conduit);

        if (channel_get_n_unsent(p->channel) > 0)
                return -EAGAIN;
        if (peer_account_fits(&p->account, n_fds))
                return 0;
        peer_refresh(p);
        if (peer_account_fits(&p->account, n_fds))
                return 0;
        if (budget_refresh(p->budget) && peer_account_fits(&p->account, n_fds))
                return 0;
        return p->account.unread > 0 ? -EAGAIN : -EDQUOT;
}

static void encoded_free(void *m) {
        sd_bus_message_unref(m);
}

static int encode(PeerConduit *p, Frame *f, uint32_t extra_flags, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (extra_flags == 0 && f->encoded) {
                *ret = sd_bus_message_ref(f->encoded);
                return 0;
        }
        r = peer_new_signal(&p->conduit, "Frame", &m);
        if (r >= 0)
                r = codec_append_frame(m, f, extra_flags);
        if (r < 0)
                return r;
        if (extra_flags == 0) {
                f->encoded = sd_bus_message_ref(m);
                f->encoded_free = encoded_free;
        }
        *ret = take_ptr(m);
        return 0;
}

static int peer_send_frame(Conduit *c, Frame *f, uint32_t extra_flags, uint64_t *ret_cookie) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        PeerConduit *p = fb_container_of(c, PeerConduit, conduit);
        int r;

        r = encode(p, f, extra_flags, &m);
        if (r >= 0)
                r = channel_send(p->channel, m);
        if (r < 0)
                return r;
        peer_account_sent(&p->account, f->n_fds);
        *ret_cookie = 0;
        return 0;
}

static const ConduitOps peer_ops = {
        .name = "peer",
        .new_signal = peer_new_signal,
        .send = peer_send,
        .check_room = peer_check_room,
        .send_frame = peer_send_frame,
};

void peer_budget_init(PeerBudget *b, uid_t unshared) {
        list_init(&b->conduits);
        peer_books_init(&b->books, unshared);
        b->asked_ns = 0;
}

int peer_conduit_init(PeerConduit *p, PeerBudget *budget, uid_t uid, Channel *channel, sd_bus *encoder,
                      PeerRefusal *ret_why) {
        PeerAccount account = { 0 };
        int r;

        r = peer_account_open(&account, &budget->books, uid, ret_why);
        if (r == FB_E_LIMIT && budget_refresh(budget))
                r = peer_account_open(&account, &budget->books, uid, ret_why);
        if (r != 0)
                return r;
        *p = (PeerConduit){ .conduit.ops = &peer_ops,
                            .budget = budget,
                            .account = account,
                            .channel = channel,
                            .encoder = encoder };
        list_append(&budget->conduits, &p->link);
        return 0;
}

void peer_conduit_deinit(PeerConduit *p) {
        if (!p->budget)
                return;
        list_remove(&p->link);
        peer_account_close(&p->account);
        p->budget = NULL;
}
