/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a channel's client may say: whole messages, of at most FB_MESSAGE_MAX; all else stays in its socket.
 * */
#include <sys/ioctl.h>

#include "tests/unit/channel-said.h"

#define HUGE (120u * 1024 * 1024)

static int n_waiting(Fixture *f) {
        int n = -1;

        (void)ioctl(channel_get_fd(f->channel), FIONREAD, &n);
        return n;
}

/* Of a call: no answer wanted, another length than it has. */
static void set_no_reply(char *call) {
        call[2] = 1;
}

static void set_body(char *call, uint32_t bytes) {
        put_u32(call + 4, bytes);
}

/* More than the peer's socket takes at once. */
static bool write_on(Fixture *f, const char *data, size_t size) {
        for (int i = 0; i < 1000 && size > 0; i++) {
                ssize_t n = write(f->peer, data, size);

                if (n > 0) {
                        data += n;
                        size -= (size_t)n;
                }
                settle(f);
        }
        return size == 0;
}

TEST(too_long) {
        static char bytes[16 + 65536];
        static const struct {
                const char *name;
                size_t first, step; /* bytes at once */
        } rows[] = { { "in one piece", sizeof bytes, 1 },
                     { "the header alone", 16, 1 },
                     { "dribbled", 1, 1 } };

        put_call(bytes, 1);
        set_body(bytes, HUGE);
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_fixture_ Fixture f;
                size_t at;

                ROW("%s", rows[i].name);
                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                CHECK(write_all(&f, bytes, rows[i].first));
                settle(&f);
                for (at = rows[i].first; at < 16; at += rows[i].step) {
                        CHECK_INT(f.n_closed, 0);
                        CHECK(write_all(&f, bytes + at, rows[i].step));
                        CHECK(sleeps(&f));
                }
                CHECK(closes(&f));
                CHECK_INT(n_waiting(&f), at); /* nothing was taken */
                CHECK_INT(f.n_calls, 0);
        }
}

TEST(too_long_with_begin) {
        char bytes[sizeof AUTH BEGIN - 1 + 512] = AUTH BEGIN;
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        put_call(bytes + sizeof AUTH BEGIN - 1, 1);
        set_body(bytes + sizeof AUTH BEGIN - 1, HUGE);
        CHECK(write_all(&f, bytes, sizeof bytes));
        CHECK(closes(&f));
        CHECK_INT(f.n_opened, 1);
        CHECK_INT(n_waiting(&f), 512);
}

TEST(the_longest) {
        static const struct {
                size_t size;
                bool passes;
        } rows[] = { { 8192, true }, { FB_MESSAGE_MAX, true }, { FB_MESSAGE_MAX + 8, false } };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_free_ char *call = long_call_new(rows[i].size);
                _cleanup_fixture_ Fixture f;

                ROW("%zu bytes", rows[i].size);
                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                CHECK(write_on(&f, call, rows[i].size));
                if (rows[i].passes)
                        CHECK(reaches(&f, &f.n_calls, 1));
                else
                        CHECK(closes(&f));
                CHECK_INT(f.n_calls, rows[i].passes);
        }
}

/* All of it fits into an ordinary socket before the broker takes any. */
TEST(a_long_one_waits_in_the_kernel) {
        static const size_t sizes[] = { FB_MESSAGE_SURE, FB_MESSAGE_MAX };

        for (size_t i = 0; i < FB_ELEMENTSOF(sizes); i++) {
                _cleanup_free_ char *call = long_call_new(sizes[i]);
                _cleanup_fixture_ Fixture f;

                ROW("%zu bytes", sizes[i]);
                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                CHECK(write_all(&f, call, sizes[i] - 1));
                CHECK(sleeps(&f));
                CHECK_INT(n_waiting(&f), (int)sizes[i] - 1);
                CHECK(write_all(&f, call + sizes[i] - 1, 1));
                CHECK(reaches(&f, &f.n_calls, 1));
                CHECK_INT(n_waiting(&f), 0);
        }
}

