/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pictures of any format that is known as RGB. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/image.h"

/* JPEG is, once it is decoded. */
bool rgb_is_rgb(uint32_t fourcc);

/* The formats that are known as RGB, one for each @i from 0 on; 0: no more. */
uint32_t rgb_get_fourcc(size_t i);

/* An RGB picture, which has been checked, or a JPEG one, as 4 bytes a pixel: B, G, R, alpha, without padding.
 * @ret is owned by the caller: free(). Returns 0; -ENOTSUP: not RGB; -EBADMSG: a JPEG picture that cannot be
 * decoded; -ENOMEM. */
int rgb_to_argb(const Image *image, uint8_t **ret);

/*
 * Any picture as 3 bytes a pixel: R, G, B, without padding; what is compressed is decoded. YUV is taken as
 * BT.601 in limited range, grey and JPEG as full range; alpha is dropped. @ret is owned by the caller:
 * free(). Returns 0; -ENOTSUP: a format that is not known; -EBADMSG: not decodable, or not of the size it
 * should have; -ENOMEM.
 */
int rgb_from_image(const Image *image, uint8_t **ret);
