/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Planar YUV of everything that has one. One table says what a format becomes and which function brings it
 * there.
 *
 * Invariant: a conversion never lowers chroma resolution or depth; only RGB to YUV rounds.
 * Deliberately no colour management: frames do not say their matrix, so YUV samples are passed on as they
 * are.
 */
#include "tools/planar.h"

#include <errno.h>
#include <libyuv.h>
#include <stdlib.h>
#include <string.h>

#include <drm_fourcc.h>

#include "base/cleanup.h"
#include "tools/packed.h"
#include "tools/rgb.h"

typedef struct PlanarFormat PlanarFormat;
struct PlanarFormat {
        uint32_t fourcc;
        Chroma chroma;
        unsigned depth;
        bool swapped; /* Cr before Cb, or for packed 4:2:2: Cr in Cb's place */
        int (*convert)(const PlanarFormat *f, Planar *p, const Image *image);
};

uint32_t planar_chroma_width(Chroma chroma, uint32_t width) {
        switch (chroma) {
        case CHROMA_410:
        case CHROMA_411:
                return (width + 3) / 4;
        case CHROMA_420:
        case CHROMA_422:
                return (width + 1) / 2;
        default:
                return width;
        }
}

uint32_t planar_chroma_height(Chroma chroma, uint32_t height) {
        switch (chroma) {
        case CHROMA_410:
                return (height + 3) / 4;
        case CHROMA_420:
                return (height + 1) / 2;
        default:
                return height;
        }
}

static uint32_t plane_lines(const Planar *p, size_t i) {
        return i == 0 ? p->height : planar_chroma_height(p->chroma, p->height);
}

static int convert_planar(const PlanarFormat *f, Planar *p, const Image *image) {
        for (size_t i = 0; i < image->n_planes; i++) {
                size_t to = f->swapped && i > 0 ? 3 - i : i;

                for (uint32_t y = 0; y < plane_lines(p, to); y++)
                        memcpy(p->plane[to] + y * p->stride[to],
                               image->planes[i].data + (size_t)y * image->planes[i].stride, p->stride[to]);
        }
        return 0;
}

static int convert_semiplanar(const PlanarFormat *f, Planar *p, const Image *image) {
        CopyPlane(image->planes[0].data, (int)image->planes[0].stride, p->plane[0], (int)p->stride[0],
                  (int)p->width, (int)p->height);
        SplitUVPlane(image->planes[1].data, (int)image->planes[1].stride, p->plane[f->swapped ? 2 : 1],
                     (int)p->stride[1], p->plane[f->swapped ? 1 : 2], (int)p->stride[2], (int)p->stride[1],
                     (int)plane_lines(p, 1));
        return 0;
}

static void sample_store(uint8_t *line, size_t x, unsigned value) {
        line[2 * x] = (uint8_t)value;
        line[2 * x + 1] = (uint8_t)(value >> 8);
}

/* P010 and its like keep their samples in the high bits of 16; y4m wants them in the low ones. */
static void line_copy_shifted(uint8_t *to, const uint8_t *from, size_t n, size_t step, unsigned shift) {
        for (size_t i = 0; i < n; i++)
                sample_store(to, i, (unsigned)(from[2 * step * i] | from[2 * step * i + 1] << 8) >> shift);
}

static int convert_semiplanar_16(const PlanarFormat *f, Planar *p, const Image *image) {
        unsigned shift = 16 - f->depth;

        for (uint32_t y = 0; y < p->height; y++)
                line_copy_shifted(p->plane[0] + y * p->stride[0],
                                  image->planes[0].data + (size_t)y * image->planes[0].stride, p->width, 1,
                                  shift);
        for (size_t i = 1; i < 3; i++)
                for (uint32_t y = 0; y < plane_lines(p, i); y++)
                        line_copy_shifted(p->plane[i] + y * p->stride[i],
                                          image->planes[1].data + (size_t)y * image->planes[1].stride +
                                                          2 * (i - 1),
                                          p->stride[i] / 2, 2, shift);
        return 0;
}