/* Its sender may be waiting for room that there will never be. */
TEST(half_of_the_longest_is_not_waited_for) {
        _cleanup_free_ char *call = long_call_new(FB_MESSAGE_SURE + 8);
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        CHECK(write_all(&f, call, FB_MESSAGE_SURE));
        CHECK(sleeps(&f));
        CHECK(closes(&f));
        CHECK_INT(f.n_calls, 0);
}

/* More pieces than the kernel would queue, if small. */
/* In pieces, as many at once as the socket takes. */
static bool write_in_pieces(Fixture *f, const char *data, size_t size, size_t piece) {
        uint64_t end = clock_now_ns() + PATIENCE_NS;

        for (size_t i = 0; i < size && clock_now_ns() < end;) {
                if (write(f->peer, data + i, FB_MIN(piece, size - i)) > 0)
                        i += piece;
                else if (sd_event_run(f->event, 100000) < 0)
                        return false;
                if (i >= size)
                        return true;
        }
        return false;
}

/* The kernel has no room for all of them. */
TEST(a_thousand_pieces_at_once) {
        _cleanup_free_ char *call = long_call_new(4000);
        _cleanup_fixture_ Fixture f;
        int size = 64 * 1024;

        REQUIRE(fixture_init(&f));
        CHECK_INT(setsockopt(f.peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
        REQUIRE(handshake(&f));
        for (unsigned round = 1; round <= 2; round++) {
                CHECK(write_in_pieces(&f, call, 4000, 1));
                CHECK(reaches(&f, &f.n_calls, round));
        }
        CHECK(sleeps(&f));
}

TEST(a_thousand_pieces) {
        _cleanup_free_ char *call = long_call_new(4000);
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        for (int round = 0; round < 2; round++) {
                for (size_t i = 0; i < 4000; i += 4) {
                        CHECK_INT(f.n_calls, round);
                        CHECK(write_in_pieces(&f, call + i, 4, 4));
                        settle(&f);
                }
                CHECK(reaches(&f, &f.n_calls, (unsigned)round + 1));
        }
        CHECK(write_all(&f, call, 2000));
        CHECK(sleeps(&f));
        f.peer = fb_close(f.peer);
        CHECK(closes(&f));
}

TEST(byte_by_byte) {
        char call[256] = { 0 };
        size_t n = put_call(call, 1);
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        for (int round = 0; round < 3; round++) {
                for (size_t i = 0; i < n; i++) {
                        CHECK_INT(f.n_calls, round);
                        CHECK(write_all(&f, call + i, 1));
                        settle(&f);
                }
                CHECK(reaches(&f, &f.n_calls, (unsigned)round + 1));
        }
}

TEST(many_in_one_write) {
        static char bytes[500 * 256];
        static const int steps[] = { 1, 0, -1 }; /* serials that go up, stay, and go down */

        for (size_t s = 0; s < FB_ELEMENTSOF(steps); s++) {
                _cleanup_fixture_ Fixture f;
                size_t size = 0;

                ROW("%d", steps[s]);
                memset(bytes, 0, sizeof bytes);
                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                for (int i = 0; i < 500; i++) {
                        char *call = bytes + size;

                        size += put_call(call, (uint32_t)(1000 + i * steps[s]));
                        set_no_reply(call);
                }
                CHECK(write_all(&f, bytes, size - 1));
                CHECK(reaches(&f, &f.n_calls, 499));
                CHECK(sleeps(&f));
                CHECK(write_all(&f, bytes + size - 1, 1));
                CHECK(reaches(&f, &f.n_calls, 500));
        }
}

/* sd-bus skips it and reads on; whatever it has read of the next one then, the channel is over. */
TEST(what_is_no_message_closes) {
        static const struct {
                const char *name;
                unsigned before, after; /* good ones */
                unsigned n_calls;       /* at most */
        } rows[] = { { "alone", 0, 0, 0 },
                     { "after a good one", 1, 0, 1 },
                     { "before a good one", 0, 1, 1 },
                     { "in between", 2, 2, 3 } };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                char bytes[6 * 256] = { 0 }, *bad;
                _cleanup_fixture_ Fixture f;
                uint32_t serial = 1;
                size_t size = 0;

                ROW("%s", rows[i].name);
                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                for (unsigned n = 0; n < rows[i].before; n++)
                        size += put_call(bytes + size, serial++);
                bad = bytes + size;
                size += put_call(bad, serial++);
                bad[3] = 2; /* a version of the protocol that there is not */
                for (unsigned n = 0; n < rows[i].after; n++)
                        size += put_call(bytes + size, serial++);
                CHECK(write_all(&f, bytes, size));
                CHECK(closes(&f));
                CHECK(f.n_calls <= rows[i].n_calls);
        }
}

/* Its own client is slow; the answers go out all the same, and nothing of the half is taken for it. */
TEST(answers_go_out_beside_half_a_message) {
        char buffer[65536], bytes[256 * 80] = { 0 };
        _cleanup_fixture_ Fixture f;
        size_t size = 0, got = 0;

        REQUIRE(fixture_init(&f));
        f.reply_bytes = 2000;
        REQUIRE(handshake(&f));
        settle(&f);
        CHECK(read_all(&f, buffer, sizeof buffer) > 0);
        for (uint32_t i = 0; i < 60; i++)
                size += put_call(bytes + size, i + 1);
        size += put_call(bytes + size, 61);
        CHECK(write_all(&f, bytes, size - 10));
        CHECK(reaches(&f, &f.n_calls, 60));
        settle(&f);
        CHECK(channel_get_n_unsent(f.channel) > 0);
        for (int i = 0; i < 100 && got < 60 * 2000; i++) {
                got += read_all(&f, buffer, 4000);
                if (i < 5)
                        CHECK(n_waiting(&f) > 16);
                settle(&f);
        }
        CHECK(got >= 60 * 2000);
        CHECK_INT(channel_get_n_unsent(f.channel), 0);
        CHECK_INT(f.n_calls, 60);
        CHECK(sleeps(&f));
        CHECK(write_all(&f, bytes + size - 10, 10));
        CHECK(reaches(&f, &f.n_calls, 61));
}

TEST(a_hang_up_within_a_message) {
        char call[256] = { 0 };
        size_t n = put_call(call, 1);

        for (int half_close = 0; half_close < 2; half_close++) {
                _cleanup_fixture_ Fixture f;

                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                CHECK(write_all(&f, call, n));
                CHECK(write_all(&f, call, n - 1));
                CHECK(reaches(&f, &f.n_calls, 1));
                CHECK(sleeps(&f));
                CHECK_INT(f.n_closed, 0);
                if (half_close)
                        CHECK(shutdown(f.peer, SHUT_WR) >= 0);
                else
                        f.peer = fb_close(f.peer);
                CHECK(closes(&f));
                CHECK_INT(f.n_calls, 1);
        }
}

/* Written while the broker is in a handler: it is seen afterwards. */
TEST(what_comes_meanwhile_is_not_lost) {
        char call[256] = { 0 };
        size_t n = put_call(call, 1);

        for (size_t cut = 0; cut <= n; cut += 8) {
                _cleanup_fixture_ Fixture f;

                ROW("%zu bytes", cut);
                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                f.echo = call;
                f.echo_bytes = cut;
                CHECK(write_all(&f, call, n));
                CHECK(reaches(&f, &f.n_calls, 1 + (cut == n)));
                CHECK(sleeps(&f));
                CHECK(write_all(&f, call + cut, n - cut));
                CHECK(reaches(&f, &f.n_calls, 2));
                settle(&f);
                CHECK_INT(f.n_calls, 2);
        }
}

/* What bounds the handshake. */
TEST(a_handshake_without_end) {
        static char long_line[2000];
        _cleanup_fixture_ Fixture f, g;

        memset(long_line + 1, 'x', sizeof long_line - 1);
        REQUIRE(fixture_init(&f));
        CHECK(write_all(&f, long_line, sizeof long_line));
        CHECK(closes(&f));

        REQUIRE(fixture_init(&g));
        CHECK(write_all(&g, "\0", 1));
        for (int i = 0; i < 40 && g.n_closed == 0; i++) {
                (void)!write(g.peer, "AUTH\r\n", 6);
                settle(&g);
        }
        CHECK(closes(&g));
        CHECK_INT(g.n_opened, 0);
}

TEST_MAIN
