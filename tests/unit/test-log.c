/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "tests/unit/test.h"

TEST(levels_have_names_and_numbers) {
        static const struct {
                const char *string;
                int level;
        } rows[] = {
                { "error", 3 }, { "warning", 4 }, { "notice", 5 }, { "info", 6 },      { "debug", 7 },
                { "3", 3 },     { "7", 7 },       { "2", -EINVAL }, { "8", -EINVAL },  { "", -EINVAL },
                { "33", -EINVAL }, { "Debug", -EINVAL }, { "debug ", -EINVAL }, { "warn", -EINVAL },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("\"%s\"", rows[i].string);
                CHECK_INT(log_level_from_string(rows[i].string), rows[i].level);
        }
}

typedef struct Capture {
        int pipe[2], saved;
        char text[4096];
} Capture;

static bool capture_begin(Capture *c) {
        if (pipe2(c->pipe, O_CLOEXEC) < 0)
                return false;
        c->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        return c->saved >= 0 && dup2(c->pipe[1], STDERR_FILENO) >= 0;
}

static const char *capture_end(Capture *c) {
        ssize_t n;

        (void)dup2(c->saved, STDERR_FILENO);
        close(c->saved);
        close(c->pipe[1]);
        n = read(c->pipe[0], c->text, sizeof c->text - 1);
        close(c->pipe[0]);
        c->text[n > 0 ? n : 0] = 0;
        return c->text;
}

TEST(a_line_a_message_with_a_name_in_front) {
        Capture c;

        unsetenv("JOURNAL_STREAM");
        REQUIRE(capture_begin(&c));
        log_init("framebusd", LOG_LEVEL_NOTICE);
        log_error("%d frames", 3);
        log_notice("lost");
        log_info("not this one");
        log_debug("nor this");
        CHECK_STR(capture_end(&c), "framebusd: 3 frames\nframebusd: lost\n");
}

/* What a publisher says is printed in places. */
TEST(a_message_stays_one_line) {
        Capture c;

        REQUIRE(capture_begin(&c));
        log_init("f", LOG_LEVEL_INFO);
        log_info("%s", "a\nb\tc\r<3>d\x1b[31m\x7f \xc3\xa9\xe2\x82\xac \xc2\x9b" "0m\n");
        CHECK_STR(capture_end(&c), "f: a b c?<3>d?[31m? \xc3\xa9\xe2\x82\xac ??0m \n");
}

TEST(no_name) {
        Capture c;

        REQUIRE(capture_begin(&c));
        log_init(NULL, LOG_LEVEL_DEBUG);
        log_debug("all");
        CHECK_STR(capture_end(&c), "all\n");
}

TEST(the_journal_gets_levels) {
        char stream[64];
        struct stat st;
        Capture c;

        REQUIRE(capture_begin(&c));
        REQUIRE(fstat(STDERR_FILENO, &st) == 0);
        snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_init("framebusd", LOG_LEVEL_INFO);
        log_warning("hot");
        setenv("JOURNAL_STREAM", "1:2", 1);
        log_init("framebusd", LOG_LEVEL_INFO);
        log_warning("hot");
        CHECK_STR(capture_end(&c), "<4>hot\nframebusd: hot\n");
        unsetenv("JOURNAL_STREAM");
}

TEST(long_messages_are_cut_and_still_end_their_line) {
        char text[3000];
        const char *got;
        Capture c;

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        REQUIRE(capture_begin(&c));
        log_init("f", LOG_LEVEL_INFO);
        log_info("%s", text);
        log_info("next");
        got = capture_end(&c);
        CHECK(strlen(got) > 900 && strlen(got) < 1100);
        CHECK(strstr(got, "x\nf: next\n"));
}

/* What others can cause: a burst, then one a second, and how many there were. */
TEST(of_clients) {
        const uint64_t second = UINT64_C(1000000000);
        const char *got;
        size_t n = 0;
        Capture c;

        REQUIRE(capture_begin(&c));
        log_init(NULL, LOG_LEVEL_INFO);
        for (unsigned int i = 0; i < 1000; i++)
                log_client_at(5 * second + i, "x%u", i);
        log_client_at(6 * second + 2000, "a second later");
        log_client_at(6 * second + 3000, "at once");
        log_client_at(100 * second, "much later");
        got = capture_end(&c);
        for (const char *p = got; (p = strchr(p, '\n')); p++)
                n++;
        CHECK_INT(n, LOG_CLIENTS_BURST + 2);
        CHECK(strstr(got, "x0\n") && strstr(got, "x19\n") && !strstr(got, "x20"));
        CHECK(strstr(got, "a second later (980 more were not told)\n"));
        CHECK(!strstr(got, "at once"));
        CHECK(strstr(got, "much later (1 more were not told)\n"));
}

TEST(errno_survives) {
        Capture c;

        REQUIRE(capture_begin(&c));
        close(STDERR_FILENO);
        errno = ENOENT;
        log_error("nowhere to go");
        CHECK_INT(errno, ENOENT);
        (void)capture_end(&c);
}

TEST_MAIN
