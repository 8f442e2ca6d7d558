/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Subscribing to what this program can make a picture of: the verbs that write files. */
#pragma once

#include "tools/client.h"

/* What to do about a format that cannot be taken. */
#define DECODABLE_OTHERWISE                                                                                  \
        "--mode asks for another format, `framebusctl show` tells which there are; for others a program "    \
        "that decodes or converts has to come between, see the section on formats in framebusctl(1)"

typedef struct Decodable {
        Client *client;
        struct framebus_subscribe_options options; /* to subscribe with, once ready */
        struct framebus_mode *modes;               /* owned; of the options, unless --mode named some */
        void (*ready)(void *userdata);
        void *userdata;
} Decodable;

/*
 * Calls ready() once the options are such that the frames can be decoded: at once if there are wishes of the
 * user's; else what the source would choose is asked for, and only if that cannot be decoded it becomes a
 * wish for what can. Ends the client if the broker refuses.
 */
void decodable_settle(Decodable *d);

void decodable_deinit(Decodable *d);
