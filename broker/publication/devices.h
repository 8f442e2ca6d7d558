/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tells which video device nodes there are, and when that changes. By the names in the device folder and by
 * sysfs, so that it works without udev, and without any right on the nodes; it never opens one.
 *
 * A device keeps the name under which it was told first, whatever number its node has when it is plugged in
 * again or the broker was started anew, and no other device gets that name meanwhile: device-names.h.
 */
#pragma once

#include <systemd/sd-event.h>

#include "broker/publication/device-id.h"

#define DEVICE_ALIASES_MAX 4

typedef struct Devices Devices;

typedef struct DevicesHandler {
        /*
         * There is a node, or its attributes changed, so that a program that could not open it may be able to
         * now: it is told again then, often several times in a row, since udev sets owner, mode and ACL one
         * by one.
         *
         * @path     of the node, e.g. "/dev/video0"
         * @name     for a source that shows it, e.g. "video0": the same for the same device; that of its
         * first
         *           node, or if that is another device's, with a number, e.g. "video0.2"
         * @aliases  names by its serial number and its place, which are the same on every day;
         * NULL-terminated,
         *           at most DEVICE_ALIASES_MAX. Cheap cameras share them.
         * All are valid during the call.
         */
        void (*appeared)(const char *path, const char *name, const char *const *aliases, void *userdata);
        /* It was there and is not any more. */
        void (*vanished)(const char *path, const char *name, void *userdata);
} DevicesHandler;

/*
 * Starts watching. What is there already is told from the event loop, the lowest number first, not from here.
 *
 * @event    referenced
 * @root     before /dev, /sys and /run, for tests; "": those of this machine. Copied.
 * @memory   the file in which names outlive the broker; NULL: they do not. Copied.
 * @handler  not copied; must outlive the object; runs from the event loop and may call devices_free()
 * Errors: what watching the folder failed with (-ENOENT, -ENOTDIR, -EACCES; -EMFILE, -ENOSPC: no inotify
 * left); -ENOMEM.
 */
int devices_new(sd_event *event, const char *root, const char *memory, const DevicesHandler *handler,
                void *userdata, Devices **ret);

/* Nothing is told any more. Takes NULL and returns NULL. */
Devices *devices_free(Devices *d);
static inline void devices_freep(Devices **d) {
        devices_free(*d);
}
