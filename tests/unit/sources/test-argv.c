/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/argv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "check.h"

static const struct {
        const char *line;
        int n;
        const char *words[6];
} table[] = {
        { "", 0, { 0 } },
        { " \t ", 0, { 0 } },
        { "one", 1, { "one" } },
        { "  one\ttwo  ", 2, { "one", "two" } },
        { "a 'b c' d", 3, { "a", "b c", "d" } },
        { "a \"b 'c'\" d", 3, { "a", "b 'c'", "d" } },
        { "a'b c'\"d e\"f", 1, { "ab cd ef" } },
        { "'' \"\"", 2, { "", "" } },
        { "a\\ b \\'c\\\\", 2, { "a b", "'c\\" } },
        { "'a\\b'", 1, { "a\\b" } },
        { "\"a\\b\\\"c\\\\\"", 1, { "a\\b\"c\\" } },
        { "$HOME `x` *.c $(y) ~ #z", 6, { "$HOME", "`x`", "*.c", "$(y)", "~", "#z" } },
        { "a;b|c&", 1, { "a;b|c&" } },
        { "\xc3\xa4 \xe2\x82\xac", 2, { "\xc3\xa4", "\xe2\x82\xac" } },
        { "'a", -EINVAL, { "a single quote that does not end" } },
        { "b \"a", -EINVAL, { "a double quote that does not end" } },
        { "a\\", -EINVAL, { "a backslash at the end" } },
        { "\"a\\", -EINVAL, { "a backslash at the end" } },
};

static void test_table(void) {
        for (unsigned i = 0; i < FB_ELEMENTSOF(table); i++) {
                _cleanup_(argv_freep) char **argv = NULL;
                const char *error = NULL;
                int n = argv_split(table[i].line, &argv, &error);

                CHECK_INT(table[i].line, n, table[i].n);
                if (n != table[i].n)
                        continue;
                if (n < 0) {
                        CHECK_STR(table[i].line, error, table[i].words[0]);
                        continue;
                }
                for (int k = 0; k < n; k++)
                        CHECK_STR(table[i].line, argv[k], table[i].words[k]);
                CHECK(!argv[n]);
        }
}

static void test_limit(void) {
        _cleanup_(argv_freep) char **argv = NULL, **more = NULL;
        const char *error = NULL;
        char line[2 * ARGV_WORDS_MAX + 3] = "";

        for (unsigned i = 0; i < ARGV_WORDS_MAX; i++)
                strcat(line, "a ");
        CHECK_INT("most", argv_split(line, &argv, NULL), ARGV_WORDS_MAX);
        strcat(line, "a");
        CHECK_INT("one too many", argv_split(line, &more, &error), -E2BIG);
        CHECK_STR("one too many", error, "too many words");
        CHECK(!more);
}

int main(void) {
        test_table();
        test_limit();
        CHECK(!argv_free(NULL));
        return check_end();
}
