/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which sources there are without anybody publishing: those of sources.d and the capture devices of this
 * machine. */
#pragma once

#include "broker/api/api.h"
#include "broker/publication/devices.h"

typedef struct Feeds {
        Api *api;
        Devices *devices;
} Feeds;

/*
 * @config_folder  the only folder that is read; NULL: those of the system or of the user
 * Files that are wrong are logged and left out.
 */
int feeds_init(Feeds *f, Api *api, const char *config_folder);
void feeds_deinit(Feeds *f);
