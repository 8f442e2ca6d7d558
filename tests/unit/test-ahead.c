/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many good and whole messages lie in a socket. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "interfaces/wire.h"
#include "tests/unit/test.h"
#include "wire/ahead.h"

#define SHORT 32u /* bytes of the shortest that has some of everything */

typedef struct Sockets {
        int ours, theirs;
} Sockets;

static void sockets_close(Sockets *s) {
        fb_close(s->ours);
        fb_close(s->theirs);
}

#define _cleanup_sockets_ _cleanup_(sockets_close)

/* With room for the longest message. */
static bool sockets_open(Sockets *s) {
        int size = FB_MESSAGE_MAX;

        return fd_socketpair(&s->ours, &s->theirs) >= 0 &&
               setsockopt(s->theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) >= 0;
}

static uint32_t to_wire(uint32_t v, bool big) {
        return big ? htobe32(v) : htole32(v);
}

/* A method return: 16 bytes of header, 8 of a field, 5 more of one if there is a body or descriptors. */
static size_t put_message(uint8_t *p, uint32_t body, uint32_t serial, uint32_t n_fds, bool big) {
        const uint32_t numbers[] = { to_wire(body, big), to_wire(serial, big),
                                     to_wire(n_fds > 0 || body > 0 ? 16 : 8, big) };
        const uint32_t one = to_wire(1, big), fds = to_wire(n_fds, big);

        memset(p, 0, SHORT);
        memcpy(p, (uint8_t[]){ big ? 'B' : 'l', 2, 0, 1 }, 4);
        memcpy(p + 4, numbers, sizeof numbers);
        memcpy(p + 16, "\5\1u", 4);
        memcpy(p + 20, &one, 4);
        if (n_fds > 0) {
                memcpy(p + 24, "\11\1u", 4);
                memcpy(p + 28, &fds, 4);
                return SHORT;
        }
        if (body == 0)
                return 24;
        memcpy(p + 24, "\10\1g\0\2ay", 8);
        return SHORT + body;
}

