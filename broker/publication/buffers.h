/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The buffers that a publisher lends, leased memory and dma-bufs, by its own ids: what they are, who has
 * them. Knows no bus and no clock.
 *
 * A buffer is lent from its frame on until the last reference to that frame is dropped. Frames may outlive
 * the publication; then nobody is told. The descriptors are those that came first: an id that comes back with
 * another file is refused. Receivers see ids that the broker made, never one twice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

typedef struct Buffers Buffers;

typedef struct BuffersHandler {
        /* Frame @seq (the publisher's number) is with nobody any more, nor is its buffer. */
        void (*returned)(uint64_t seq, void *userdata);
        /* In this slot (see Frame::slot) there is another buffer from now on. */
        void (*renewed)(uint64_t slot, void *userdata);
        /* All buffers have so many bytes and descriptors from now on. If these grow: FB_E_LIMIT and why, and
         * then they do not. NULL: they may. */
        int (*resized)(uint64_t bytes, uint32_t n_fds, const char **ret_why, void *userdata);
} BuffersHandler;

/* NULL: no memory. */
Buffers *buffers_new(const BuffersHandler *handler, void *userdata);

/* The publisher is gone: the book lives until the last frame has come back, and tells nobody. Takes NULL,
 * returns NULL. */
Buffers *buffers_free(Buffers *b);

/*
 * Makes of @f, which was judged (import.h), the frame for receivers: with descriptors and a buffer id of the
 * broker's.
 * FB_E_INVALID_FRAME: the buffer is lent, or was retired. FB_E_INVALID_MEMORY: the id was that of other
 * memory. FB_E_GONE: it was under way in a buffer that was taken back. FB_E_LIMIT: more than
 * FB_BUFFERS_MAX buffers, `resized` said so, or no more descriptors here. With @ret_why, for people.
 */
int buffers_lend(Buffers *b, const Frame *f, Frame **ret, const char **ret_why);

/*
 * The publisher is to write these slots never again. @ret_ids: the buffers, by its ids, that it is to be told
 * of: before anything else, as those that are lent come back with the last reference.
 * One that is not lent may be under way with a frame: that is taken, once. Not if @revoked, nor in those that
 * were retired before.
 * Returns how many.
 */
size_t buffers_retire(Buffers *b, uint64_t slots, bool revoked, uint64_t ret_ids[static FB_BUFFERS_MAX]);

/* The publisher has freed them: they are dropped as soon as nobody has them. Ids that are unknown are
 * ignored. */
void buffers_forget(Buffers *b, const uint64_t *ids, size_t n);

/* How many are lent; of those that the publisher counts as lent others are on their way to it. */
size_t buffers_get_n_lent(const Buffers *b);

/* How many are known. */
size_t buffers_get_n(const Buffers *b);
