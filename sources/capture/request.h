/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one line that the broker says before the channel's own protocol begins. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define REQUEST_LINE_MAX 128u /* bytes, with the newline */

typedef struct Request {
        enum {
                REQUEST_SOURCE,
                REQUEST_DEVICE,
        } kind;
        char argument[REQUEST_LINE_MAX]; /* a source's name or a device's path, of the right form */
} Request;

/* "SOURCE name" or "DEVICE /dev/videoN", without the newline. -EINVAL: anything else. */
int request_parse(const char *line, Request *ret_request);

/*
 * Reads a line from the stream socket @fd_borrow, and not one byte more: what follows is for somebody else.
 * Errors: -ETIMEDOUT: no whole line at @deadline_ns, CLOCK_MONOTONIC; -EMSGSIZE: too long; -EPIPE: hung up
 * before; -EINVAL: a NUL byte; what recv(2) failed with.
 */
int request_read_line(int fd_borrow, uint64_t deadline_ns, char ret_line[static REQUEST_LINE_MAX]);
