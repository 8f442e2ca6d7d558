/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/detour.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "wire/header.h"

int detour_begin(Detour *d, size_t size, bool takes_fds) {
        *d = (Detour){ .bytes = malloc(size), .size = size, .takes_fds = takes_fds };
        if (d->bytes)
                return 0;
        d->size = 0;
        return -ENOMEM;
}

void detour_end(Detour *d) {
        for (unsigned i = 0; i < d->n_fds; i++)
                fb_close(d->fds[i]);
        free(d->bytes);
        *d = (Detour){ 0 };
}

/* Those that are too many the kernel closes itself. */
static int keep_fds(Detour *d, struct msghdr *m) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                memcpy(d->fds + d->n_fds, CMSG_DATA(c), n * sizeof(int));
                d->n_fds += n;
        }
        return m->msg_flags & MSG_CTRUNC ? -EBADMSG : 0;
}

/* Some more bytes, and what comes with them. As recvmsg(). */
static ssize_t take_some(Detour *d, int fd) {
        union {
                char buffer[CMSG_SPACE(DETOUR_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control;
        unsigned left = d->takes_fds ? DETOUR_FDS_MAX - d->n_fds : 0;
        struct iovec iov = { d->bytes + d->n, d->size - d->n };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = left > 0 ? &control : NULL,
                            .msg_controllen = left > 0 ? CMSG_LEN(left * sizeof(int)) : 0 };
        ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int r;

        if (n < 0)
                return -errno;
        r = keep_fds(d, &m);
        return r < 0 ? r : n;
}

int detour_gather(Detour *d, int fd, uint32_t *ret_serial) {
        Header h;

        while (d->n < d->size) {
                ssize_t n = take_some(d, fd);

                if (n < 0)
                        return n == -EAGAIN || n == -EINTR ? 0 : (int)n;
                if (n == 0)
                        return -ECONNRESET;
                d->n += (size_t)n;
        }
        if (!header_read(d->bytes, &h) || h.total != d->size || !header_check(d->bytes, &h) ||
            h.n_fds != d->n_fds)
                return -EBADMSG;
        *ret_serial = h.serial;
        return 1;
}

static int send_all(const Detour *d, int fd) {
        union {
                char buffer[CMSG_SPACE(DETOUR_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov = { d->bytes, d->size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (d->n_fds > 0) {
                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(d->n_fds * sizeof(int));
                *CMSG_FIRSTHDR(&m) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(d->n_fds * sizeof(int)),
                                                       .cmsg_level = SOL_SOCKET,
                                                       .cmsg_type = SCM_RIGHTS };
                memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), d->fds, d->n_fds * sizeof(int));
        }
        return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)d->size ? 0 : -ENOBUFS;
}

int detour_enter(const Detour *d, int bus_fd) {
        _cleanup_close_ int ours = -1, theirs = -1;
        int r = fd_socketpair(&ours, &theirs), size = (int)d->size;

        if (r < 0)
                return r;
        /* the kernel doubles it, for what it needs itself */
        if (setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0)
                return -errno;
        r = send_all(d, ours);
        if (r < 0)
                return r;
        return dup3(theirs, bus_fd, O_CLOEXEC) < 0 ? -errno : 0;
}