/* Three planes, likewise. */
static int convert_planar_16(const PlanarFormat *f, Planar *p, const Image *image) {
        for (size_t i = 0; i < 3; i++) {
                const ImagePlane *from = &image->planes[f->swapped && i > 0 ? 3 - i : i];

                for (uint32_t y = 0; y < plane_lines(p, i); y++)
                        line_copy_shifted(p->plane[i] + y * p->stride[i],
                                          from->data + (size_t)y * from->stride, p->stride[i] / 2, 1,
                                          16 - f->depth);
        }
        return 0;
}

/* Words of two pixels: Y, Cb, Y, Cr, of 16 bits each. */
static int convert_y210(const PlanarFormat *f, Planar *p, const Image *image) {
        size_t chroma = planar_chroma_width(p->chroma, p->width);

        for (uint32_t y = 0; y < p->height; y++) {
                const uint8_t *line = image->planes[0].data + (size_t)y * image->planes[0].stride;
                unsigned shift = 16 - f->depth;

                line_copy_shifted(p->plane[0] + y * p->stride[0], line, p->width, 2, shift);
                line_copy_shifted(p->plane[1] + y * p->stride[1], line + 2, chroma, 4, shift);
                line_copy_shifted(p->plane[2] + y * p->stride[2], line + 6, chroma, 4, shift);
        }
        return 0;
}

/* Samples of 10 bits without padding, the first in the lowest bits. */
static unsigned sample_of_10_bits(const uint8_t *line, size_t i) {
        const uint8_t *p = line + i * 10 / 8;

        return (unsigned)(p[0] | p[1] << 8) >> (i * 10 % 8) & 1023;
}

static int convert_semiplanar_10(const PlanarFormat *f, Planar *p, const Image *image) {
        for (size_t i = 0; i < 3; i++)
                for (uint32_t y = 0; y < plane_lines(p, i); y++) {
                        const ImagePlane *from = &image->planes[i > 0];
                        const uint8_t *line = from->data + (size_t)y * from->stride;

                        for (size_t x = 0; x < p->stride[i] / 2; x++)
                                sample_store(p->plane[i] + y * p->stride[i], x,
                                             sample_of_10_bits(line, i ? 2 * x + i - 1 : x));
                }
        return 0;
}

/* Y, Cb and Cr of each pixel in a word. */
static int convert_packed(const PlanarFormat *f, Planar *p, const Image *image) {
        const PackedFormat *packed = packed_find(f->fourcc);

        for (uint32_t y = 0; y < p->height; y++) {
                const uint8_t *line = image->planes[0].data + (size_t)y * image->planes[0].stride;

                for (size_t i = 0; i < 3; i++)
                        for (uint32_t x = 0; x < p->width; x++) {
                                unsigned value = packed_read(packed, line, x, (unsigned)i);

                                if (f->depth == 8)
                                        p->plane[i][y * p->stride[i] + x] = (uint8_t)value;
                                else
                                        sample_store(p->plane[i] + y * p->stride[i], x, value);
                        }
        }
        return 0;
}

/* The bits above the depth say nothing. */
static int convert_grey_16(const PlanarFormat *f, Planar *p, const Image *image) {
        bool swapped = f->fourcc & DRM_FORMAT_BIG_ENDIAN;

        for (uint32_t y = 0; y < p->height; y++) {
                const uint8_t *line = image->planes[0].data + (size_t)y * image->planes[0].stride;

                for (uint32_t x = 0; x < p->width; x++) {
                        unsigned value = (unsigned)(line[2 * x + swapped] | line[2 * x + !swapped] << 8);

                        sample_store(p->plane[0] + y * p->stride[0], x, value & ((1u << f->depth) - 1));
                }
        }
        return 0;
}

static int convert_yuy2(const PlanarFormat *f, Planar *p, const Image *image) {
        return YUY2ToI422(image->planes[0].data, (int)image->planes[0].stride, p->plane[0], (int)p->stride[0],
                          p->plane[f->swapped ? 2 : 1], (int)p->stride[1], p->plane[f->swapped ? 1 : 2],
                          (int)p->stride[2], (int)p->width, (int)p->height);
}

