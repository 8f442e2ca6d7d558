/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tells which video device nodes there are, and when that changes. By the names in the device folder alone,
 * so that it works without udev, and without any right on the nodes; it never opens one.
 */
#pragma once

#include <systemd/sd-event.h>

typedef struct Devices Devices;

typedef struct DevicesHandler {
        /*
         * There is a node, or its attributes changed, so that a program that could not open it may be able to
         * now: it is told again then, often several times in a row, since udev sets owner, mode and ACL one
         * by one.
         *
         * @path  of the node, e.g. "/dev/video0"
         * @name  for a source that shows it, e.g. "video0": the same for the same device as far as can be
         * known Both are valid during the call.
         */
        void (*appeared)(const char *path, const char *name, void *userdata);
        /* It was there and is not any more. */
        void (*vanished)(const char *path, void *userdata);
} DevicesHandler;

/*
 * Starts watching. What is there already is told from the event loop, the lowest number first, not from here.
 *
 * @event    referenced
 * @folder   NULL: /dev. Copied.
 * @handler  not copied; must outlive the object; runs from the event loop and may call devices_free()
 * Errors: what watching the folder failed with (-ENOENT, -ENOTDIR, -EACCES; -EMFILE, -ENOSPC: no inotify
 * left); -ENOMEM.
 */
int devices_new(sd_event *event, const char *folder, const DevicesHandler *handler, void *userdata,
                Devices **ret);

/* Nothing is told any more. Takes NULL and returns NULL. */
Devices *devices_free(Devices *d);
static inline void devices_freep(Devices **d) {
        devices_free(*d);
}
