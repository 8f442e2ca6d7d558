/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From sysfs alone: what udev adds is made of the same attributes, and not there in every container. */
#include "broker/publication/device-id.h"

#include <stdio.h>
#include <systemd/sd-device.h>

#include "base/cleanup.h"

static const char *get_attribute(sd_device *d, const char *name) {
        const char *value;

        return d && sd_device_get_sysattr_value(d, name, &value) >= 0 ? value : "";
}

/* Borrowed; NULL: none. */
static sd_device *get_usb_parent(sd_device *d, const char *type) {
        sd_device *parent;

        return sd_device_get_parent_with_subsystem_devtype(d, "usb", type, &parent) >= 0 ? parent : NULL;
}

static bool read_by_serial(sd_device *d, char ret_id[static DEVICE_ID_MAX]) {
        sd_device *usb = get_usb_parent(d, "usb_device"), *interface = get_usb_parent(d, "usb_interface");

        if (!get_attribute(usb, "serial")[0])
                return false;
        (void)snprintf(ret_id, DEVICE_ID_MAX, "usb:%s:%s:%s:%s:%s", get_attribute(usb, "idVendor"),
                       get_attribute(usb, "idProduct"), get_attribute(usb, "serial"),
                       get_attribute(interface, "bInterfaceNumber"), get_attribute(d, "index"));
        return true;
}

void device_id_read(const char *sysname, bool by_place, char ret_id[static DEVICE_ID_MAX]) {
        _cleanup_(sd_device_unrefp) sd_device *d = NULL;
        sd_device *parent;
        const char *path;

        ret_id[0] = '\0';
        if (sd_device_new_from_subsystem_sysname(&d, "video4linux", sysname) < 0)
                return;
        if (!by_place && read_by_serial(d, ret_id))
                return;
        /* what hangs nowhere (a loopback device) is its number */
        if (sd_device_get_parent(d, &parent) < 0 || sd_device_get_syspath(parent, &path) < 0)
                return;
        (void)snprintf(ret_id, DEVICE_ID_MAX, "place:%s:%s:%s", path, get_attribute(d, "name"),
                       get_attribute(d, "index"));
}
