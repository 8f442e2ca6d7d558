/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Colour bars, a box that moves, the number and the time of day for people, the number for machines
 * (strip.h). The bars are drawn once; each picture after that redraws only what changes.
 */
#pragma once

#include <stdint.h>

#include "sources/pattern/canvas.h"

typedef struct Picture Picture;

/* -EINVAL: a format or size that canvas_init() or the strips do not take; -ENOMEM. */
int picture_new(uint32_t fourcc, uint32_t width, uint32_t height, Picture **ret_picture);
/* NULL is ignored. Returns NULL. */
Picture *picture_free(Picture *p);

/* Draws picture @number, taken at @realtime_ns (CLOCK_REALTIME, shown in UTC). Returns the memory, valid
 * until the next call, as large as the canvas says. */
const uint8_t *picture_draw(Picture *p, uint64_t number, uint64_t realtime_ns);

/* Where the box is, from the next picture on, in steps from the left edge and back (without this: the
 * picture's number), and what color it has. */
#define PICTURE_N_COLORS 3
extern const char *const picture_colors[PICTURE_N_COLORS]; /* names; the first is the default */
void picture_set_box(Picture *p, uint64_t place, unsigned color);

const Canvas *picture_get_canvas(const Picture *p);
