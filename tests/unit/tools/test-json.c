/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON: commas, nesting, and that no string of anybody's makes a line that is no JSON. Text for terminals
 * likewise. */
#include "tools/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/tools/check.h"
#include "tools/tally.h"
#include "tools/text.h"

static const struct {
        const char *text, *json, *terminal;
} strings[] = {
        { "plain", "plain", "plain" },
        { "", "", "" },
        { "a\"b\\c/d", "a\\\"b\\\\c/d", "a\"b\\c/d" },
        { "\n\t\r\x01\x1f\x7f", "\\n\\t\\u000d\\u0001\\u001f\\u007f", "??????" },
        { "\x1b[2J", "\\u001b[2J", "?[2J" },
        { "K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x8e\xa5", "K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x8e\xa5",
          "K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x8e\xa5" },
        { "\xc2\x9b", "\xc2\x9b", "?" },                                /* C1: CSI */
        { "\xc0\xaf", "\\ufffd\\ufffd", "??" },                         /* overlong */
        { "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd", "???" },             /* surrogate */
        { "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd", "????" }, /* beyond U+10FFFF */
        { "x\xe2\x82", "x\\ufffd\\ufffd", "x??" },                      /* truncated by the end */
        { "\xff", "\\ufffd", "?" },
};

static void test_strings(void) {
        for (size_t i = 0; i < FB_ELEMENTSOF(strings); i++) {
                _cleanup_free_ char *buffer = NULL, *wanted = NULL, *terminal = NULL;
                size_t size;
                FILE *f = open_memstream(&buffer, &size);
                Json j;

                json_begin_line(&j, f);
                json_string(&j, "k", strings[i].text);
                CHECK_INT("end", json_end_line(&j), 0);
                fclose(f);
                CHECK(asprintf(&wanted, "{\"k\":\"%s\"}\n", strings[i].json) > 0);
                CHECK_STR("json", buffer, wanted);

                f = open_memstream(&terminal, &size);
                CHECK_INT(strings[i].json, text_print(f, strings[i].text), text_width(strings[i].text));
                fclose(f);
                CHECK_STR("terminal", terminal, strings[i].terminal);
        }
}

static void test_structure(void) {
        _cleanup_free_ char *buffer = NULL;
        size_t size;
        FILE *f = open_memstream(&buffer, &size);
        Json j;

        json_begin_line(&j, f);
        json_begin_object(&j, "empty");
        json_end_object(&j);
        json_begin_array(&j, "a");
        json_uint(&j, NULL, 0);
        json_uint(&j, NULL, UINT64_MAX);
        json_begin_array(&j, NULL);
        json_end_array(&j);
        json_end_array(&j);
        json_bool(&j, "yes", true);
        json_string(&j, "nothing", NULL);
        json_real(&j, "r", 1.5, 3);
        json_real(&j, "nan", NAN, 3);
        json_real(&j, "inf", INFINITY, 3);
        CHECK_INT("end", json_end_line(&j), 0);
        json_begin_line(&j, f);
        CHECK_INT("end", json_end_line(&j), 0);
        fclose(f);
        CHECK_STR("structure", buffer,
                  "{\"empty\":{},\"a\":[0,18446744073709551615,[]],\"yes\":true,\"nothing\":null,\"r\":1.500,"
                  "\"nan\":null,\"inf\":null}\n{}\n");
}

/* A reader that went away must be told from a disk that is full, whenever it is noticed. */
static void test_closed_pipe(void) {
        int fds[2];
        FILE *f;
        Json j;

        signal(SIGPIPE, SIG_IGN);
        CHECK_INT("pipe", pipe2(fds, O_CLOEXEC), 0);
        close(fds[0]);
        f = fdopen(fds[1], "w");
        json_begin_line(&j, f);
        for (unsigned i = 0; i < 2000; i++)
                json_uint(&j, "number", i); /* overflows stdio's buffer */
        CHECK_INT("closed", json_end_line(&j), -EPIPE);
        CHECK_INT("again", text_flush(f), -EPIPE);
        fclose(f);

        f = fopen("/dev/full", "w");
        json_begin_line(&j, f);
        CHECK_INT("full", json_end_line(&j), -ENOSPC);
        fclose(f);
}

static void test_tally(void) {
        char text[64], small[8];
        Tally t = {};

        CHECK_STR("none", tally_lost_format(&t, text, sizeof(text)), "0");
        tally_attached(&t, 10);
        CHECK_INT("next", tally_frame(&t, 11, FB_MEMORY_SEALED), 0);
        tally_lost(&t, 2, "no-credit");
        tally_lost(&t, 1, "rate");
        CHECK_INT("after 3", tally_frame(&t, 15, FB_MEMORY_SEALED), 3);
        CHECK_INT("explained", t.unexplained, 0);
        CHECK_STR("by reason", tally_lost_format(&t, text, sizeof(text)), "3 (no-credit 2, rate 1)");
        CHECK_INT("cut", strlen(tally_lost_format(&t, small, sizeof(small))), sizeof(small) - 1);

        CHECK_INT("a silent gap", tally_frame(&t, 18, FB_MEMORY_SEALED), 2);
        CHECK_INT("unexplained", t.unexplained, 2);
        tally_lost(&t, 5, "source");
        CHECK_INT("lost without a gap", tally_frame(&t, 19, FB_MEMORY_SEALED), 0);
        CHECK_INT("unexplained", t.unexplained, 7);

        tally_lost(&t, 9, "source");
        tally_attached(&t, 3); /* another run */
        CHECK_INT("new run", tally_frame(&t, 4, FB_MEMORY_SEALED), 0);
        CHECK_INT("unexplained", t.unexplained, 7);
        CHECK_INT("frames", t.frames, 5);
        CHECK_STR("all sealed", tally_frames_format(&t, text, sizeof(text)), "5");
        CHECK_INT("leased", tally_frame(&t, 5, FB_MEMORY_LEASED), 0);
        CHECK_STR("by memory", tally_frames_format(&t, text, sizeof(text)), "6 (leased 1, sealed 5)");
        CHECK_INT("cut as well", strlen(tally_frames_format(&t, small, sizeof(small))), sizeof(small) - 1);

        for (unsigned i = 0; i < 2 * TALLY_REASONS_MAX; i++) {
                char reason[16];

                snprintf(reason, sizeof(reason), "reason-%u", i);
                tally_lost(&t, 1, reason);
        }
        CHECK_INT("bounded", t.n_reasons, TALLY_REASONS_MAX);
        CHECK_INT("sum", t.lost, 3 + 5 + 9 + 2 * TALLY_REASONS_MAX);
        CHECK_STR("last", t.reasons[TALLY_REASONS_MAX - 1].reason, "other");
}

int main(void) {
        test_strings();
        test_structure();
        test_closed_pipe();
        test_tally();
        return check_end();
}
