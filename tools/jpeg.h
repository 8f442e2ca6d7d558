/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decodes a JPEG picture, also one of a motion-JPEG stream that leaves the Huffman tables out. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * @width, @height  what it has to be
 * @ret_rgb         R, G, B, 3 bytes a pixel, owned by the caller: free()
 * Returns 0; -EBADMSG: no JPEG, broken, or of another size; -ENOMEM. A picture that ends early is decoded as
 * far as it goes.
 */
int jpeg_decode(const uint8_t *data, size_t size, uint32_t width, uint32_t height, uint8_t **ret_rgb);
