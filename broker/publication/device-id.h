/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which device a node belongs to, whatever its number is this time: by its serial number it is known at any
 * socket, by its place whatever is plugged in there. Both are names, made as those of the links in
 * /dev/v4l/by-id and by-path are, of sysfs alone: udev writes its own down only after the node has appeared,
 * and not in every container.
 */
#pragma once

#include <stdbool.h>

/* More than a name that a source may be given: long paths are common. */
#define DEVICE_NAME_MAX 128

typedef struct DeviceId {
        char serial[DEVICE_NAME_MAX + 1]; /* "usb-046d_C920_8C3F2DAF-video-index0"; empty: it has none */
        char place[DEVICE_NAME_MAX + 1];  /* "pci-0000:00:14.0-usb-0:2:1.0-video-index0"; empty: nowhere */
        /* What the driver calls it. Several devices may be at one place, if they are not plugged in. */
        char card[64];
} DeviceId;

/* What udev calls it, if it does: mostly the same. As DeviceId's. */
typedef struct DeviceLinks {
        char by_id[DEVICE_NAME_MAX + 1], by_path[DEVICE_NAME_MAX + 1];
} DeviceLinks;

/*
 * @root     before /sys and /run, for tests; "": those of this machine
 * @sysname  of the node, e.g. "video0"
 * What is not known is empty. Needs neither the node nor udev.
 */
void device_id_read(const char *root, const char *sysname, DeviceId *ret);
void device_links_read(const char *root, const char *sysname, DeviceLinks *ret);

/* The characters of a source's name, but for the length. */
bool device_name_is_valid(const char *name);
