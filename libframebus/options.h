/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a subscriber asks for, kept for attaching again, and what it was granted. */
#pragma once

#include <systemd/sd-bus.h>

#include "libframebus/framebus.h"
#include "wire/codec.h"

typedef struct Options {
        enum framebus_transport transport;
        Mode *modes; /* owned */
        size_t n_modes;
        uint32_t window; /* 0: the broker's default */
        enum framebus_drop drop;
        Fraction max_rate; /* num 0: no limit */
        bool no_replay;
        MemoryList memories; /* not empty */
        enum framebus_order order;
} Options;

/* Copies and checks; @options NULL: all defaults. -EINVAL: out of range, no kind of memory or one that there
 * is not, or an unknown version; -ENOMEM. */
int options_init(Options *o, const struct framebus_subscribe_options *options);
void options_deinit(Options *o);

/* Whether @drop and @max_rate make sense and the window is 0 or in range. */
bool options_are_valid(uint32_t window, enum framebus_drop drop, struct framebus_fraction max_rate);

/* Appends the a{sv} of Negotiate, Subscribe and Attach. What is a default is not said. */
int options_append(sd_bus_message *m, const Options *o);

/* Appends the a{sv} of SetOptions: drop and max-rate always, window if it is not 0. */
int options_append_changes(sd_bus_message *m, const Options *o);

/* Appends the a{sv} of Share. -EINVAL: out of range, or an unknown version. */
int options_append_share(sd_bus_message *m, const struct framebus_share_options *options);

#define GRANTED_WORD_MAX 64

typedef struct Granted {
        struct framebus_granted granted; /* its strings point below */
        char drop[GRANTED_WORD_MAX], memory[GRANTED_WORD_MAX];
        char order[GRANTED_WORD_MAX], epoch[GRANTED_WORD_MAX];
        char commits[GRANTED_WORD_MAX]; /* object path; on the bus with causal order */
} Granted;

/* Reads a granted a{sv}; not to be moved afterwards. Negative errno: it is not one. */
int granted_read(sd_bus_message *m, Granted *ret);
