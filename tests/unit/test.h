/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unit tests in one file each: TEST(name) { … } defines a case, TEST_MAIN runs them all and speaks TAP.
 *
 * A CHECK that fails is printed with file, line and values, and the case goes on, so that one run of a
 * table shows all of its bad rows; a REQUIRE leaves the function. ROW() names the row of a table in what is
 * printed. A case that leaves file descriptors behind fails.
 */
#pragma once

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TEST_CASES_MAX 64

typedef struct TestCase {
        const char *name;
        void (*run)(void);
} TestCase;

static TestCase test_cases[TEST_CASES_MAX];
static unsigned test_n_cases;
static unsigned test_failures; /* of the case that runs */
static char test_skipped[160];
static char test_row[160];

#define TEST(name)                                                                                      \
        static void name(void);                                                                         \
        static void __attribute__((constructor)) name##_register(void) {                                \
                test_cases[test_n_cases++] = (TestCase){ #name, name };                                 \
        }                                                                                               \
        static void name(void)

#define ROW(...) (void)snprintf(test_row, sizeof test_row, __VA_ARGS__)

/* Ends the case as skipped. */
#define SKIP(...)                                                                                       \
        do {                                                                                            \
                (void)snprintf(test_skipped, sizeof test_skipped, __VA_ARGS__);                         \
                return;                                                                                 \
        } while (0)

static inline bool __attribute__((format(printf, 4, 5)))
test_check(bool ok, const char *file, int line, const char *format, ...) {
        va_list ap;

        if (ok)
                return true;
        test_failures++;
        printf("# %s:%d: %s%s", file, line, test_row, test_row[0] ? ": " : "");
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        putchar('\n');
        return false;
}

static inline bool test_check_int(long long got, long long want, const char *what, const char *file,
                                  int line) {
        return test_check(got == want, file, line, "%s is %lld, want %lld", what, got, want);
}

static inline bool test_check_str(const char *got, const char *want, const char *what, const char *file,
                                  int line) {
        bool same = got && want ? strcmp(got, want) == 0 : got == want;

        return test_check(same, file, line, "%s is \"%s\", want \"%s\"", what, got ? got : "(null)",
                          want ? want : "(null)");
}

#define CHECK(condition)     test_check(condition, __FILE__, __LINE__, "failed: %s", #condition)
#define CHECK_INT(got, want) test_check_int((long long)(got), (long long)(want), #got, __FILE__, __LINE__)
#define CHECK_STR(got, want) test_check_str(got, want, #got, __FILE__, __LINE__)

#define REQUIRE(condition)                                                                              \
        do {                                                                                            \
                if (!CHECK(condition))                                                                  \
                        return;                                                                         \
        } while (0)
#define REQUIRE_INT(got, want)                                                                          \
        do {                                                                                            \
                if (!CHECK_INT(got, want))                                                              \
                        return;                                                                         \
        } while (0)

/* Open file descriptors, the one that counts not counted. */
static inline int test_count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        int n = 0;

        if (!d)
                return -1;
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static inline int test_main(void) {
        unsigned failed = 0;

        setvbuf(stdout, NULL, _IOLBF, 0);
        printf("1..%u\n", test_n_cases);
        for (unsigned i = 0; i < test_n_cases; i++) {
                int fds = test_count_fds();

                test_failures = 0;
                test_row[0] = test_skipped[0] = 0;
                test_cases[i].run();
                test_row[0] = 0;
                test_check_int(test_count_fds(), fds, "open descriptors afterwards", test_cases[i].name, 0);
                printf("%s %u - %s%s%s\n", test_failures ? "not ok" : "ok", i + 1, test_cases[i].name,
                       test_skipped[0] && !test_failures ? " # SKIP " : "",
                       test_failures ? "" : test_skipped);
                failed += test_failures > 0;
        }
        return failed > 0;
}

#define TEST_MAIN                                                                                       \
        int main(void) {                                                                                \
                return test_main();                                                                     \
        }
