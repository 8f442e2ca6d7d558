/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libv4l2 without its conversions, which would offer formats that the camera does not have and decode in this
 * process. What it still brings are the plugins of some devices. It hands calls for a descriptor that it was
 * not told of to the kernel; that is how multi-planar devices are driven.
 */
#include <errno.h>
#include <fcntl.h>
#include <libv4l2.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sources/v4l2/device.h"

static bool is_multiplanar(const struct v4l2_capability *cap) {
        uint32_t caps = cap->capabilities & V4L2_CAP_DEVICE_CAPS ? cap->device_caps : cap->capabilities;

        return (caps & V4L2_CAP_VIDEO_CAPTURE_MPLANE) && !(caps & V4L2_CAP_VIDEO_CAPTURE);
}

static int libv4l2_open(const char *path) {
        int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY), r;
        struct v4l2_capability cap;

        if (fd < 0)
                return -errno;
        /* asked first, because libv4l2 writes its own messages to stderr if this fails */
        if (ioctl(fd, VIDIOC_QUERYCAP, &cap) >= 0 &&
            (is_multiplanar(&cap) || v4l2_fd_open(fd, V4L2_DISABLE_CONVERSION) >= 0))
                return fd;
        r = -errno;
        (void)close(fd);
        return r;
}

static int libv4l2_close(int fd) {
        return v4l2_close(fd) < 0 ? -errno : 0;
}

static int libv4l2_ioctl(int fd, unsigned long request, void *argument) {
        int r = v4l2_ioctl(fd, request, argument);

        return r < 0 ? -errno : r;
}

static int libv4l2_mmap(int fd, size_t length, int64_t offset, void **ret_start) {
        void *start = v4l2_mmap(NULL, length, PROT_READ, MAP_SHARED, fd, offset);

        if (start == MAP_FAILED)
                return -errno;
        *ret_start = start;
        return 0;
}

static int libv4l2_munmap(void *start, size_t length) {
        return v4l2_munmap(start, length) < 0 ? -errno : 0;
}

const DeviceOps device_ops_libv4l2 = {
        .open = libv4l2_open,
        .close = libv4l2_close,
        .ioctl = libv4l2_ioctl,
        .mmap = libv4l2_mmap,
        .munmap = libv4l2_munmap,
};
