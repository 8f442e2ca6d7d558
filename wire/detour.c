/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/detour.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "wire/header.h"

int detour_begin(Detour *d, size_t size) {
        *d = (Detour){ .bytes = malloc(size), .size = size };
        if (d->bytes)
                return 0;
        d->size = 0;
        return -ENOMEM;
}

void detour_end(Detour *d) {
        free(d->bytes);
        *d = (Detour){ 0 };
}

int detour_gather(Detour *d, int fd, uint32_t *ret_serial) {
        Header h;

        while (d->n < d->size) {
                struct iovec iov = { d->bytes + d->n, d->size - d->n };
                struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
                ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
                if (n == 0)
                        return -ECONNRESET;
                if (m.msg_flags & MSG_CTRUNC) /* the kernel has closed them */
                        return -EBADMSG;
                d->n += (size_t)n;
        }
        if (!header_read(d->bytes, &h) || h.total != d->size || !header_check(d->bytes, &h) || h.n_fds > 0)
                return -EBADMSG;
        *ret_serial = h.serial;
        return 1;
}

int detour_enter(const Detour *d, int bus_fd) {
        _cleanup_close_ int ours = -1, theirs = -1;
        int r = fd_socketpair(&ours, &theirs), size = (int)d->size;

        if (r < 0)
                return r;
        /* the kernel doubles it, for what it needs itself */
        if (setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0 ||
            send(ours, d->bytes, d->size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)d->size)
                return -ENOBUFS;
        return dup3(theirs, bus_fd, O_CLOEXEC) < 0 ? -errno : 0;
}
