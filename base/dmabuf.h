/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dma-bufs that travel: memory of a device, which cannot be sealed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether @fd_borrow is a dma-buf, whatever may be done with it. */
bool dmabuf_is(int fd_borrow);

/*
 * Judges a descriptor that somebody else passed as a dma-buf that one may look at. It may be open for writing
 * as well, as those of udmabuf always are: that is for its exporter to decide.
 * Returns 0 and its size; FB_E_INVALID_MEMORY if it is no dma-buf (Linux 5.3 is needed to tell) or cannot be
 * read (O_PATH). @ret_why says which, for people.
 */
int dmabuf_judge(int fd_borrow, uint64_t *ret_size, const char **ret_why);

/* DMA_BUF_IOCTL_SYNC around what the processor reads by a mapping: @begin true before, false after. Negative
 * errno. */
int dmabuf_sync_read(int fd_borrow, bool begin);
