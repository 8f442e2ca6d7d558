/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The option dictionaries of Source1 and Subscription1: reading, defaults, ranges, and what was granted. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "wire/codec.h"
#include "wire/mode.h"

typedef struct Options {
        Mode *wishes; /* owned */
        size_t n_wishes;
        uint32_t window;
        bool latest;
        MemoryList memories; /* that are accepted, the best first */
        uint32_t memory;     /* that is granted, FB_MEMORY_* */
        bool causal;
        Fraction max_rate;
        bool replay;
        const char *commits; /* in a message; SetOptions only; NULL: not said */
} Options;

#define OPTIONS_INIT                                                                                         \
        ((Options){.window = FB_WINDOW_DEFAULT,                                                              \
                   .replay = true,                                                                           \
                   .memories = {.n = 1, .kinds = {FB_MEMORY_SEALED}},                                        \
                   .max_rate = {0, 1}})

void options_clear(Options *o);

/* Reads a{sv} over the defaults in @o. Returns 0 or fills @ret_error with the key and what it may be. */
int options_read(sd_bus_message *m, Options *o, sd_bus_error *ret_error);

/* The same for SetOptions: only window, drop, max-rate and commits; @o holds what is in force. */
int options_read_changes(sd_bus_message *m, Options *o, sd_bus_error *ret_error);

/* The same for Share: window, drop, max-rate, memory, order and replay. */
int options_read_share(sd_bus_message *m, Options *o, sd_bus_error *ret_error);

/* What a subscription may ask for at most. Zeros: whatever there is. */
typedef struct Bounds {
        uint32_t window;
        Fraction max_rate;
} Bounds;

/* Whether @o stays within. 0 or fills @ret_error. */
int options_check_bounds(const Options *o, const Bounds *bounds, sd_bus_error *ret_error);

/* With order=causal nothing is sent late, and so nothing is held for later. */
static inline void options_settle(Options *o) {
        o->latest = o->latest && !o->causal;
}

typedef struct Granted {
        Mode mode;
        uint64_t seq;
        const char *epoch;
        const char *commits; /* a path, or NULL */
} Granted;

/* Appends what is granted as a{sv}. @granted NULL: only what SetOptions can change. */
int options_append_granted(sd_bus_message *m, const Options *o, const Granted *granted);
