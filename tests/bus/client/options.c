/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "window=u:4" → {"window": <uint32 4>}.
 *
 * It deliberately lets any key, type and value through: the broker is what is tested.
 */

#include "tests/bus/client/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/wire.h"

#define TRY(expression)                                                                                      \
        do {                                                                                                 \
                int _r = (expression);                                                                       \
                if (_r < 0)                                                                                  \
                        return _r;                                                                           \
        } while (0)

int options_add(Options *o, const char *text) {
        if (o->n == OPTIONS_MAX)
                return -E2BIG;
        o->texts[o->n++] = text;
        return 0;
}

int options_add_mode(Options *o, const char *text) {
        if (o->n_modes == OPTIONS_MAX)
                return -E2BIG;
        o->modes[o->n_modes++] = text;
        return 0;
}

static int basic_append(sd_bus_message *m, char type, const char *value) {
        uint64_t number = strtoull(value, NULL, 0);
        double real = strtod(value, NULL);

        switch (type) {
        case 's':
        case 'o':
        case 'g':
                return sd_bus_message_append_basic(m, type, value);
        case 'd':
                return sd_bus_message_append_basic(m, type, &real);
        case 'b':
                return sd_bus_message_append(m, "b", strcmp(value, "true") == 0 || number != 0);
        case 'y':
                return sd_bus_message_append(m, "y", (uint8_t)number);
        case 'n':
        case 'q':
                return sd_bus_message_append_basic(m, type, &(uint16_t){number});
        case 'i':
        case 'u':
                return sd_bus_message_append_basic(m, type, &(uint32_t){number});
        case 'x':
        case 't':
                return sd_bus_message_append_basic(m, type, &number);
        default:
                return -EINVAL;
        }
}

/* An array of one basic type, or a struct of u: values between commas or slashes. */
static int list_append(sd_bus_message *m, const char *type, const char *value) {
        _cleanup_free_ char *copy = strdup(value), *contents = strdup(type + 1);
        char kind = type[0] == '(' ? 'r' : 'a', element = type[1], *state = NULL;

        if (!copy || !contents)
                return -ENOMEM;
        if (kind == 'r')
                contents[strlen(contents) - 1] = '\0';
        TRY(sd_bus_message_open_container(m, kind, contents));
        for (char *p = strtok_r(copy, ",/", &state); p; p = strtok_r(NULL, ",/", &state))
                TRY(basic_append(m, element, p));
        return sd_bus_message_close_container(m);
}

static int option_append(sd_bus_message *m, const char *text) {
        const char *equals = strchr(text, '='), *colon = equals ? strchr(equals, ':') : NULL;
        _cleanup_free_ char *key = NULL, *type = NULL;

        if (!colon || colon == equals + 1)
                return -EINVAL;
        key = strndup(text, equals - text);
        type = strndup(equals + 1, colon - equals - 1);
        if (!key || !type)
                return -ENOMEM;
        TRY(sd_bus_message_open_container(m, 'e', "sv"));
        TRY(sd_bus_message_append_basic(m, 's', key));
        TRY(sd_bus_message_open_container(m, 'v', type));
        TRY(type[1] ? list_append(m, type, colon + 1) : basic_append(m, type[0], colon + 1));
        TRY(sd_bus_message_close_container(m));
        return sd_bus_message_close_container(m);
}

int options_append_mode(sd_bus_message *m, const char *mode) {
        uint32_t fourcc = 0, width = 0, height = 0, num = 0, den = 1;
        char name[5] = "    ";
        int n;

        n = strcspn(mode, ":");
        if (n > 4)
                return -EINVAL;
        memcpy(name, mode, n);
        for (size_t i = 4; i > 0; i--)
                fourcc = fourcc << 8 | (uint8_t)name[i - 1];
        if (mode[n] && sscanf(mode + n, ":%ux%u@%u/%u", &width, &height, &num, &den) < 2)
                return -EINVAL;

        TRY(sd_bus_message_open_container(m, 'a', "{sv}"));
        TRY(sd_bus_message_append(m, "{sv}", FB_KEY_FOURCC, "u", fourcc));
        if (width)
                TRY(sd_bus_message_append(m, "{sv}{sv}", FB_KEY_WIDTH, "u", width, FB_KEY_HEIGHT, "u",
                                          height));
        if (num)
                TRY(sd_bus_message_append(m, "{sv}", FB_KEY_RATE, "(uu)", num, den));
        return sd_bus_message_close_container(m);
}

int options_append_modes(sd_bus_message *m, const Options *o) {
        TRY(sd_bus_message_open_container(m, 'a', "a{sv}"));
        for (size_t i = 0; i < o->n_modes; i++)
                TRY(options_append_mode(m, o->modes[i]));
        return sd_bus_message_close_container(m);
}

int options_append(sd_bus_message *m, const Options *o) {
        TRY(sd_bus_message_open_container(m, 'a', "{sv}"));
        for (size_t i = 0; i < o->n; i++)
                TRY(option_append(m, o->texts[i]));
        if (o->n_modes > 0) {
                TRY(sd_bus_message_open_container(m, 'e', "sv"));
                TRY(sd_bus_message_append_basic(m, 's', FB_KEY_MODES));
                TRY(sd_bus_message_open_container(m, 'v', "aa{sv}"));
                TRY(options_append_modes(m, o));
                TRY(sd_bus_message_close_container(m));
                TRY(sd_bus_message_close_container(m));
        }
        return sd_bus_message_close_container(m);
}
