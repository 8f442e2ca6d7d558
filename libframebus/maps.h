/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mappings of leased memory, kept from one frame to the next in the same buffer: mapping costs a page fault
 * for every few pages that are looked at. What is kept without a frame in it is bounded in age, number and
 * bytes, as nobody tells when a buffer will not come back, and a mapping keeps its memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct Maps Maps; /* of one attachment, as the numbers of buffers are; NULL: none yet */
typedef struct Map Map;

/*
 * The mapping of memory number @memory of @buffer, which @fd_borrow is; of the whole file. The caller's until
 * map_put(). Negative errno: no memory, or what fstat(2) or mmap(2) failed with.
 */
int maps_get(Maps **maps, uint64_t buffer, uint32_t memory, int fd_borrow, Map **ret);
const void *map_get_data(const Map *m, size_t *ret_size);

/* Takes NULL, returns NULL. */
Map *map_put(Map *m);

/* Those that are not in use go now, the others when they are put. Takes NULL, returns NULL. */
Maps *maps_free(Maps *maps);
