/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"
#include "tests/unit/pair.h"
#include "wire/vardict.h"

typedef struct Values {
        uint32_t number;
        const char *text;
        unsigned n_read;
} Values;

static int read_number(sd_bus_message *m, void *userdata) {
        Values *v = userdata;

        v->n_read++;
        if (sd_bus_message_read(m, "u", &v->number) < 0)
                return -EBADMSG;
        return v->number > 100 ? FB_E_INVALID_OPTION : 0;
}

static int read_text(sd_bus_message *m, void *userdata) {
        Values *v = userdata;
        int r = sd_bus_message_read(m, "s", &v->text);

        v->n_read++;
        return r < 0 ? r : 0;
}

static int read_error(sd_bus_message *m, void *userdata) {
        return -ENOMEM;
}

static const VardictKey keys[] = {
        { "number", "u", read_number },
        { "text", "s", read_text },
        { "broken", "u", read_error },
};

static int append_nothing(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 0);
}

static int append_both(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 2, "text", "s", "hello", "number", "u", 7u);
}

static int append_unknown(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 3, "number", "u", 7u, "other", "a(sv)", 1, "a", "u", 1u,
                                     "text", "s", "hello");
}

static int append_wrong_type(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 1, "number", "t", UINT64_C(7));
}

static int append_out_of_range(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 1, "number", "u", 101u);
}

static int append_twice(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 2, "number", "u", 7u, "number", "u", 7u);
}

static int append_broken(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 1, "broken", "u", 7u);
}

static int append_prefix(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 1, "numb", "u", 7u);
}

static int append_no_dictionary(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{ss}", 1, "number", "7");
}

static int append_empty(sd_bus_message *m) {
        return 0;
}

TEST(dictionaries) {
        static const struct {
                const char *name;
                int (*append)(sd_bus_message *m);
                int strict, lenient; /* -1: any negative error */
                const char *key, *expected_type;
                uint32_t number;
                const char *text;
        } rows[] = {
                { "nothing", append_nothing, 0, 0 },
                { "both", append_both, 0, 0, NULL, NULL, 7, "hello" },
                { "unknown key", append_unknown, FB_E_UNKNOWN_OPTION, 0, "other", NULL, 7, "hello" },
                { "a known key's beginning", append_prefix, FB_E_UNKNOWN_OPTION, 0, "numb" },
                { "wrong type", append_wrong_type, FB_E_INVALID_OPTION, FB_E_INVALID_OPTION, "number", "u" },
                { "out of range", append_out_of_range, FB_E_INVALID_OPTION, FB_E_INVALID_OPTION, "number" },
                { "twice", append_twice, FB_E_INVALID_OPTION, FB_E_INVALID_OPTION, "number", "given once" },
                { "a reader's own error", append_broken, -1, -1 },
                { "another type", append_no_dictionary, -1, -1 },
                { "no argument", append_empty, -1, -1 },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < 2 * FB_ELEMENTSOF(rows); i++) {
                int expected = i % 2 ? rows[i / 2].lenient : rows[i / 2].strict, r;
                sd_bus_message *m = pair_message(&p);
                VardictError error = { 0 };
                Values v = { 0 };

                ROW("%s, %s", rows[i / 2].name, i % 2 ? "lenient" : "strict");
                CHECK(rows[i / 2].append(m) >= 0);
                m = pair_send(&p, m);
                REQUIRE(m);
                r = vardict_read(m, keys, FB_ELEMENTSOF(keys), i % 2, &v, &error);
                CHECK_INT(r < 0 ? -1 : r, expected);
                if (expected == 0) {
                        CHECK_INT(v.number, rows[i / 2].number);
                        CHECK_STR(v.text, rows[i / 2].text);
                        CHECK(sd_bus_message_at_end(m, 1) > 0);
                } else if (expected > 0) {
                        CHECK_STR(error.key, rows[i / 2].key);
                        CHECK_STR(error.expected, rows[i / 2].expected_type);
                }
        }
}

/* What follows the dictionary can still be read. */
TEST(the_position_moves_behind_it) {
        _cleanup_pair_ Pair p;
        VardictError error;
        Values v = { 0 };
        sd_bus_message *m;
        uint32_t after = 0;

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        CHECK(append_unknown(m) >= 0);
        CHECK(sd_bus_message_append(m, "u", 99u) >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        CHECK_INT(vardict_read(m, keys, FB_ELEMENTSOF(keys), true, &v, &error), 0);
        CHECK(sd_bus_message_read(m, "u", &after) > 0);
        CHECK_INT(after, 99);
}

TEST_MAIN
