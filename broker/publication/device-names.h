/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the devices of this machine are called: that of the first node under which one was seen, "video0", or,
 * if that is another device's, with a number, "video0.2". It keeps that name under another number and, if it
 * has a serial number, at another socket, and nobody else gets it, while it is gone as well, for the last
 * DEVICE_NAMES_GONE_MAX that went. A file keeps it for the next broker, so that a restart swaps no two
 * cameras.
 *
 * Cheap cameras share a serial number: if two are seen that do, each is known by its place.
 */
#pragma once

#include "base/list.h"
#include "broker/publication/device-id.h"

#define DEVICE_NAMES_GONE_MAX 64u

typedef struct DeviceName {
        List link; // DeviceNames::present or gone, the last first
        char name[24];
        DeviceId id;
} DeviceName;

typedef struct DeviceNames {
        List present, gone; // DeviceName::link
        unsigned int n_gone;
        char *path; /* NULL: they are not kept */
} DeviceNames;

/*
 * @path  of the file, copied; it need not exist, its folder has to; NULL: none
 * What is wrong in it, or cannot be read, is left out. -ENOMEM.
 */
int device_names_init(DeviceNames *names, const char *path);
void device_names_deinit(DeviceNames *names);

/* There is a device at node videoN with @number. NULL without memory; valid until it is given back. */
DeviceName *device_names_take(DeviceNames *names, unsigned int number, const DeviceId *id);

/* The device is gone. One that nothing is known about is forgotten at once: it could not be told from others.
 * */
void device_names_put_back(DeviceNames *names, DeviceName *n);
