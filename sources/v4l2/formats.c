/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compared byte by byte with both headers, since names and codes mislead: V4L2's RGB24 is DRM's BGR888, and
 * AYUV is the same code for opposite orders of the bytes. Bayer and packed 10-bit formats have no DRM name
 * and are not here.
 *
 * The order is the order of preference among raw formats of the same size and rate.
 */
#include "sources/v4l2/formats.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <linux/videodev2.h>

#include "base/cleanup.h"

#define PACKED(v, d, bits)        { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 1, bits, 1, 1 }
#define SEMI(v, d, bits, h, w)    { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 2, bits, h, w }
#define PLANAR(v, d, h, w)        { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 3, 8, h, w }

static const PixelFormat formats[] = {
        SEMI(NV12, NV12, 8, 2, 2),
        PACKED(YUYV, YUYV, 16),
        PLANAR(YUV420, YUV420, 2, 2),
        PACKED(UYVY, UYVY, 16),
        SEMI(NV21, NV21, 8, 2, 2),
        PLANAR(YVU420, YVU420, 2, 2),
        SEMI(NV16, NV16, 8, 2, 1),
        SEMI(NV61, NV61, 8, 2, 1),
        PACKED(YVYU, YVYU, 16),
        PACKED(VYUY, VYUY, 16),
        PLANAR(YUV422P, YUV422, 2, 1),
        SEMI(NV24, NV24, 8, 1, 1),
        SEMI(NV42, NV42, 8, 1, 1),
        SEMI(P010, P010, 16, 2, 2),
        PLANAR(YUV411P, YUV411, 4, 1),
        PLANAR(YUV410, YUV410, 4, 4),
        PLANAR(YVU410, YVU410, 4, 4),
        PACKED(YUV24, VUY888, 24),
        PACKED(VUYX32, XYUV8888, 32),
        PACKED(VUYA32, AYUV, 32),
        PACKED(RGB24, BGR888, 24),
        PACKED(BGR24, RGB888, 24),
        PACKED(XBGR32, XRGB8888, 32),
        PACKED(ABGR32, ARGB8888, 32),
        PACKED(RGBX32, XBGR8888, 32),
        PACKED(RGBA32, ABGR8888, 32),
        PACKED(XRGB32, BGRX8888, 32),
        PACKED(ARGB32, BGRA8888, 32),
        PACKED(BGRX32, RGBX8888, 32),
        PACKED(BGRA32, RGBA8888, 32),
        PACKED(BGR32, XRGB8888, 32),
        PACKED(RGB32, BGRX8888, 32),
        PACKED(RGB565, RGB565, 16),
        PACKED(XRGB555, XRGB1555, 16),
        PACKED(ARGB555, ARGB1555, 16),
        PACKED(XBGR555, XBGR1555, 16),
        PACKED(ABGR555, ABGR1555, 16),
        PACKED(RGBX555, RGBX5551, 16),
        PACKED(RGBA555, RGBA5551, 16),
        PACKED(BGRX555, BGRX5551, 16),
        PACKED(BGRA555, BGRA5551, 16),
        PACKED(RGB555, XRGB1555, 16),
        PACKED(XRGB444, XRGB4444, 16),
        PACKED(ARGB444, ARGB4444, 16),
        PACKED(XBGR444, XBGR4444, 16),
        PACKED(ABGR444, ABGR4444, 16),
        PACKED(RGBX444, RGBX4444, 16),
        PACKED(RGBA444, RGBA4444, 16),
        PACKED(BGRX444, BGRX4444, 16),
        PACKED(BGRA444, BGRA4444, 16),
        PACKED(RGB444, XRGB4444, 16),
        PACKED(RGB332, RGB332, 8),
        PACKED(GREY, R8, 8),
        PACKED(Y10, R10, 16),
        PACKED(Y12, R12, 16),
        PACKED(Y16, R16, 16),
        { V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_MJPEG, 0, 0, 1, 1 },
};

const PixelFormat *pixel_format_find(uint32_t v4l2) {
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                if (formats[i].v4l2 == v4l2)
                        return &formats[i];
        return NULL;
}

size_t pixel_format_get_rank(const PixelFormat *f) {
        return (size_t)(f - formats);
}

size_t pixel_format_get_rank_of_fourcc(uint32_t fourcc) {
        size_t i = 0;

        while (i < FB_ELEMENTSOF(formats) && formats[i].fourcc != fourcc)
                i++;
        return i;
}

bool pixel_format_is_compressed(const PixelFormat *f) {
        return f->n_planes == 0;
}

int pixel_format_get_layout(const PixelFormat *f, uint32_t width, uint32_t height, uint32_t bytesperline,
                            struct framebus_plane ret_planes[4], size_t *ret_n_planes, size_t *ret_size) {
        uint64_t least = ((uint64_t)width * f->bits + 7) / 8, size = 0;
        uint64_t stride = bytesperline ? bytesperline : least;

        if (pixel_format_is_compressed(f))
                return -ENOTSUP;
        if (stride < least || least == 0)
                return -EINVAL;
        for (size_t i = 0; i < f->n_planes; i++) {
                uint64_t lines = i ? ((uint64_t)height + f->vsub - 1) / f->vsub : height;
                uint64_t bytes = i == 0 ? stride : stride * (f->n_planes == 2 ? 2 : 1) / f->hsub;

                if (bytes > UINT32_MAX || bytes * lines > (uint64_t)SIZE_MAX - size)
                        return -EOVERFLOW;
                ret_planes[i] = (struct framebus_plane){ .stride = (uint32_t)bytes,
                                                         .offset = size,
                                                         .size = bytes * lines };
                size += bytes * lines;
        }
        *ret_n_planes = f->n_planes;
        *ret_size = size;
        return 0;
}