static int convert_uyvy(const PlanarFormat *f, Planar *p, const Image *image) {
        return UYVYToI422(image->planes[0].data, (int)image->planes[0].stride, p->plane[0], (int)p->stride[0],
                          p->plane[f->swapped ? 2 : 1], (int)p->stride[1], p->plane[f->swapped ? 1 : 2],
                          (int)p->stride[2], (int)p->width, (int)p->height);
}

static int convert_rgb(const PlanarFormat *f, Planar *p, const Image *image) {
        _cleanup_free_ uint8_t *argb = NULL;
        int r;

        r = rgb_to_argb(image, &argb);
        if (r < 0)
                return r;
        return ARGBToI444(argb, (int)p->width * 4, p->plane[0], (int)p->stride[0], p->plane[1],
                          (int)p->stride[1], p->plane[2], (int)p->stride[2], (int)p->width, (int)p->height);
}

static const PlanarFormat formats[] = {
        { DRM_FORMAT_YUV420, CHROMA_420, 8, false, convert_planar },
        { DRM_FORMAT_YVU420, CHROMA_420, 8, true, convert_planar },
        { DRM_FORMAT_YUV422, CHROMA_422, 8, false, convert_planar },
        { DRM_FORMAT_YVU422, CHROMA_422, 8, true, convert_planar },
        { DRM_FORMAT_YUV444, CHROMA_444, 8, false, convert_planar },
        { DRM_FORMAT_YVU444, CHROMA_444, 8, true, convert_planar },
        { DRM_FORMAT_YUV411, CHROMA_411, 8, false, convert_planar },
        { DRM_FORMAT_YVU411, CHROMA_411, 8, true, convert_planar },
        { DRM_FORMAT_YUV410, CHROMA_410, 8, false, convert_planar },
        { DRM_FORMAT_YVU410, CHROMA_410, 8, true, convert_planar },
        { DRM_FORMAT_R8, CHROMA_MONO, 8, false, convert_planar },
        { DRM_FORMAT_R10, CHROMA_MONO, 10, false, convert_grey_16 },
        { DRM_FORMAT_R12, CHROMA_MONO, 12, false, convert_grey_16 },
        { DRM_FORMAT_R16, CHROMA_MONO, 16, false, convert_grey_16 },
        { DRM_FORMAT_R16 | DRM_FORMAT_BIG_ENDIAN, CHROMA_MONO, 16, false, convert_grey_16 },
        { DRM_FORMAT_NV12, CHROMA_420, 8, false, convert_semiplanar },
        { DRM_FORMAT_NV21, CHROMA_420, 8, true, convert_semiplanar },
        { DRM_FORMAT_NV16, CHROMA_422, 8, false, convert_semiplanar },
        { DRM_FORMAT_NV61, CHROMA_422, 8, true, convert_semiplanar },
        { DRM_FORMAT_NV24, CHROMA_444, 8, false, convert_semiplanar },
        { DRM_FORMAT_NV42, CHROMA_444, 8, true, convert_semiplanar },
        { DRM_FORMAT_P010, CHROMA_420, 10, false, convert_semiplanar_16 },
        { DRM_FORMAT_P012, CHROMA_420, 12, false, convert_semiplanar_16 },
        { DRM_FORMAT_P016, CHROMA_420, 16, false, convert_semiplanar_16 },
        { DRM_FORMAT_P210, CHROMA_422, 10, false, convert_semiplanar_16 },
        { DRM_FORMAT_NV15, CHROMA_420, 10, false, convert_semiplanar_10 },
        { fourcc_code('N', 'V', '2', '0'), CHROMA_422, 10, false, convert_semiplanar_10 },
        { DRM_FORMAT_Q410, CHROMA_444, 10, false, convert_planar_16 },
        { DRM_FORMAT_Q401, CHROMA_444, 10, true, convert_planar_16 },
        { DRM_FORMAT_Y210, CHROMA_422, 10, false, convert_y210 },
        { DRM_FORMAT_Y212, CHROMA_422, 12, false, convert_y210 },
        { DRM_FORMAT_Y216, CHROMA_422, 16, false, convert_y210 },
        { DRM_FORMAT_VUY888, CHROMA_444, 8, false, convert_packed },
        { DRM_FORMAT_AYUV, CHROMA_444, 8, false, convert_packed },
        { DRM_FORMAT_XYUV8888, CHROMA_444, 8, false, convert_packed },
        { fourcc_code('A', 'V', 'U', 'Y'), CHROMA_444, 8, false, convert_packed },
        { fourcc_code('X', 'V', 'U', 'Y'), CHROMA_444, 8, false, convert_packed },
        { DRM_FORMAT_Y410, CHROMA_444, 10, false, convert_packed },
        { DRM_FORMAT_XVYU2101010, CHROMA_444, 10, false, convert_packed },
        { DRM_FORMAT_Y412, CHROMA_444, 12, false, convert_packed },
        { DRM_FORMAT_Y416, CHROMA_444, 16, false, convert_packed },
        { DRM_FORMAT_XVYU16161616, CHROMA_444, 16, false, convert_packed },
        { DRM_FORMAT_YUYV, CHROMA_422, 8, false, convert_yuy2 },
        { DRM_FORMAT_YVYU, CHROMA_422, 8, true, convert_yuy2 },
        { DRM_FORMAT_UYVY, CHROMA_422, 8, false, convert_uyvy },
        { DRM_FORMAT_VYUY, CHROMA_422, 8, true, convert_uyvy },
};
static const PlanarFormat format_rgb = { 0, CHROMA_444, 8, false, convert_rgb };

