/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table of where the bits are, from drm_fourcc.h, which names them from the highest of a little-endian word
 * on. Slower than libyuv by far, which is why what libyuv knows is not in it, but for what has its bytes
 * swapped.
 */
#include "tools/packed.h"

#include <drm_fourcc.h>

#include "base/cleanup.h"

#define RGB(name, word, r, rn, g, gn, b, bn) \
        { DRM_FORMAT_##name, word, false, false, { r, g, b }, { rn, gn, bn } }
#define SWAPPED(name, r, rn, g, gn, b, bn) \
        { DRM_FORMAT_##name | DRM_FORMAT_BIG_ENDIAN, 16, false, false, { r, g, b }, { rn, gn, bn } }
#define HALF(name, r, g, b) { DRM_FORMAT_##name, 64, false, true, { r, g, b }, { 16, 16, 16 } }
#define YUV(code, word, n, y, u, v) { code, word, true, false, { y, u, v }, { n, n, n } }

static const PackedFormat formats[] = {
        RGB(RGB332, 8, 5, 3, 2, 3, 0, 2),
        RGB(BGR233, 8, 0, 3, 3, 3, 6, 2),
        RGB(XBGR4444, 16, 0, 4, 4, 4, 8, 4),
        RGB(ABGR4444, 16, 0, 4, 4, 4, 8, 4),
        RGB(RGBX4444, 16, 12, 4, 8, 4, 4, 4),
        RGB(RGBA4444, 16, 12, 4, 8, 4, 4, 4),
        RGB(BGRX4444, 16, 4, 4, 8, 4, 12, 4),
        RGB(BGRA4444, 16, 4, 4, 8, 4, 12, 4),
        RGB(XBGR1555, 16, 0, 5, 5, 5, 10, 5),
        RGB(ABGR1555, 16, 0, 5, 5, 5, 10, 5),
        RGB(RGBX5551, 16, 11, 5, 6, 5, 1, 5),
        RGB(RGBA5551, 16, 11, 5, 6, 5, 1, 5),
        RGB(BGRX5551, 16, 1, 5, 6, 5, 11, 5),
        RGB(BGRA5551, 16, 1, 5, 6, 5, 11, 5),
        RGB(BGR565, 16, 0, 5, 5, 6, 11, 5),
        SWAPPED(RGB565, 11, 5, 5, 6, 0, 5),
        SWAPPED(XRGB1555, 10, 5, 5, 5, 0, 5),
        SWAPPED(ARGB1555, 10, 5, 5, 5, 0, 5),
        RGB(RGBX1010102, 32, 22, 10, 12, 10, 2, 10),
        RGB(RGBA1010102, 32, 22, 10, 12, 10, 2, 10),
        RGB(BGRX1010102, 32, 2, 10, 12, 10, 22, 10),
        RGB(BGRA1010102, 32, 2, 10, 12, 10, 22, 10),
        RGB(XRGB16161616, 64, 32, 16, 16, 16, 0, 16),
        RGB(ARGB16161616, 64, 32, 16, 16, 16, 0, 16),
        RGB(XBGR16161616, 64, 0, 16, 16, 16, 32, 16),
        RGB(ABGR16161616, 64, 0, 16, 16, 16, 32, 16),
        HALF(XRGB16161616F, 32, 16, 0),
        HALF(ARGB16161616F, 32, 16, 0),
        HALF(XBGR16161616F, 0, 16, 32),
        HALF(ABGR16161616F, 0, 16, 32),
        RGB(AXBXGXRX106106106106, 64, 6, 10, 22, 10, 38, 10),
        RGB(RG88, 16, 8, 8, 0, 8, 0, 0),
        RGB(GR88, 16, 0, 8, 8, 8, 0, 0),
        RGB(RG1616, 32, 16, 16, 0, 16, 0, 0),
        RGB(GR1616, 32, 0, 16, 16, 16, 0, 0),
        YUV(DRM_FORMAT_VUY888, 24, 8, 0, 8, 16),
        YUV(DRM_FORMAT_AYUV, 32, 8, 16, 8, 0),
        YUV(DRM_FORMAT_XYUV8888, 32, 8, 16, 8, 0),
        YUV(fourcc_code('A', 'V', 'U', 'Y'), 32, 8, 0, 8, 16),
        YUV(fourcc_code('X', 'V', 'U', 'Y'), 32, 8, 0, 8, 16),
        YUV(DRM_FORMAT_Y410, 32, 10, 10, 0, 20),
        YUV(DRM_FORMAT_XVYU2101010, 32, 10, 10, 0, 20),
        YUV(DRM_FORMAT_Y412, 64, 12, 20, 4, 36),
        YUV(DRM_FORMAT_Y416, 64, 16, 16, 0, 32),
        YUV(DRM_FORMAT_XVYU16161616, 64, 16, 16, 0, 32),
};

const PackedFormat *packed_find(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                if (formats[i].fourcc == fourcc)
                        return &formats[i];
        return NULL;
}

const PackedFormat *packed_get(size_t i) {
        return i < FB_ELEMENTSOF(formats) ? &formats[i] : NULL;
}

unsigned packed_read(const PackedFormat *f, const uint8_t *line, uint32_t x, unsigned component) {
        size_t n = f->word / 8;
        const uint8_t *p = line + x * n;
        bool swapped = f->fourcc & DRM_FORMAT_BIG_ENDIAN;
        uint64_t word = 0;

        for (size_t i = 0; i < n; i++)
                word |= (uint64_t)p[swapped ? n - 1 - i : i] << (8 * i);
        return word >> f->shift[component] & ((1u << f->bits[component]) - 1);
}

/* 0 to 1 as 0 to 255; what is beyond is cut off, what is no number is 0. */
static uint8_t half_to_8_bits(unsigned half) {
        unsigned exponent = half >> 10 & 31, fraction = half & 1023;
        float value;

        if (half & 0x8000 || (exponent == 31 && fraction != 0))
                return 0;
        if (exponent >= 15) /* 1 or more */
                return 255;
        value = exponent ? (float)(1024 + fraction) / (float)(1u << (25 - exponent))
                         : (float)fraction / (float)(1u << 24);
        return (uint8_t)(value * 255 + 0.5f);
}

static uint8_t to_8_bits(const PackedFormat *f, unsigned value, unsigned component) {
        unsigned max = (1u << f->bits[component]) - 1;

        if (f->half)
                return half_to_8_bits(value);
        return max ? (uint8_t)((value * 255 + max / 2) / max) : 0;
}

void packed_to_argb(const PackedFormat *f, const Image *image, uint8_t *argb) {
        for (uint32_t y = 0; y < image->height; y++) {
                const uint8_t *line = image->planes[0].data + (size_t)y * image->planes[0].stride;

                for (uint32_t x = 0; x < image->width; x++, argb += 4) {
                        for (unsigned c = 0; c < 3; c++)
                                argb[2 - c] = to_8_bits(f, packed_read(f, line, x, c), c);
                        argb[3] = 255;
                }
        }
}
