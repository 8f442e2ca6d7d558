/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RGB of everything: packed RGB by itself, YUV by way of its planar form, JPEG through its decoder.
 *
 * Names: DRM's fourccs name components from the high bits of a little-endian word, libyuv's functions as well
 * ("ARGB" is B, G, R, A in memory), but for libyuv's RAW, which is R, G, B in memory.
 */
#include "tools/rgb.h"

#include <errno.h>
#include <libyuv.h>
#include <stdlib.h>

#include <drm_fourcc.h>

#include "base/cleanup.h"
#include "tools/jpeg.h"
#include "tools/packed.h"
#include "tools/planar.h"

#define FOURCC_MJPG fourcc_code('M', 'J', 'P', 'G')
#define FOURCC_JPEG fourcc_code('J', 'P', 'E', 'G')

typedef int (*ToArgb)(const uint8_t *from, int from_stride, uint8_t *to, int to_stride, int width,
                      int height);

static const struct {
        uint32_t fourcc;
        ToArgb convert;
} formats[] = {
        { DRM_FORMAT_RGB888, RGB24ToARGB },        { DRM_FORMAT_BGR888, RAWToARGB },
        { DRM_FORMAT_XRGB8888, ARGBCopy },         { DRM_FORMAT_ARGB8888, ARGBCopy },
        { DRM_FORMAT_XBGR8888, ABGRToARGB },       { DRM_FORMAT_ABGR8888, ABGRToARGB },
        { DRM_FORMAT_RGBX8888, RGBAToARGB },       { DRM_FORMAT_RGBA8888, RGBAToARGB },
        { DRM_FORMAT_BGRX8888, BGRAToARGB },       { DRM_FORMAT_BGRA8888, BGRAToARGB },
        { DRM_FORMAT_RGB565, RGB565ToARGB },       { DRM_FORMAT_XRGB1555, ARGB1555ToARGB },
        { DRM_FORMAT_ARGB1555, ARGB1555ToARGB },   { DRM_FORMAT_XRGB4444, ARGB4444ToARGB },
        { DRM_FORMAT_ARGB4444, ARGB4444ToARGB },   { DRM_FORMAT_XRGB2101010, AR30ToARGB },
        { DRM_FORMAT_ARGB2101010, AR30ToARGB },    { DRM_FORMAT_XBGR2101010, AB30ToARGB },
        { DRM_FORMAT_ABGR2101010, AB30ToARGB },
};

static ToArgb converter_find(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                if (formats[i].fourcc == fourcc)
                        return formats[i].convert;
        return NULL;
}

static bool is_jpeg(uint32_t fourcc) {
        return fourcc == FOURCC_MJPG || fourcc == FOURCC_JPEG;
}

bool rgb_is_rgb(uint32_t fourcc) {
        const PackedFormat *packed = packed_find(fourcc);

        return converter_find(fourcc) || (packed && !packed->yuv) || is_jpeg(fourcc);
}

uint32_t rgb_get_fourcc(size_t i) {
        const PackedFormat *packed;

        if (i < FB_ELEMENTSOF(formats))
                return formats[i].fourcc;
        i -= FB_ELEMENTSOF(formats);
        for (size_t k = 0; (packed = packed_get(k)); k++)
                if (!packed->yuv && i-- == 0)
                        return packed->fourcc;
        return i == 0 ? FOURCC_MJPG : i == 1 ? FOURCC_JPEG : 0;
}

static int jpeg_to_argb(const Image *image, uint8_t *argb) {
        _cleanup_free_ uint8_t *rgb = NULL;
        int r;

        r = jpeg_decode(image->planes[0].data, image->planes[0].size, image->width, image->height, &rgb);
        if (r < 0)
                return r;
        return RAWToARGB(rgb, (int)image->width * 3, argb, (int)image->width * 4, (int)image->width,
                         (int)image->height);
}

int rgb_to_argb(const Image *image, uint8_t **ret) {
        ToArgb convert = converter_find(image->fourcc);
        _cleanup_free_ uint8_t *argb = NULL;
        int r = 0;

        if (!rgb_is_rgb(image->fourcc))
                return -ENOTSUP;
        argb = malloc((size_t)image->width * image->height * 4);
        if (!argb)
                return -ENOMEM;
        if (is_jpeg(image->fourcc))
                r = jpeg_to_argb(image, argb);
        else if (convert)
                r = convert(image->planes[0].data, (int)image->planes[0].stride, argb, (int)image->width * 4,
                            (int)image->width, (int)image->height);
        else
                packed_to_argb(packed_find(image->fourcc), image, argb);
        if (r < 0)
                return r == -1 ? -EINVAL : r; /* libyuv's only error */
        *ret = take_ptr(argb);
        return 0;
}

