/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a channel's client may say: whole messages, of at most FB_MESSAGE_MAX; all else stays in its socket.
 * */
#include <sys/ioctl.h>

#include "tests/unit/channel-fixture.h"

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

/* The loop has nothing to do, and goes on having nothing to do. */
static bool sleeps(Fixture *f) {
        settle(f);
        for (int i = 0; i < 10; i++)
                if (sd_event_run(f->event, 0) != 0)
                        return false;
        return true;
}

static bool closes(Fixture *f) {
        bool closed = reaches(f, &f->n_closed, 1);

        settle(f);
        return closed && f->n_closed == 1;
}

/* A call of Take, as long as is wanted. The caller's to free. */
static char *long_call_new(size_t size) {
        char *call = calloc(1, size + 256);
        size_t at = put_call(call, 1), text;

        memcpy(memmem(call, at, "Call", 5), "Take", 4);
        memcpy(call + at, "\10\1g\0\1s", 7);
        put_u32(call + 12, (uint32_t)(at + 7 - 16));
        at += 8;
        text = size - at - 5;
        put_u32(call + 4, (uint32_t)(size - at));
        put_u32(call + at, (uint32_t)text);
        memset(call + at + 4, 'x', text);
        return call;
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
TEST(a_thousand_pieces) {
        _cleanup_free_ char *call = long_call_new(4000);
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        for (int round = 0; round < 2; round++) {
                for (size_t i = 0; i < 4000; i += 4) {
                        CHECK_INT(f.n_calls, round);
                        CHECK(write_all(&f, call + i, 4));
                        settle(&f);
                }
                CHECK_INT(f.n_calls, round + 1);
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
                        CHECK(sleeps(&f));
                }
                CHECK_INT(f.n_calls, round + 1);
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

static bool write_with_fds(Fixture *f, const char *data, size_t size, unsigned n_fds) {
        union {
                char buffer[CMSG_SPACE(250 * sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov = { (void *)data, size };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = CMSG_SPACE(n_fds * sizeof(int)) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        if (n_fds == 0)
                return write(f->peer, data, size) == (ssize_t)size;
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (unsigned i = 0; i < n_fds; i++)
                memcpy(CMSG_DATA(c) + i * sizeof(int), &f->peer, sizeof(int));
        return sendmsg(f->peer, &m, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Descriptors of half a message are in nobody's table. */
TEST(half_a_message_with_descriptors) {
        _cleanup_free_ char *call = long_call_new(4096);
        _cleanup_fixture_ Fixture f;
        int before;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        settle(&f);
        before = test_count_fds();
        for (int i = 0; i < 4; i++) {
                CHECK(write_with_fds(&f, call + i * 100, 100, 200));
                CHECK(sleeps(&f));
                CHECK_INT(test_count_fds(), before);
        }
        /* it says of none that it has it, so it is no message */
        CHECK(write_all(&f, call + 400, 4096 - 400));
        CHECK(closes(&f));
        CHECK_INT(f.n_calls, 0);
}

/* sd-bus drops such a message and leaves its descriptors open: they must not get there. */
TEST(descriptors_that_a_message_does_not_speak_of) {
        static const struct {
                const char *name;
                size_t size, before; /* of the message, bytes that go ahead of the descriptors */
        } rows[] = { { "short", 0, 0 },
                     { "short, with its end", 0, 100 },
                     { "long", 9000, 0 },
                     { "long, in its middle", 9000, 5000 },
                     { "long, at its end", 9000, 8999 } };

        for (size_t i = 0; i < 3 * FB_ELEMENTSOF(rows); i++) {
                _cleanup_free_ char *call = long_call_new(rows[i / 3].size ?: 256);
                size_t size = rows[i / 3].size ?: 256, before = rows[i / 3].before, all;
                _cleanup_fixture_ Fixture f;
                int n_open;

                ROW("%s%s", rows[i / 3].name,
                    i % 3 == 1   ? ", with more"
                    : i % 3 == 2 ? ", one after it"
                                 : "");
                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                settle(&f);
                n_open = test_count_fds();
                all = size + (i % 3 == 1 ? put_call(call + size, 2) : 0);
                if (before > 0)
                        CHECK(write_all(&f, call, before));
                CHECK(write_with_fds(&f, call + before, all - before, 100));
                if (i % 3 == 2)
                        CHECK(write_all(&f, call, size));
                CHECK(closes(&f));
                CHECK_INT(f.n_calls, 0);
                f.channel = channel_free(f.channel);
                CHECK_INT(test_count_fds(), n_open - 1 - 1);
        }
}

/* As a publisher does that says something and sends a frame. */
TEST(descriptors_of_the_message_after) {
        char call[512] = { 0 };
        size_t n = put_call(call, 1), at = n, end;
        _cleanup_fixture_ Fixture f;

        end = put_call(call + at, 2);
        memcpy(call + at + end, "\11\1u\0\2\0\0\0", 8);
        put_u32(call + at + 12, (uint32_t)(end + 8 - 16));
        end += 8;
        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        for (unsigned round = 1; round <= 3; round++) {
                CHECK(write_all(&f, call, n));
                CHECK(write_with_fds(&f, call + at, end, 2));
                CHECK(write_all(&f, call, n));
                CHECK(reaches(&f, &f.n_calls, 3 * round));
                CHECK(sleeps(&f));
        }
}

/* A long call that speaks of two, with as many in front, in the middle and at its end, and a short one that
 * has two behind it. */
TEST(descriptors_of_a_long_one) {
        static const struct {
                unsigned front, middle, end;
                bool passes;
        } rows[] = { { 2, 0, 0, true },  { 1, 0, 0, false }, { 3, 0, 0, false }, { 2, 1, 0, false },
                     { 2, 0, 2, false }, { 2, 0, 30, false } };
        const size_t size = 50000, part = 20000;

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_free_ char *call = long_call_new(size);
                char next[256] = { 0 };
                uint32_t fields;
                size_t n;
                _cleanup_fixture_ Fixture f;
                int n_open;

                ROW("%u, %u, %u", rows[i].front, rows[i].middle, rows[i].end);
                memcpy(&fields, call + 12, sizeof fields);
                n = (16 + fields + 7) / 8 * 8; /* where the body begins: the field goes there, ahead of it */
                memmove(call + n + 8, call + n, size - n);
                memcpy(call + n, "\11\1u\0\2\0\0\0", 8);
                put_u32(call + 12, (uint32_t)(n + 8 - 16));
                n = put_call(next, 2);
                memcpy(next + n, "\11\1u\0\2\0\0\0", 8);
                put_u32(next + 12, (uint32_t)(n + 8 - 16));
                REQUIRE(fixture_init(&f));
                REQUIRE(handshake(&f));
                settle(&f);
                n_open = test_count_fds();
                CHECK(write_with_fds(&f, call, part, rows[i].front));
                CHECK(write_with_fds(&f, call + part, part, rows[i].middle));
                CHECK(write_with_fds(&f, call + 2 * part, size + 8 - 2 * part, rows[i].end));
                CHECK(write_with_fds(&f, next, n + 8, 2));
                if (rows[i].passes) {
                        CHECK(reaches(&f, &f.n_calls, 2));
                        CHECK_INT(test_count_fds(), n_open);
                        continue;
                }
                CHECK(closes(&f));
                CHECK_INT(f.n_calls, 0);
                f.channel = channel_free(f.channel);
                CHECK_INT(test_count_fds(), n_open - 1 - 1);
        }
}

/* What follows them cannot be looked at, as long as they are not taken. */
TEST(descriptors_within_a_header) {
        char call[256] = { 0 };
        size_t n = put_call(call, 1);
        _cleanup_fixture_ Fixture f;

        REQUIRE(fixture_init(&f));
        REQUIRE(handshake(&f));
        CHECK(write_with_fds(&f, call, 1, 3));
        CHECK(sleeps(&f));
        CHECK_INT(f.n_closed, 0);
        CHECK(write_all(&f, call + 1, n - 1));
        CHECK(closes(&f));
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
