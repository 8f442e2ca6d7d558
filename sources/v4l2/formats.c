/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each line was compared by bytes with the comments of videodev2.h and drm_fourcc.h, since names and codes
 * mislead: V4L2's RGB24 is DRM's BGR888, and AYUV is the same code for opposite orders of the bytes. A test
 * does it again, as far as the comments go; another lets a driver draw. What is not here is in
 * formats-refused.c, with the reason.
 *
 * The order is the order of preference among raw formats of the same size and rate.
 */
#include "sources/v4l2/formats.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <linux/videodev2.h>

#include "base/cleanup.h"

#define PACKED(v, d, bits)      { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 1, bits, 1, 1, 1 }
#define SWAPPED(v, d)           { V4L2_PIX_FMT_##v, DRM_FORMAT_##d | DRM_FORMAT_BIG_ENDIAN, 1, 16, 1, 1, 1 }
#define SEMI(v, d, bits, h, w)  { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 2, bits, h, w, 1 }
#define SEMI_M(v, d, h, w)      { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 2, 8, h, w, 2 }
#define PLANAR(v, d, h, w)      { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 3, 8, h, w, 1 }
#define PLANAR_M(v, d, h, w)    { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 3, 8, h, w, 3 }
#define COMPRESSED(v)           { V4L2_PIX_FMT_##v, V4L2_PIX_FMT_##v, 0, 0, 1, 1, 1 }
#define TILED_M(v, d, m, w, l)  { V4L2_PIX_FMT_##v, DRM_FORMAT_##d, 2, 8, 2, 2, 2, DRM_FORMAT_MOD_##m, w, l }
/* with codes: headers may not have the names yet */
#define CODE(s)                 v4l2_fourcc((s)[0], (s)[1], (s)[2], (s)[3])
#define NEWER(name, v, d, ...)  { CODE(v), CODE(d), __VA_ARGS__ }

static const PixelFormat formats[] = {
        /* Y and pairs of chroma: the plane comments of both headers */
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
        /* the same with a memory for each plane */
        SEMI_M(NV12M, NV12, 2, 2),
        PLANAR_M(YUV420M, YUV420, 2, 2),
        SEMI_M(NV21M, NV21, 2, 2),
        PLANAR_M(YVU420M, YVU420, 2, 2),
        SEMI_M(NV16M, NV16, 2, 1),
        SEMI_M(NV61M, NV61, 2, 1),
        PLANAR_M(YUV422M, YUV422, 2, 1),
        PLANAR_M(YVU422M, YVU422, 2, 1),
        PLANAR_M(YUV444M, YUV444, 1, 1),
        PLANAR_M(YVU444M, YVU444, 1, 1),
        /* more than 8 bits: samples in the upper bits of little-endian words, but for NV15 and NV20, packed
         * */
        SEMI(P010, P010, 16, 2, 2),
        NEWER(P012, "P012", "P012", 2, 16, 2, 2, 1),
        NEWER(P012M, "PM12", "P012", 2, 16, 2, 2, 2),
        NEWER(NV15, "NV15", "NV15", 2, 10, 2, 2, 1),
        NEWER(NV20, "NV20", "NV20", 2, 10, 2, 1, 1),
        NEWER(Y210, "Y210", "Y210", 1, 32, 1, 1, 1),
        NEWER(Y212, "Y212", "Y212", 1, 32, 1, 1, 1),
        NEWER(Y216, "Y216", "Y216", 1, 32, 1, 1, 1),
        /* chroma at a quarter of the width; V4L2 says "YVU411 planar", but means Cb first: see its documents
         * */
        PLANAR(YUV411P, YUV411, 4, 1),
        PLANAR(YUV410, YUV410, 4, 4),
        PLANAR(YVU410, YVU410, 4, 4),
        /* V4L2 names the bytes in memory, DRM the bits of a little-endian word from the highest on */
        PACKED(YUV24, VUY888, 24),
        PACKED(VUYX32, XYUV8888, 32),
        PACKED(VUYA32, AYUV, 32),
        NEWER(YUVX32, "YUVX", "XVUY", 1, 32, 1, 1, 1),
        NEWER(YUVA32, "YUVA", "AVUY", 1, 32, 1, 1, 1),
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
        NEWER(RGBX1010102, "RX30", "RX30", 1, 32, 1, 1, 1),
        NEWER(RGBA1010102, "RA30", "RA30", 1, 32, 1, 1, 1),
        NEWER(ARGB2101010, "AR30", "AR30", 1, 32, 1, 1, 1),
        /* 16 bits: V4L2, too, names a little-endian word here */
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
        /* the same with the bytes swapped, which DRM says by a bit */
        SWAPPED(RGB565X, RGB565),
        SWAPPED(XRGB555X, XRGB1555),
        SWAPPED(ARGB555X, ARGB1555),
        SWAPPED(RGB555X, XRGB1555),
        SWAPPED(Y16_BE, R16),
        /* one component; that of Y10 and Y12 is in the lower bits */
        PACKED(GREY, R8, 8),
        PACKED(Y10, R10, 16),
        PACKED(Y12, R12, 16),
        PACKED(Y16, R16, 16),
        PACKED(PAL8, C8, 8),
        /* tiles, of those that drm_fourcc.h calls by V4L2's name; two beside each other belong together */
        TILED_M(NV12MT, NV12, SAMSUNG_64_32_TILE, 128, 32),
        /* as they come; DRM has no names for these */
        COMPRESSED(MJPEG),
        COMPRESSED(JPEG),
        COMPRESSED(H264),
        COMPRESSED(HEVC),
        COMPRESSED(VP8),
        COMPRESSED(VP9),
        COMPRESSED(MPEG1),
        COMPRESSED(MPEG2),
        COMPRESSED(MPEG4),
        COMPRESSED(MPEG),
        COMPRESSED(H263),
        COMPRESSED(XVID),
        COMPRESSED(DV),
};

const PixelFormat *pixel_format_find(uint32_t v4l2) {
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                if (formats[i].v4l2 == v4l2)
                        return &formats[i];
        return NULL;
}

const PixelFormat *pixel_format_get(size_t rank) {
        return rank < FB_ELEMENTSOF(formats) ? &formats[rank] : NULL;
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

static uint64_t round_up(uint64_t value, uint64_t step) {
        return step ? (value + step - 1) / step * step : value;
}

int pixel_format_get_layout(const PixelFormat *f, uint32_t width, uint32_t height,
                            const uint32_t *bytesperline, struct framebus_plane ret_planes[4],
                            size_t *ret_n_planes, size_t *ret_size) {
        uint64_t least = round_up(((uint64_t)width * f->bits + 7) / 8, f->tile_width), size = 0;
        uint64_t stride = bytesperline[0] ? bytesperline[0] : least;

        if (pixel_format_is_compressed(f))
                return -ENOTSUP;
        if (stride < least || least == 0)
                return -EINVAL;
        for (size_t i = 0; i < f->n_planes; i++) {
                uint64_t pair = f->n_planes == 2 ? 2 : 1;
                uint64_t lines = round_up(i ? ((uint64_t)height + f->vsub - 1) / f->vsub : height,
                                          f->tile_lines);
                uint64_t bytes = i == 0 ? stride : stride * pair / f->hsub;

                if (i > 0 && f->n_memories > 1 && bytesperline[i]) {
                        if (bytesperline[i] < least * pair / f->hsub)
                                return -EINVAL;
                        bytes = bytesperline[i];
                }
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
