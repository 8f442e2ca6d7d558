/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/common/options.h"

#include <errno.h>
#include <stdlib.h>

/* Reads digits at *@s and moves *@s behind them; strtoul() would take signs and blanks, too. */
static int option_take_u32(const char **s, uint32_t *ret_value) {
        uint64_t v = 0;

        if (**s < '0' || **s > '9')
                return -EINVAL;
        for (; **s >= '0' && **s <= '9'; (*s)++) {
                v = v * 10 + (uint64_t)(**s - '0');
                if (v > UINT32_MAX)
                        return -EINVAL;
        }
        *ret_value = (uint32_t)v;
        return 0;
}

int option_parse_u32(const char *s, uint32_t *ret_value) {
        uint32_t v;

        if (option_take_u32(&s, &v) < 0 || *s)
                return -EINVAL;
        *ret_value = v;
        return 0;
}

int option_parse_size(const char *s, uint32_t *ret_width, uint32_t *ret_height) {
        uint32_t w, h;

        if (option_take_u32(&s, &w) < 0 || *s++ != 'x' || option_take_u32(&s, &h) < 0 || *s)
                return -EINVAL;
        *ret_width = w;
        *ret_height = h;
        return 0;
}

int option_parse_rate(const char *s, struct framebus_fraction *ret_rate) {
        struct framebus_fraction f = { 0, 1 };

        if (option_take_u32(&s, &f.num) < 0)
                return -EINVAL;
        if ((*s == '/' || *s == ':') && (s++, option_take_u32(&s, &f.den) < 0))
                return -EINVAL;
        if (*s || !f.num || !f.den)
                return -EINVAL;
        *ret_rate = fraction_reduce(f);
        return 0;
}

int fraction_compare(struct framebus_fraction a, struct framebus_fraction b) {
        uint64_t l = (uint64_t)a.num * b.den, r = (uint64_t)b.num * a.den;

        return l < r ? -1 : l > r;
}

struct framebus_fraction fraction_reduce(struct framebus_fraction f) {
        uint32_t a = f.num, b = f.den;

        while (b) {
                uint32_t t = a % b;

                a = b;
                b = t;
        }
        if (a > 1) {
                f.num /= a;
                f.den /= a;
        }
        return f;
}
