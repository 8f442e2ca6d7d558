/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions that are asked once: framebus_list() and framebus_negotiate(). */
#pragma once

#include "libframebus/connection.h"
#include "libframebus/options.h"

typedef struct Query Query;
struct Query {
        framebus *fb;
        List link; // framebus::queries
        Waiter waiter;
        sd_bus_slot *call;
        framebus_list_callback on_list; /* one of the two */
        framebus_negotiate_callback on_negotiate;
        void *userdata;
        char *source; /* negotiate: name */
        Options options;
};

/* Without a callback. Takes NULL, returns NULL. */
Query *query_free(Query *q);
