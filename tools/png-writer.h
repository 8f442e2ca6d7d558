/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A PNG file of an RGB picture, made in memory so that no half file is ever written. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* @rgb: R, G, B, 3 bytes a pixel, no padding. @ret_data is owned by the caller: free(). Returns 0; -EINVAL:
 * not a size that PNG has; -ENOMEM. */
int png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **ret_data, size_t *ret_size);
