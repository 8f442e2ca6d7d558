/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One picture in memory, checked: what the conversions work on. Pure but for image_from_frame(), in
 * image-frame.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

typedef struct ImagePlane {
        const uint8_t *data;
        size_t size;     /* bytes */
        uint32_t stride; /* bytes a line; 0: compressed */
} ImagePlane;

typedef struct Image {
        uint32_t fourcc, width, height;
        size_t n_planes;
        ImagePlane planes[4];
} Image;

/*
 * Whether every plane of an uncompressed picture holds its lines.
 * Returns 0; -ENOTSUP: compressed, or a format whose layout is not known; -EBADMSG: planes missing, too
 * short, or lines shorter than the width; -EOVERFLOW: larger than the conversions can count.
 */
int image_check(const Image *image);

/* The mapped planes of @frame, valid as long as it; checked as above unless it is compressed. Returns 0;
 * -ENOTSUP: a format modifier; what mapping failed with; else as image_check(). */
int image_from_frame(framebus_frame *frame, Image *ret);
