/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Output that never blocks on a reader.
 *
 * O_NONBLOCK belongs to the open file description, which a shell or a program at the other end of the
 * descriptor shares; so it is not touched. Instead a pipe gets no more than is known to fit: a page when
 * poll(2) says that it is writable, more when it is nearly empty. Sockets have MSG_DONTWAIT.
 */
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PIPE_WANTED (1u << 20)
#define PAGE        4096u
#define PIECE       (16 * PAGE)

/* A piece of any alignment may occupy a page more than its bytes; so may each that lies in the pipe. */
#define PIPE_SLACK (2 * PIECE)

struct OutputChunk {
        OutputChunk *next;
        uint64_t copies; /* still to be written, the begun one included */
        size_t size;
        uint8_t data[];
};

void output_init(Output *o, int fd) {
        struct stat st;

        *o = (Output){ .fd = fd };
        if (fstat(fd, &st) < 0)
                return;
        if (S_ISSOCK(st.st_mode))
                o->kind = OUTPUT_SOCKET;
        else if (S_ISFIFO(st.st_mode)) {
                o->kind = OUTPUT_PIPE;
                (void)fcntl(fd, F_SETPIPE_SZ, (int)PIPE_WANTED); /* more than a user may have: as it was */
        }
}

static void drop_first(Output *o) {
        OutputChunk *c = o->first;

        o->first = c->next;
        if (!o->first)
                o->last = NULL;
        o->queued -= c->size;
        free(c);
}

void output_deinit(Output *o) {
        while (o->first)
                drop_first(o);
}

static int write_file(int fd, const void *data, size_t size) {
        const uint8_t *p = data;

        while (size > 0) {
                ssize_t n = write(fd, p, size);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        p += n;
                        size -= (size_t)n;
                }
        }
        return 0;
}

static int queue(Output *o, const void *head, size_t head_size, const void *data, size_t size,
                 uint64_t copies) {
        OutputChunk *c;

        if (o->first && o->queued + head_size + size > OUTPUT_QUEUE_MAX)
                return -ENOBUFS;
        c = malloc(sizeof(*c) + head_size + size);
        if (!c)
                return -ENOMEM;
        *c = (OutputChunk){ .copies = copies, .size = head_size + size };
        memcpy(c->data, head, head_size);
        if (size > 0)
                memcpy(c->data + head_size, data, size);

        if (o->last)
                o->last->next = c;
        else
                o->first = c;
        o->last = c;
        o->queued += c->size;
        return 0;
}

int output_write(Output *o, const void *head, size_t head_size, const void *data, size_t size,
                 uint64_t copies) {
        int r = 0;

        if (o->kind != OUTPUT_FILE)
                return copies > 0 ? queue(o, head, head_size, data, size, copies) : 0;
        for (; copies > 0 && r >= 0; copies--) {
                r = write_file(o->fd, head, head_size);
                if (r >= 0)
                        r = write_file(o->fd, data, size);
        }
        return r;
}

int output_repeat(Output *o) {
        if (!o->last)
                return -ENOENT;
        o->last->copies++;
        return 0;
}

bool output_is_waiting(const Output *o) {
        return o->first;
}

/* How much of @size bytes goes into the pipe without waiting. */
static size_t pipe_room(int fd, size_t size) {
        int capacity = fcntl(fd, F_GETPIPE_SZ), unread = 0;
        struct pollfd pfd = { .fd = fd, .events = POLLOUT };

        if (capacity > 0 && ioctl(fd, FIONREAD, &unread) >= 0 &&
            (size_t)capacity >= (size_t)unread + PIECE + PIPE_SLACK)
                return FB_MIN(size, PIECE);
        return poll(&pfd, 1, 0) > 0 ? FB_MIN(size, PAGE) : 0; /* POLLERR: write(2) tells */
}

/* Bytes written, 0 if it would have to wait. */
static ssize_t write_some(Output *o, const uint8_t *data, size_t size) {
        ssize_t n;

        if (o->kind == OUTPUT_SOCKET)
                n = send(o->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        else {
                size = pipe_room(o->fd, size);
                if (size == 0)
                        return 0;
                n = write(o->fd, data, size);
        }
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        return n;
}

int output_flush(Output *o) {
        while (o->first) {
                OutputChunk *c = o->first;
                ssize_t n = write_some(o, c->data + o->offset, c->size - o->offset);

                if (n < 0)
                        return (int)n;
                if (n == 0)
                        return 0;
                o->offset += (size_t)n;
                if (o->offset < c->size)
                        continue;
                o->offset = 0;
                if (--c->copies == 0)
                        drop_first(o);
        }
        return 0;
}
