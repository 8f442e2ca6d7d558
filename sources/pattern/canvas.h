/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rectangles and digits in the four pixel formats of framebus-pattern. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

typedef struct Color {
        uint8_t y, u, v; /* BT.601, limited range */
        uint8_t r, g, b;
} Color;

extern const Color color_black, color_white;

/* Where the pixels are; the memory itself is given to each function. */
typedef struct Canvas {
        uint32_t fourcc, width, height; /* pixels, even */
        struct framebus_plane planes[4];
        size_t n_planes, size;
} Canvas;

/* Formats that canvas_init() takes, the best first. */
#define CANVAS_N_FORMATS 4u
extern const uint32_t canvas_formats[CANVAS_N_FORMATS];

/* "NV12", "I420", "YUYV", "RGB" (or the names that DRM has for them: "YU12", "BG24"); 0: none of them. */
uint32_t canvas_fourcc_from_name(const char *name);

/* Planes tightly packed. -EINVAL: another format, or an odd or no size. */
int canvas_init(Canvas *c, uint32_t fourcc, uint32_t width, uint32_t height);

/* Fills a rectangle; what is outside of the picture is left out. All of @x, @y, @w, @h are even. */
void canvas_fill(const Canvas *c, uint8_t *memory, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
                 Color color);

/* Copies the same rectangle from another memory. */
void canvas_copy(const Canvas *c, uint8_t *memory, const uint8_t *from, uint32_t x, uint32_t y, uint32_t w,
                 uint32_t h);

/* Writes @text (digits and # : . / - and blanks) white on black; a character is 6 by 8 dots of @dot (even)
 * pixels. */
void canvas_write(const Canvas *c, uint8_t *memory, uint32_t x, uint32_t y, uint32_t dot, const char *text);
