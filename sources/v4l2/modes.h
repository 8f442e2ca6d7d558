/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a device can do, as the modes of a source. */
#pragma once

#include "interfaces/wire.h"
#include "libframebus/framebus.h"
#include "sources/v4l2/device.h"

#define MODES_FORMATS_MAX 128u /* there are fewer that have a name */

typedef struct ModeTable {
        struct framebus_mode modes[FB_MODES_MAX]; /* the best first */
        size_t n_modes;
        uint32_t formats[MODES_FORMATS_MAX]; /* of V4L2, that these modes are made with */
        size_t n_formats;
        uint32_t unknown[MODES_FORMATS_MAX]; /* formats of the device that are not offered, */
        size_t n_unknown;                    /* as far as there is room */
        /* formats of which all rates of a size are one mode with a range, for lack of room */
        size_t n_merged;
        size_t n_left_out; /* modes (at least) for which there was no room at all */
} ModeTable;

/*
 * Asks the device for all that it can do by itself (emulated formats are left out). A device that does not
 * know sizes or rates gets those that are set now. The best are raw formats, at 24 frames a second or more,
 * then the largest. Where there are more than FB_MODES_MAX the rates of one size become a range, of as many
 * formats as it takes, the least wanted first.
 *
 * Errors: -ENODATA: nothing that DRM has a name for; -ENOMEM; what the device failed with.
 */
int modes_enumerate(const Device *d, ModeTable *ret_table);

/* Logs what the list of modes does not say exactly; @path is the device's. */
void modes_log(const ModeTable *t, const char *path);

/* The V4L2 format that @fourcc with @modifier is made with; 0: none. */
uint32_t modes_get_pixelformat(const ModeTable *t, uint32_t fourcc, uint64_t modifier);
