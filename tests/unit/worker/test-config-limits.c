/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* [Limits] of framebus.conf: what is taken, what is refused, and which file counts. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "broker/config-limits.h"

static char root[64], a[80], b[80];

static void begin(void) {
        strcpy(root, "/tmp/fb-limits-XXXXXX");
        REQUIRE(mkdtemp(root));
        (void)snprintf(a, sizeof a, "%s/a", root);
        (void)snprintf(b, sizeof b, "%s/b", root);
        REQUIRE(mkdir(a, 0755) == 0 && mkdir(b, 0755) == 0);
}

static void end(void) {
        char command[96];

        (void)snprintf(command, sizeof command, "rm -r %s", root);
        CHECK_INT(system(command), 0);
}

static void write_file(const char *folder, const char *text) {
        char path[128];
        FILE *f;

        (void)snprintf(path, sizeof path, "%s/framebus.conf", folder);
        f = fopen(path, "we");
        REQUIRE(f);
        fputs(text, f);
        fclose(f);
}

/* What both folders say of Sources and WindowBytes; 0: what it is anyway. @error: what is complained of,
 * behind the file's name. */
static void check_load(uint64_t sources, uint64_t bytes, const char *error_wanted) {
        const char *folders[] = { a, b };
        _cleanup_free_ char *error = NULL;
        QuotaLimits limits, defaults;
        const char *colon;

        quota_limits_init(&defaults);
        limits = defaults;
        CHECK_INT(config_load_limits(folders, 2, &limits, &error), 0);
        CHECK_INT(limits.max[QUOTA_SOURCES], sources ?: defaults.max[QUOTA_SOURCES]);
        CHECK_INT(limits.max[QUOTA_WINDOW_BYTES], bytes ?: defaults.max[QUOTA_WINDOW_BYTES]);
        CHECK_INT(limits.max[QUOTA_CALLS], defaults.max[QUOTA_CALLS]);
        colon = error ? strchr(error, ':') : NULL;
        CHECK_STR(colon ? colon + 1 : error, error_wanted);
}

TEST(nothing_is_said) {
        begin();
        check_load(0, 0, NULL);
        write_file(a, "# nothing\n\n[Limits]\n");
        check_load(0, 0, NULL);
        end();
}

TEST(numbers) {
        static const struct {
                const char *text;
                uint64_t sources, bytes;
        } rows[] = {
                { "[Limits]\nSources=7\n", 7, 0 },
                { "[Limits]\nWindowBytes=123\nSources=1", 1, 123 },
                { "[Limits]\nWindowBytes=3K\n", 0, 3072 },
                { "[Limits]\nWindowBytes=512M\n", 0, UINT64_C(512) << 20 },
                { "[Limits]\nWindowBytes=2G\n", 0, UINT64_C(2) << 30 },
                { "[Limits]\nWindowBytes=1T\n", 0, UINT64_C(1) << 40 },
        };

        begin();
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("%zu", i);
                write_file(a, rows[i].text);
                check_load(rows[i].sources, rows[i].bytes, NULL);
        }
        end();
}

TEST(what_is_wrong_changes_nothing) {
#define BYTES "it is to be a number of bytes from 1, with K, M, G or T perhaps"
#define NUMBER "it is to be a number from 1"
        static const struct {
                const char *text, *error;
        } rows[] = {
                { "[Limits]\nSources=7\nColour=red\n", "3: unknown key 'Colour'" },
                { "[limits]\n", "1: unknown section 'limits'" },
                { "[Limits]\nSources=7\nSources=7\n", "3: bad value for key 'Sources': it was given before" },
                { "[Limits]\nSources=7K\n", "2: bad value for key 'Sources': " NUMBER },
                { "[Limits]\nSources=0\n", "2: bad value for key 'Sources': " NUMBER },
                { "[Limits]\nSources=-1\n", "2: bad value for key 'Sources': " NUMBER },
                { "[Limits]\nSources=\n", "2: bad value for key 'Sources': " NUMBER },
                { "[Limits]\nSources=99999999999999999999\n", "2: bad value for key 'Sources': " NUMBER },
                { "[Limits]\nWindowBytes=2GB\n", "2: bad value for key 'WindowBytes': " BYTES },
                { "[Limits]\nWindowBytes=1k\n", "2: bad value for key 'WindowBytes': " BYTES },
                { "[Limits]\nWindowBytes=9999999T\n", "2: bad value for key 'WindowBytes': " BYTES },
        };

        begin();
        write_file(b, "[Limits]\nSources=3\n");
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("%zu", i);
                write_file(a, rows[i].text);
                check_load(0, 0, rows[i].error);
        }
        end();
}

TEST(the_first_file_counts) {
        char path[128];

        begin();
        write_file(b, "[Limits]\nSources=3\n");
        check_load(3, 0, NULL);
        write_file(a, "[Limits]\nWindowBytes=5\n");
        check_load(0, 5, NULL);
        (void)snprintf(path, sizeof path, "%s/framebus.conf", a);
        CHECK_INT(unlink(path), 0);
        CHECK_INT(symlink("/dev/null", path), 0);
        check_load(0, 0, NULL);
        end();
}

TEST_MAIN
