/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the test programs on libframebus share: a loop with commands on stdin, and pictures that say which
 * they are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

typedef struct LibLoop {
        framebus *fb;
        void (*command)(char **words, void *userdata); /* a line, cut at spaces, ending with NULL */
        /* Runs when there is nothing else to do, and at @due_ns (UINT64_MAX: never) at the latest. */
        void (*work)(void *userdata);
        void *userdata;
        uint64_t due_ns;
        bool quit;
} LibLoop;

/* Until `quit`, SIGTERM or an error of the connection. 0, or its negative errno. */
int lib_loop_run(LibLoop *loop);

/* A picture of @n words all of which are its number; what was seen of one: 0 if it is torn. */
void stamp_write(void *data, size_t n_words, uint64_t stamp);
uint64_t stamp_read(const void *data, size_t n_words);
