/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What V4L2 calls the pixel formats of DRM, and how their planes lie in a V4L2 buffer. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

typedef struct PixelFormat {
        uint32_t v4l2, fourcc;
        uint8_t n_planes;   /* 0: compressed */
        uint8_t bits;       /* of a pixel in the first plane */
        uint8_t hsub, vsub; /* how much smaller the others are */
        uint8_t n_memories; /* that one buffer has: 1, or as many as planes (multi-planar interface only) */
        uint64_t modifier;  /* DRM's; 0: linear */
        uint8_t tile_width, tile_lines; /* what bytes of a line and lines are a multiple of; 0: linear */
} PixelFormat;

/* NULL: a format that DRM does not have. */
const PixelFormat *pixel_format_find(uint32_t v4l2);

/* Why pixel_format_find() does not have it, for people. */
const char *pixel_format_why_not(uint32_t v4l2);

/* The order in which formats are offered, 0 first. */
const PixelFormat *pixel_format_get(size_t rank); /* NULL: there are no more */
size_t pixel_format_get_rank(const PixelFormat *f);
size_t pixel_format_get_rank_of_fourcc(uint32_t fourcc); /* the first, which is linear */

bool pixel_format_is_compressed(const PixelFormat *f);

/*
 * How the planes lie, one after the other: those of a format with several memories are put together in their
 * order.
 * @bytesperline  as the driver says, one for each memory; 0: tightly packed
 * @ret_size      bytes of a whole frame
 * Of tiles, planes have whole ones only. -EINVAL: lines shorter than the width; -ENOTSUP: compressed;
 * -EOVERFLOW.
 */
int pixel_format_get_layout(const PixelFormat *f, uint32_t width, uint32_t height,
                            const uint32_t *bytesperline, struct framebus_plane ret_planes[4],
                            size_t *ret_n_planes, size_t *ret_size);