static bool say(const Sockets *s, const uint8_t *bytes, size_t size, unsigned n_fds) {
        union {
                char buffer[CMSG_SPACE(250 * sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov = { (void *)bytes, size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds > 0) {
                struct cmsghdr *c;

                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                c = CMSG_FIRSTHDR(&m);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                for (unsigned i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(c) + i * sizeof(int), &s->theirs, sizeof(int));
        }
        return sendmsg(s->theirs, &m, MSG_NOSIGNAL) == (ssize_t)size;
}

static AheadState look(const Sockets *s, Ahead *a) {
        int before = test_count_fds();
        AheadState state = ahead_look(s->ours, a);

        CHECK_INT(test_count_fds(), before);
        CHECK_INT(a->n > 0, state == AHEAD_WHOLE);
        CHECK_INT(a->need > 0, state == AHEAD_HALF);
        return state;
}

TEST(one_by_its_length) {
        static const struct {
                uint32_t body;
                AheadState half;
        } rows[] = { { 0, AHEAD_HALF },
                     { 1, AHEAD_HALF },
                     { 5000, AHEAD_HALF },
                     { FB_MESSAGE_MAX - SHORT, AHEAD_HALF },
                     { FB_MESSAGE_MAX - SHORT + 1, AHEAD_TOO_LONG },
                     { UINT32_MAX, AHEAD_TOO_LONG } };
        static uint8_t bytes[FB_MESSAGE_MAX + 64];

        for (size_t i = 0; i < 2 * FB_ELEMENTSOF(rows); i++) {
                const uint32_t body = rows[i / 2].body;
                size_t size = put_message(bytes, body, 7, 0, i % 2);
                _cleanup_sockets_ Sockets s;
                Ahead a = { 0 };

                ROW("%u of body%s", body, i % 2 ? ", big endian" : "");
                REQUIRE(sockets_open(&s));
                CHECK_INT(look(&s, &a), AHEAD_NOTHING);
                CHECK(say(&s, bytes, 15, 0));
                CHECK_INT(look(&s, &a), AHEAD_HALF);
                CHECK(say(&s, bytes + 15, 1, 0));
                CHECK_INT(look(&s, &a), rows[i / 2].half);
                if (rows[i / 2].half != AHEAD_HALF)
                        continue;
                CHECK_INT(a.need, size);
                CHECK(say(&s, bytes + 16, size - 17, 0));
                CHECK_INT(look(&s, &a), AHEAD_HALF);
                CHECK(say(&s, bytes + size - 1, 1, 0));
                CHECK_INT(look(&s, &a), AHEAD_WHOLE);
                CHECK_INT(a.n, 1);
                CHECK_INT(a.serials[0], 7);
        }
}

TEST(what_is_none) {
        static const struct {
                const char *name, *bytes;
                size_t size;
        } rows[] = { { "zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16 },
                     { "a greeting", "GET / HTTP/1.1\r\n", 16 },
                     { "no serial", "l\2\0\1\0\0\0\0\0\0\0\0\10\0\0\0\5\1u\0\1\0\0\0", 24 },
                     { "no fields", "l\2\0\1\0\0\0\0\1\0\0\0\0\0\0\0", 16 },
                     { "no reply serial", "l\2\0\1\0\0\0\0\1\0\0\0\10\0\0\0\11\1u\0\0\0\0\0", 24 } };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_sockets_ Sockets s;
                Ahead a = { 0 };

                ROW("%s", rows[i].name);
                REQUIRE(sockets_open(&s));
                CHECK(say(&s, (const uint8_t *)rows[i].bytes, rows[i].size, 0));
                CHECK_INT(look(&s, &a), AHEAD_BROKEN);
        }
}

TEST(several) {
        static const struct {
                const char *name;
                unsigned n, seen;
                int step; /* of the serials */
        } rows[] = { { "five", 5, 5, 1 },
                     { "more than are looked at", 60, AHEAD_MAX, 1 },
                     { "serials that say nothing", 5, 1, 0 },
                     { "serials that go down", 5, 1, -1 },
                     { "the third is too long", 3, 2, 1 } };
        uint8_t bytes[61 * SHORT];

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_sockets_ Sockets s;
                Ahead a = { 0 };
                size_t size = 0;

                ROW("%s", rows[i].name);
                REQUIRE(sockets_open(&s));
                for (int n = 0; n < (int)rows[i].n; n++)
                        size += put_message(bytes + size, 0, (uint32_t)(100 + n * rows[i].step), 0, n % 2);
                if (i == 4)
                        put_message(bytes + 48, FB_MESSAGE_MAX, 103, 0, false);
                CHECK(say(&s, bytes, size - 1, 0));
                CHECK(say(&s, bytes + size - 1, 1, 0));
                CHECK_INT(look(&s, &a), AHEAD_WHOLE);
                CHECK_INT(a.n, rows[i].seen);
                for (unsigned n = 0; n < a.n; n++)
                        CHECK_INT(a.serials[n], 100 + n);
        }
}

/* @first and @second: descriptors with the first and the other bytes. */
TEST(descriptors) {
        static const struct {
                const char *name;
                unsigned announced, first, second;
                size_t cut; /* bytes in the first piece; all else in the second, with the next message */
                AheadState state;
                bool doubt;
        } rows[] = {
                { "as announced", 2, 2, 0, SHORT, AHEAD_WHOLE },
                { "as announced, and the next in the same piece", 3, 0, 3, 0, AHEAD_BROKEN },
                { "as announced, with its end", 2, 0, 2, SHORT - 4, AHEAD_BROKEN },
                { "too few", 2, 1, 0, SHORT, AHEAD_BROKEN },
                { "too many", 2, 3, 0, SHORT, AHEAD_BROKEN },
                { "none", 2, 0, 0, SHORT, AHEAD_BROKEN },
                { "not announced", 0, 250, 0, 24, AHEAD_BROKEN },
                { "not announced, with the next in the same piece", 0, 0, 1, 0, AHEAD_WHOLE, true },
                { "of the next one", 0, 0, 1, 24, AHEAD_WHOLE, true },
                { "in two pieces", 2, 1, 1, SHORT - 4, AHEAD_BROKEN },
                { "in front of the header's end", 2, 2, 0, 20, AHEAD_BROKEN },
                { "in front of its beginning", 2, 2, 0, 3, AHEAD_BROKEN },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_sockets_ Sockets s;
                uint8_t bytes[2 * SHORT];
                Ahead a = { 0 };
                size_t size;

                ROW("%s", rows[i].name);
                REQUIRE(sockets_open(&s));
                size = put_message(bytes, 0, 1, rows[i].announced, false);
                size += put_message(bytes + size, 0, 2, 0, false);
                if (rows[i].cut > 0)
                        CHECK(say(&s, bytes, rows[i].cut, rows[i].first));
                CHECK(say(&s, bytes + rows[i].cut, size - rows[i].cut, rows[i].second));
                CHECK_INT(look(&s, &a), rows[i].state);
                CHECK(a.n == 0 || a.doubt == rows[i].doubt);
        }
}

/* In the middle of more than is looked at. */
TEST(descriptors_in_a_long_one) {
        static uint8_t bytes[FB_MESSAGE_MAX];

        for (unsigned n_fds = 0; n_fds < 2; n_fds++) {
                size_t size = put_message(bytes, FB_MESSAGE_MAX - SHORT, 1, 0, false);
                _cleanup_sockets_ Sockets s;
                Ahead a = { 0 };

                REQUIRE(sockets_open(&s));
                CHECK(say(&s, bytes, 9000, 0));
                CHECK(say(&s, bytes + 9000, 100, n_fds));
                CHECK(say(&s, bytes + 9100, size - 9100, 0));
                CHECK_INT(look(&s, &a), AHEAD_WHOLE);
                CHECK(a.doubt);
                CHECK_INT(a.size, size);
        }
}

/* A long one with them, as in a frame that claims thousands of planes. */
TEST(a_long_one_with_descriptors) {
        static const struct {
                unsigned first, middle, last;
                AheadState state;
        } rows[] = { { 2, 0, 0, AHEAD_WHOLE },
                     { 0, 0, 0, AHEAD_BROKEN },
                     { 1, 0, 0, AHEAD_BROKEN },
                     { 3, 0, 0, AHEAD_BROKEN },
                     { 2, 1, 0, AHEAD_WHOLE }, /* found out when it is taken */
                     { 2, 0, 9, AHEAD_WHOLE } };
        static uint8_t bytes[FB_MESSAGE_MAX];

        /* of fields: the reply's serial, the signature, the number of descriptors; and a body */
        memcpy(bytes, (uint8_t[]){ 'l', 2, 0, 1 }, 4);
        memcpy(bytes + 4, (uint32_t[]){ FB_MESSAGE_MAX - 40, 5, 24 }, 12);
        memcpy(bytes + 16, "\5\1u\0\1\0\0\0\10\1g\0\2ay\0\11\1u\0\2\0\0\0", 24);
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_sockets_ Sockets s;
                Ahead a = { 0 };

                ROW("%u, %u, %u", rows[i].first, rows[i].middle, rows[i].last);
                REQUIRE(sockets_open(&s));
                CHECK(say(&s, bytes, 100000, rows[i].first));
                CHECK(say(&s, bytes + 100000, 100000, rows[i].middle));
                CHECK(say(&s, bytes + 200000, sizeof bytes - 200000, rows[i].last));
                CHECK_INT(look(&s, &a), rows[i].state);
                CHECK(a.doubt || rows[i].state == AHEAD_BROKEN);
                CHECK_INT(look(&s, &a), rows[i].state); /* nothing was taken, and nothing changed */
        }
}

TEST(a_hang_up) {
        _cleanup_sockets_ Sockets s;
        Ahead a = { 0 };

        REQUIRE(sockets_open(&s));
        s.theirs = fb_close(s.theirs);
        CHECK_INT(look(&s, &a), AHEAD_END);
}

TEST_MAIN
