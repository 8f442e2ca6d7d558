/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels against a client that is bytes on a socket, and against sd-bus. What a client may do at the worst
 * moment is done at that moment.
 */
#include "tests/unit/channel-fixture.h"

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

        CHECK(write_all(&f, &(AUTH BEGIN)[1], sizeof AUTH BEGIN - 2));
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
                CHECK(write_all(&f, &(AUTH BEGIN)[i], 1));
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
