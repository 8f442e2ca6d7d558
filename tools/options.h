/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of framebusctl: those that every verb takes and those that only some do. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libframebus/framebus.h"

#define OPTIONS_MODES_MAX    32u
#define OPTIONS_MEMORIES_MAX 3u

typedef struct Options {
        const char *address; /* as framebus_open() */
        bool json;
        enum framebus_transport transport;
        uint32_t window; /* 0: the broker's default */
        enum framebus_drop drop;
        enum framebus_order order;
        struct framebus_fraction max_rate;
        struct framebus_mode modes[OPTIONS_MODES_MAX];
        size_t n_modes;
        enum framebus_memory memories[OPTIONS_MEMORIES_MAX];
        size_t n_memories;   /* 0: the library's choice */
        uint64_t timeout_ns; /* 0: none */
        bool has_timeout;    /* given by the user */

        uint64_t seconds_ns; /* 0: no limit */
        uint64_t frames;     /* 0: no limit */
        bool no_fill;
        const char *description;
        const char *rate; /* as written */
        bool loop, fast, pause;
        bool watch;
        bool explain, reload;
} Options;

/* The verbs that an option which is not for all belongs to; bits of OptionSet. */
typedef enum OptionSet {
        OPTIONS_COMMON = 0,
        OPTIONS_LIMITS = 1 << 0,  /* --seconds, --frames */
        OPTIONS_RECORD = 1 << 1,  /* --no-fill */
        OPTIONS_PUBLISH = 1 << 2, /* --description, --loop, --fast, --pause, --rate */
        OPTIONS_CONTROLS = 1 << 3, /* --watch */
        OPTIONS_ACCESS = 1 << 4,   /* --explain, --reload */
} OptionSet;

typedef enum OptionsResult {
        OPTIONS_RUN,
        OPTIONS_HELP,
        OPTIONS_VERSION,
} OptionsResult;

/*
 * Parses argv[1…]; words that are no options stay in order: argv[*ret_first] to argv[argc - 1] afterwards.
 * @allowed   options of other sets are mistakes; before the verb is known: all
 * @ret_why   with -EINVAL: what is wrong, in words, owned by the caller: free(); NULL if there was no memory
 * Returns an OptionsResult or -EINVAL.
 */
int options_parse(Options *o, int argc, char **argv, unsigned allowed, int *ret_first, char **ret_why);

/* Prints the options of a verb. */
void options_print_help(FILE *f, unsigned allowed);

/* What a subscriber asks for; refers to @o. */
struct framebus_subscribe_options options_to_subscribe(const Options *o);
