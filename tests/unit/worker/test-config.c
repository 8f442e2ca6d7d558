/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "broker/config.h"
#include "interfaces/wire.h"

static char root[] = "/tmp/fb-config-XXXXXX", a[64], b[64];

static void begin(void) {
        char path[128];

        strcpy(root, "/tmp/fb-config-XXXXXX");
        REQUIRE(mkdtemp(root));
        for (int i = 0; i < 2; i++) {
                snprintf(i ? b : a, sizeof a, "%s/%c", root, i ? 'b' : 'a');
                mkdir(i ? b : a, 0755);
                snprintf(path, sizeof path, "%s/sources.d", i ? b : a);
                mkdir(path, 0755);
        }
}

static void end(void) {
        char command[64];

        snprintf(command, sizeof command, "rm -r %s", root);
        CHECK_INT(system(command), 0);
}

static void write_file(const char *folder, const char *name, const char *text) {
        char path[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/sources.d/%s", folder, name);
        f = fopen(path, "we");
        REQUIRE(f);
        fputs(text, f);
        fclose(f);
}

/* "name|description|word word;" for each source. */
static void describe(const Config *c, char *out) {
        for (size_t i = 0; i < c->n_sources; i++) {
                const ConfigSource *s = &c->sources[i];

                out += sprintf(out, "%s|%s|", s->name, s->description ?: "-");
                for (size_t k = 0; s->argv[k]; k++)
                        out += sprintf(out, "%s%s", k ? " " : "", s->argv[k]);
                out += sprintf(out, ";");
        }
        *out = 0;
}

/* Of @error, the part that does not depend on the folder is checked: ROOT stands for it. */
static void check_load(const char *const *folders, size_t n, const char *wanted, const char *error_wanted) {
        _cleanup_(config_free) Config c = {};
        _cleanup_free_ char *error = NULL;
        char seen[2048], expected[2048] = "", *p = expected;

        CHECK_INT(config_load(folders, n, &c, &error), 0);
        describe(&c, seen);
        CHECK_STR(seen, wanted);
        for (const char *s = error_wanted; s && *s; s++)
                if (strncmp(s, "ROOT", 4) == 0)
                        p += sprintf(p, "%s", root), s += 3;
                else
                        *p++ = *s, *p = 0;
        CHECK_STR(error, error_wanted ? expected : NULL);
        CHECK_STR(c.folder, n > 0 ? folders[0] : NULL);
}

#define BOTH ((const char *[]){ a, b })

TEST(config_of_nothing_is_empty) {
        begin();
        check_load(NULL, 0, "", NULL);
        check_load(BOTH, 2, "", NULL);
        check_load((const char *[]){ "/nonexistent" }, 1, "", NULL);
        end();
}

TEST(config_takes_files_in_the_order_of_their_names) {
        begin();
        write_file(b, "10-c.conf", "[Source]\nName=c\nExec=prog 'x y'\n");
        write_file(a, "20-d.conf", "[Source]\nName=d\nDescription=The door, äh\nExec=/bin/prog\n");
        write_file(a, "cam.conf", "[Source]\nExec=prog --x\n");
        write_file(a, "cam.conf~", "garbage");
        write_file(a, ".hidden.conf", "garbage");
        write_file(a, ".conf", "garbage");
        check_load(BOTH, 2, "c|-|prog x y;d|The door, äh|/bin/prog;cam|-|prog --x;", NULL);
        end();
}

TEST(config_of_an_earlier_folder_wins_by_file_name) {
        char path[128];

        begin();
        write_file(a, "x.conf", "[Source]\nExec=mine\n");
        write_file(b, "x.conf", "[Source]\nExec=theirs\n");
        write_file(b, "y.conf", "[Source]\nExec=masked\n");
        snprintf(path, sizeof path, "%s/sources.d/y.conf", a);
        CHECK_INT(symlink("/dev/null", path), 0);
        check_load(BOTH, 2, "x|-|mine;", NULL);
        check_load((const char *[]){ b, a }, 2, "x|-|theirs;y|-|masked;", NULL);
        end();
}

static const struct {
        const char *text, *error;
} refused[] = {
        { "", "[Source] without Exec=" },
        { "[Source]\nName=x\n", "[Source] without Exec=" },
        { "[Sauce]\n", "1: unknown section 'Sauce'" },
        { "[Source]\nExec=p\nColour=red\n", "3: unknown key 'Colour'" },
        { "[Source]\nExec=\n", "2: bad value for key 'Exec': it names no program" },
        { "[Source]\nExec='' a\n", "2: bad value for key 'Exec': it names no program" },
        { "[Source]\nExec=bin/p\n",
          "2: bad value for key 'Exec': the program must be a plain name or an absolute path" },
        { "[Source]\nExec=p\nExec=p\n", "3: bad value for key 'Exec': it was given before" },
        { "[Source]\nName=a/b\nExec=p\n", "2: bad value for key 'Name': a name is 1 to 64 of A-Z a-z "
                                          "0-9 . _ : -, without a leading dot" },
        { "[Source]\nName=\nExec=p\n", "2: bad value for key 'Name': a name is 1 to 64 of A-Z a-z 0-9 "
                                       ". _ : -, without a leading dot" },
        { "[Source]\nExec=p\nPulseVideo=0\n", "3: bad value for key 'PulseVideo': it is to be 1 to 64 of A-Z "
                                              "a-z 0-9 _ -, without a leading digit" },
        { "[Source]\nPulseVideo=a\nPulseVideo=b\nExec=p\n",
          "3: bad value for key 'PulseVideo': it was given before" },
        { "[Source]\nName=taken\nExec=p\n", "2: the name is taken by ROOT/a/sources.d/0.conf" },
};

TEST(config_refuses_a_bad_file_alone_and_says_where) {
        begin();
        write_file(a, "0.conf", "[Source]\nName=taken\nExec=p\n");
        write_file(a, "z.conf", "[Source]\nExec=p\n");
        for (size_t i = 0; i < FB_ELEMENTSOF(refused); i++) {
                bool line = refused[i].error[0] >= '1' && refused[i].error[0] <= '9';
                char expected[512];

                ROW("row %zu", i);
                write_file(a, "k.conf", refused[i].text);
                snprintf(expected, sizeof expected, "ROOT/a/sources.d/k.conf:%s%s", line ? "" : " ",
                         refused[i].error);
                check_load(BOTH, 2, "taken|-|p;z|-|p;", expected);
        }
        end();
}

TEST(config_collects_what_it_refused) {
        begin();
        write_file(a, "1.conf", "x\n");
        write_file(b, "2.conf", "[Source]\n");
        write_file(b, "with blank.conf", "[Source]\nExec=p\n");
        write_file(a, "taken.conf", "[Source]\nName=u\nExec=p\n");
        write_file(a, "u.conf", "[Source]\nExec=p\n");
        check_load(BOTH, 2, "u|-|p;",
                   "ROOT/a/sources.d/1.conf:1: neither [Section] nor Key=Value\n"
                   "ROOT/b/sources.d/2.conf: [Source] without Exec=\n"
                   "ROOT/a/sources.d/u.conf: the name is taken by ROOT/a/sources.d/taken.conf\n"
                   "ROOT/b/sources.d/with blank.conf: a file of this name needs Name=");
        end();
}

TEST(config_name_grammar) {
        static const struct {
                const char *name;
                bool valid;
        } names[] = {
                { "a", true },
                { "video0", true },
                { "A.b_c:d-9", true },
                { "-", true },
                { "", false },
                { ".a", false },
                { "a/b", false },
                { "a b", false },
                { "\xc3\xa4", false },
                { "0123456789012345678901234567890123456789012345678901234567890123", true },
                { "01234567890123456789012345678901234567890123456789012345678901234", false },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(names); i++) {
                ROW("%s", names[i].name);
                CHECK_INT(fb_source_name_is_valid(names[i].name), names[i].valid);
        }
}

TEST_MAIN
