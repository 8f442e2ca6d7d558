/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See keep.h. There is no way to ask sd-bus how many descriptors, or bytes, a message has. */
#include "wire/keep.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Reads over one complete value. 1; 0: the container ends here; FB_E_LIMIT: more than is @left. */
static int measure_value(sd_bus_message *m, size_t *left) {
        const char *contents, *text;
        size_t size = 16;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r;
        if (!contents && strchr("sog", type)) {
                r = sd_bus_message_read_basic(m, type, &text);
                size += r > 0 ? strlen(text) : 0;
        } else if (!contents)
                r = sd_bus_message_skip(m, (const char[]){ type, '\0' });
        else {
                r = sd_bus_message_enter_container(m, type, contents);
                size += strlen(contents);
                while (r > 0 && (r = measure_value(m, left)) == 1)
                        ;
                if (r == 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r < 0 || r == FB_E_LIMIT)
                return r;
        if (size > *left)
                return FB_E_LIMIT;
        *left -= size;
        return 1;
}

static int measure(sd_bus_message *m) {
        size_t left = KEEP_BYTES_MAX;
        int r = sd_bus_message_rewind(m, 1);

        while (r >= 0 && (r = measure_value(m, &left)) == 1)
                ;
        return r == 0 ? sd_bus_message_rewind(m, 1) : r;
}

static int copy_head(sd_bus_message *m, sd_bus_message **ret) {
        int r = sd_bus_message_new_method_call(sd_bus_message_get_bus(m), ret,
                                               sd_bus_message_get_destination(m), sd_bus_message_get_path(m),
                                               sd_bus_message_get_interface(m),
                                               sd_bus_message_get_member(m));

        if (r >= 0)
                r = sd_bus_message_set_sender(*ret, sd_bus_message_get_sender(m));
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(*ret, sd_bus_message_get_expect_reply(m));
        return r;
}

int message_keep(sd_bus_message *m, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *copy = NULL;
        uint64_t cookie;
        int r = measure(m);

        if (r > 0 && r == FB_E_LIMIT)
                return r;
        if (r >= 0)
                r = sd_bus_message_get_cookie(m, &cookie);
        if (r >= 0)
                r = copy_head(m, &copy);
        if (r >= 0)
                r = sd_bus_message_copy(copy, m, 1);
        if (r >= 0)
                r = sd_bus_message_seal(copy, cookie, 0);
        if (r >= 0)
                r = sd_bus_message_rewind(copy, 1);
        if (r >= 0)
                r = sd_bus_message_rewind(m, 1);
        if (r < 0)
                return r;
        *ret = take_ptr(copy);
        return 0;
}
