/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/v4l2/device.h"

#include <errno.h>
#include <stdio.h>

int device_ioctl(const Device *d, unsigned long request, void *argument) {
        int r;

        do
                r = d->ops->ioctl(d->fd, request, argument);
        while (r == -EINTR);
        return r;
}

int device_open(Device *d, const DeviceOps *ops, const char *path) {
        struct v4l2_capability cap = { 0 };
        int r;

        *d = (Device){ .ops = ops, .fd = ops->open(path) };
        if (d->fd < 0) {
                r = d->fd;
                d->fd = -1;
                return r;
        }
        r = device_ioctl(d, VIDIOC_QUERYCAP, &cap);
        if (r < 0) {
                device_close(d);
                return r == -EINVAL ? -ENOTTY : r;
        }
        (void)snprintf(d->card, sizeof d->card, "%.31s", (const char *)cap.card);
        (void)snprintf(d->driver, sizeof d->driver, "%.15s", (const char *)cap.driver);
        (void)snprintf(d->bus_info, sizeof d->bus_info, "%.31s", (const char *)cap.bus_info);
        d->capabilities = cap.capabilities & V4L2_CAP_DEVICE_CAPS ? cap.device_caps : cap.capabilities;
        d->buf_type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        if (!(d->capabilities & V4L2_CAP_VIDEO_CAPTURE) && (d->capabilities & V4L2_CAP_VIDEO_CAPTURE_MPLANE))
                d->buf_type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
        return 0;
}

bool device_is_multiplanar(const Device *d) {
        return d->buf_type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

void device_close(Device *d) {
        if (d->fd >= 0)
                (void)d->ops->close(d->fd);
        d->fd = -1;
}

int device_judge(const Device *d, const char **ret_why) {
        if (!(d->capabilities & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE)))
                return *ret_why = "not a capture device", -ENOTSUP;
        if (!(d->capabilities & V4L2_CAP_STREAMING))
                return *ret_why = "a capture device that cannot stream", -ENOTSUP;
        return 0;
}

int device_is_gone(const Device *d) {
        struct v4l2_capability cap = { 0 };
        int r = device_ioctl(d, VIDIOC_QUERYCAP, &cap);

        return r == -ENODEV || r == -ENXIO;
}
