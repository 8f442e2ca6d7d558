/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A message with descriptors is looked at alone. The peek ends behind the first piece (a send of its own, to
 * the kernel) that carries some, so what it shows may be less than what is there; then, and if it matters,
 * the kernel is asked how much. Descriptors in several pieces of one message, or in front of its header's
 * end, are refused: no D-Bus library sends such.
 */
#include "wire/ahead.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "interfaces/wire.h"
#include "wire/header.h"

#define PEEK_BYTES      4096u /* no honest header is longer */
#define FDS_A_PIECE_MAX 253u  /* the kernel's SCM_MAX_FD */

typedef struct Peek {
        uint8_t bytes[PEEK_BYTES]; /* the first ones */
        size_t n;
        int n_fds; /* in the last piece; -1: not known */
} Peek;

static int count_and_close(struct msghdr *m) {
        int n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                int fds[FDS_A_PIECE_MAX], count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
                for (int i = 0; i < count; i++)
                        fb_close(fds[i]);
                n += count;
        }
        return m->msg_flags & MSG_CTRUNC ? -1 : n;
}

static int peek(int fd, Peek *ret) {
        union {
                char buffer[CMSG_SPACE(FDS_A_PIECE_MAX * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { ret->bytes, sizeof ret->bytes };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control };
        ssize_t n = recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0)
                return -errno;
        ret->n = (size_t)n;
        ret->n_fds = m.msg_controllen > 0 || (m.msg_flags & MSG_CTRUNC) ? count_and_close(&m) : 0;
        return 0;
}

static size_t count_queued(int fd) {
        int n;

        return ioctl(fd, SIOCINQ, &n) >= 0 ? (size_t)n : 0;
}

/* All of the first message but its descriptors. */
static AheadState judge_first(int fd, const Peek *p, Header *ret) {
        size_t queued = p->n == sizeof p->bytes || p->n_fds != 0 ? count_queued(fd) : p->n;

        ret->total = HEADER_FIXED_BYTES;
        if (p->n < HEADER_FIXED_BYTES)
                return queued > p->n ? AHEAD_BROKEN : AHEAD_HALF;
        if (!header_read(p->bytes, ret))
                return AHEAD_BROKEN;
        if (ret->total > FB_MESSAGE_MAX)
                return AHEAD_TOO_LONG;
        if (ret->n_header > sizeof p->bytes)
                return AHEAD_BROKEN;
        if (queued < ret->total)
                return AHEAD_HALF;
        return p->n >= ret->n_header && header_check(p->bytes, ret) ? AHEAD_WHOLE : AHEAD_BROKEN;
}

/* Whether the first message has the descriptors that it speaks of, as far as can be seen: not where the piece
 * that has some begins. */
static bool has_its_fds(const Peek *p, const Header *h, bool *ret_doubt) {
        *ret_doubt = false;
        if (p->n >= h->total && p->n_fds == 0)
                return h->n_fds == 0;
        if (p->n == h->total && p->n < sizeof p->bytes)
                return p->n_fds == (int)h->n_fds;
        *ret_doubt = true; /* long, or followed by something with descriptors */
        if (p->n < h->total)
                return p->n == sizeof p->bytes && (h->n_fds == 0 || p->n_fds == (int)h->n_fds);
        return h->n_fds == 0;
}

/* As far as it is sure; what is wrong with one of them is found when it is the first. */
static void add_more(const Peek *p, size_t at, Ahead *a) {
        Header h;

        while (a->n < AHEAD_MAX && at + HEADER_FIXED_BYTES <= p->n && header_read(p->bytes + at, &h) &&
               h.total <= p->n - at && h.serial > a->serials[a->n - 1] &&
               header_check(p->bytes + at, &h) && h.n_fds == 0) {
                a->serials[a->n++] = h.serial;
                at += h.total;
        }
}

AheadState ahead_look(int fd, Ahead *a) {
        AheadState state;
        Header h;
        Peek p;
        int r;

        a->n = 0;
        a->doubt = false;
        if (a->need > 0 && count_queued(fd) < a->need)
                return AHEAD_HALF;
        a->need = a->size = 0;
        r = peek(fd, &p);
        if (r < 0)
                return r == -EAGAIN || r == -EINTR ? AHEAD_NOTHING : AHEAD_END;
        if (p.n == 0)
                return AHEAD_END;
        state = judge_first(fd, &p, &h);
        if (state == AHEAD_HALF)
                a->need = (uint32_t)h.total;
        if (p.n >= HEADER_FIXED_BYTES && (state == AHEAD_WHOLE || (state == AHEAD_HALF && p.n_fds == 0)))
                a->size = (uint32_t)h.total;
        if (state != AHEAD_WHOLE)
                return state;
        if (!has_its_fds(&p, &h, &a->doubt))
                return AHEAD_BROKEN;
        a->serials[a->n++] = h.serial;
        if (!a->doubt && p.n_fds == 0)
                add_more(&p, h.total, a);
        return AHEAD_WHOLE;
}
