/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of memory, as programs name them: how large one is, how it is mapped, and the caches that
 * dma-bufs have. Nothing is judged here. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

#define MEMORY_BIT(kind) (1u << (kind))

/* A MEMORY_BIT() for each of @kinds; NULL: 0. -EINVAL: there is no such kind. */
int memory_read_kinds(const enum framebus_memory *kinds, size_t n, uint32_t *ret_mask);

/* Bytes of the file. Negative errno. */
int memory_get_size(enum framebus_memory kind, int fd_borrow, uint64_t *ret_size);

/*
 * Maps the first @size bytes, to be read. Of a memfd privately, which shows the same bytes as long as nobody
 * here writes: a shared mapping, even one for reading, keeps its owner from sealing it on kernels before 6.7,
 * which also refuse one of a sealed file.
 */
int memory_map(enum framebus_memory kind, int fd_borrow, size_t size, void **ret_data);

/* Brackets reading by the processor; nothing to do but for dma-bufs. Negative errno: what the device says. */
int memory_begin_read(enum framebus_memory kind, int fd_borrow);
void memory_end_read(enum framebus_memory kind, int fd_borrow);
