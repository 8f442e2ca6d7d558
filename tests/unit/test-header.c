/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What sd-bus would not take as a message, header_check() must not take, as it leaves descriptors open: tried
 * with messages of which one byte is changed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "tests/unit/test.h"
#include "tests/unit/pair.h"
#include "wire/header.h"

#define MESSAGE_ROOM 1024

static size_t put_string(uint8_t *m, size_t at, uint8_t code, char type, const char *value) {
        size_t n = strlen(value);
        uint32_t length = (uint32_t)n;

        at = (at + 7) / 8 * 8;
        memcpy(m + at, (uint8_t[]){ code, 1, (uint8_t)type, 0 }, 4);
        if (type == 'g') {
                m[at + 4] = (uint8_t)n;
                memcpy(m + at + 5, value, n + 1);
                return at + 6 + n;
        }
        memcpy(m + at + 4, &length, 4);
        memcpy(m + at + 8, value, n + 1);
        return at + 9 + n;
}

static size_t put_number(uint8_t *m, size_t at, uint8_t code, uint32_t value) {
        at = (at + 7) / 8 * 8;
        memcpy(m + at, (uint8_t[]){ code, 1, 'u', 0 }, 4);
        memcpy(m + at + 4, &value, 4);
        return at + 8;
}

static void begin(uint8_t *m, uint8_t type) {
        memset(m, 0, MESSAGE_ROOM);
        memcpy(m, (uint8_t[]){ 'l', type, 0, 1, 0, 0, 0, 0, 9 }, 9);
}

static size_t end(uint8_t *m, size_t at) {
        uint32_t fields = (uint32_t)at - HEADER_FIXED_BYTES;

        memcpy(m + 12, &fields, 4);
        return (at + 7) / 8 * 8;
}

/* One of each kind; 0: there are no more. */
static size_t make(uint8_t *m, unsigned which) {
        size_t at = HEADER_FIXED_BYTES;

        switch (which) {
        case 0:
                begin(m, SD_BUS_MESSAGE_METHOD_CALL);
                at = put_string(m, at, 1, 'o', "/a/b_c");
                at = put_string(m, at, 2, 's', "a.b1");
                at = put_string(m, at, 3, 's', "Do");
                return end(m, put_string(m, at, 6, 's', ":1.5"));
        case 1:
                begin(m, SD_BUS_MESSAGE_SIGNAL);
                at = put_string(m, at, 1, 'o', "/");
                at = put_string(m, at, 2, 's', "a.b");
                at = put_string(m, at, 3, 's', "Done");
                at = put_number(m, at, 9, 0);
                return end(m, put_string(m, at, 7, 's', "a.b-c"));
        case 2:
                begin(m, SD_BUS_MESSAGE_METHOD_ERROR);
                at = put_string(m, at, 4, 's', "a.b.C");
                return end(m, put_number(m, at, 5, 77));
        case 3:
                begin(m, SD_BUS_MESSAGE_METHOD_RETURN);
                return end(m, put_number(m, at, 5, 1));
        case 4: /* with a body, of 8 bytes */
                begin(m, SD_BUS_MESSAGE_METHOD_CALL);
                m[4] = 8;
                at = put_string(m, at, 8, 'g', "a{s(iv)}");
                at = put_string(m, at, 1, 'o', "/a");
                return end(m, put_string(m, at, 3, 's', "Do")) + 8;
        default:
                return 0;
        }
}

static bool is_good(const uint8_t *m, size_t size, uint32_t *ret_fds) {
        Header h;

        if (!header_read(m, &h) || h.total != size || !header_check(m, &h))
                return false;
        *ret_fds = h.n_fds;
        return true;
}

static unsigned n_heard;

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        n_heard++;
        return 1;
}

/* sd-bus's own judgement, on a connection of its own. */
static bool sd_bus_takes(const uint8_t *m, size_t size) {
        _cleanup_pair_ Pair p;
        int r = 1;

        n_heard = 0;
        if (!pair_init(&p) || sd_bus_add_filter(p.server, NULL, on_message, NULL) < 0 ||
            send(sd_bus_get_fd(p.client), m, size, MSG_NOSIGNAL) != (ssize_t)size)
                return false;
        for (int i = 0; i < 10 && r > 0 && n_heard == 0; i++)
                r = sd_bus_process(p.server, NULL);
        return n_heard == 1;
}

TEST(good_ones) {
        uint8_t m[MESSAGE_ROOM];
        uint32_t n_fds = 0;
        size_t size;

        for (unsigned i = 0; (size = make(m, i)) > 0; i++) {
                ROW("%u", i);
                CHECK(is_good(m, size, &n_fds));
                CHECK_INT(n_fds, 0);
                CHECK(sd_bus_takes(m, size));
        }
}

