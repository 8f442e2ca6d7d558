/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is found out about a driver by trying. */
#include <errno.h>

#include "base/cleanup.h"
#include "check.h"
#include "fake-device.h"
#include "sources/v4l2/probe.h"

static Device device = DEVICE_NULL;

static void test_probe(void) {
        const uint32_t mmap_only = V4L2_BUF_CAP_SUPPORTS_MMAP, user = V4L2_BUF_CAP_SUPPORTS_USERPTR,
                       orphaned = V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS;
        const struct {
                const char *what;
                uint32_t capabilities;
                bool can_export;
                int pointer_error;
                unsigned long fail_request;
                int error, r;
                uint32_t ways;
        } table[] = {
                { "all", mmap_only | user | orphaned, true, 0, 0, 0, 0, 7 },
                { "says nothing", 0, true, 0, 0, 0, 0, 1 },
                { "contiguous memory", mmap_only | orphaned, true, 0, 0, 0, 0, 5 },
                { "no dma-bufs", mmap_only | user | orphaned, false, 0, 0, 0, 0, 3 },
                { "cannot part with buffers", mmap_only | user, true, 0, 0, 0, 0, 3 },
                { "says more than it can", mmap_only | user | orphaned, true, -EFAULT, 0, 0, 0, 5 },
                { "no streaming", mmap_only | user | orphaned, true, 0, VIDIOC_REQBUFS, -EINVAL, 0, 1 },
                { "in use", mmap_only | user | orphaned, true, 0, VIDIOC_REQBUFS, -EBUSY, -EBUSY, 0 },
                { "gone", mmap_only | user | orphaned, true, 0, VIDIOC_EXPBUF, -ENODEV, -ENODEV, 0 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++)
                for (unsigned n_memories = 1; n_memories <= 3; n_memories += 2) {
                        uint32_t ways = 0;

                        fake_reset();
                        fake.buffer_capabilities = table[i].capabilities;
                        fake.can_export = table[i].can_export;
                        fake.pointer_error = table[i].pointer_error;
                        fake_fail(table[i].fail_request, table[i].error, table[i].error ? 1 : 0);
                        if (n_memories > 1)
                                fake.device_caps = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
                        fake.n_memories = n_memories;
                        CHECK_INT("open", device_open(&device, &fake_ops, "fake"), 0);
                        CHECK_INT(table[i].what, probe_ways(&device, &ways), table[i].r);
                        CHECK_INT(table[i].what, ways, table[i].ways);
                        CHECK(fake.n_mapped == 0 && fake.n_requested == 0 && fake.n_streamon == 0);
                        device_close(&device);
                }
}

int main(void) {
        test_probe();
        fake_reset();
        return check_end();
}
