/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PNG by libpng's simplified interface: RGB, 8 bits, no interlacing.
 * Deliberately nothing about colour spaces beyond sRGB, which libpng writes for 8-bit pictures.
 */
#include "tools/png-writer.h"

#include <errno.h>
#include <png.h>
#include <stdlib.h>

#include "base/cleanup.h"

int png_encode(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **ret_data, size_t *ret_size) {
        png_image image = {
                .version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_RGB
        };
        _cleanup_free_ uint8_t *data = NULL;
        png_alloc_size_t size;

        if (width == 0 || height == 0 || width > INT16_MAX || height > INT16_MAX)
                return -EINVAL;

        size = PNG_IMAGE_PNG_SIZE_MAX(image);
        data = malloc(size);
        if (!data)
                return -ENOMEM;
        if (!png_image_write_to_memory(&image, data, &size, 0, rgb, 0, NULL)) {
                png_image_free(&image);
                return -ENOMEM; /* what else can fail has been ruled out */
        }
        *ret_data = take_ptr(data);
        *ret_size = size;
        return 0;
}
