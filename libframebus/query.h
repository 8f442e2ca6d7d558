/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions that are asked once: framebus_list(), framebus_negotiate(), and those about controls
 * (controls.c). */
#pragma once

#include "libframebus/connection.h"
#include "libframebus/options.h"
#include "wire/control.h"

typedef struct Query Query;
struct Query {
        framebus *fb;
        List link; // framebus::queries
        Waiter waiter;
        sd_bus_slot *call;
        framebus_list_callback on_list; /* one of the four */
        framebus_negotiate_callback on_negotiate;
        framebus_controls_callback on_controls;
        framebus_control_values_callback on_values;
        void *userdata;
        char *source; /* name; not of a list */
        Options options;
        char **ids; /* get: NULL-terminated */
        ControlSettings settings; /* set */
};

int query_new(framebus *fb, const char *source, void *userdata, Query **ret_query);
/* Sends it, now or when there is a bus. Takes @q over, also on failure. */
int query_start(Query *q);
/* The last callback, with an error. Frees it. */
void query_fail(Query *q, const struct framebus_error *error);
void query_fail_errno(Query *q, int r);

/* In controls.c: the source is @path at @owner. */
int controls_ask(Query *q, const char *owner, const char *path);

/* Without a callback. Takes NULL, returns NULL. */
Query *query_free(Query *q);
