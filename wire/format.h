/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a pixel format needs: planes and sizes, in overflow-checked arithmetic. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interfaces/wire.h"

typedef struct Plane {
        uint32_t memory; /* index into a frame's memories */
        uint32_t stride; /* bytes a line; 0: compressed */
        uint64_t offset; /* bytes */
        uint64_t size;   /* bytes */
} Plane;

typedef struct FormatInfo {
        uint32_t fourcc;
        uint8_t n_planes;
        uint8_t bits[FB_PLANES_MAX]; /* of one sample of the plane (all components) */
        uint8_t hsub[FB_PLANES_MAX], vsub[FB_PLANES_MAX];
} FormatInfo;

/* NULL: compressed, or a format whose layout is not known. Its fourcc is without DRM_FORMAT_BIG_ENDIAN. */
const FormatInfo *format_get_info(uint32_t fourcc);

bool format_is_compressed(uint32_t fourcc);

/* Compressed, and frames build on others: one that was lost spoils what follows, up to the next keyframe. */
bool format_has_deltas(uint32_t fourcc);

/* The least stride and number of lines of plane @i. False: overflow, or no such plane. */
bool format_plane_min(const FormatInfo *info, size_t i, uint32_t width, uint32_t height, uint64_t *ret_stride,
                      uint64_t *ret_lines);

/* Tightly packed planes, one after the other in memory 0. False: overflow or size 0. */
bool format_layout(const FormatInfo *info, uint32_t width, uint32_t height,
                   Plane ret_planes[static FB_PLANES_MAX], uint64_t *ret_size);

/*
 * Judges planes against a format and the sizes of the memories: each index exists, offset + size lies inside
 * without overflow, and a plane of a known format is large enough for its lines. FB_E_INVALID_FRAME
 * (contradicts the format) or FB_E_INVALID_MEMORY (outside of the file), with @ret_why.
 */
int format_judge_planes(uint32_t fourcc, uint64_t modifier, uint32_t width, uint32_t height,
                        const Plane *planes, size_t n_planes, const uint64_t *memory_sizes, size_t n_memories,
                        const char **ret_why);
