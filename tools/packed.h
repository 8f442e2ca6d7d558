/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packed formats that libyuv does not know: words with a few bits for each component. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/image.h"

typedef struct PackedFormat {
        uint32_t fourcc;
        uint8_t word;              /* bits of a pixel */
        bool yuv;
        bool half;                 /* the components are floats of 16 bits, 0 to 1 */
        uint8_t shift[3], bits[3]; /* R, G, B or Y, Cb, Cr; no bits: a component that is not there */
} PackedFormat;

/* NULL: not one of these. The bit DRM_FORMAT_BIG_ENDIAN is a part of the fourcc. */
const PackedFormat *packed_find(uint32_t fourcc);

/* One for each @i from 0 on; NULL: no more. */
const PackedFormat *packed_get(size_t i);

/* One component (0 to 2) of the pixel in column @x of @line. */
unsigned packed_read(const PackedFormat *f, const uint8_t *line, uint32_t x, unsigned component);

/* An RGB picture, which has been checked, as 4 bytes a pixel: B, G, R, 255, without padding. @argb has room
 * for them. */
void packed_to_argb(const PackedFormat *f, const Image *image, uint8_t *argb);
