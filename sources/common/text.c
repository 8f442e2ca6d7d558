/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/common/text.h"

#include <stdint.h>

/* The length of the UTF-8 sequence at @s; 0: it is none (RFC 3629: neither overlong forms nor surrogates). */
static unsigned text_get_length(const uint8_t *s) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        static const uint8_t by_high_bits[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 4 };
        unsigned n = s[0] < 0xf8 ? by_high_bits[s[0] >> 4] : 0;
        uint32_t c;

        if (n <= 1)
                return s[0] < 0x20 || s[0] == 0x7f ? 0 : n;
        c = s[0] & (0x7fu >> n);
        for (unsigned i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80) /* NUL as well */
                        return 0;
                c = c << 6 | (s[i] & 0x3fu);
        }
        return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

void text_clean(char *s) {
        while (*s) {
                unsigned n = text_get_length((uint8_t *)s);

                if (n == 0)
                        *s = '?';
                s += n ? n : 1;
        }
}
