/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server end of a channel, against a client that is bytes on a socket. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "interfaces/wire.h"
#include "tests/unit/test.h"
#include "wire/channel.h"

#define PATIENCE_NS (5 * NSEC_PER_SEC)

/* How sd-bus and libdbus begin; the server's answers need not be waited for. */
#define AUTH  "\0AUTH ANONYMOUS\r\nNEGOTIATE_UNIX_FD\r\n"
#define BEGIN "BEGIN\r\n"

enum {
        FREE_NEVER,
        FREE_IN_OPENED,
        FREE_IN_CALL,
        FREE_IN_CLOSED,
};

typedef struct Fixture {
        sd_event *event;
        Channel *channel;
        int peer; /* the client's end */
        unsigned n_setup, n_opened, n_closed, n_calls;
        int free_in, setup_result;
        size_t reply_bytes;
        const char *echo; /* what the client says while the first call is handled */
        size_t echo_bytes;
        void (*meanwhile)(struct Fixture *f); /* while the first call is handled */
        int thief;                            /* another name of the channel's end */
} Fixture;

static void maybe_free(Fixture *f, int where) {
        if (f->free_in == where)
                f->channel = channel_free(f->channel);
}

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ char *text = NULL;
        Fixture *f = userdata;
        int r;

        if (f->n_calls++ == 0 && f->echo_bytes > 0)
                CHECK(write(f->peer, f->echo, f->echo_bytes) == (ssize_t)f->echo_bytes);
        if (f->n_calls == 1 && f->meanwhile)
                f->meanwhile(f);
        text = calloc(1, f->reply_bytes + 1);
        memset(text, 'x', f->reply_bytes);
        r = sd_bus_reply_method_return(m, "s", text);
        maybe_free(f, FREE_IN_CALL);
        return r;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Call", "", "s", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Take", "s", "s", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int on_setup(Channel *c, sd_bus *bus, void *userdata) {
        Fixture *f = userdata;

        f->n_setup++;
        CHECK(c == f->channel || !f->channel);
        if (f->setup_result < 0)
                return f->setup_result;
        return sd_bus_add_object_vtable(bus, NULL, "/test", "org.framebus.Test", vtable, f);
}

static void on_opened(Channel *c, void *userdata) {
        Fixture *f = userdata;

        CHECK(channel_is_open(c));
        f->n_opened++;
        maybe_free(f, FREE_IN_OPENED);
}

static void on_closed(Channel *c, void *userdata) {
        Fixture *f = userdata;

        CHECK(!channel_is_open(c));
        f->n_closed++;
        maybe_free(f, FREE_IN_CLOSED);
}

static const ChannelHandler handler = { on_setup, on_opened, on_closed };

static bool fixture_init(Fixture *f) {
        int ours, size = FB_MESSAGE_MAX; /* the kernel doubles it */

        *f = (Fixture){ .peer = -1, .reply_bytes = 2 };
        if (sd_event_new(&f->event) < 0 || fd_socketpair(&ours, &f->peer) < 0)
                return false;
        (void)setsockopt(f->peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        (void)fd_set_nonblocking(f->peer);
        return channel_new_server(f->event, ours, 0, &handler, f, &f->channel) == 0;
}

static void fixture_deinit(Fixture *f) {
        channel_free(f->channel);
        fb_close(f->peer);
        sd_event_unref(f->event);
}

#define _cleanup_fixture_ _cleanup_(fixture_deinit)

/* Runs all that is due, and nothing else. */
static void settle(Fixture *f) {
        for (int i = 0; i < 200 && sd_event_run(f->event, 0) > 0; i++)
                ;
}

/* Runs until @n counts up to @wanted. */
static bool reaches(Fixture *f, const unsigned *n, unsigned wanted) {
        uint64_t end = clock_now_ns() + PATIENCE_NS;

        while (*n < wanted && clock_now_ns() < end)
                if (sd_event_run(f->event, 100000) < 0)
                        return false;
        return *n == wanted;
}

static inline size_t put_u32(char *p, uint32_t v) {
        memcpy(p, &v, sizeof v);
        return sizeof v;
}

/* One header field: a string-like value. Fields are aligned to 8 from the message's start. */
static inline size_t put_field(char *message, size_t at, char code, char type, const char *value) {
        at = (at + 7) / 8 * 8;
        message[at++] = code;
        message[at++] = 1;
        message[at++] = type;
        message[at++] = 0;
        at += put_u32(message + at, (uint32_t)strlen(value));
        strcpy(message + at, value);
        return at + strlen(value) + 1;
}

/* A call of Call, little endian, without arguments. @message: zeros, room for 256 bytes. */
static inline size_t put_call(char *message, uint32_t serial) {
        size_t at = 0;

        message[at++] = 'l';
        message[at++] = 1; /* method call */
        message[at++] = 0;
        message[at++] = 1;
        at += put_u32(message + at, 0);
        at += put_u32(message + at, serial);
        at += 4;
        at = put_field(message, at, 1, 'o', "/test");
        at = put_field(message, at, 2, 's', "org.framebus.Test");
        at = put_field(message, at, 3, 's', "Call");
        put_u32(message + 12, (uint32_t)(at - 16));
        return (at + 7) / 8 * 8;
}

static bool write_all(Fixture *f, const char *data, size_t size) {
        return write(f->peer, data, size) == (ssize_t)size;
}

static inline bool handshake(Fixture *f) {
        return write_all(f, AUTH BEGIN, sizeof AUTH BEGIN - 1) && reaches(f, &f->n_opened, 1);
}

static inline size_t read_all(Fixture *f, char *buffer, size_t size) {
        ssize_t n = read(f->peer, buffer, size);

        return n > 0 ? (size_t)n : 0;
}
