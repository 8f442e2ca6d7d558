/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stricter than the specification where that is short: fields that nobody has defined are refused. */
#include "wire/header.h"

#include <endian.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"

#define SIGNATURE_DEPTH_MAX 16u

enum {
        PATH = 1,
        INTERFACE,
        MEMBER,
        ERROR_NAME,
        REPLY_SERIAL,
        DESTINATION,
        SENDER,
        SIGNATURE,
        UNIX_FDS,
        N_FIELDS
};

typedef struct Fields {
        const uint8_t *bytes;
        uint64_t at, end;
        const char *strings[N_FIELDS];
        uint32_t numbers[N_FIELDS];
        bool seen[N_FIELDS];
} Fields;

static uint32_t number_at(const uint8_t *bytes, uint64_t at) {
        uint32_t v;

        memcpy(&v, bytes + at, sizeof v);
        return bytes[0] == 'l' ? le32toh(v) : be32toh(v);
}

bool header_read(const uint8_t *bytes, Header *ret) {
        uint32_t fields;

        if ((bytes[0] != 'l' && bytes[0] != 'B') || bytes[1] < SD_BUS_MESSAGE_METHOD_CALL ||
            bytes[1] > SD_BUS_MESSAGE_SIGNAL || bytes[3] != 1)
                return false;
        fields = number_at(bytes, 12);
        *ret = (Header){ .serial = number_at(bytes, 8) };
        ret->n_header = (HEADER_FIXED_BYTES + (uint64_t)fields + 7) / 8 * 8;
        ret->total = ret->n_header + number_at(bytes, 4);
        /* sd-bus reads as far as the first field at once */
        return fields > 0 && ret->serial != 0;
}

static const char *skip_type(const char *s, unsigned int depth) {
        if (depth > SIGNATURE_DEPTH_MAX || !*s)
                return NULL;
        if (strchr("ybnqiuxtdhsogv", *s))
                return s + 1;
        if (s[0] == 'a' && s[1] == '{') {
                if (!s[2] || !strchr("ybnqiuxtdhsog", s[2]))
                        return NULL;
                s = skip_type(s + 3, depth + 1);
                return s && *s == '}' ? s + 1 : NULL;
        }
        if (s[0] == 'a')
                return skip_type(s + 1, depth + 1);
        if (s[0] != '(')
                return NULL;
        for (s++; s && *s != ')';)
                s = skip_type(s, depth + 1);
        return s && s[-1] != '(' ? s + 1 : NULL;
}

static bool signature_is_valid(const char *s) {
        while (s && *s)
                s = skip_type(s, 0);
        return s;
}

/* What fills up to @alignment is zero. */
static bool align_to(Fields *f, unsigned int alignment) {
        for (; f->at % alignment != 0; f->at++)
                if (f->at >= f->end || f->bytes[f->at] != 0)
                        return false;
        return true;
}

static bool read_string(Fields *f, uint64_t length, const char **ret) {
        if (f->end - f->at <= length || f->bytes[f->at + length] != 0 ||
            memchr(f->bytes + f->at, 0, length))
                return false;
        *ret = (const char *)f->bytes + f->at;
        f->at += length + 1;
        return true;
}

static bool read_number(Fields *f, uint32_t *ret) {
        if (!align_to(f, 4) || f->end - f->at < 4)
                return false;
        *ret = number_at(f->bytes, f->at);
        f->at += 4;
        return true;
}

static bool read_field(Fields *f) {
        static const char types[N_FIELDS] = { 0, 'o', 's', 's', 's', 'u', 's', 's', 'g', 'u' };
        uint32_t length;
        uint8_t code;

        if (!align_to(f, 8) || f->end - f->at < 4)
                return false;
        code = f->bytes[f->at];
        if (code == 0 || code >= N_FIELDS || f->seen[code] || f->bytes[f->at + 1] != 1 ||
            f->bytes[f->at + 2] != types[code] || f->bytes[f->at + 3] != 0)
                return false;
        f->seen[code] = true;
        f->at += 4;
        if (types[code] == 'u')
                return read_number(f, &f->numbers[code]);
        if (types[code] == 'g') {
                if (f->at >= f->end)
                        return false;
                length = f->bytes[f->at++];
        } else if (!read_number(f, &length))
                return false;
        return read_string(f, length, &f->strings[code]);
}

static bool strings_are_valid(const Fields *f) {
        const char *const *s = f->strings;

        return (!s[PATH] || sd_bus_object_path_is_valid(s[PATH]) > 0) &&
               (!s[INTERFACE] || sd_bus_interface_name_is_valid(s[INTERFACE]) > 0) &&
               (!s[MEMBER] || sd_bus_member_name_is_valid(s[MEMBER]) > 0) &&
               (!s[ERROR_NAME] || sd_bus_interface_name_is_valid(s[ERROR_NAME]) > 0) &&
               (!s[DESTINATION] || sd_bus_service_name_is_valid(s[DESTINATION]) > 0) &&
               (!s[SENDER] || sd_bus_service_name_is_valid(s[SENDER]) > 0) &&
               (!s[SIGNATURE] || signature_is_valid(s[SIGNATURE]));
}

static bool is_local(const char *s) {
        return s && (strcmp(s, "/org/freedesktop/DBus/Local") == 0 ||
                     strcmp(s, "org.freedesktop.DBus.Local") == 0);
}

static bool has_what_it_needs(const Fields *f, uint8_t type) {
        bool replies = f->seen[REPLY_SERIAL] && f->numbers[REPLY_SERIAL] != 0;

        if (f->seen[REPLY_SERIAL] && !replies)
                return false;
        if (is_local(f->strings[PATH]) || is_local(f->strings[INTERFACE]) || is_local(f->strings[SENDER]))
                return false;
        switch (type) {
        case SD_BUS_MESSAGE_METHOD_CALL:
                return f->seen[PATH] && f->seen[MEMBER];
        case SD_BUS_MESSAGE_SIGNAL:
                return f->seen[PATH] && f->seen[INTERFACE] && f->seen[MEMBER];
        case SD_BUS_MESSAGE_METHOD_ERROR:
                return replies && f->seen[ERROR_NAME];
        default:
                return replies;
        }
}

bool header_check(const uint8_t *bytes, Header *h) {
        Fields f = { .bytes = bytes, .at = HEADER_FIXED_BYTES };

        f.end = HEADER_FIXED_BYTES + (uint64_t)number_at(bytes, 12);
        while (f.at < f.end)
                if (!read_field(&f))
                        return false;
        f.end = h->n_header;
        if (!align_to(&f, 8) || !strings_are_valid(&f) || !has_what_it_needs(&f, bytes[1]))
                return false;
        /* without a body there is no signature, and with one there is */
        if ((h->total > h->n_header) != (f.strings[SIGNATURE] && f.strings[SIGNATURE][0]))
                return false;
        h->n_fds = f.numbers[UNIX_FDS];
        return true;
}
