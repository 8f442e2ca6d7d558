/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Controls and values through a real connection, and such as make no sense. */
#include "wire/codec-control.h"

#include "base/error.h"
#include "interfaces/wire.h"
#include "tests/unit/pair.h"

#define _cleanup_list_     _cleanup_(control_list_clear)
#define _cleanup_settings_ _cleanup_(control_settings_clear)

static int list_round_trip(Pair *p, const ControlList *l, ControlList *ret, VardictError *ret_error) {
        sd_bus_message *m = pair_message(p);
        int r = codec_append_controls(m, l);

        m = pair_send(p, m);
        return r < 0 || !m ? -EIO : codec_read_controls(m, ret, ret_error);
}

static ControlItem items[] = { { -1, (char *)"Off" }, { 7, (char *)"On \xe2\x82\xac" } };

/* clang-format off */
#define ID(id_, type_) .id = (char *)(id_), .name = (char *)"Its Name", .type = (type_)
#define RANGE(min_, max_, step_) .min = (min_), .max = (max_), .step = (step_)
#define VALUE(kind_, number_) .value = { .kind = CONTROL_VALUE_##kind_, .number = (number_) }

static Control controls[] = {
        { ID("brightness", CONTROL_INTEGER), .group = (char *)"User Controls", RANGE(-128, 127, 3),
          .flags = CONTROL_SLIDER | CONTROL_VOLATILE, .standard = -5, VALUE(NUMBER, 12) },
        { ID("flip", CONTROL_BOOLEAN), RANGE(0, 1, 1), .standard = 1, VALUE(BOOLEAN, 1) },
        { ID("color", CONTROL_MENU), RANGE(-1, 7, 1), .items = items, .n_items = 2, VALUE(NUMBER, 7) },
        { ID("rates", CONTROL_INTEGER_MENU), RANGE(0, 7, 0), .items = items, .n_items = 2 },
        { ID("push", CONTROL_BUTTON), RANGE(0, 1, 1), .flags = CONTROL_WRITE_ONLY },
        { ID("title", CONTROL_STRING), RANGE(0, 256, 1),
          .value = { .kind = CONTROL_VALUE_TEXT, .text = (char *)"caf\xc3\xa9" } },
        { ID("mask", CONTROL_BITMASK), .max = 0xffffffff, .standard = 3, VALUE(NUMBER, 0x80000000) },
        { ID("large", CONTROL_INTEGER64), RANGE(INT64_MIN, INT64_MAX, INT64_MAX), VALUE(NUMBER, INT64_MIN) },
};
/* clang-format on */

TEST(controls_arrive_as_they_were) {
        const ControlList sent = { controls, FB_ELEMENTSOF(controls) };
        _cleanup_list_ ControlList got = {};
        VardictError error = {};
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        REQUIRE_INT(list_round_trip(&p, &sent, &got, &error), 0);
        CHECK(control_list_equal(&got, &sent));
        for (size_t i = 0; i < sent.n; i++) {
                ROW("%s", controls[i].id);
                CHECK(control_value_equal(&got.controls[i].value, &controls[i].value));
        }
        REQUIRE_INT(list_round_trip(&p, &(ControlList){}, &(ControlList){}, &error), 0);
}

/* One control with the basic keys and @key, by hand: what codec_append_controls() would never write. */
static sd_bus_message *by_hand(Pair *p, const char *id, const char *type, const char *key,
                               const char *signature, const void *value, unsigned times) {
        sd_bus_message *m = pair_message(p);

        sd_bus_message_open_container(m, 'a', "a{sv}");
        for (unsigned i = 0; i < times; i++) {
                sd_bus_message_open_container(m, 'a', "{sv}");
                if (id)
                        sd_bus_message_append(m, "{sv}", "id", "s", id);
                sd_bus_message_append(m, "{sv}", "name", "s", "Name");
                if (type)
                        sd_bus_message_append(m, "{sv}", "type", "s", type);
                if (key && signature[0] == 'x')
                        sd_bus_message_append(m, "{sv}", key, "x", *(const int64_t *)value);
                else if (key)
                        sd_bus_message_append(m, "{sv}", key, "s", value);
                sd_bus_message_close_container(m);
        }
        sd_bus_message_close_container(m);
        return pair_send(p, m);
}

