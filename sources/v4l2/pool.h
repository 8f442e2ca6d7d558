/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver's buffers and the memory behind them, in one of three ways. Where each buffer is: with the driver,
 * read, or lent to receivers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "sources/v4l2/buffer.h"

#define POOL_SLOTS_MAX 32u /* VIDEO_MAX_FRAME: what every driver can have */
#define POOL_TRIAL     UINT32_MAX
#define POOL_RESERVE   2u  /* buffers that stay with the driver at least, one being filled and the next */

typedef enum Way {
        WAY_COPY,    /* the driver's memory, which nobody else sees */
        WAY_USERPTR, /* memfds of a pool, which the driver writes into */
        WAY_EXPORT,  /* the driver's memory as read-only dma-bufs */
} Way;

typedef enum SlotPlace {
        SLOT_IDLE,   /* with nobody, as the stream is off */
        SLOT_QUEUED, /* with the driver */
        SLOT_READ,   /* taken from it, and not given back yet */
        SLOT_LENT,   /* with receivers */
        SLOT_SPENT,  /* never to be given to the driver again */
} SlotPlace;

typedef struct SlotMemory {
        void *start; /* NULL: not mapped */
        size_t length;
        int fd; /* what receivers get; -1: nothing */
} SlotMemory;

typedef struct Slot {
        SlotMemory memories[BUFFER_MEMORIES_MAX];
        uint64_t id; /* of this set of descriptors, never used again; 0: receivers do not know it */
        SlotPlace place;
        bool retired; /* not to be lent again */
} Slot;

/* Over all runs. */
typedef struct PoolCounts {
        uint64_t replaced;    /* buffers that got other memory, as theirs was retired */
        uint64_t sealed;      /* memories that never change again */
        uint64_t unsealed;    /* those that could not be sealed, as somebody else used their pages */
        uint64_t reallocated; /* how often all buffers were made anew */
        unsigned requeued;    /* buffers that the driver took at the second attempt only */
} PoolCounts;

typedef struct Pool {
        const Device *device;
        Way way;
        uint32_t n_memories;
        size_t sizes[BUFFER_MEMORIES_MAX]; /* what the driver wants of each memory */
        Slot slots[POOL_SLOTS_MAX];
        uint32_t n_slots;
        uint32_t reserve; /* at least so many stay with the driver */
        bool no_seals;    /* one could not be sealed, and that takes long to find out */
        PoolCounts counts;
} Pool;

/*
 * Gets buffers from the driver, all idle.
 * @sizes   as S_FMT said; used where the memory is ours
 * @n_lent  how many receivers may hold; on top of that there is what is needed to go on. POOL_TRIAL: one is
 *          enough, as there will be no stream
 * Errors: -ENOBUFS: fewer than two; else what the driver failed with. To be freed then, too.
 */
int pool_allocate(Pool *p, const Device *d, Way way, uint32_t n_memories, const size_t *sizes,
                  uint32_t n_lent);

/* Frees them in the driver, and closes and seals what is ours. What receivers hold stays as it is. Keeps
 * the counts. */
void pool_free(Pool *p);

/* More buffers for a larger @n_lent, in a stream that is on. A driver that cannot do that is left as it is;
 * negative errno: the stream is broken. */
int pool_grow(Pool *p, uint32_t n_lent);

/* V4L2_MEMORY_* */
uint32_t pool_get_memory(const Pool *p);

/* Gives a buffer to the driver. */
int pool_queue(Pool *p, uint32_t index);

/* The same with other memory behind it: what was there is never written again, and sealed. WAY_USERPTR
 * only. */
int pool_replace(Pool *p, uint32_t index);

uint32_t pool_count(const Pool *p, SlotPlace place);

/* NULL: there is none. */
Slot *pool_find(Pool *p, uint64_t id);
