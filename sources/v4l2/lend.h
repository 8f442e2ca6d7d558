/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What receivers get of a stream without a copy, and what becomes of the buffers.
 *
 * A buffer is lent until lend_end() or lend_retire(); lost is what is lent when the stream stops: receivers
 * may go on reading it, and nobody writes there.
 */
#pragma once

#include "sources/v4l2/stream.h"

/* A frame as memory that others can have. */
typedef struct Loan {
        uint64_t buffer; /* the set of descriptors; never 0 */
        int fds[BUFFER_MEMORIES_MAX];          /* borrowed */
        const void *data[BUFFER_MEMORIES_MAX]; /* the same, mapped */
        size_t n;
        struct framebus_plane planes[4];
        size_t n_planes;
} Loan;

/* Whether a frame that was read can be lent. *@ret_starved: no, as the driver needs its buffer. */
bool lend_judge(const Stream *s, const StreamFrame *f, bool *ret_starved);

/* It was copied for that reason. */
void lend_count_starved(Stream *s, const StreamFrame *f);

/* Says what it is. Nothing is lent by this. */
void lend_describe(Stream *s, const StreamFrame *f, Loan *ret);

/* It is lent from now on; instead of stream_return(). */
void lend_begin(Stream *s, const StreamFrame *f);

/* Nobody has @buffer any more: back to the driver. One that is not lent is left alone. Negative errno: the
 * stream is broken. */
int lend_end(Stream *s, uint64_t buffer);

/* The same, but what is in it must never change again. Sets Stream::wants_renewal where that needs new
 * buffers. What the driver is filling just now is read once more, and not lent then. */
int lend_retire(Stream *s, uint64_t buffer);

/* More receivers, or fewer: what they may hold together. As pool_grow(). */
int lend_grow(Stream *s, uint32_t n_lent);

/* All that receivers may know, for who has to tell them that it is gone. Returns how many. */
size_t lend_list(const Stream *s, uint64_t ret_buffers[POOL_SLOTS_MAX]);