TEST(controls_that_make_no_sense) {
        static const int64_t one = 1, less = -1, much = FB_TEXT_MAX + 1;
        static const struct {
                const char *name, *id, *type, *key, *signature;
                const void *value;
                unsigned times;
                int expected;
        } rows[] = {
                { "complete", "a", "integer", NULL, NULL, NULL, 1, 0 },
                { "unknown key", "a", "integer", "colour", "s", "red", 1, 0 },
                { "no id", NULL, "integer", NULL, NULL, NULL, 1, FB_E_INVALID_OPTION },
                { "bad id", "A b", "integer", NULL, NULL, NULL, 1, FB_E_INVALID_OPTION },
                { "no type", "a", NULL, NULL, NULL, NULL, 1, FB_E_INVALID_OPTION },
                { "unknown type", "a", "matrix", NULL, NULL, NULL, 1, FB_E_INVALID_OPTION },
                { "type of the wrong type", "a", NULL, "type", "x", &one, 1, FB_E_INVALID_OPTION },
                { "twice", "a", "integer", NULL, NULL, NULL, 2, FB_E_INVALID_OPTION },
                { "least over most", "a", "integer", "min", "x", &one, 1, FB_E_INVALID_OPTION },
                { "a step back", "a", "integer", "step", "x", &less, 1, FB_E_INVALID_OPTION },
                { "min of the wrong type", "a", "integer", "min", "s", "1", 1, FB_E_INVALID_OPTION },
                { "text too long", "a", "string", "max", "x", &much, 1, FB_E_INVALID_OPTION },
                { "a menu without items", "a", "menu", NULL, NULL, NULL, 1, FB_E_INVALID_OPTION },
                { "text for a number", "a", "integer", "value", "s", "x", 1, FB_E_INVALID_OPTION },
                { "a number for text", "a", "string", "value", "x", &one, 1, FB_E_INVALID_OPTION },
                { "a text as default", "a", "integer", "default", "s", "x", 1, FB_E_INVALID_OPTION },
                { "a button's value is nothing", "a", "button", "value", "s", "x", 1, 0 },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_list_ ControlList got = {};
                VardictError error = {};
                sd_bus_message *m = by_hand(&p, rows[i].id, rows[i].type, rows[i].key, rows[i].signature,
                                            rows[i].value, rows[i].times);

                ROW("%s", rows[i].name);
                REQUIRE(m);
                CHECK_INT(codec_read_controls(m, &got, &error), rows[i].expected);
                CHECK_INT(got.n, rows[i].expected ? 0 : 1);
                CHECK(!rows[i].expected || error.key);
        }
}

TEST(too_many_and_too_long) {
        char text[FB_TEXT_MAX + 2], ids[FB_CONTROLS_MAX + 1][8];
        Control list[FB_CONTROLS_MAX + 1];
        ControlItem many[FB_CONTROL_ITEMS_MAX + 1];
        _cleanup_list_ ControlList got = {};
        VardictError error = {};
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(list); i++) {
                snprintf(ids[i], sizeof ids[i], "c-%zu", i);
                list[i] = (Control){ .id = ids[i], .name = (char *)"Name" };
                many[i] = (ControlItem){ (int64_t)i, (char *)"" };
        }
        REQUIRE_INT(list_round_trip(&p, &(ControlList){ list, FB_CONTROLS_MAX }, &got, &error), 0);
        CHECK_INT(got.n, FB_CONTROLS_MAX);
        control_list_clear(&got);
        CHECK_INT(list_round_trip(&p, &(ControlList){ list, FB_CONTROLS_MAX + 1 }, &got, &error),
                  FB_E_INVALID_OPTION);
        list[0] = (Control){ .id = ids[0], .name = (char *)"", .type = CONTROL_MENU, .items = many };
        list[0].n_items = FB_CONTROL_ITEMS_MAX;
        REQUIRE_INT(list_round_trip(&p, &(ControlList){ list, 1 }, &got, &error), 0);
        control_list_clear(&got);
        list[0].n_items++;
        CHECK_INT(list_round_trip(&p, &(ControlList){ list, 1 }, &got, &error), FB_E_INVALID_OPTION);
        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = 0;
        list[0] = (Control){ .id = ids[0], .name = text };
        CHECK_INT(list_round_trip(&p, &(ControlList){ list, 1 }, &got, &error), FB_E_INVALID_OPTION);
        CHECK_STR(error.key, "name");
        CHECK_INT(got.n, 0);
}

