/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors that come with what a channel's client says: those that a message speaks of, and no others. */
#include "tests/unit/channel-said.h"

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

static void exchange(Fixture *f) {
        char call[512] = { 0 }, loot[512];
        size_t n = put_call(call, 1);

        CHECK(recv(f->thief, loot, n, MSG_DONTWAIT) == (ssize_t)n);
        CHECK(write_with_fds(f, call, n, 100));
}

/* Who has kept a name of our end exchanges what was seen there: a bad message comes where a good one was. */
TEST(taken_away_by_who_kept_our_end) {
        _cleanup_close_ int thief = -1;
        _cleanup_fixture_ Fixture f;
        char call[512] = { 0 };
        size_t n = put_call(call, 1);
        int n_open;

        n += put_call(call + n, 2);
        REQUIRE(fixture_init(&f));
        channel_set_foreign(f.channel);
        f.thief = thief = fd_dup_cloexec(channel_get_fd(f.channel));
        f.meanwhile = exchange;
        REQUIRE(handshake(&f));
        settle(&f);
        n_open = test_count_fds();
        CHECK(write_all(&f, call, n));
        CHECK(closes(&f));
        CHECK_INT(f.n_calls, 1);
        f.channel = channel_free(f.channel);
        CHECK_INT(test_count_fds(), n_open - 1 - 1);
}

/* A foreign channel takes calls as any other, whole, in pieces, and hangs up. */
TEST(calls_on_a_foreign_channel) {
        char call[512] = { 0 };
        size_t n = put_call(call, 1);
        _cleanup_fixture_ Fixture f;

        n += put_call(call + n, 2);
        REQUIRE(fixture_init(&f));
        channel_set_foreign(f.channel);
        REQUIRE(handshake(&f));
        CHECK(write_all(&f, call, n));
        CHECK(reaches(&f, &f.n_calls, 2));
        CHECK(write_all(&f, call, 20));
        CHECK(sleeps(&f));
        CHECK(write_all(&f, call + 20, n - 20));
        CHECK(reaches(&f, &f.n_calls, 4));
        CHECK(sleeps(&f));
        f.peer = fb_close(f.peer);
        CHECK(closes(&f));
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

TEST_MAIN
