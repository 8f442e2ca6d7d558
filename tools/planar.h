/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pictures as planar YUV, tightly packed: Y, Cb, Cr, as y4m files have them. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/image.h"

typedef enum Chroma {
        CHROMA_MONO,
        CHROMA_410,
        CHROMA_411,
        CHROMA_420,
        CHROMA_422,
        CHROMA_444,
} Chroma;

typedef struct Planar {
        Chroma chroma;
        unsigned depth; /* bits of a sample: 8, or 10, 12, 16 in two bytes, little-endian, low bits */
        uint32_t width, height;
        uint8_t *data;    /* all planes, size bytes, owned */
        uint8_t *plane[3]; /* into data; NULL: none (mono) */
        size_t stride[3]; /* bytes a line, no padding */
        size_t size;      /* bytes */
} Planar;

/*
 * Makes room for pictures of @fourcc, in the planar format that loses least: chroma as dense as the
 * original's, samples as deep; RGB becomes 4:4:4. Returns 0; -ENOTSUP: compressed, or a format that has no
 * such form; -EOVERFLOW; -ENOMEM.
 */
int planar_init(Planar *p, uint32_t fourcc, uint32_t width, uint32_t height);

/* Frees the memory. Of a zeroed one, too. */
void planar_deinit(Planar *p);

/* Whether planar_init() knows the format. */
bool planar_is_supported(uint32_t fourcc);

/* The formats that planar_init() knows, one for each @i from 0 on; 0: no more. */
uint32_t planar_get_fourcc(size_t i);

/* Whether pictures of @fourcc, if they have the size, can be converted into @p. */
bool planar_fits(const Planar *p, uint32_t fourcc);

/* Copies or converts @image, which has been checked, into @p, which was made for its format and size (else
 * -EINVAL). RGB is converted with BT.601 coefficients to limited range. -ENOMEM. */
int planar_convert(Planar *p, const Image *image);

/* The number of columns and lines of a chroma plane. */
uint32_t planar_chroma_width(Chroma chroma, uint32_t width);
uint32_t planar_chroma_height(Chroma chroma, uint32_t height);
