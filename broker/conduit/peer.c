/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See peer.h. The encoded message is kept with the frame (Frame::encoded) and dies with it, so that
 * descriptors are duplicated once a frame, not once a receiver.
 */
#include "broker/conduit/peer.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "interfaces/names.h"
#include "wire/codec.h"

static int peer_new_signal(Conduit *c, const char *member, sd_bus_message **ret) {
        PeerConduit *p = fb_container_of(c, PeerConduit, conduit);

        return sd_bus_message_new_signal(p->encoder, ret, FB_PATH_SUBSCRIPTION, FB_IFACE_SUBSCRIPTION,
                                         member);
}

static int peer_send(Conduit *c, sd_bus_message *m) {
        return channel_send(fb_container_of(c, PeerConduit, conduit)->channel, m);
}

static int peer_get_unread(const PeerSeat *s) {
        const PeerConduit *p = fb_container_of(s, PeerConduit, seat);
        int bytes;

        if (channel_get_n_unsent(p->channel) > 0 || fd_get_unread(channel_get_fd(p->channel), &bytes) < 0)
                return -1;
        return bytes;
}

/* A frame, a notice of each kind of loss, a format and Committed, of which the kernel takes each at once or
 * not at all. */
#define AT_ONCE_ROOM (16 * 1024)

/* Whether that much fits, whatever the receiver does. */
static bool fits_at_once(PeerConduit *p) {
        int fd = channel_get_fd(p->channel), bytes;
        socklen_t size = sizeof p->send_buffer;

        if (p->send_buffer == 0 && getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &p->send_buffer, &size) < 0)
                return false;
        return fd_get_unread(fd, &bytes) >= 0 &&
               bytes <= p->send_buffer - FB_MIN(AT_ONCE_ROOM, p->send_buffer / 2);
}

static int peer_check_room(Conduit *c, uint32_t n_fds) {
        PeerConduit *p = fb_container_of(c, PeerConduit, conduit);

        if (channel_get_n_unsent(p->channel) > 0 || (p->at_once && !fits_at_once(p)))
                return -EAGAIN;
        return peer_seat_check_room(&p->seat, n_fds);
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
        peer_account_sent(&p->seat.account, f->n_fds);
        if (p->at_once && channel_get_n_unsent(p->channel) > 0)
                return -EPIPE; /* there was room: end it rather than send this later */
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

int peer_conduit_init(PeerConduit *p, PeerBudget *budget, uid_t uid, Channel *channel, sd_bus *encoder,
                      PeerRefusal *ret_why) {
        *p = (PeerConduit){ .conduit.ops = &peer_ops, .channel = channel, .encoder = encoder };
        return peer_seat_open(&p->seat, budget, uid, peer_get_unread, ret_why);
}

void peer_conduit_deinit(PeerConduit *p) {
        peer_seat_close(&p->seat);
}

void peer_conduit_send_at_once(PeerConduit *p) {
        p->at_once = true;
}

void peer_conduit_sent_reply(PeerConduit *p) {
        peer_account_sent(&p->seat.account, 1);
}
