/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is plugged into a device: timings and standards that it finds, whether there is a signal, and what it
 * says of itself to whatever sends to it (EDID). A webcam has none of that, and every call here is harmless.
 * */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sources/v4l2/device.h"

#define EDID_BLOCK_SIZE 128u
#define EDID_BLOCKS_MAX 4u

/*
 * After opening: makes the device say so if its signal changes, gives it @edid (NULL: a common one, but only
 * to a device that has none) and sets the timings or the standard of the signal that is there now.
 * @edid_size  up to EDID_BLOCKS_MAX whole blocks
 * Negative errno: @edid was refused. All else that fails is no matter: the device stays as it was.
 */
int input_prepare(const Device *d, const uint8_t *edid, size_t edid_size);

/* Sets the timings or the standard of the signal; to be called without buffers. */
void input_adjust(const Device *d);

/* NULL: there is a picture to be had, as far as the device can tell; else why not, for people. */
const char *input_get_trouble(const Device *d);

/* Whether input_get_trouble() can ever say anything. */
bool input_can_tell(const Device *d);

/* Takes the events that wait. True: the signal changed. */
bool input_take_events(const Device *d);

/* The EDID for devices without: a display of up to 1920x1080 at 60 Hz. */
void edid_make(uint8_t ret[EDID_BLOCK_SIZE]);

/* Up to EDID_BLOCKS_MAX whole blocks with right checksums, and the header. */
bool edid_is_valid(const uint8_t *edid, size_t size);
