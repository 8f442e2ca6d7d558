/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON for machines that read framebusctl.
 *
 * Strings come from other people's programs: whatever bytes they hold, the line stays valid JSON in valid
 * UTF-8. Deliberately no tree and no reader: values go straight to the stream, whose error is looked at when
 * the line ends.
 */
#include "tools/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tools/text.h"

static void json_string_raw(Json *j, const char *s) {
        putc('"', j->f);
        while (*s) {
                size_t n = text_utf8_length(s);

                if (n == 0) {
                        fputs("\\ufffd", j->f);
                        s++;
                        continue;
                }
                if (n > 1)
                        fwrite(s, 1, n, j->f);
                else if (*s == '"' || *s == '\\')
                        fprintf(j->f, "\\%c", *s);
                else if (*s == '\n')
                        fputs("\\n", j->f);
                else if (*s == '\t')
                        fputs("\\t", j->f);
                else if ((unsigned char)*s < 0x20 || *s == 0x7f)
                        fprintf(j->f, "\\u%04x", (unsigned char)*s);
                else
                        putc(*s, j->f);
                s += n;
        }
        putc('"', j->f);
}

/* the comma that is due, and the key */
static void json_member(Json *j, const char *key) {
        assert(j->depth > 0);

        if (j->has_member[j->depth - 1])
                putc(',', j->f);
        j->has_member[j->depth - 1] = true;

        if (key) {
                json_string_raw(j, key);
                putc(':', j->f);
        }
}

static void json_open(Json *j, char bracket) {
        assert(j->depth < JSON_DEPTH_MAX);

        putc(bracket, j->f);
        j->has_member[j->depth++] = false;
}

static void json_close(Json *j, char bracket) {
        assert(j->depth > 0);

        j->depth--;
        putc(bracket, j->f);
}

void json_begin_line(Json *j, FILE *f) {
        *j = (Json){ .f = f };
        json_open(j, '{');
}

int json_end_line(Json *j) {
        json_close(j, '}');
        assert(j->depth == 0);
        putc('\n', j->f);
        return text_flush(j->f);
}

void json_begin_object(Json *j, const char *key) {
        json_member(j, key);
        json_open(j, '{');
}

void json_end_object(Json *j) {
        json_close(j, '}');
}

void json_begin_array(Json *j, const char *key) {
        json_member(j, key);
        json_open(j, '[');
}

void json_end_array(Json *j) {
        json_close(j, ']');
}

void json_string(Json *j, const char *key, const char *value) {
        json_member(j, key);
        if (value)
                json_string_raw(j, value);
        else
                fputs("null", j->f);
}

void json_uint(Json *j, const char *key, uint64_t value) {
        json_member(j, key);
        fprintf(j->f, "%" PRIu64, value);
}

void json_int(Json *j, const char *key, int64_t value) {
        json_member(j, key);
        fprintf(j->f, "%" PRId64, value);
}

void json_bool(Json *j, const char *key, bool value) {
        json_member(j, key);
        fputs(value ? "true" : "false", j->f);
}

void json_real(Json *j, const char *key, double value, unsigned decimals) {
        char buffer[64], *comma;

        json_member(j, key);
        if (!isfinite(value)) {
                fputs("null", j->f);
                return;
        }
        snprintf(buffer, sizeof(buffer), "%.*f", (int)decimals, value);
        comma = strchr(buffer, ',');
        if (comma)
                *comma = '.';
        fputs(buffer, j->f);
}
