/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Room in the table of file descriptors for what the bus brings. sd-bus gives up the whole connection when it
 * reads a message whose descriptors find none. So a few are kept back, and given up for the time of one
 * message when there is no other room; a frame that comes then is not kept.
 */
#pragma once

#include <stdbool.h>

#include "interfaces/wire.h"

/* As many as a frame may have. */
#define ROOM_FDS FB_MEMORIES_MAX

typedef struct Room {
        int kept[ROOM_FDS];
        bool given; /* the message that comes now has the room that was kept */
} Room;

void room_init(Room *r);
void room_deinit(Room *r);

/* Before a message is read: sees to it that there is room, unless nothing is kept any more. @n: how many
 * descriptors it may bring, at most ROOM_FDS; two system calls each. @fd: any descriptor, to duplicate. */
void room_make(Room *r, unsigned int n, int fd);

/* After it, when what was not kept of it is closed again. */
void room_restore(Room *r, int fd);
