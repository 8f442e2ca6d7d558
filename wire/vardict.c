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
        if (strcmp(contents, k->signature) != 0)
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

static const VardictKey *find_key(const VardictKey *keys, size_t n, const char *key, size_t *ret_index) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(keys[i].key, key) == 0)
                        return *ret_index = i, &keys[i];
        return NULL;
}

int vardict_read(sd_bus_message *m, const VardictKey *keys, size_t n_keys, bool ignore_unknown, void *userdata,
                 VardictError *ret_error) {
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
                if (k && (seen & (UINT64_C(1) << i)))
                        return *ret_error = (VardictError){ key, "given once" }, FB_E_INVALID_OPTION;
                if (k)
                        seen |= UINT64_C(1) << i;
                if (k)
                        fb_try(read_value(m, k, userdata, ret_error));
                else if ((r = sd_bus_message_skip(m, "v")) < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}
