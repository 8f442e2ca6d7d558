/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events of the test programs as JSON lines.
 *
 * Invariant: a line is written at once, so that a reader never sees a part of one.
 * It deliberately keeps no state but the output's.
 */

#include "tests/bus/client/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static int value_print(sd_bus_message *m);

static void string_print(const char *s) {
        if (!s) {
                fputs("null", stdout);
                return;
        }
        putchar('"');
        for (; *s; s++)
                if (*s == '"' || *s == '\\')
                        printf("\\%c", *s);
                else if ((unsigned char)*s < 0x20)
                        printf("\\u%04x", *s);
                else
                        putchar(*s);
        putchar('"');
}

static void key_print(const char *key) {
        fputs(", ", stdout);
        string_print(key);
        fputs(": ", stdout);
}

void json_begin(const char *event) {
        fputs("{\"event\": ", stdout);
        string_print(event);
        json_u64("t", clock_now_ns());
}

void json_end(void) {
        fputs("}\n", stdout);
        fflush(stdout);
}

void json_string(const char *key, const char *value) {
        key_print(key);
        string_print(value);
}

void json_u64(const char *key, uint64_t value) {
        key_print(key);
        printf("%" PRIu64, value);
}

void json_i64(const char *key, int64_t value) {
        key_print(key);
        printf("%" PRId64, value);
}

void json_bool(const char *key, bool value) {
        key_print(key);
        fputs(value ? "true" : "false", stdout);
}

void json_u64_array(const char *key, const uint64_t *values, size_t n) {
        key_print(key);
        putchar('[');
        for (size_t i = 0; i < n; i++)
                printf("%s%" PRIu64, i ? ", " : "", values[i]);
        putchar(']');
}

void json_string_array(const char *key, const char *const *values, size_t n) {
        key_print(key);
        putchar('[');
        for (size_t i = 0; i < n; i++) {
                fputs(i ? ", " : "", stdout);
                string_print(values[i]);
        }
        putchar(']');
}

static int basic_print(sd_bus_message *m, char type) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
                int b, h;
        } v = {0};
        int r;

        r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;
        switch (type) {
        case 'y':
                printf("%u", v.y);
                break;
        case 'n':
                printf("%d", v.n);
                break;
        case 'q':
                printf("%u", v.q);
                break;
        case 'i':
                printf("%" PRId32, v.i);
                break;
        case 'u':
                printf("%" PRIu32, v.u);
                break;
        case 'x':
                printf("%" PRId64, v.x);
                break;
        case 't':
                printf("%" PRIu64, v.t);
                break;
        case 'd':
                printf("%.17g", v.d);
                break;
        case 'b':
                fputs(v.b ? "true" : "false", stdout);
                break;
        case 'h':
                fputs("null", stdout);
                break;
        default:
                string_print(v.s);
        }
        return 0;
}

/* {key: value} of one dictionary entry, without the braces */
static int entry_print(sd_bus_message *m, const char *contents) {
        int r;

        r = sd_bus_message_enter_container(m, 'e', contents);
        if (r < 0)
                return r;
        r = value_print(m);
        if (r < 0)
                return r;
        fputs(": ", stdout);
        r = value_print(m);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

static int container_print(sd_bus_message *m, char type, const char *contents) {
        bool dict = type == 'a' && contents[0] == '{';
        char entry[256];
        int r;

        snprintf(entry, sizeof(entry), "%.*s", dict ? (int)strlen(contents) - 2 : 0, contents + 1);
        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        if (type != 'v')
                putchar(dict ? '{' : '[');
        for (bool first = true; (r = sd_bus_message_at_end(m, false)) == 0; first = false) {
                if (!first)
                        fputs(", ", stdout);
                r = dict ? entry_print(m, entry) : value_print(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        if (type != 'v')
                putchar(dict ? '}' : ']');
        return sd_bus_message_exit_container(m);
}

static int value_print(sd_bus_message *m) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        return contents ? container_print(m, type, contents) : basic_print(m, type);
}

int json_message(const char *key, sd_bus_message *m) {
        key_print(key);
        return value_print(m);
}
