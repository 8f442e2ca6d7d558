/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See peer.h. The encoded message is kept with the frame (Frame::encoded) and dies with it, so that
 * descriptors are duplicated once a frame, not once a receiver.
 */
#include "broker/conduit/peer.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "interfaces/names.h"
#include "wire/codec.h"

/* For channels that have read everything: however many others of that user are stopped, it gets its next
 * frame. */
#define FDS_RESERVED FB_SUBSCRIPTIONS_PER_UID
_Static_assert(FDS_RESERVED < FB_PEER_FDS_MAX, "the others have to have some, too");

/* A message with descriptors occupies at least this much of a socket's send buffer (768 bytes on 64-bit
 * Linux). */
#define MESSAGE_TRUESIZE_MIN 512

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
        uint32_t at_most;
        int bytes;

        if (p->fds_unread == 0 || channel_get_n_unsent(p->channel) > 0 ||
            fd_get_unread(channel_get_fd(p->channel), &bytes) < 0)
                return;
        at_most = (uint32_t)bytes / MESSAGE_TRUESIZE_MIN * FB_MEMORIES_MAX;
        if (bytes > 0 && at_most == 0)
                at_most = FB_MEMORIES_MAX;
        if (at_most >= p->fds_unread)
                return;
        p->budget->fds_unread -= p->fds_unread - at_most;
        p->fds_unread = at_most;
}

static bool peer_fits(const PeerConduit *p, uint32_t n_fds) {
        uint32_t limit = p->fds_unread == 0 ? FB_PEER_FDS_MAX : FB_PEER_FDS_MAX - FDS_RESERVED;

        return p->budget->fds_unread + n_fds <= limit;
}

static int peer_check_room(Conduit *c, uint32_t n_fds) {
        PeerConduit *p = fb_container_of(c, PeerConduit, conduit), *other;

        if (channel_get_n_unsent(p->channel) > 0)
                return -EAGAIN;
        if (peer_fits(p, n_fds))
                return 0;
        peer_refresh(p);
        if (peer_fits(p, n_fds))
                return 0;
        list_for_each(other, &p->budget->conduits, link)
                peer_refresh(other);
        return peer_fits(p, n_fds) ? 0 : -EDQUOT;
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
        p->fds_unread += f->n_fds;
        p->budget->fds_unread += f->n_fds;
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

void peer_budget_init(PeerBudget *b) {
        list_init(&b->conduits);
        b->fds_unread = 0;
}

void peer_conduit_init(PeerConduit *p, PeerBudget *budget, Channel *channel, sd_bus *encoder) {
        *p = (PeerConduit){ .conduit.ops = &peer_ops,
                            .budget = budget,
                            .channel = channel,
                            .encoder = encoder };
        list_append(&budget->conduits, &p->link);
}

void peer_conduit_deinit(PeerConduit *p) {
        if (!p->budget)
                return;
        list_remove(&p->link);
        p->budget->fds_unread -= p->fds_unread;
        p->budget = NULL;
}