TEST(one_byte_changed) {
        unsigned n_good = 0, n_bad = 0, n_stricter = 0;
        uint8_t m[MESSAGE_ROOM];
        size_t size;

        for (unsigned i = 0; (size = make(m, i)) > 0; i++)
                for (size_t at = 0; at < size; at++)
                        for (int k = 0; k < 6; k++) {
                                const uint8_t was = m[at],
                                              values[] = { 0, 1, 0xff, '/', 'a', (uint8_t)(was + 1) };
                                uint32_t n_fds = 0;

                                m[at] = values[k];
                                if (!is_good(m, size, &n_fds))
                                        n_bad++;
                                else if (n_fds == 0) {
                                        ROW("%u: byte %zu is %u", i, at, m[at]);
                                        n_good++;
                                        CHECK(sd_bus_takes(m, size));
                                } else
                                        n_stricter++; /* without those descriptors it is none */
                                m[at] = was;
                        }
        CHECK(n_good > 200);
        CHECK(n_bad > 1000);
        CHECK(n_stricter > 0);
}

TEST(signatures) {
        static const struct {
                const char *signature;
                bool good;
        } rows[] = { { "a", false },      { "()", false },
                     { "(", false },      { ")", false },
                     { "a{vs}", false },  { "a{s}", false },
                     { "{ss}", false },   { "a{sss}", false },
                     { "(i", false },     { "i)", false },
                     { "e", false },      { "a()", false },
                     { "a{s(i)}", true }, { "aaaav", true },
                     { "(i(s))", true },  { "tttuuaha(uttu)a{sv}", true },
                     { "aa{sv}", true },  { "a{sa{sv}}", true },
                     { "h", true } };
        uint8_t m[MESSAGE_ROOM];

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                size_t at = HEADER_FIXED_BYTES, size;
                uint32_t n_fds = 0;

                ROW("%s", rows[i].signature);
                begin(m, SD_BUS_MESSAGE_METHOD_RETURN);
                m[4] = 8;
                at = put_string(m, at, 8, 'g', rows[i].signature);
                size = end(m, put_number(m, at, 5, 1)) + 8;
                CHECK_INT(is_good(m, size, &n_fds), rows[i].good);
                CHECK(!rows[i].good || sd_bus_takes(m, size));
        }
}

/* What the Local interface says only sd-bus itself may say; what nobody has defined, and what is missing. */
TEST(bad_ones) {
        uint8_t m[MESSAGE_ROOM];
        uint32_t n_fds = 0;
        size_t at, size;

        begin(m, SD_BUS_MESSAGE_SIGNAL);
        at = put_string(m, HEADER_FIXED_BYTES, 1, 'o', "/org/freedesktop/DBus/Local");
        at = put_string(m, at, 2, 's', "org.freedesktop.DBus.Local");
        size = end(m, put_string(m, at, 3, 's', "Disconnected"));
        CHECK(!is_good(m, size, &n_fds));

        for (unsigned field = 1; field <= 3; field++) {
                begin(m, SD_BUS_MESSAGE_SIGNAL);
                at = HEADER_FIXED_BYTES;
                if (field != 1)
                        at = put_string(m, at, 1, 'o', "/a");
                if (field != 2)
                        at = put_string(m, at, 2, 's', "a.b");
                if (field != 3)
                        at = put_string(m, at, 3, 's', "C");
                CHECK(!is_good(m, end(m, at), &n_fds));
        }
        begin(m, SD_BUS_MESSAGE_METHOD_RETURN);
        CHECK(!is_good(m, end(m, put_number(m, HEADER_FIXED_BYTES, 5, 0)), &n_fds));
        at = put_number(m, HEADER_FIXED_BYTES, 5, 1);
        CHECK(is_good(m, end(m, at), &n_fds));
        CHECK(!is_good(m, end(m, put_number(m, at, 5, 1)), &n_fds));
        begin(m, SD_BUS_MESSAGE_METHOD_RETURN);
        at = put_number(m, HEADER_FIXED_BYTES, 5, 1);
        CHECK(!is_good(m, end(m, put_number(m, at, 10, 1)), &n_fds));
        begin(m, SD_BUS_MESSAGE_METHOD_RETURN);
        at = put_number(m, HEADER_FIXED_BYTES, 5, 1);
        size = end(m, put_number(m, at, 9, 3));
        CHECK(is_good(m, size, &n_fds));
        CHECK_INT(n_fds, 3);
}

TEST_MAIN
