/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A strict reader: what it does not understand is an error that names file and line, since a misspelt key
 * that is silently ignored costs its writer more than the message does. It knows no keys itself.
 */
#include "base/keyfile.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

typedef struct Parser {
        const char *path;
        unsigned line;
        char *section; /* points into the text */
        keyfile_handler handler;
        void *userdata;
        char **ret_error;
} Parser;

static int keyfile_fail(Parser *p, int r, const char *what, const char *name, const char *why) {
        char *e = NULL;

        if (asprintf(&e, "%s:%u: %s%s%s%s%s", p->path, p->line, what, name ? " '" : "", name ? name : "",
                     name ? "'" : "", why ? why : "") < 0)
                return -ENOMEM;
        *p->ret_error = e;
        return r;
}

static char *keyfile_strip(char *s) {
        char *end = s + strlen(s);

        while (end > s && strchr(" \t\r", end[-1]))
                *--end = 0;
        return s + strspn(s, " \t");
}

/* The length of the UTF-8 sequence at @s, 0 if it is none (RFC 3629: neither overlong nor a surrogate). */
static unsigned utf8_length(const unsigned char *s) {
        unsigned n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;
        static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        unsigned c;

        if (n == 1)
                return 1;
        if (n == 4 && (s[0] & 0xf8) != 0xf0)
                return 0;
        c = s[0] & (0x7fu >> n);
        for (unsigned i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3f);
        }
        return c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

static bool utf8_is_valid(const char *s) {
        for (unsigned n; *s; s += n) {
                n = utf8_length((const unsigned char *)s);
                if (n == 0)
                        return false;
        }
        return true;
}

/* Forwards what the handler said; @what and @name say what it was asked about. */
static int keyfile_judge(Parser *p, int r, const char *name, bool is_section, const char *why) {
        _cleanup_free_ char *text = NULL;

        if (r == 0)
                return 0;
        if (r == FB_E_UNKNOWN_OPTION)
                return keyfile_fail(p, -EINVAL, is_section ? "unknown section" : "unknown key", name, NULL);
        if (r > 0) {
                if (asprintf(&text, ": %s", why ? why : "bad value") < 0)
                        return -ENOMEM;
                return keyfile_fail(p, -EINVAL, "bad value for key", name, text);
        }
        if (asprintf(&text, ": %s", strerror(-r)) < 0)
                return -ENOMEM;
        return r == -ENOMEM ? r : keyfile_fail(p, r, "cannot take", name, text);
}

static int keyfile_take_section(Parser *p, char *s) {
        size_t n = strlen(s);
        const char *why = NULL;
        int r;

        if (s[n - 1] != ']')
                return keyfile_fail(p, -EINVAL, "a section line must end with ]", NULL, NULL);
        s[n - 1] = 0;
        p->section = keyfile_strip(s + 1);
        r = p->handler(p->section, NULL, NULL, p->line, p->userdata, &why);
        return keyfile_judge(p, r, p->section, true, why);
}

static int keyfile_take_line(Parser *p, char *s) {
        const char *why = NULL;
        char *value, *key;
        int r;

        if (!utf8_is_valid(s))
                return keyfile_fail(p, -EINVAL, "not UTF-8", NULL, NULL);
        s = keyfile_strip(s);
        if (!*s || *s == '#' || *s == ';')
                return 0;
        if (*s == '[')
                return keyfile_take_section(p, s);
        value = strchr(s, '=');
        if (!value || value == s)
                return keyfile_fail(p, -EINVAL, "neither [Section] nor Key=Value", NULL, NULL);
        if (!p->section)
                return keyfile_fail(p, -EINVAL, "a key before the first [Section]", NULL, NULL);
        *value++ = 0;
        key = keyfile_strip(s);
        value = keyfile_strip(value);
        r = p->handler(p->section, key, value, p->line, p->userdata, &why);
        return keyfile_judge(p, r, key, false, why);
}

int keyfile_parse_text(const char *path, const char *text, size_t size, keyfile_handler handler,
                       void *userdata, char **ret_error) {
        Parser p = { .path = path, .handler = handler, .userdata = userdata, .ret_error = ret_error };
        _cleanup_free_ char *copy = malloc(size + 1);

        if (!copy)
                return -ENOMEM;
        memcpy(copy, text, size);
        copy[size] = 0;
        for (char *s = copy; s < copy + size;) {
                char *end = memchr(s, '\n', (size_t)(copy + size - s));

                if (!end)
                        end = copy + size;
                *end = 0;
                p.line++;
                if (strlen(s) != (size_t)(end - s))
                        return keyfile_fail(&p, -EINVAL, "a NUL byte", NULL, NULL);
                fb_try(keyfile_take_line(&p, s));
                s = end + 1;
        }
        return 0;
}

static int keyfile_fail_file(const char *path, int r, const char *why, char **ret_error) {
        char *e = NULL;

        if (asprintf(&e, "%s: %s", path, why) < 0)
                return -ENOMEM;
        *ret_error = e;
        return r;
}

int keyfile_parse(const char *path, keyfile_handler handler, void *userdata, char **ret_error) {
        /* not blocking: it may be a fifo */
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size = 0;

        if (fd < 0 || fstat(fd, &st) < 0)
                return keyfile_fail_file(path, -errno, strerror(errno), ret_error);
        if (!S_ISREG(st.st_mode))
                return keyfile_fail_file(path, -EINVAL, "not a regular file", ret_error);
        text = malloc(KEYFILE_SIZE_MAX + 1);
        if (!text)
                return -ENOMEM;
        while (size <= KEYFILE_SIZE_MAX) {
                ssize_t n = read(fd, text + size, KEYFILE_SIZE_MAX + 1 - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return keyfile_fail_file(path, -errno, strerror(errno), ret_error);
                if (n == 0)
                        return keyfile_parse_text(path, text, size, handler, userdata, ret_error);
                size += (size_t)n;
        }
        return keyfile_fail_file(path, -EFBIG, "larger than 64 KiB", ret_error);
}
