/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text for the bus has to be UTF-8 to its end. */
#pragma once

#include <string.h>

/* Takes the beginning of a character off the end of @s, valid UTF-8 that was cut at some byte. */
static inline void text_trim(char *s) {
        size_t n = strlen(s), follow = 0, wanted;
        unsigned char lead;

        while (follow < 3 && follow < n && ((unsigned char)s[n - 1 - follow] & 0xc0) == 0x80)
                follow++;
        if (follow == n)
                return;
        lead = (unsigned char)s[n - 1 - follow];
        wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
        if (follow < wanted)
                s[n - 1 - follow] = 0;
}
