/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A V4L2 device behind a table of functions: libv4l2 in the program, a fake in the tests.
 */
#pragma once

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As the system calls, but that errors are negative errno values. */
typedef struct DeviceOps {
        int (*open)(const char *path); /* non-blocking, close-on-exec */
        int (*close)(int fd);
        int (*ioctl)(int fd, unsigned long request, void *argument);
        int (*mmap)(int fd, size_t length, int64_t offset, void **ret_start); /* readable, shared */
        int (*munmap)(void *start, size_t length);
} DeviceOps;

/* The real thing; conversion and emulated formats are off. Only where libv4l2 is. Devices with the
 * multi-planar interface, which libv4l2 does not know, are driven without it. */
extern const DeviceOps device_ops_libv4l2;

typedef struct Device {
        const DeviceOps *ops;
        int fd; /* -1: closed */
        char card[32];
        char driver[16];
        char bus_info[32];
        uint32_t capabilities; /* of this node */
        uint32_t buf_type;     /* V4L2_BUF_TYPE_VIDEO_CAPTURE or, multi-planar only, _MPLANE */
} Device;

#define DEVICE_NULL { .fd = -1 }

/* Opens @path and asks what it is. Errors: what opening failed with; -ENOTTY: no V4L2 device at all. */
int device_open(Device *d, const DeviceOps *ops, const char *path);
/* A closed device is left alone. */
void device_close(Device *d);

/* 0: frames can be captured by streaming; -ENOTSUP: not, with @ret_why for people. */
int device_judge(const Device *d, const char **ret_why);

bool device_is_multiplanar(const Device *d);

/* An ioctl, again after EINTR. Negative errno. */
int device_ioctl(const Device *d, unsigned long request, void *argument);

/* Whether the device itself is gone, and not just its stream in trouble. */
int device_is_gone(const Device *d);
