/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leased memory of fb-publisher: memfds that are written in place, by the rules or against them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interfaces/wire.h"

typedef struct PoolSlot {
        uint64_t id; /* 0: none */
        uint64_t seq; /* of the frame that it is lent with; 0: free */
        uint64_t size;
        uint8_t *data; /* mapped for writing */
        int fd;
        bool retired;
} PoolSlot;

typedef struct Pool {
        PoolSlot slots[FB_BUFFERS_MAX];
        uint64_t last_id, n_made, n_retired;
} Pool;

/* A free slot of @size bytes, made if there are fewer than @n_max that are not retired. -EAGAIN: all are
 * lent. */
int pool_get(Pool *p, uint64_t size, size_t n_max, PoolSlot **ret);
bool pool_has_room(const Pool *p, size_t n_max);

/* Frame @seq was released. A slot that was retired ends: it can be sealed now, else a negative errno. */
int pool_released(Pool *p, uint64_t seq);

/* Never to be written again. -ENOENT: there is no such slot. */
int pool_retire(Pool *p, uint64_t id);

/* Frees all that are not lent; their ids. */
size_t pool_forget(Pool *p, uint64_t ret_ids[static FB_BUFFERS_MAX]);

size_t pool_count(const Pool *p, bool lent);
void pool_done(Pool *p);