TEST(values_of_all_types) {
        static const struct {
                const char *type;
                int64_t number;
                int expected;
                int64_t seen;
        } rows[] = {
                { "x", INT64_MIN, 0, INT64_MIN },   { "t", INT64_MAX, 0, INT64_MAX },
                { "t", -1, FB_E_INVALID_VALUE, 0 }, { "i", -7, 0, -7 },
                { "u", 0xffffffff, 0, 0xffffffff }, { "n", -300, 0, -300 },
                { "q", 65535, 0, 65535 },           { "y", 255, 0, 255 },
                { "b", 1, 0, 1 },                   { "d", 1, FB_E_INVALID_VALUE, 0 },
        };
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_settings_ ControlSettings s = {};
                sd_bus_message *m = pair_message(&p);
                VardictError error = {};

                ROW("%s %lld", rows[i].type, (long long)rows[i].number);
                sd_bus_message_open_container(m, 'a', "{sv}");
                sd_bus_message_open_container(m, 'e', "sv");
                sd_bus_message_append(m, "s", "a");
                sd_bus_message_open_container(m, 'v', rows[i].type);
                sd_bus_message_append_basic(m, rows[i].type[0], &rows[i].number); /* little endian */
                for (int k = 0; k < 3; k++)
                        sd_bus_message_close_container(m);
                m = pair_send(&p, m);
                REQUIRE(m);
                CHECK_INT(codec_read_settings(m, &s, &error), rows[i].expected);
                if (rows[i].expected == 0)
                        CHECK_INT(s.settings[0].value.number, rows[i].seen);
        }
}

TEST(values_that_make_no_sense) {
        char text[FB_TEXT_MAX + 2];
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = 0;
        for (int i = 0; i < 5; i++) {
                _cleanup_settings_ ControlSettings s = {};
                sd_bus_message *m = pair_message(&p);
                VardictError error = {};

                ROW("%d", i);
                if (i == 0) /* a name twice */
                        sd_bus_message_append(m, "a{sv}", 2, "a", "x", (int64_t)1, "a", "x", (int64_t)2);
                else if (i == 1)
                        sd_bus_message_append(m, "a{sv}", 2, "b", "x", (int64_t)1, "A", "x", (int64_t)2);
                else if (i == 2)
                        sd_bus_message_append(m, "a{sv}", 1, "a", "as", 1, "x");
                else if (i == 3)
                        sd_bus_message_append(m, "a{sv}", 1, "a", "s", text);
                else
                        sd_bus_message_append(m, "a{sv}", 2, "b", "s", "good", "a", "v", "x", (int64_t)1);
                m = pair_send(&p, m);
                REQUIRE(m);
                CHECK_INT(codec_read_settings(m, &s, &error), FB_E_INVALID_VALUE);
                CHECK_STR(error.key, i == 1 ? "A" : "a");
                CHECK_INT(s.n, 0);
        }
}

TEST(values_arrive_as_they_were) {
        ControlSetting settings[] = {
                { (char *)"a", { .kind = CONTROL_VALUE_NUMBER, .number = -1 } },
                { (char *)"b", { .kind = CONTROL_VALUE_BOOLEAN, .number = 1 } },
                { (char *)"none", { .kind = CONTROL_VALUE_NONE } },
                { (char *)"c", { .kind = CONTROL_VALUE_TEXT, .text = (char *)"" } },
        };
        _cleanup_settings_ ControlSettings s = {};
        VardictError error = {};
        sd_bus_message *m;
        _cleanup_pair_ Pair p;

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        REQUIRE(codec_append_settings(m, &(ControlSettings){ settings, 4 }) >= 0);
        m = pair_send(&p, m);
        REQUIRE_INT(codec_read_settings(m, &s, &error), 0);
        REQUIRE_INT(s.n, 3);
        for (size_t i = 0; i < 3; i++) {
                const ControlSetting *sent = &settings[i == 2 ? 3 : i];

                CHECK_STR(s.settings[i].id, sent->id);
                CHECK(control_value_equal(&s.settings[i].value, &sent->value));
        }
}

