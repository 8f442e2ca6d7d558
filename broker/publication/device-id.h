/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which device a node belongs to, whatever its number is this time. */
#pragma once

#include <stdbool.h>

#define DEVICE_ID_MAX 512

/*
 * @sysname   of the node, e.g. "video0"
 * @by_place  false: by its serial number if it has one, so that it is known at another socket, too; true: by
 *            the socket that it is plugged into. Both name the function of a device that has several.
 * Empty if nothing is known about it. Neither the node nor udev is needed.
 */
void device_id_read(const char *sysname, bool by_place, char ret_id[static DEVICE_ID_MAX]);
