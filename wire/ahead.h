/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looks at the messages that lie unread in a socket, so that sd-bus is given good and whole ones only: it
 * would keep the first half of one, and the descriptors that came with it, for as long as the sender likes;
 * and of a bad one the descriptors for ever.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AHEAD_MAX 32u

typedef enum AheadState {
        AHEAD_NOTHING,
        AHEAD_WHOLE,    /* Ahead::n messages are there to their ends */
        AHEAD_HALF,     /* the first one is not */
        AHEAD_END,      /* the other end hung up, or the socket is broken; nothing is left to read */
        AHEAD_TOO_LONG, /* the first one is announced as longer than FB_MESSAGE_MAX */
        AHEAD_BROKEN,   /* that is no D-Bus, or its descriptors are not those that it speaks of */
} AheadState;

typedef struct Ahead {
        unsigned int n;
        bool doubt;    /* the first one may have other descriptors than it speaks of */
        uint32_t size; /* of the first one; 0: not known, or AHEAD_HALF with descriptors */
        uint32_t need; /* AHEAD_HALF: nothing changes before so many bytes are there */
        uint32_t serials[AHEAD_MAX]; /* strictly ascending: by them one sees that sd-bus took this one */
} Ahead;

/* Takes nothing from @fd. One system call, and one more for each descriptor and for what is unusual. @a: what
 * the last look said, at first zeros; n is 0 but for AHEAD_WHOLE, need but for AHEAD_HALF. */
AheadState ahead_look(int fd, Ahead *a);
