/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/capture/request.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "interfaces/wire.h"

#define DEVICE_PREFIX "/dev/video"

/* Exactly a video node: no other path, not even another spelling of the same. */
static bool device_path_is_valid(const char *path) {
        size_t prefix = strlen(DEVICE_PREFIX), digits;

        if (strncmp(path, DEVICE_PREFIX, prefix) != 0)
                return false;
        digits = strspn(path + prefix, "0123456789");
        return digits >= 1 && digits <= 5 && !path[prefix + digits] && (digits == 1 || path[prefix] != '0');
}

int request_parse(const char *line, Request *ret_request) {
        Request r = { .kind = REQUEST_SOURCE };
        const char *argument = line + 7;

        if (strncmp(line, "DEVICE ", 7) == 0)
                r.kind = REQUEST_DEVICE;
        else if (strncmp(line, "SOURCE ", 7) != 0)
                return -EINVAL;
        if (r.kind == REQUEST_SOURCE ? !fb_source_name_is_valid(argument) : !device_path_is_valid(argument))
                return -EINVAL;
        (void)snprintf(r.argument, sizeof r.argument, "%s", argument);
        *ret_request = r;
        return 0;
}

static int wait_for_byte(int fd, uint64_t deadline_ns) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= deadline_ns)
                return -ETIMEDOUT;
        if (poll(&p, 1, (int)((deadline_ns - now_ns) / NSEC_PER_MSEC) + 1) < 0 && errno != EINTR)
                return -errno;
        return 0;
}

int request_read_line(int fd_borrow, uint64_t deadline_ns, char ret_line[static REQUEST_LINE_MAX]) {
        char line[REQUEST_LINE_MAX];
        size_t n = 0;

        while (n < sizeof line) {
                ssize_t k = recv(fd_borrow, line + n, 1, MSG_DONTWAIT);
                int r = 0;

                if (k == 0)
                        return -EPIPE;
                if (k < 0)
                        r = errno == EAGAIN || errno == EINTR ? wait_for_byte(fd_borrow, deadline_ns)
                                                              : -errno;
                if (r < 0)
                        return r;
                if (k < 0)
                        continue;
                if (line[n] == 0)
                        return -EINVAL;
                if (line[n] == '\n') {
                        line[n] = 0;
                        memcpy(ret_line, line, n + 1);
                        return 0;
                }
                n++;
        }
        return -EMSGSIZE;
}
