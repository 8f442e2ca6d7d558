/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/common/text.h"

#include "check.h"

int main(void) {
        static const char *const table[][2] = {
                { "", "" },
                { "plain", "plain" },
                { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\xa5", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\xa5" },
                { "a\nb\x7f\x01", "a?b??" },
                { "\xff\x80x", "??x" },
                { "\xc0\xaf", "??" },
                { "\xed\xa0\x80", "???" },
                { "\xf4\x90\x80\x80", "????" },
                { "cut \xe2\x82", "cut ??" },
                { "\xe2(\xa1", "?(?" },
                { "\xf8\x88\x80\x80\x80", "?????" },
        };

        for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
                char s[32];

                strcpy(s, table[i][0]);
                text_clean(s);
                CHECK_STR(table[i][0], s, table[i][1]);
        }
        return check_end();
}
