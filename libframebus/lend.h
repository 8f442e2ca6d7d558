/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a publisher lends: its buffers, by the numbers that the program gave them, and when they are the
 * program's again. A buffer is lent from the push on until the broker gives the frame back, or, when only a
 * copy of it was sent, until framebus_process() runs next.
 */
#pragma once

#include <systemd/sd-event.h>

#include "interfaces/wire.h"
#include "libframebus/framebus.h"
#include "wire/codec.h"

typedef struct LentMemory {
        uint64_t size;
        void *map; /* NULL: not mapped by the library */
        size_t map_size;
} LentMemory;

typedef struct LentBuffer {
        uint64_t id; /* 0: a free place */
        bool lent;
        uint64_t seq; /* of the frame that the broker has; 0: it has none, and `due` tells */
        bool known;   /* to the broker */
        bool retired; /* when it comes back it goes for good */
        LentMemory memories[FB_MEMORIES_MAX];
} LentBuffer;

typedef struct Lending {
        LentBuffer buffers[FB_BUFFERS_MAX];
        uint64_t retired[FB_BUFFERS_MAX]; /* the last ones, a ring: one frame of each may still come */
        size_t next_retired;
        sd_event_source *due; /* on while buffers that the broker does not have are to be told as released */

        uint32_t offered;   /* kinds that were said, sealed not among them */
        uint32_t wanted;    /* kinds that are needed */
        uint32_t n_buffers; /* how many the receivers may hold */
        Mode mode;          /* of the last Start */
} Lending;

/* Unmaps all; nothing is told. */
void lending_clear(framebus_publisher *pub);

/* What is offered, besides sealed memory: notes it, and says it. -EINVAL */
int lending_offer(framebus_publisher *pub, const enum framebus_memory *memories, size_t n_memories);
int lending_describe(framebus_publisher *pub);

/* Start: tells `memories` if that is news. Whether there is anything else to tell. */
bool lending_started(framebus_publisher *pub, const Start *start);
void lending_stopped(framebus_publisher *pub);

/*
 * The buffer of a frame that is to be pushed, known from now on.
 * Errors: -EINVAL: number 0; -EBUSY; -ENOBUFS; what asking for the sizes failed with.
 */
int lending_get(framebus_publisher *pub, const struct framebus_push_info *info, const int *fds, size_t n_fds,
                LentBuffer **ret_buffer);
/* It was not pushed after all: what nobody else knows is forgotten. */
void lending_put(framebus_publisher *pub, LentBuffer *b);

/* The broker has it, with frame @seq, or (0) nobody. Negative errno: with 0 only. */
int lending_lend(framebus_publisher *pub, LentBuffer *b, uint64_t seq);

/* Frame @seq came back. */
void lending_released(framebus_publisher *pub, uint64_t seq);
void lending_on_retire(framebus_publisher *pub, sd_bus_message *m);
