/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/v4l2/buffer.h"

void buffer_init(Buffer *b, const Device *d, uint32_t memory, uint32_t index) {
        *b = (Buffer){ .b = { .index = index, .type = d->buf_type, .memory = memory } };
        if (device_is_multiplanar(d)) {
                b->b.m.planes = b->planes;
                b->b.length = VIDEO_MAX_PLANES;
        }
}

int buffer_ioctl(const Device *d, unsigned long request, Buffer *b) {
        bool single = !device_is_multiplanar(d), user = b->b.memory == V4L2_MEMORY_USERPTR;
        int r;

        if (single && user) {
                b->b.m.userptr = b->planes[0].m.userptr;
                b->b.length = b->planes[0].length;
        }
        r = device_ioctl(d, request, &b->b);
        if (r < 0 || !single)
                return r;
        b->planes[0] = (struct v4l2_plane){ .bytesused = b->b.bytesused, .length = b->b.length };
        if (user)
                b->planes[0].m.userptr = b->b.m.userptr;
        else
                b->planes[0].m.mem_offset = b->b.m.offset;
        return r;
}
