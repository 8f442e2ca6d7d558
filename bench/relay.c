/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bare ways: what passing sealed memory costs without D-Bus, without flow control and without checks.
 *
 * The source makes what a Framebus source makes: memfd_create, write, four seals, a frame. The relay stands
 * where the broker stands: it receives one message and sends it to each viewer. A viewer receives and
 * closes, nothing else.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memfd.h"
#include "bench/bench.h"

static int relay_send(int sock, int fd, uint64_t pts_ns) {
        char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
        struct iovec iov = {&pts_ns, sizeof(pts_ns)};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
        return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int relay_receive(int sock, uint64_t *ret_pts_ns) {
        char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
        struct iovec iov = {ret_pts_ns, sizeof(*ret_pts_ns)};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        struct cmsghdr *c;
        ssize_t n;
        int fd;

        do
                n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        c = n == sizeof(*ret_pts_ns) ? CMSG_FIRSTHDR(&m) : NULL;
        if (!c || c->cmsg_type != SCM_RIGHTS)
                return n < 0 ? -errno : -EPIPE;
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

_Noreturn void relay_run_source(Shared *s, const Config *c, const int *fds, unsigned int n) {
        size_t size = c->width * c->height * 3 / 2;
        _cleanup_free_ uint8_t *picture = malloc(size);
        uint64_t due_ns = clock_now_ns();

        if (!picture)
                _exit(1);
        memset(picture, 128, size);
        for (;;) {
                struct timespec due = {.tv_sec = (time_t)(due_ns / NSEC_PER_SEC),
                                       .tv_nsec = (long)(due_ns % NSEC_PER_SEC)};
                uint64_t pts_ns;
                int fd;

                while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
                        ;
                pts_ns = clock_now_ns();
                fd = memfd_new_sealed("framebus-bench", picture, size);
                if (fd < 0)
                        _exit(1);
                for (unsigned int i = 0; i < n; i++)
                        if (relay_send(fds[i], fd, pts_ns) < 0)
                                _exit(1);
                close(fd);
                if (s->recording)
                        s->frames++;
                due_ns += NSEC_PER_SEC / c->rate;
        }
}

static _Noreturn void run_relay(int in, const int *out, unsigned int n) {
        uint64_t pts_ns;
        int fd;

        while ((fd = relay_receive(in, &pts_ns)) >= 0) {
                for (unsigned int i = 0; i < n; i++)
                        if (relay_send(out[i], fd, pts_ns) < 0)
                                _exit(1);
                close(fd);
        }
        _exit(0);
}

static _Noreturn void run_viewer(Shared *s, Record *r, int in) {
        uint64_t pts_ns;
        int fd;

        while ((fd = relay_receive(in, &pts_ns)) >= 0) {
                record_frame(s, r, pts_ns);
                close(fd);
        }
        _exit(0);
}

/* Viewers with their sockets: @ret_fds, the ends to send to, are the caller's. */
static int viewers_start(Group *g, Shared *s, unsigned int n, int *ret_fds) {
        for (unsigned int i = 0; i < n; i++) {
                int pair[2];
                pid_t pid;

                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                        return -errno;
                pid = group_fork(g, ROLE_VIEWER);
                if (pid == 0) {
                        for (unsigned int k = 0; k < i; k++)
                                close(ret_fds[k]);
                        close(pair[0]);
                        run_viewer(s, shared_get(s, i), pair[1]);
                }
                close(pair[1]);
                ret_fds[i] = pair[0];
                if (pid < 0)
                        return pid;
        }
        return 0;
}

/* With the relay in between: its process, and the socket to it in @fds[0] instead of those to the viewers. */
static int relay_insert(Group *g, int *fds, unsigned int n) {
        int pair[2];
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        pid = group_fork(g, ROLE_MIDDLE);
        if (pid == 0) {
                close(pair[0]);
                run_relay(pair[1], fds, n);
        }
        close(pair[1]);
        for (unsigned int i = 0; i < n; i++)
                close(fds[i]);
        fds[0] = pair[0];
        return pid < 0 ? pid : 0;
}

int relay_start(Group *g, Shared *s, const Config *c, Way w, unsigned int viewers) {
        unsigned int n = w == WAY_RELAY ? 1 : viewers;
        int fds[BENCH_VIEWERS_MAX];
        pid_t pid;
        int r;

        r = viewers_start(g, s, viewers, fds);
        if (r >= 0 && w == WAY_RELAY)
                r = relay_insert(g, fds, viewers);
        if (r < 0)
                return r;
        /* without a relay, the source is what fans out */
        pid = group_fork(g, w == WAY_RELAY ? ROLE_SOURCE : ROLE_MIDDLE);
        if (pid == 0)
                relay_run_source(s, c, fds, n);
        for (unsigned int i = 0; i < n; i++)
                close(fds[i]);
        return pid < 0 ? pid : 0;
}