static const PlanarFormat *format_find(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                if (formats[i].fourcc == fourcc)
                        return &formats[i];
        return rgb_is_rgb(fourcc) ? &format_rgb : NULL;
}

bool planar_is_supported(uint32_t fourcc) {
        return format_find(fourcc);
}

uint32_t planar_get_fourcc(size_t i) {
        return i < FB_ELEMENTSOF(formats) ? formats[i].fourcc : rgb_get_fourcc(i - FB_ELEMENTSOF(formats));
}

bool planar_fits(const Planar *p, uint32_t fourcc) {
        const PlanarFormat *f = format_find(fourcc);

        return f && f->chroma == p->chroma && f->depth == p->depth;
}

int planar_init(Planar *p, uint32_t fourcc, uint32_t width, uint32_t height) {
        const PlanarFormat *f = format_find(fourcc);
        Planar n = { .width = width, .height = height };
        size_t bytes, sizes[3] = {};

        if (!f)
                return -ENOTSUP;
        if (width == 0 || height == 0 || width > INT16_MAX || height > INT16_MAX)
                return -EOVERFLOW;

        n.chroma = f->chroma;
        n.depth = f->depth;
        bytes = f->depth > 8 ? 2 : 1;
        for (size_t i = 0; i < (f->chroma == CHROMA_MONO ? 1 : 3); i++) {
                n.stride[i] = bytes * (i == 0 ? width : planar_chroma_width(f->chroma, width));
                sizes[i] = n.stride[i] * plane_lines(&n, i);
                n.size += sizes[i];
        }
        n.data = malloc(n.size);
        if (!n.data)
                return -ENOMEM;
        n.plane[0] = n.data;
        if (f->chroma != CHROMA_MONO) {
                n.plane[1] = n.data + sizes[0];
                n.plane[2] = n.plane[1] + sizes[1];
        }
        *p = n;
        return 0;
}

void planar_deinit(Planar *p) {
        free(p->data);
        *p = (Planar){};
}

int planar_convert(Planar *p, const Image *image) {
        const PlanarFormat *f = format_find(image->fourcc);
        int r;

        if (!planar_fits(p, image->fourcc) || image->width != p->width || image->height != p->height)
                return -EINVAL;
        r = f->convert(f, p, image);
        return r == -1 ? -EINVAL : r; /* libyuv's only error */
}
