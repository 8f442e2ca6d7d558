/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A number that machines read from a picture: a strip of 80 black and white blocks, in the upper left corner
 * and again in the lower left one (two different numbers: the frame is torn).
 *
 * The blocks are in reading order, white is 1: 64 bits of the number, the most significant first, then 16
 * bits of CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xffff, not reflected) over the number's eight bytes,
 * also the most significant first. In pictures of 80 pixels or more across there are 2 rows of 40 blocks, in
 * narrower ones 5 rows of 16. A block is a square with an even side: the largest one, from 2 to 16, with
 * which a row of blocks is not wider than the picture and the strip not higher than a sixth of it; 2 if there
 * is none. The lower strip ends with the last line.
 *
 * Luma (or any of R, G, B) of 128 and more is white. Pictures are at least 32 pixels across and 32 high.
 * Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRIP_BLOCKS   80u
#define STRIP_SIZE_MIN 32u

typedef struct Strip {
        uint32_t columns, rows; /* blocks */
        uint32_t side;          /* of a block, pixels */
        uint32_t lower_y;       /* first line of the lower strip, even if the height is */
} Strip;

Strip strip_get_geometry(uint32_t width, uint32_t height);

void strip_encode(uint64_t number, bool ret_blocks[static STRIP_BLOCKS]);

/* False: the check sum is wrong, there is no such strip. */
bool strip_decode(const bool blocks[static STRIP_BLOCKS], uint64_t *ret_number);

/*
 * Reads one strip at the middle of its blocks.
 * @samples  the luma (or G) sample of the upper left pixel
 * @stride   bytes from line to line
 * @step     bytes from pixel to pixel: 1 for planar formats, 2 for YUYV, 3 for RGB (from the second byte on)
 */
bool strip_read(const uint8_t *samples, size_t stride, size_t step, uint32_t width, uint32_t height,
                bool lower, uint64_t *ret_number);
