/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * That a queue says it can USERPTR is not enough: whether it takes the pages of a memfd is seen by QBUF (a
 * device that needs contiguous memory refuses them there, if it says that it can), and whether it gives them
 * back by sealing them. Exported memory must be able to outlive the queue's own (orphaned buffers), or new
 * buffers could not be had while a receiver holds old ones.
 */
#include "sources/v4l2/probe.h"

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"

static bool error_is_refusal(int r) {
        return r != -EBUSY && r != -ENODEV && r != -ENXIO && r != -EIO && r != -EACCES && r != -EPERM;
}

/* The memories of a buffer in the present format. */
static int get_sizes(const Device *d, size_t sizes[BUFFER_MEMORIES_MAX], uint32_t *ret_n) {
        struct v4l2_format f = { .type = d->buf_type };
        int r = device_ioctl(d, VIDIOC_G_FMT, &f);

        if (r < 0)
                return r;
        if (!device_is_multiplanar(d)) {
                sizes[0] = f.fmt.pix.sizeimage;
                *ret_n = 1;
                return 0;
        }
        if (f.fmt.pix_mp.num_planes > BUFFER_MEMORIES_MAX)
                return -EOPNOTSUPP;
        *ret_n = f.fmt.pix_mp.num_planes;
        for (uint32_t k = 0; k < *ret_n; k++)
                sizes[k] = f.fmt.pix_mp.plane_fmt[k].sizeimage;
        return 0;
}

static int ask_capabilities(const Device *d, uint32_t *ret_capabilities) {
        struct v4l2_requestbuffers q = { .type = d->buf_type, .memory = V4L2_MEMORY_MMAP };
        int r = device_ioctl(d, VIDIOC_REQBUFS, &q);

        *ret_capabilities = r < 0 ? 0 : q.capabilities;
        return r;
}

/* 1: it can; 0: it refused. */
static int try_way_as_it_is(const Device *d, Way way) {
        size_t sizes[BUFFER_MEMORIES_MAX];
        Pool *p = &(Pool){ 0 };
        uint32_t n;
        int r = get_sizes(d, sizes, &n);

        if (r >= 0)
                r = pool_allocate(p, d, way, n, sizes, POOL_TRIAL);
        if (r >= 0 && way == WAY_USERPTR) {
                r = pool_queue(p, 0);
                p->slots[0].id = 1; /* to be sealed */
        }
        pool_free(p);
        if (r >= 0 && way == WAY_USERPTR && p->counts.unsealed)
                return 0;
        return r >= 0 ? 1 : r != -ENOMEM && error_is_refusal(r) ? 0 : r;
}

/* In a format that is as small as the device makes any. The one that was set is set again. */
static int try_way_in_little(const Device *d, Way way) {
        struct v4l2_format before = { .type = d->buf_type }, f;
        int r = device_ioctl(d, VIDIOC_G_FMT, &before);

        if (r < 0)
                return r;
        f = before;
        if (device_is_multiplanar(d)) {
                f.fmt.pix_mp.width = f.fmt.pix_mp.height = 16;
                for (size_t k = 0; k < FB_ELEMENTSOF(f.fmt.pix_mp.plane_fmt); k++)
                        f.fmt.pix_mp.plane_fmt[k].bytesperline = f.fmt.pix_mp.plane_fmt[k].sizeimage = 0;
        } else {
                f.fmt.pix.width = f.fmt.pix.height = 16;
                f.fmt.pix.bytesperline = f.fmt.pix.sizeimage = 0;
        }
        r = device_ioctl(d, VIDIOC_S_FMT, &f);
        if (r >= 0)
                r = try_way_as_it_is(d, way);
        (void)device_ioctl(d, VIDIOC_S_FMT, &before);
        return r;
}

/* There may not be enough contiguous memory for the largest picture. */
static int try_way(const Device *d, Way way) {
        int r = try_way_as_it_is(d, way);

        if (r == -ENOMEM)
                r = try_way_in_little(d, way);
        return r == -ENOMEM ? 0 : r;
}

int probe_ways(const Device *d, uint32_t *ret_ways) {
        static const struct {
                Way way;
                uint32_t needed;
        } ways[] = {
                { WAY_EXPORT, V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS },
                { WAY_USERPTR, V4L2_BUF_CAP_SUPPORTS_USERPTR },
        };
        uint32_t capabilities, found = 1u << WAY_COPY;
        int r = ask_capabilities(d, &capabilities);

        for (size_t i = 0; r >= 0 && i < FB_ELEMENTSOF(ways); i++) {
                if ((capabilities & ways[i].needed) != ways[i].needed)
                        continue;
                r = try_way(d, ways[i].way);
                if (r > 0)
                        found |= 1u << ways[i].way;
        }
        if (r < 0 && !error_is_refusal(r))
                return r;
        *ret_ways = found;
        return 0;
}
