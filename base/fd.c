/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fd.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

int fd_dup_cloexec(int fd_borrow) {
        int fd = fcntl(fd_borrow, F_DUPFD_CLOEXEC, 3);

        return fd < 0 ? -errno : fd;
}

int fd_set_nonblocking(int fd_borrow) {
        int flags = fcntl(fd_borrow, F_GETFL);

        if (flags < 0)
                return -errno;
        if (flags & O_NONBLOCK)
                return 0;
        return fcntl(fd_borrow, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int fd_socketpair(int *ret_ours, int *ret_theirs) {
        int sv[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
                return -errno;
        r = fd_set_nonblocking(sv[0]);
        if (r < 0) {
                close(sv[0]);
                close(sv[1]);
                return r;
        }
        *ret_ours = sv[0];
        *ret_theirs = sv[1];
        return 0;
}

static int socket_option(int fd, int option) {
        socklen_t n = sizeof(int);
        int v;

        return getsockopt(fd, SOL_SOCKET, option, &v, &n) < 0 ? -errno : v;
}

int fd_judge_client_socket(int fd_borrow, uid_t uid, const char **ret_why) {
        struct sockaddr_un peer;
        socklen_t n = sizeof peer;
        struct ucred cred;
        int flags = fcntl(fd_borrow, F_GETFL);

        if (flags < 0 || (flags & O_PATH))
                return *ret_why = "it is not an open socket", FB_E_INVALID_SOCKET;
        if (socket_option(fd_borrow, SO_DOMAIN) != AF_UNIX)
                return *ret_why = "it is not an AF_UNIX socket", FB_E_INVALID_SOCKET;
        if (socket_option(fd_borrow, SO_TYPE) != SOCK_STREAM)
                return *ret_why = "it is not a stream socket", FB_E_INVALID_SOCKET;
        if (getpeername(fd_borrow, (struct sockaddr *)&peer, &n) < 0)
                return *ret_why = "it is not connected", FB_E_INVALID_SOCKET;
        n = sizeof cred;
        if (getsockopt(fd_borrow, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0 || cred.uid != uid)
                return *ret_why = "its other end belongs to another user", FB_E_INVALID_SOCKET;
        return 0;
}

int fd_get_unread(int fd_borrow, int *ret_bytes) {
        return ioctl(fd_borrow, SIOCOUTQ, ret_bytes) < 0 ? -errno : 0;
}

static struct rlimit original; /* of zeros: not raised so far */

uint64_t fd_raise_limit(uint64_t wanted) {
        struct rlimit rl;

        if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
                return 0;
        if (rl.rlim_cur >= wanted)
                return rl.rlim_cur;
        if (original.rlim_max == 0)
                original = rl;
        rl.rlim_cur = wanted < rl.rlim_max ? wanted : rl.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &rl);
        (void)getrlimit(RLIMIT_NOFILE, &rl);
        return rl.rlim_cur;
}

uint64_t fd_lower_limit(void) {
        struct rlimit rl;
        uint64_t before;

        if (original.rlim_max == 0 || getrlimit(RLIMIT_NOFILE, &rl) < 0)
                return 0;
        before = rl.rlim_cur;
        rl.rlim_cur = FB_MIN(original.rlim_cur, rl.rlim_max);
        return setrlimit(RLIMIT_NOFILE, &rl) < 0 ? 0 : before;
}
