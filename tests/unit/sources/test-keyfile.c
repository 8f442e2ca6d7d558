/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/keyfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "check.h"

/* Writes down what it is told: "[S]", "S.K=V@LINE", each followed by a semicolon. */
static int on_entry(const char *section, const char *key, const char *value, unsigned line, void *userdata,
                    const char **ret_why) {
        char *out = userdata, entry[256];

        if (!key)
                snprintf(entry, sizeof entry, "[%s];", section);
        else
                snprintf(entry, sizeof entry, "%s.%s=%s@%u;", section, key, value, line);
        strcat(out, entry);
        if (!key)
                return strcmp(section, "Unknown") == 0 ? FB_E_UNKNOWN_OPTION : 0;
        if (strcmp(key, "Bad") == 0)
                return *ret_why = "it must be good", FB_E_INVALID_OPTION;
        if (strcmp(key, "Fatal") == 0)
                return -EPERM;
        return strcmp(key, "Unknown") == 0 ? FB_E_UNKNOWN_OPTION : 0;
}

#define TEXT(t) (t), sizeof(t) - 1
static const struct {
        const char *text;
        size_t size;
        int r;
        const char *seen, *error;
} table[] = {
        { TEXT(""), 0, "", NULL },
        { TEXT("\n# c\n ; c\n\n"), 0, "", NULL },
        { TEXT("[A]\nk=v\n"), 0, "[A];A.k=v@2;", NULL },
        { TEXT("[A]\nk=v"), 0, "[A];A.k=v@2;", NULL },
        { TEXT("[A]\r\nk=v\r\n"), 0, "[A];A.k=v@2;", NULL },
        { TEXT("  [ A b ]  \n\t k = v w = x #y\t\n[C]\nk=\n"), 0, "[A b];A b.k=v w = x #y@2;[C];C.k=@4;", NULL
          },
        { TEXT("[A]\nk='q' \"r\"\\\n"), 0, "[A];A.k='q' \"r\"\\@2;", NULL },
        { TEXT("[A]\nk=\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\xa5\n"), 0,
          "[A];A.k=\xc3\xa4\xe2\x82\xac\xf0\x9f\x8e\xa5@2;", NULL },
        { TEXT("k=v\n"), -EINVAL, "", "f:1: a key before the first [Section]" },
        { TEXT("[A]\nfoo\n"), -EINVAL, "[A];", "f:2: neither [Section] nor Key=Value" },
        { TEXT("[A]\n=foo\n"), -EINVAL, "[A];", "f:2: neither [Section] nor Key=Value" },
        { TEXT("\n[A\n"), -EINVAL, "", "f:2: a section line must end with ]" },
        { TEXT("["), -EINVAL, "", "f:1: a section line must end with ]" },
        { TEXT("[A]\n\nk\0=v\n"), -EINVAL, "[A];", "f:3: a NUL byte" },
        { TEXT("[A]\nk=\xff\n"), -EINVAL, "[A];", "f:2: not UTF-8" },
        { TEXT("[A]\nk=\xc0\xaf\n"), -EINVAL, "[A];", "f:2: not UTF-8" },
        { TEXT("[A]\nk=\xed\xa0\x80\n"), -EINVAL, "[A];", "f:2: not UTF-8" },
        { TEXT("[A]\nk=\xe2\x82"), -EINVAL, "[A];", "f:2: not UTF-8" },
        { TEXT("[A]\nk=\xf4\x90\x80\x80"), -EINVAL, "[A];", "f:2: not UTF-8" },
        { TEXT("[Unknown]\nk=v"), -EINVAL, "[Unknown];", "f:1: unknown section 'Unknown'" },
        { TEXT("[A]\nUnknown=1\nk=v"), -EINVAL, "[A];A.Unknown=1@2;", "f:2: unknown key 'Unknown'" },
        { TEXT("[A]\nBad=1\nk=v"), -EINVAL, "[A];A.Bad=1@2;", "f:2: bad value for key 'Bad': it must be good"
          },
        { TEXT("[A]\nFatal=1\nk=v"), -EPERM, "[A];A.Fatal=1@2;",
          "f:2: cannot take 'Fatal': Operation not permitted" },
};

static void test_table(void) {
        for (unsigned i = 0; i < FB_ELEMENTSOF(table); i++) {
                _cleanup_free_ char *error = NULL;
                char seen[1024] = "";
                int r = keyfile_parse_text("f", table[i].text, table[i].size, on_entry, seen, &error);

                CHECK_INT(table[i].text, r, table[i].r);
                CHECK_STR(table[i].text, seen, table[i].seen);
                CHECK_STR(table[i].text, error, table[i].error);
        }
}

static void write_file(const char *path, const char *text, size_t times) {
        FILE *f = fopen(path, "we");

        CHECK(f);
        while (f && times--)
                fputs(text, f);
        if (f)
                fclose(f);
}

static void check_file(const char *path, int wanted, const char *seen_wanted, const char *why) {
        _cleanup_free_ char *error = NULL;
        char seen[1024] = "", expected[256];

        CHECK_INT(path, keyfile_parse(path, on_entry, seen, &error), wanted);
        CHECK_STR(path, seen, seen_wanted);
        snprintf(expected, sizeof expected, "%s%s", path, why ? why : "");
        CHECK_STR(path, error, why ? expected : NULL);
}

static void test_files(void) {
        char dir[] = "/tmp/fb-keyfile-XXXXXX", path[64];

        CHECK(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/file", dir);
        check_file(path, -ENOENT, "", ": No such file or directory");
        write_file(path, "[A]\nk=v\n", 1);
        check_file(path, 0, "[A];A.k=v@2;", NULL);
        write_file(path, "[A]\nk\n", 1);
        check_file(path, -EINVAL, "[A];", ":2: neither [Section] nor Key=Value");
        write_file(path, "# 3456\n\n", KEYFILE_SIZE_MAX / 8);
        check_file(path, 0, "", NULL);
        write_file(path, "# 3456\n\n", KEYFILE_SIZE_MAX / 8 + 1);
        check_file(path, -EFBIG, "", ": larger than 64 KiB");
        unlink(path);
        CHECK(mkfifo(path, 0600) == 0);
        check_file(path, -EINVAL, "", ": not a regular file");
        unlink(path);
        check_file(dir, -EINVAL, "", ": not a regular file");
        rmdir(dir);
}

int main(void) {
        test_table();
        test_files();
        return check_end();
}
