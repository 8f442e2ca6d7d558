/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/common/options.h"

#include <errno.h>

#include "check.h"

static void test_size(void) {
        static const struct {
                const char *s;
                int r;
                uint32_t w, h;
        } table[] = {
                { "640x480", 0, 640, 480 },        { "0x4294967295", 0, 0, UINT32_MAX },
                { "4294967296x1", -EINVAL, 7, 7 }, { "640", -EINVAL, 7, 7 },
                { "640x", -EINVAL, 7, 7 },         { "640x480 ", -EINVAL, 7, 7 },
                { "-1x2", -EINVAL, 7, 7 },         { " 1x2", -EINVAL, 7, 7 },
                { "1X2", -EINVAL, 7, 7 },          { "", -EINVAL, 7, 7 },
        };

        for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
                uint32_t w = 7, h = 7;

                CHECK_INT(table[i].s, option_parse_size(table[i].s, &w, &h), table[i].r);
                CHECK_INT(table[i].s, w, table[i].w);
                CHECK_INT(table[i].s, h, table[i].h);
        }
}

static void test_rate(void) {
        static const struct {
                const char *s;
                int r;
                uint32_t num, den;
        } table[] = {
                { "30", 0, 30, 1 },         { "30000/1001", 0, 30000, 1001 }, { "30:1", 0, 30, 1 },
                { "50/2", 0, 25, 1 },       { "0", -EINVAL, 7, 7 },           { "30/0", -EINVAL, 7, 7 },
                { "/1", -EINVAL, 7, 7 },    { "1/", -EINVAL, 7, 7 },          { "29.97", -EINVAL, 7, 7 },
                { "1/2/3", -EINVAL, 7, 7 },
        };

        for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
                struct framebus_fraction f = { 7, 7 };

                CHECK_INT(table[i].s, option_parse_rate(table[i].s, &f), table[i].r);
                CHECK_INT(table[i].s, f.num, table[i].num);
                CHECK_INT(table[i].s, f.den, table[i].den);
        }
}

static void test_fractions(void) {
        CHECK(fraction_compare((struct framebus_fraction){ 1, 3 }, (struct framebus_fraction){ 2, 6 }) == 0);
        CHECK(fraction_compare((struct framebus_fraction){30000, 1001}, (struct framebus_fraction){30, 1}) <
              0);
        CHECK(fraction_compare((struct framebus_fraction){UINT32_MAX, 1},
                               (struct framebus_fraction){1, UINT32_MAX}) > 0);
}

int main(void) {
        uint32_t v = 7;

        CHECK(option_parse_u32("4294967295", &v) == 0 && v == UINT32_MAX);
        CHECK(option_parse_u32("4294967296", &v) == -EINVAL && option_parse_u32("1 ", &v) == -EINVAL);
        test_size();
        test_rate();
        test_fractions();
        return check_end();
}
