/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which values a control takes, and in which words others are refused. */
#include "base/cleanup.h"
#include "base/error.h"
#include "tests/unit/test.h"
#include "wire/control.h"

static ControlItem colors[] = { { 0, (char *)"Orange" }, { 2, (char *)"Blue" } };

static const Control brightness = { .type = CONTROL_INTEGER, .min = -128, .max = 127, .step = 1 };
static const Control flip = { .type = CONTROL_BOOLEAN, .max = 1, .step = 1 };
static const Control color = { .type = CONTROL_MENU, .max = 2, .step = 1, .items = colors, .n_items = 2 };
static const Control push = { .type = CONTROL_BUTTON };
static const Control title = { .type = CONTROL_STRING, .min = 1, .max = 4, .step = 1 };
static const Control mask = { .type = CONTROL_BITMASK, .max = 0x0f };
static const Control whole = { .type = CONTROL_INTEGER64, .min = INT64_MIN, .max = INT64_MAX, .step = 7 };
static const Control fixed = { .type = CONTROL_INTEGER, .max = 9, .step = 1, .flags = CONTROL_READ_ONLY };
static const Control never = { .type = CONTROL_INTEGER, .max = 9, .step = 1, .flags = CONTROL_DISABLED };
static const Control later = { .type = CONTROL_INTEGER, .max = 9, .step = 5, .flags = CONTROL_INACTIVE };

#define NUMBER(n)  { .kind = CONTROL_VALUE_NUMBER, .number = (n) }
#define BOOLEAN(n) { .kind = CONTROL_VALUE_BOOLEAN, .number = (n) }
#define TEXT(s)    { .kind = CONTROL_VALUE_TEXT, .text = (char *)(s) }

TEST(what_a_control_takes) {
        static const struct {
                const char *name;
                const Control *control;
                ControlValue value;
                int expected;
                const char *why;
        } rows[] = {
                { "least", &brightness, NUMBER(-128), 0, NULL },
                { "too much", &brightness, NUMBER(300), FB_E_INVALID_VALUE,
                  "takes -128 to 127 in steps of 1, not 300" },
                { "too little", &brightness, NUMBER(-129), FB_E_INVALID_VALUE,
                  "takes -128 to 127 in steps of 1, not -129" },
                { "text", &brightness, TEXT("much"), FB_E_INVALID_VALUE,
                  "takes -128 to 127 in steps of 1, not 'much'" },
                { "true for a number", &brightness, BOOLEAN(1), FB_E_INVALID_VALUE,
                  "takes -128 to 127 in steps of 1, not true" },
                { "nothing",
                  &brightness,
                  { 0 },
                  FB_E_INVALID_VALUE,
                  "takes -128 to 127 in steps of 1, not nothing" },
                { "true", &flip, BOOLEAN(1), 0, NULL },
                { "one", &flip, NUMBER(1), 0, NULL },
                { "two", &flip, NUMBER(2), FB_E_INVALID_VALUE, "takes true or false, not 2" },
                { "an item", &color, NUMBER(2), 0, NULL },
                { "a hole in a menu", &color, NUMBER(1), FB_E_INVALID_VALUE,
                  "takes one of 0 (Orange), 2 (Blue), not 1" },
                { "a button", &push, TEXT("anything"), 0, NULL },
                { "short text", &title, TEXT("a"), 0, NULL },
                { "no text", &title, TEXT(""), FB_E_INVALID_VALUE, "takes text of 1 to 4 bytes, not ''" },
                { "long text", &title, TEXT("abcde"), FB_E_INVALID_VALUE,
                  "takes text of 1 to 4 bytes, not 'abcde'" },
                { "a number for text", &title, NUMBER(3), FB_E_INVALID_VALUE,
                  "takes text of 1 to 4 bytes, not 3" },
                { "bits", &mask, NUMBER(9), 0, NULL },
                { "one bit too many", &mask, NUMBER(16), FB_E_INVALID_VALUE,
                  "takes bits out of 0xf, not 16" },
                { "the whole range", &whole, NUMBER(INT64_MIN), 0, NULL },
                { "between steps", &later, NUMBER(3), 0, NULL },
                { "read-only", &fixed, NUMBER(3), FB_E_CONTROL_FAILED, "is read-only" },
                { "disabled", &never, NUMBER(3), FB_E_CONTROL_FAILED, "is disabled" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ControlValue v = rows[i].value;
                char why[200] = "";

                ROW("%s", rows[i].name);
                CHECK_INT(control_judge(rows[i].control, &v, why, sizeof why), rows[i].expected);
                if (rows[i].why)
                        CHECK_STR(why, rows[i].why);
                else if (rows[i].control == &flip)
                        CHECK_INT(v.kind, CONTROL_VALUE_BOOLEAN);
        }
}

TEST(a_refusal_that_does_not_fit_is_cut_between_characters) {
        ControlItem items[] = { { 0, (char *)"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4" } };
        const Control menu = { .type = CONTROL_MENU, .items = items, .n_items = 1 };

        for (size_t size = 2; size < 40; size++) {
                ControlValue v = NUMBER(7);
                char why[64];

                ROW("%zu bytes", size);
                CHECK_INT(control_judge(&menu, &v, why, size), FB_E_INVALID_VALUE);
                CHECK(strlen(why) < size);
                CHECK(strlen(why) < 2 || (unsigned char)why[strlen(why) - 1] != 0xc3);
        }
}

TEST(names_of_controls) {
        static const struct {
                const char *id;
                bool valid;
        } rows[] = {
                { "brightness", true }, { "exposure-time-absolute", true }, { "3d", true }, { "a-2", true },
                { "", false },          { "-a", false },                    { "A", false }, { "a_b", false },
                { "a b", false },       { "\xc3\xa4", false },
                { "a123456789b123456789c123456789d123456789e123456789f123456789abcd", true },
                { "a123456789b123456789c123456789d123456789e123456789f123456789abcde", false },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("'%s'", rows[i].id);
                CHECK_INT(control_id_is_valid(rows[i].id), rows[i].valid);
        }
}

TEST(words_come_back) {
        for (ControlType t = 0; t < _CONTROL_TYPE_MAX; t++)
                CHECK_INT(control_type_from_string(control_type_to_string(t)), t);
        for (uint32_t i = 0; i < CONTROL_FLAGS_N; i++)
                CHECK_INT(control_flag_from_string(control_flag_to_string(1u << i)), 1u << i);
        CHECK_INT(control_type_from_string("matrix"), _CONTROL_TYPE_MAX);
        CHECK_INT(control_flag_from_string("blue"), 0);
}

TEST_MAIN
