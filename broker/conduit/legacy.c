/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See legacy.h. What the receiver writes is not read: it fills a buffer of its own. Events are edges: one
 * comes whenever a record is taken out of the socket, which is far from full at any time.
 */
#include "broker/conduit/legacy.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

typedef struct Record {
        uint64_t capture_ns, offset, size;
} Record;

static_assert(sizeof(Record) == 24, "a record is 24 bytes");
#define RECORD_1_BYTES 16u /* without the time */

/* A record that is just being read is taken off the books in two steps: less than one record is none. */
static int legacy_get_unread(const PeerSeat *s) {
        int bytes, r = fd_get_unread(fb_container_of(s, LegacyConduit, seat)->fd, &bytes);

        if (r < 0)
                return r;
        return (uint32_t)bytes < PEER_TRUESIZE_MIN ? 0 : bytes;
}

static int legacy_check_room(Conduit *c, uint32_t n_fds) {
        LegacyConduit *l = fb_container_of(c, LegacyConduit, conduit);

        return legacy_get_unread(&l->seat) != 0 ? -EAGAIN : peer_seat_check_room(&l->seat, 1);
}

static int send_record(int fd, const void *record, size_t size, int memory) {
        union {
                char buffer[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        struct iovec iov = { .iov_base = (void *)record, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buffer,
                            .msg_controllen = sizeof control.buffer };
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        ssize_t n;

        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &memory, sizeof memory);
        n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return -errno;
        return (size_t)n == size ? 0 : -EPIPE;
}

static int legacy_send_frame(Conduit *c, Frame *f, uint32_t extra_flags, uint64_t *ret_cookie) {
        LegacyConduit *l = fb_container_of(c, LegacyConduit, conduit);
        Record record = { .capture_ns = f->pts_ns };
        size_t skipped = l->version == 1 ? sizeof record - RECORD_1_BYTES : 0;
        int r;

        l->misfit = NULL;
        r = caps_locate(&l->mode, f, &record.offset, &record.size, &l->misfit);
        if (r > 0)
                return -ENOTSUP;
        r = send_record(l->fd, (const char *)&record + skipped, sizeof record - skipped, f->fds[0]);
        if (r < 0)
                return r;
        peer_account_sent(&l->seat.account, 1);
        *ret_cookie = 0;
        return 0;
}

static const ConduitOps legacy_ops = {
        .name = "legacy",
        .check_room = legacy_check_room,
        .send_frame = legacy_send_frame,
};

/* A hang-up alone can be a receiver's shutdown(), behind which it reads what is there whenever it likes. */
static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        LegacyConduit *l = userdata;

        if (legacy_get_unread(&l->seat) != 0)
                return 0;
        peer_account_read(&l->seat.account, 0);
        if (revents & EPOLLHUP)
                l->handler->closed(l, l->userdata);
        else
                l->handler->drained(l, l->userdata);
        return 0;
}

int legacy_conduit_init(LegacyConduit *l, sd_event *event, PeerBudget *budget, uid_t uid, int fd_consume,
                        unsigned int version, const LegacyHandler *handler, void *userdata,
                        PeerRefusal *ret_why) {
        int r;

        *l = (LegacyConduit){ .conduit.ops = &legacy_ops, .fd = fd_consume, .version = version,
                              .handler = handler, .userdata = userdata };
        r = peer_seat_open(&l->seat, budget, uid, legacy_get_unread, ret_why);
        if (r == 0)
                r = sd_event_add_io(event, &l->io, l->fd, EPOLLOUT | EPOLLET, on_io, l);
        if (r != 0)
                legacy_conduit_deinit(l);
        return r;
}

void legacy_conduit_deinit(LegacyConduit *l) {
        l->io = sd_event_source_disable_unref(l->io);
        peer_seat_close(&l->seat);
        if (l->fd >= 0)
                close(l->fd);
        l->fd = -1;
}

void legacy_conduit_finish(LegacyConduit *l) {
        (void)shutdown(l->fd, SHUT_WR);
}
