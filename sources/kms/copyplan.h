/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bytes of a framebuffer are the picture on a screen, and how they lie in a frame. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

#define COPYPLAN_PLANES_MAX 4u

/* As the kernel says it. */
typedef struct FramebufferInfo {
        uint32_t fourcc;
        bool has_modifier; /* else the driver knows none, which is linear */
        uint64_t modifier;
        uint32_t width, height; /* pixels */
        uint32_t pitches[COPYPLAN_PLANES_MAX], offsets[COPYPLAN_PLANES_MAX]; /* bytes */
} FramebufferInfo;

/* The part of it that a screen shows, in pixels. */
typedef struct Viewport {
        uint32_t x, y, width, height;
} Viewport;

typedef struct CopyPlan {
        uint32_t width, height; /* of the picture, pixels */
        size_t n_planes;
        struct framebus_plane planes[COPYPLAN_PLANES_MAX]; /* in the frame, tightly packed */
        size_t size;                                       /* of the frame, bytes */
        struct {
                uint64_t offset, pitch; /* of the first line in the framebuffer's memory; to the next one */
                uint64_t end;           /* bytes that the memory has to have */
                uint32_t line;          /* bytes of the picture in a line */
                uint32_t n_lines;
        } from[COPYPLAN_PLANES_MAX];
} CopyPlan;

/*
 * What lies outside of the framebuffer is left out: a screen may stretch a smaller one. A corner that divides
 * a sample of a subsampled plane moves to the left and up.
 *
 * Errors: -ENOTSUP: a modifier but linear; -ENOSYS: a format whose layout is not known; -EINVAL: lines that
 * are shorter than the picture, or nothing is shown at all; -EOVERFLOW.
 */
int copyplan_make(const FramebufferInfo *fb, const Viewport *view, CopyPlan *ret_plan);

/* @maps: the memory of each plane, of at least `end` bytes (planes may share one); @to: `size` bytes */
void copyplan_run(const CopyPlan *p, const uint8_t *const maps[COPYPLAN_PLANES_MAX], uint8_t *to);
