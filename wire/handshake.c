/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Knows nothing of SASL but that a NUL comes first and that it is lines: sd-bus has answered each before it
 * gets the next, so whichever it takes for the last one, there is nothing behind it. Nothing is taken from
 * the client's socket but whole lines, and few.
 */
#include "wire/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define LINE_BYTES_MAX 1024u
#define LINES_MAX      32u

int handshake_init(Handshake *h, int client_borrow, int *ret_bus_fd) {
        int r = fd_socketpair(&h->relay, ret_bus_fd);

        if (r < 0)
                return r;
        h->client = client_borrow;
        h->n_lines = 0;
        return fd_set_nonblocking(*ret_bus_fd);
}

void handshake_deinit(Handshake *h) {
        h->relay = fb_close(h->relay);
}

/* 1: a line of @ret_n bytes is in @line; 0: none is there to its end. */
static int line_peek(const Handshake *h, char line[static LINE_BYTES_MAX], size_t *ret_n) {
        ssize_t n = recv(h->client, line, LINE_BYTES_MAX, MSG_PEEK | MSG_DONTWAIT);
        const char *end;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;
        if (h->n_lines == 0 && line[0] != 0)
                return -EPROTO;
        end = memmem(line, (size_t)n, "\r\n", 2);
        if (!end)
                return (size_t)n < LINE_BYTES_MAX ? 0 : -ENOBUFS;
        *ret_n = (size_t)(end + 2 - line);
        return 1;
}

static int line_take(Handshake *h, size_t n) {
        char line[LINE_BYTES_MAX];
        struct iovec iov = { line, n };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (++h->n_lines > LINES_MAX)
                return -ENOBUFS;
        if (recvmsg(h->client, &m, MSG_DONTWAIT) != (ssize_t)n || (m.msg_flags & MSG_CTRUNC))
                return -EPROTO; /* somebody else reads there, or descriptors came with it */
        return send(h->relay, line, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n ? 0 : -EPROTO;
}

static int answer_relay(Handshake *h) {
        char answer[LINE_BYTES_MAX];
        ssize_t n = recv(h->relay, answer, sizeof answer, MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;
        return send(h->client, answer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n ? 0 : -EPIPE;
}

/* 1: authenticated. Not one step further: the next would dispatch what it has to say about it. */
static int bus_step(sd_bus *bus) {
        int r;

        do {
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        return r;
                if (sd_bus_is_ready(bus) > 0)
                        return 1;
                if (sd_bus_is_open(bus) <= 0)
                        return -ECONNRESET;
        } while (r > 0);
        return 0;
}

int handshake_run(Handshake *h, sd_bus *bus, bool hung_up) {
        char line[LINE_BYTES_MAX];
        size_t n = 0;
        int r;

        for (;;) {
                r = line_peek(h, line, &n);
                if (r <= 0)
                        return r == 0 && hung_up ? -ECONNRESET : r;
                r = line_take(h, n);
                if (r < 0)
                        return r;
                r = bus_step(bus);
                if (r != 0)
                        return r;
                r = answer_relay(h);
                if (r < 0)
                        return r;
        }
}

int handshake_hand_over(Handshake *h, sd_bus *bus) {
        int r = dup3(h->client, sd_bus_get_fd(bus), O_CLOEXEC) < 0 ? -errno : 0;

        handshake_deinit(h);
        return r;
}