/* Samples of more than 8 bits lose their lower ones. */
static void planar_to_8_bits(Planar *p) {
        unsigned shift = p->depth - 8;

        if (p->depth == 8)
                return;
        for (size_t i = 0; i < p->size / 2; i++)
                p->data[i] = (uint8_t)((p->data[2 * i] | p->data[2 * i + 1] << 8) >> shift);
        for (size_t i = 0; i < 3; i++) {
                p->stride[i] /= 2;
                if (p->plane[i])
                        p->plane[i] = p->data + (p->plane[i] - p->data) / 2;
        }
        p->size /= 2;
        p->depth = 8;
}

/* libyuv has no 4:1:1 and 4:1:0: a 4:4:4 picture with each chroma sample four or sixteen times. */
static int argb_from_sparse(const Planar *p, uint8_t *argb) {
        _cleanup_free_ uint8_t *u = malloc((size_t)p->width * p->height),
                               *v = malloc((size_t)p->width * p->height);

        if (!u || !v)
                return -ENOMEM;
        for (size_t y = 0; y < p->height; y++)
                for (size_t x = 0; x < p->width; x++) {
                        size_t line = p->chroma == CHROMA_410 ? y / 4 : y;

                        u[y * p->width + x] = p->plane[1][line * p->stride[1] + x / 4];
                        v[y * p->width + x] = p->plane[2][line * p->stride[2] + x / 4];
                }
        return I444ToARGB(p->plane[0], (int)p->stride[0], u, (int)p->width, v, (int)p->width, argb,
                          (int)p->width * 4, (int)p->width, (int)p->height);
}

static int argb_from_planar(const Planar *p, uint8_t *argb) {
        int ys = (int)p->stride[0], us = (int)p->stride[1], vs = (int)p->stride[2];
        int w = (int)p->width, h = (int)p->height;

        switch (p->chroma) {
        case CHROMA_MONO:
                return J400ToARGB(p->plane[0], ys, argb, w * 4, w, h);
        case CHROMA_410:
        case CHROMA_411:
                return argb_from_sparse(p, argb);
        case CHROMA_420:
                return I420ToARGB(p->plane[0], ys, p->plane[1], us, p->plane[2], vs, argb, w * 4, w, h);
        case CHROMA_422:
                return I422ToARGB(p->plane[0], ys, p->plane[1], us, p->plane[2], vs, argb, w * 4, w, h);
        case CHROMA_444:
                return I444ToARGB(p->plane[0], ys, p->plane[1], us, p->plane[2], vs, argb, w * 4, w, h);
        }
        return -EINVAL;
}

static int yuv_to_argb(const Image *image, uint8_t **ret) {
        _cleanup_(planar_deinit) Planar planar = {};
        _cleanup_free_ uint8_t *argb = NULL;
        int r;

        r = planar_init(&planar, image->fourcc, image->width, image->height);
        if (r < 0)
                return r;
        r = planar_convert(&planar, image);
        if (r < 0)
                return r;
        planar_to_8_bits(&planar);
        argb = malloc((size_t)image->width * image->height * 4);
        if (!argb)
                return -ENOMEM;
        r = argb_from_planar(&planar, argb);
        if (r < 0)
                return r;
        *ret = take_ptr(argb);
        return 0;
}

int rgb_from_image(const Image *image, uint8_t **ret) {
        _cleanup_free_ uint8_t *argb = NULL, *rgb = NULL;
        int r;

        if (is_jpeg(image->fourcc))
                return jpeg_decode(image->planes[0].data, image->planes[0].size, image->width, image->height,
                                   ret);

        r = rgb_is_rgb(image->fourcc) ? rgb_to_argb(image, &argb) : yuv_to_argb(image, &argb);
        if (r < 0)
                return r;
        rgb = malloc((size_t)image->width * image->height * 3);
        if (!rgb)
                return -ENOMEM;
        if (ARGBToRAW(argb, (int)image->width * 4, rgb, (int)image->width * 3, (int)image->width,
                      (int)image->height) < 0)
                return -EINVAL;
        *ret = take_ptr(rgb);
        return 0;
}
