/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that framebussink lends: memfds that only this process writes, by a mapping that stays. An allocator
 * of GStreamer's, so that any element can fill it in place.
 */
#pragma once

#include <gst/video/gstvideopool.h>

#include "gst/sender.h"

typedef struct Slot {
        GstMemory memory;
        int fd;
        void *data;   /* of the whole file */
        uint64_t id;  /* as of framebus_publisher_push_fds() */
        gint retired; /* atomic: never to be written again */
} Slot;

/* Its memory is told to @sender, which it has a reference to. */
GstAllocator *slot_allocator_new(Sender *sender);

/* The slot that @buffer is in, all of it; NULL: it is in other memory, or in several. */
Slot *slot_of_buffer(GstBuffer *buffer);

void slot_retire(Slot *slot);

/* A pool of raw pictures in slots of @allocator; what is retired leaves it. To be configured as any
 * GstVideoBufferPool. */
GstBufferPool *slot_pool_new(GstAllocator *allocator, GstCaps *caps, guint size, guint n_least);
