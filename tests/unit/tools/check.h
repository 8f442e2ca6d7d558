/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks that count failures and go on, so that one run of a table shows all of its bad rows. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

#define CHECK_AT(what, condition)                                                                           \
        do {                                                                                                \
                if (!(condition)) {                                                                         \
                        fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, (what), #condition); \
                        check_failures++;                                                                   \
                }                                                                                           \
        } while (0)

#define CHECK(condition) CHECK_AT(__func__, condition)

#define CHECK_INT(what, got, wanted)                                                                        \
        do {                                                                                                \
                long long _g = (long long)(got), _w = (long long)(wanted);                                  \
                if (_g != _w) {                                                                             \
                        fprintf(stderr, "%s:%d: %s: %s: %lld, not %lld\n", __FILE__, __LINE__, (what), #got, \
                                _g, _w);                                                                    \
                        check_failures++;                                                                   \
                }                                                                                           \
        } while (0)

#define CHECK_STR(what, got, wanted)                                                                        \
        do {                                                                                                \
                const char *_g = (got), *_w = (wanted);                                                     \
                if (!_g || strcmp(_g, _w) != 0) {                                                           \
                        fprintf(stderr, "%s:%d: %s: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, (what),\
                                #got, _g ? _g : "(null)", _w);                                              \
                        check_failures++;                                                                   \
                }                                                                                           \
        } while (0)

static inline int check_end(void) {
        if (check_failures)
                fprintf(stderr, "%d checks failed\n", check_failures);
        return check_failures ? 1 : 0;
}
