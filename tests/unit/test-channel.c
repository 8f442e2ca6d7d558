/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels against a client that is bytes on a socket, and against sd-bus. What a client may do at the worst
 * moment is done at that moment.
 */
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
} Fixture;

static void maybe_free(Fixture *f, int where) {
        if (f->free_in == where)
                f->channel = channel_free(f->channel);
}

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ char *text = NULL;
        Fixture *f = userdata;
        int r;

        f->n_calls++;
        text = calloc(1, f->reply_bytes + 1);
        memset(text, 'x', f->reply_bytes);
        r = sd_bus_reply_method_return(m, "s", text);
        maybe_free(f, FREE_IN_CALL);
        return r;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Call", "", "s", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
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
        int ours;

        *f = (Fixture){ .peer = -1, .reply_bytes = 2 };
        if (sd_event_new(&f->event) < 0 || fd_socketpair(&ours, &f->peer) < 0)
                return false;
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

static size_t put_u32(char *p, uint32_t v) {
        memcpy(p, &v, sizeof v);
        return sizeof v;
}

/* One header field: a string-like value. Fields are aligned to 8 from the message's start. */
static size_t put_field(char *message, size_t at, char code, char type, const char *value) {
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
static size_t put_call(char *message, uint32_t serial) {
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

static bool handshake(Fixture *f) {
        return write_all(f, AUTH BEGIN, sizeof AUTH BEGIN - 1) && reaches(f, &f->n_opened, 1);
}

static size_t read_all(Fixture *f, char *buffer, size_t size) {
        ssize_t n = read(f->peer, buffer, size);

        return n > 0 ? (size_t)n : 0;
}

/* sd-bus would drop an unauthenticated peer 90 s after it started, so it must not have started. */
TEST(nothing_starts_before_the_first_byte) {
        _cleanup_fixture_ Fixture f;
        char byte;

        REQUIRE(fixture_init(&f));
        settle(&f);
        CHECK_INT(f.n_setup, 0);
        CHECK(!channel_get_bus(f.channel));
        CHECK(!channel_is_open(f.channel));
        CHECK(!channel_can_pass_fds(f.channel));
        CHECK_INT(channel_get_n_unsent(f.channel), 0);
        CHECK_INT(channel_send(f.channel, NULL), -ENOTCONN);
        CHECK_INT(read_all(&f, &byte, 1), 0);

        CHECK(write_all(&f, AUTH, 1));
        settle(&f);
        CHECK_INT(f.n_setup, 1);
        CHECK(channel_get_bus(f.channel));
        CHECK(!channel_is_open(f.channel));
        CHECK_INT(f.n_opened, 0);

        CHECK(write_all(&f, AUTH BEGIN + 1, sizeof AUTH BEGIN - 2));
        CHECK(reaches(&f, &f.n_opened, 1));
        settle(&f);
        CHECK_INT(f.n_setup, 1);
        CHECK_INT(f.n_opened, 1);
        CHECK_INT(f.n_closed, 0);
        CHECK(channel_can_pass_fds(f.channel));
}

TEST(the_handshake_may_come_byte_by_byte) {
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        for (size_t i = 0; i < sizeof AUTH BEGIN - 1; i++) {
                CHECK_INT(f.n_opened, 0);
                CHECK(write_all(&f, AUTH BEGIN + i, 1));
                settle(&f);
        }
        CHECK(reaches(&f, &f.n_opened, 1));
}

/* sd-bus has read the call together with BEGIN and would let it lie until more bytes come. */
TEST(a_call_in_the_same_write_as_begin_is_answered) {
        for (unsigned n_calls = 1; n_calls <= 3; n_calls++) {
                char bytes[sizeof AUTH BEGIN - 1 + 3 * 256] = AUTH BEGIN, reply[4096];
                size_t size = sizeof AUTH BEGIN - 1;
                _cleanup_fixture_ Fixture f;

                ROW("%u calls", n_calls);
                REQUIRE(fixture_init(&f));
                for (unsigned i = 0; i < n_calls; i++) {
                        char call[256] = { 0 };
                        size_t n = put_call(call, i + 1);

                        memcpy(bytes + size, call, n);
                        size += n;
                }
                CHECK(write_all(&f, bytes, size));
                CHECK(reaches(&f, &f.n_calls, n_calls));
                settle(&f);
                size = read_all(&f, reply, sizeof reply);
                CHECK(size > n_calls * 32 && memmem(reply, size, "AGREE_UNIX_FD\r\n", 15));
                CHECK(memmem(reply, size, "xx", 3)); /* the answer, with its NUL */
        }
}

TEST(a_call_cut_in_two_by_begin_is_answered) {
        char bytes[sizeof AUTH BEGIN - 1 + 256] = AUTH BEGIN, call[256] = { 0 };
        size_t size = sizeof AUTH BEGIN - 1, n = put_call(call, 1);
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        memcpy(bytes + size, call, n);
        CHECK(write_all(&f, bytes, size + 20));
        CHECK(reaches(&f, &f.n_opened, 1));
        settle(&f);
        CHECK_INT(f.n_calls, 0);
        CHECK(write_all(&f, bytes + size + 20, n - 20));
        CHECK(reaches(&f, &f.n_calls, 1));
}

TEST(a_peer_without_descriptors_is_known) {
        static const char no_fds[] = "\0AUTH ANONYMOUS\r\nBEGIN\r\n";
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        CHECK(write_all(&f, no_fds, sizeof no_fds - 1));
        CHECK(reaches(&f, &f.n_opened, 1));
        CHECK(!channel_can_pass_fds(f.channel));
}

TEST(hang_ups_are_told_once) {
        static const struct {
                const char *name;
                size_t n_bytes; /* of the handshake */
                unsigned n_opened;
        } rows[] = {
                { "before the first byte", 0, 0 },
                { "after the first byte", 1, 0 },
                { "before BEGIN", sizeof AUTH - 1, 0 },
                { "together with BEGIN", sizeof AUTH BEGIN - 1, 1 },
        };

        for (size_t i = 0; i < 2 * FB_ELEMENTSOF(rows); i++) {
                _cleanup_fixture_ Fixture f;

                ROW("%s%s", rows[i / 2].name, i % 2 ? ", freed in the handler" : "");
                REQUIRE(fixture_init(&f));
                f.free_in = i % 2 ? FREE_IN_CLOSED : FREE_NEVER;
                CHECK(write_all(&f, AUTH BEGIN, rows[i / 2].n_bytes));
                f.peer = fb_close(f.peer);
                CHECK(reaches(&f, &f.n_closed, 1));
                settle(&f);
                CHECK_INT(f.n_closed, 1);
                CHECK(f.n_opened <= rows[i / 2].n_opened);
                CHECK(!f.channel == (i % 2 == 1));
        }
}

TEST(a_hang_up_after_opening_is_told_once) {
        for (int free_in_closed = 0; free_in_closed < 2; free_in_closed++) {
                _cleanup_fixture_ Fixture f;

                REQUIRE(fixture_init(&f));
                f.free_in = free_in_closed ? FREE_IN_CLOSED : FREE_NEVER;
                REQUIRE(handshake(&f));
                f.peer = fb_close(f.peer);
                CHECK(reaches(&f, &f.n_closed, 1));
                settle(&f);
                CHECK_INT(f.n_closed, 1);
        }
}

TEST(what_is_no_handshake_closes) {
        static const char *const lines[] = {
                "GET / HTTP/1.1\r\n\r\n",
                "\r\n\r\n",
                "\xff\xff\xff\xff",
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(lines); i++) {
                _cleanup_fixture_ Fixture f;

                ROW("%zu", i);
                REQUIRE(fixture_init(&f));
                CHECK(write_all(&f, lines[i], strlen(lines[i])));
                CHECK(reaches(&f, &f.n_closed, 1));
                CHECK_INT(f.n_opened, 0);
                settle(&f);
                CHECK_INT(f.n_closed, 1);
        }
}

TEST(a_broken_message_closes) {
        _cleanup_fixture_ Fixture f;
        char zeros[64] = { 0 };

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        CHECK(write_all(&f, zeros, sizeof zeros));
        CHECK(reaches(&f, &f.n_closed, 1));
        settle(&f);
        CHECK_INT(f.n_closed, 1);
}

TEST(a_setup_that_fails_closes) {
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        f.setup_result = -ENOMEM;
        CHECK(write_all(&f, AUTH BEGIN, sizeof AUTH BEGIN - 1));
        CHECK(reaches(&f, &f.n_closed, 1));
        settle(&f);
        CHECK_INT(f.n_setup, 1);
        CHECK_INT(f.n_opened, 0);
        CHECK_INT(f.n_closed, 1);
}

TEST(the_channel_may_be_freed_in_opened) {
        char bytes[sizeof AUTH BEGIN - 1 + 256] = AUTH BEGIN;
        size_t size = sizeof AUTH BEGIN - 1;
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        f.free_in = FREE_IN_OPENED;
        size += put_call(bytes + size, 1);
        CHECK(write_all(&f, bytes, size));
        CHECK(reaches(&f, &f.n_opened, 1));
        settle(&f);
        CHECK_INT(f.n_calls, 0);
        CHECK_INT(f.n_closed, 0);
}

/* In the first call, which the channel itself dispatches, and in a later one, which sd-event does. */
TEST(the_channel_may_be_freed_in_a_call) {
        for (int later = 0; later < 2; later++) {
                char bytes[sizeof AUTH BEGIN - 1 + 512] = AUTH BEGIN;
                size_t size = sizeof AUTH BEGIN - 1;
                _cleanup_fixture_ Fixture f;

                ROW("%s", later ? "later" : "with BEGIN");
                REQUIRE(fixture_init(&f));
                f.free_in = FREE_IN_CALL;
                if (later) {
                        REQUIRE(handshake(&f));
                        settle(&f);
                        memset(bytes, 0, sizeof bytes);
                        size = 0;
                }
                size += put_call(bytes + size, 1);
                size += put_call(bytes + size, 2);
                CHECK(write_all(&f, bytes, size));
                CHECK(reaches(&f, &f.n_calls, 1));
                settle(&f);
                CHECK_INT(f.n_calls, 1);
                CHECK_INT(f.n_closed, 0);
                CHECK(!f.channel);
        }
}

static sd_bus_message *signal_new(Channel *c, size_t bytes) {
        _cleanup_free_ char *text = calloc(1, bytes + 1);
        sd_bus_message *m = NULL;

        memset(text, 'x', bytes);
        if (sd_bus_message_new_signal(channel_get_bus(c), &m, "/test", "org.framebus.Test", "Signal") < 0 ||
            sd_bus_message_append(m, "s", text) < 0)
                return NULL;
        return m;
}

TEST(what_waits_unsent_is_bounded) {
        _cleanup_fixture_ Fixture f;
        char buffer[65536];
        unsigned n = 0;
        int r = 0;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        settle(&f);
        CHECK(read_all(&f, buffer, sizeof buffer) > 0);
        CHECK(channel_is_drained(f.channel));
        for (; n < 5000 && r >= 0; n++) {
                sd_bus_message *m = signal_new(f.channel, 1000);

                REQUIRE(m);
                r = channel_send(f.channel, m);
                sd_bus_message_unref(m);
        }
        CHECK_INT(r, -EXFULL);
        CHECK(n > FB_CONTROL_QUEUE_MAX && n < 1000); /* the socket's own buffer is small */
        CHECK(channel_get_n_unsent(f.channel) >= FB_CONTROL_QUEUE_MAX);
        CHECK(channel_get_n_unsent(f.channel) <= FB_CONTROL_QUEUE_MAX + 1);
        CHECK(!channel_is_drained(f.channel));
        CHECK_INT(f.n_closed, 0); /* the owner decides */

        /* read on, and all of it goes out */
        for (int i = 0; i < 100 && !channel_is_drained(f.channel); i++) {
                while (read_all(&f, buffer, sizeof buffer) > 0)
                        ;
                settle(&f);
        }
        CHECK(channel_is_drained(f.channel));
        CHECK_INT(channel_get_n_unsent(f.channel), 0);
}

TEST(unread_is_not_drained) {
        _cleanup_fixture_ Fixture f;
        sd_bus_message *m;
        char buffer[4096];

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        settle(&f);
        CHECK(read_all(&f, buffer, sizeof buffer) > 0);
        m = signal_new(f.channel, 10);
        CHECK(channel_send(f.channel, m) >= 0);
        sd_bus_message_unref(m);
        CHECK_INT(channel_get_n_unsent(f.channel), 0);
        CHECK(!channel_is_drained(f.channel));
        CHECK(read_all(&f, buffer, sizeof buffer) > 0);
        CHECK(channel_is_drained(f.channel));
}

/* Who calls and never reads the answers is closed; what it costs is bounded. */
TEST(unread_replies_close) {
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        f.reply_bytes = 2000;
        REQUIRE(handshake(&f));
        for (uint32_t i = 1; i < 5000 && f.n_closed == 0; i++) {
                char call[256] = { 0 };
                size_t n = put_call(call, i);

                (void)!write(f.peer, call, n);
                settle(&f);
        }
        CHECK(reaches(&f, &f.n_closed, 1));
        CHECK(f.n_calls < 1000);
        f.peer = fb_close(f.peer); /* a hang-up is no second closing */
        settle(&f);
        CHECK_INT(f.n_closed, 1);
}

typedef struct Client {
        Channel *channel;
        unsigned n_opened, n_closed, n_signals;
        int fd;
} Client;

static int client_on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Client *c = userdata;
        int fd;

        if (sd_bus_message_read(m, "h", &fd) > 0)
                c->fd = fd_dup_cloexec(fd);
        c->n_signals++;
        return 0;
}

static int client_on_setup(Channel *channel, sd_bus *bus, void *userdata) {
        return sd_bus_match_signal(bus, NULL, NULL, "/test", "org.framebus.Test", "Signal", client_on_signal,
                                   userdata);
}

static void client_on_opened(Channel *channel, void *userdata) {
        ((Client *)userdata)->n_opened++;
}

static void client_on_closed(Channel *channel, void *userdata) {
        ((Client *)userdata)->n_closed++;
}

static const ChannelHandler client_handler = { client_on_setup, client_on_opened, client_on_closed };

TEST(both_ends_are_channels) {
        Client client = { .fd = -1 };
        sd_bus_message *m = NULL;
        _cleanup_fixture_ Fixture f;
        int fd;

        REQUIRE(fixture_init(&f));
        fd = f.peer;
        f.peer = -1;
        REQUIRE_INT(channel_new_client(f.event, fd, 0, &client_handler, &client, &client.channel), 0);
        CHECK(reaches(&f, &client.n_opened, 1));
        CHECK(reaches(&f, &f.n_opened, 1));
        CHECK(channel_can_pass_fds(f.channel));
        CHECK(channel_can_pass_fds(client.channel));

        REQUIRE(sd_bus_message_new_signal(channel_get_bus(f.channel), &m, "/test", "org.framebus.Test",
                                          "Signal") >= 0);
        CHECK(sd_bus_message_append(m, "h", STDOUT_FILENO) >= 0);
        CHECK(channel_send(f.channel, m) >= 0);
        sd_bus_message_unref(m);
        CHECK(reaches(&f, &client.n_signals, 1));
        CHECK(client.fd >= 3 && fcntl(client.fd, F_GETFD) >= 0);
        fb_close(client.fd);

        f.channel = channel_free(f.channel);
        CHECK(reaches(&f, &client.n_closed, 1));
        settle(&f);
        CHECK_INT(client.n_closed, 1);
        channel_free(client.channel);
}

/* Nobody can prove who it is over a pair that the broker made; so nobody is asked. */
TEST(any_authentication_will_do) {
        /* uid 999 */
        static const char external[] = "\0AUTH EXTERNAL 393939\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        CHECK(write_all(&f, external, sizeof external - 1));
        CHECK(reaches(&f, &f.n_opened, 1));
        CHECK(channel_can_pass_fds(f.channel));
}

/* epoll refuses regular files; the descriptor is gone all the same. */
TEST(the_descriptor_is_owned_also_on_failure) {
        _cleanup_fixture_ Fixture f;
        Channel *c = NULL;
        int fd;

        REQUIRE(fixture_init(&f));
        fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        REQUIRE(fd >= 0);
        CHECK(channel_new_server(f.event, fd, 0, &handler, &f, &c) < 0);
        CHECK(!c);
        CHECK(fcntl(fd, F_GETFD) < 0);
        CHECK_INT(f.n_closed, 0);
}

TEST(no_channel_is_no_trouble) {
        CHECK(!channel_free(NULL));
}

TEST_MAIN
