/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Printing strings that somebody else wrote: descriptions, drivers, reasons, messages of errors.
 * Deliberately without wcwidth(): a table whose last column is the free text needs no more than a count of
 * characters.
 */
#include "tools/text.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

size_t text_utf8_length(const char *s) {
        const unsigned char *p = (const unsigned char *)s;
        uint32_t c;
        size_t n;

        if (p[0] < 0x80)
                return p[0] ? 1 : 0;
        if ((p[0] & 0xe0) == 0xc0)
                n = 2;
        else if ((p[0] & 0xf0) == 0xe0)
                n = 3;
        else if ((p[0] & 0xf8) == 0xf0)
                n = 4;
        else
                return 0;

        c = p[0] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0; /* the terminating NUL, too */
                c = c << 6 | (p[i] & 0x3fu);
        }

        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        return n;
}

/* a character that is printed as it stands */
static bool is_printable(const char *s, size_t n) {
        const unsigned char *p = (const unsigned char *)s;

        if (n == 1)
                return p[0] >= 0x20 && p[0] != 0x7f;
        return n > 2 || (n == 2 && !(p[0] == 0xc2 && p[1] < 0xa0)); /* U+0080 to U+009F are C1 */
}

size_t text_print(FILE *f, const char *s) {
        size_t n_characters = 0;

        while (s && *s) {
                size_t n = text_utf8_length(s);

                if (is_printable(s, n))
                        fwrite(s, 1, n, f);
                else
                        putc('?', f);
                s += n > 0 ? n : 1;
                n_characters++;
        }
        return n_characters;
}

size_t text_width(const char *s) {
        size_t n_characters = 0;

        while (s && *s) {
                size_t n = text_utf8_length(s);

                s += n > 0 ? n : 1;
                n_characters++;
        }
        return n_characters;
}

void text_print_padded(FILE *f, const char *s, size_t width) {
        for (size_t n = text_print(f, s); n < width; n++)
                putc(' ', f);
}

int text_flush(FILE *f) {
        struct pollfd pfd = { .fd = fileno(f) };

        if (fflush(f) < 0)
                return -errno;
        if (!ferror(f))
                return 0;

        /* An earlier write failed, and its errno is gone: a pipe without a reader can still be told from the
         * rest. */
        return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLERR) ? -EPIPE : -EIO;
}
