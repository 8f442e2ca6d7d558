/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/vardict.h"

#include <stdint.h>
#include <string.h>

#include "base/error.h"

/* The position is inside of the dict entry, behind the key. */
static int read_value(sd_bus_message *m, const VardictKey *k, void *userdata, VardictError *ret_error) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        if (type != SD_BUS_TYPE_VARIANT)
                return -EBADMSG;
        *ret_error = (VardictError){ k->key, k->signature };
        if (k->signature && strcmp(contents, k->signature) != 0)
                return FB_E_INVALID_OPTION;
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
        if (r < 0)
                return r;
        ret_error->expected = NULL;
        r = k->read(m, userdata);
        if (r != 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

/* Takes @size bytes off what is left. */
static int take_size(size_t *left, size_t size) {
        if (size > *left)
                return -EMSGSIZE;
        *left -= size;
        return 1;
}

/*
 * Reads over one complete value, also what is in a variant of a variant, until @left is used up.
 * Returns 1; 0: the container ends here; -EMSGSIZE: too much, or a descriptor.
 */
static int skip_value(sd_bus_message *m, size_t *left) {
        const char *contents;
        union {
                uint64_t number;
                const char *string;
        } v;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r;
        if (type == SD_BUS_TYPE_UNIX_FD)
                return -EMSGSIZE;
        if (!contents) {
                r = sd_bus_message_read_basic(m, type, &v);
                return r < 0 ? r : take_size(left, strchr("sog", type) ? strlen(v.string) + 4 : 8);
        }
        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        while ((r = skip_value(m, left)) > 0)
                ;
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : take_size(left, 4 + strlen(contents));
}

static int skip_unknown(sd_bus_message *m, const char *key, size_t *left, VardictError *ret_error) {
        int r = left ? skip_value(m, left) : sd_bus_message_skip(m, "v");

        if (r == -EMSGSIZE)
                return *ret_error = (VardictError){ key, NULL }, FB_E_INVALID_OPTION;
        return r < 0 ? r : 0;
}

static const VardictKey *find_key(const VardictKey *keys, size_t n, const char *key, size_t *ret_index) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(keys[i].key, key) == 0)
                        return *ret_index = i, &keys[i];
        return NULL;
}

/* @left  bytes that may come, or NULL: not counted */
static int read_entries(sd_bus_message *m, const VardictKey *keys, size_t n_keys, bool ignore_unknown,
                        size_t *left, void *userdata, VardictError *ret_error) {
        uint64_t seen = 0;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                const VardictKey *k;
                const char *key;
                size_t i = 0;

                r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &key);
                if (r < 0)
                        return r;
                k = find_key(keys, n_keys, key, &i);
                if (!k && !ignore_unknown)
                        return *ret_error = (VardictError){ key, NULL }, FB_E_UNKNOWN_OPTION;
                if (left && take_size(left, 16 + strlen(key)) < 0)
                        return *ret_error = (VardictError){ key, NULL }, FB_E_INVALID_OPTION;
                if (k && (seen & (UINT64_C(1) << i)))
                        return *ret_error = (VardictError){ key, "given once" }, FB_E_INVALID_OPTION;
                if (k)
                        seen |= UINT64_C(1) << i;
                fb_try(k ? read_value(m, k, userdata, ret_error) : skip_unknown(m, key, left, ret_error));
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

int vardict_read(sd_bus_message *m, const VardictKey *keys, size_t n_keys, bool ignore_unknown,
                 void *userdata, VardictError *ret_error) {
        return read_entries(m, keys, n_keys, ignore_unknown, NULL, userdata, ret_error);
}

int vardict_read_bounded(sd_bus_message *m, const VardictKey *keys, size_t n_keys, size_t size_max,
                         void *userdata, VardictError *ret_error) {
        return read_entries(m, keys, n_keys, true, &size_max, userdata, ret_error);
}
