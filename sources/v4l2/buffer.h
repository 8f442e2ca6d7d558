/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A v4l2_buffer of either interface.
 *
 * The two differ in how a buffer's memories are told: in the buffer itself or in an array of planes. Here it
 * is always the array, packed into the buffer and unpacked from it for the single-planar one.
 */
#pragma once

#include "sources/v4l2/device.h"

#define BUFFER_MEMORIES_MAX 4u /* that are used */

/* Not to be copied. */
typedef struct Buffer {
        struct v4l2_buffer b;
        struct v4l2_plane planes[VIDEO_MAX_PLANES];
} Buffer;

/* @memory: V4L2_MEMORY_* */
void buffer_init(Buffer *b, const Device *d, uint32_t memory, uint32_t index);

/* QUERYBUF, QBUF or DQBUF. Negative errno. */
int buffer_ioctl(const Device *d, unsigned long request, Buffer *b);