/* A list of a later broker: what is of a type that is not known is left out, wherever its type is said. */
TEST(types_of_later_versions) {
        _cleanup_list_ ControlList got = {};
        VardictError error = {};
        _cleanup_pair_ Pair p;
        sd_bus_message *m;

        REQUIRE(pair_init(&p));
        m = pair_message(&p);
        REQUIRE(m);
        REQUIRE(sd_bus_message_append(m, "aa{sv}", 4,
                                      4, "id", "s", "a", "name", "s", "A", "type", "s", "boolean",
                                              "new", "as", 1, "x",
                                      3, "id", "s", "b", "type", "s", "region", "value", "x", INT64_C(3),
                                      2, "type", "s", "region", "id", "s", "a",
                                      3, "id", "s", "c", "name", "s", "C", "type", "s", "button") >= 0);
        m = pair_send(&p, m);
        REQUIRE(m);
        REQUIRE_INT(codec_read_known_controls(m, &got, &error), 0);
        REQUIRE_INT(got.n, 2);
        CHECK_STR(got.controls[0].id, "a");
        CHECK_STR(got.controls[1].id, "c");
        REQUIRE(sd_bus_message_rewind(m, 1) >= 0);
        CHECK_INT(codec_read_controls(m, &got, &error), FB_E_INVALID_OPTION);
        CHECK_STR(error.key, "type");
}

/* Messages of random values in random places: whatever is taken makes sense, and nothing is leaked. */
TEST(random_controls) {
        static const char *const keys[] = { "id",      "name",  "type",  "min",   "max", "step",
                                            "default", "value", "flags", "items", "else" };
        static const char *const words[] = { "a", "b", "integer", "menu", "string", "boolean", "", "-" };
        _cleanup_pair_ Pair p;
        unsigned n_good = 0;

        REQUIRE(pair_init(&p));
        srand(3);
        for (int i = 0; i < 3000; i++) {
                _cleanup_list_ ControlList got = {};
                sd_bus_message *m = pair_message(&p);
                VardictError error = {};
                int r;

                sd_bus_message_open_container(m, 'a', "a{sv}");
                sd_bus_message_open_container(m, 'a', "{sv}");
                for (size_t k = 0; k < FB_ELEMENTSOF(keys); k++) {
                        const char *word = k == 2 ? words[2 + rand() % 4] : words[rand() % 8];

                        if (rand() % 3 == 0)
                                continue;
                        if (rand() % 20 == 0)
                                sd_bus_message_append(m, "{sv}", keys[k], "b", rand() % 2);
                        else if (k < 3)
                                sd_bus_message_append(m, "{sv}", keys[k], "s", word);
                        else if (k < 8)
                                sd_bus_message_append(m, "{sv}", keys[k], "x", (int64_t)(rand() % 5 - 1));
                        else if (k == 8)
                                sd_bus_message_append(m, "{sv}", keys[k], "as", 2, "inactive", word);
                        else if (k == 9)
                                sd_bus_message_append(m, "{sv}", keys[k], "a(xs)", 1, (int64_t)1, word);
                }
                sd_bus_message_close_container(m);
                sd_bus_message_close_container(m);
                m = pair_send(&p, m);
                REQUIRE(m);
                r = codec_read_controls(m, &got, &error);
                CHECK(r == 0 || r == FB_E_INVALID_OPTION);
                CHECK_INT(got.n, r == 0);
                CHECK(r != 0 || control_is_valid(&got.controls[0]));
                n_good += r == 0;
        }
        CHECK(n_good > 20);
}

TEST_MAIN
