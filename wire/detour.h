/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A message that is taken from its socket byte by byte, its descriptors counted, and put into another
 * socket, from which sd-bus reads it under the number of its own: so that it gets this and nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one message, as dbus-daemon has it. */
#define DETOUR_FDS_MAX 16u

typedef struct Detour {
        uint8_t *bytes;
        size_t n, size; /* size 0: no message is on its way */
        int fds[DETOUR_FDS_MAX];
        unsigned n_fds;
        bool takes_fds;
} Detour;

/* @takes_fds: for one that is there to its end, so that what it brings does not stay here. */
int detour_begin(Detour *d, size_t size, bool takes_fds);
void detour_end(Detour *d);

/* 1: all of it was taken from @fd; 0: there is no more for now; negative: what came is no message, has other
 * descriptors than it speaks of, or too many; or the other end hung up. */
int detour_gather(Detour *d, int fd, uint32_t *ret_serial);

/* From here on @bus_fd stands for a socket with the message in it and nothing else. */
int detour_enter(const Detour *d, int bus_fd);
