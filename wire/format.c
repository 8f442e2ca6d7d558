/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Layouts of the formats of drm_fourcc.h that cameras, converters and screens make.
 *
 * A plane is lines of samples; one sample covers hsub x vsub pixels, rounded up at the right and lower
 * edge, so packed 4:2:2 is one plane of 32-bit samples two pixels wide. With swapped bytes
 * (DRM_FORMAT_BIG_ENDIAN) the samples are as large. A format that is not in the table is legal: its planes
 * only have to lie inside their memory. Non-linear modifiers lay planes out as they like and may add some:
 * the same.
 */
#include "wire/format.h"

#include <drm_fourcc.h>
#include <linux/videodev2.h>

#include "base/cleanup.h"
#include "base/error.h"

#define PACKED(name, bits)        { DRM_FORMAT_##name, 1, { bits }, { 1 }, { 1 } }
#define PACKED_2(name, bits)      { DRM_FORMAT_##name, 1, { bits }, { 2 }, { 1 } }
#define SEMI(name, bits, h, v)    { DRM_FORMAT_##name, 2, { bits, 2 * (bits) }, { 1, h }, { 1, v } }
#define PLANAR(name, bits, h, v)  { DRM_FORMAT_##name, 3, { bits, bits, bits }, { 1, h, h }, { 1, v, v } }
/* spelt out: drm_fourcc.h may not have the name yet */
#define NEWER(a, b, c, d, ...)    { fourcc_code(a, b, c, d), __VA_ARGS__ }

static const FormatInfo formats[] = {
        /* grey, indexed, two components */
        PACKED(C8, 8),
        PACKED(R8, 8),
        PACKED(R10, 16),
        PACKED(R12, 16),
        PACKED(R16, 16),
        PACKED(RG88, 16),
        PACKED(GR88, 16),
        PACKED(RG1616, 32),
        PACKED(GR1616, 32),
        /* RGB */
        PACKED(RGB332, 8),
        PACKED(BGR233, 8),
        PACKED(XRGB4444, 16),
        PACKED(XBGR4444, 16),
        PACKED(RGBX4444, 16),
        PACKED(BGRX4444, 16),
        PACKED(ARGB4444, 16),
        PACKED(ABGR4444, 16),
        PACKED(RGBA4444, 16),
        PACKED(BGRA4444, 16),
        PACKED(XRGB1555, 16),
        PACKED(XBGR1555, 16),
        PACKED(RGBX5551, 16),
        PACKED(BGRX5551, 16),
        PACKED(ARGB1555, 16),
        PACKED(ABGR1555, 16),
        PACKED(RGBA5551, 16),
        PACKED(BGRA5551, 16),
        PACKED(RGB565, 16),
        PACKED(BGR565, 16),
        PACKED(RGB888, 24),
        PACKED(BGR888, 24),
        PACKED(XRGB8888, 32),
        PACKED(XBGR8888, 32),
        PACKED(RGBX8888, 32),
        PACKED(BGRX8888, 32),
        PACKED(ARGB8888, 32),
        PACKED(ABGR8888, 32),
        PACKED(RGBA8888, 32),
        PACKED(BGRA8888, 32),
        PACKED(XRGB2101010, 32),
        PACKED(XBGR2101010, 32),
        PACKED(RGBX1010102, 32),
        PACKED(BGRX1010102, 32),
        PACKED(ARGB2101010, 32),
        PACKED(ABGR2101010, 32),
        PACKED(RGBA1010102, 32),
        PACKED(BGRA1010102, 32),
        PACKED(XRGB16161616, 64),
        PACKED(XBGR16161616, 64),
        PACKED(ARGB16161616, 64),
        PACKED(ABGR16161616, 64),
        PACKED(XRGB16161616F, 64),
        PACKED(XBGR16161616F, 64),
        PACKED(ARGB16161616F, 64),
        PACKED(ABGR16161616F, 64),
        PACKED(AXBXGXRX106106106106, 64),
        /* packed YUV 4:4:4 */
        PACKED(VUY888, 24),
        PACKED(AYUV, 32),
        PACKED(XYUV8888, 32),
        PACKED(Y410, 32),
        PACKED(Y412, 64),
        PACKED(Y416, 64),
        PACKED(XVYU2101010, 32),
        PACKED(XVYU16161616, 64),
        NEWER('A', 'V', 'U', 'Y', 1, { 32 }, { 1 }, { 1 }),
        NEWER('X', 'V', 'U', 'Y', 1, { 32 }, { 1 }, { 1 }),
        /* packed YUV 4:2:2 */
        PACKED_2(YUYV, 32),
        PACKED_2(YVYU, 32),
        PACKED_2(UYVY, 32),
        PACKED_2(VYUY, 32),
        PACKED_2(Y210, 64),
        PACKED_2(Y212, 64),
        PACKED_2(Y216, 64),
        /* Y, and a plane of pairs */
        SEMI(NV12, 8, 2, 2),
        SEMI(NV21, 8, 2, 2),
        SEMI(NV16, 8, 2, 1),
        SEMI(NV61, 8, 2, 1),
        SEMI(NV24, 8, 1, 1),
        SEMI(NV42, 8, 1, 1),
        SEMI(NV15, 10, 2, 2),
        NEWER('N', 'V', '2', '0', 2, { 10, 20 }, { 1, 2 }, { 1, 1 }),
        SEMI(P010, 16, 2, 2),
        SEMI(P012, 16, 2, 2),
        SEMI(P016, 16, 2, 2),
        SEMI(P210, 16, 2, 1),
        /* three planes */
        PLANAR(YUV410, 8, 4, 4),
        PLANAR(YVU410, 8, 4, 4),
        PLANAR(YUV411, 8, 4, 1),
        PLANAR(YVU411, 8, 4, 1),
        PLANAR(YUV420, 8, 2, 2),
        PLANAR(YVU420, 8, 2, 2),
        PLANAR(YUV422, 8, 2, 1),
        PLANAR(YVU422, 8, 2, 1),
        PLANAR(YUV444, 8, 1, 1),
        PLANAR(YVU444, 8, 1, 1),
        PLANAR(Q410, 16, 1, 1),
        PLANAR(Q401, 16, 1, 1),
};

/* Compressed, each frame for itself. DRM defines none of these, and none of the next. */
static const uint32_t independent_formats[] = {
        V4L2_PIX_FMT_MJPEG,
        V4L2_PIX_FMT_JPEG,
        V4L2_PIX_FMT_PJPG,
        V4L2_PIX_FMT_DV,
        V4L2_PIX_FMT_PWC1,
        V4L2_PIX_FMT_PWC2,
};

/* The newer ones are spelt out: kernel headers may not have them yet. */
static const uint32_t delta_formats[] = {
        V4L2_PIX_FMT_MPEG,
        V4L2_PIX_FMT_MPEG1,
        V4L2_PIX_FMT_MPEG2,
        V4L2_PIX_FMT_MPEG4,
        V4L2_PIX_FMT_XVID,
        V4L2_PIX_FMT_VC1_ANNEX_G,
        V4L2_PIX_FMT_VC1_ANNEX_L,
        V4L2_PIX_FMT_H263,
        V4L2_PIX_FMT_H264,
        V4L2_PIX_FMT_H264_NO_SC,
        V4L2_PIX_FMT_H264_MVC,
        V4L2_PIX_FMT_HEVC,
        V4L2_PIX_FMT_VP8,
        V4L2_PIX_FMT_VP9,
        V4L2_PIX_FMT_FWHT,
        v4l2_fourcc('M', 'G', '2', 'S'),
        v4l2_fourcc('S', '2', '6', '4'),
        v4l2_fourcc('S', '2', '6', '5'),
        v4l2_fourcc('V', 'P', '8', 'F'),
        v4l2_fourcc('V', 'P', '9', 'F'),
        v4l2_fourcc('A', 'V', '1', 'F'),
        v4l2_fourcc('A', 'V', '0', '1'),
};

const FormatInfo *format_get_info(uint32_t fourcc) {
        bool swapped = fourcc & DRM_FORMAT_BIG_ENDIAN;

        fourcc &= ~DRM_FORMAT_BIG_ENDIAN;
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                if (formats[i].fourcc == fourcc)
                        return swapped && formats[i].n_planes > 1 ? NULL : &formats[i];
        return NULL;
}

bool format_has_deltas(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(delta_formats); i++)
                if (delta_formats[i] == fourcc)
                        return true;
        return false;
}

bool format_is_compressed(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(independent_formats); i++)
                if (independent_formats[i] == fourcc)
                        return true;
        return format_has_deltas(fourcc);
}

static uint64_t divide_up(uint64_t a, uint64_t b) {
        return a / b + (a % b != 0);
}

bool format_plane_min(const FormatInfo *info, size_t i, uint32_t width, uint32_t height,
                      uint64_t *ret_stride, uint64_t *ret_lines) {
        uint64_t bits;

        if (i >= info->n_planes ||
            __builtin_mul_overflow(divide_up(width, info->hsub[i]), info->bits[i], &bits))
                return false;
        *ret_stride = divide_up(bits, 8);
        *ret_lines = divide_up(height, info->vsub[i]);
        return true;
}

bool format_layout(const FormatInfo *info, uint32_t width, uint32_t height,
                   Plane ret_planes[static FB_PLANES_MAX], uint64_t *ret_size) {
        Plane planes[FB_PLANES_MAX] = { 0 };
        uint64_t size = 0, stride, lines;

        for (size_t i = 0; i < info->n_planes; i++) {
                if (!format_plane_min(info, i, width, height, &stride, &lines) || stride > UINT32_MAX)
                        return false;
                planes[i].stride = (uint32_t)stride;
                planes[i].offset = size;
                if (__builtin_mul_overflow(stride, lines, &planes[i].size) || planes[i].size == 0 ||
                    __builtin_add_overflow(size, planes[i].size, &size))
                        return false;
        }
        for (size_t i = 0; i < FB_PLANES_MAX; i++)
                ret_planes[i] = planes[i];
        *ret_size = size;
        return true;
}

/* The last line may end where its pixels end. */
static int plane_judge_lines(const FormatInfo *info, size_t i, uint32_t width, uint32_t height,
                             const Plane *p, const char **ret_why) {
        uint64_t stride, lines, needed;

        if (!format_plane_min(info, i, width, height, &stride, &lines) || lines == 0 || stride == 0)
                return *ret_why = "the picture's size makes no sense", FB_E_INVALID_FRAME;
        if (p->stride < stride)
                return *ret_why = "a plane's stride is shorter than its lines", FB_E_INVALID_FRAME;
        if (__builtin_mul_overflow(lines - 1, (uint64_t)p->stride, &needed) ||
            __builtin_add_overflow(needed, stride, &needed) || p->size < needed)
                return *ret_why = "a plane is too small for its lines", FB_E_INVALID_FRAME;
        return 0;
}

static int plane_judge_place(const Plane *p, const uint64_t *memory_sizes, size_t n_memories,
                             const char **ret_why) {
        uint64_t end;

        if (p->memory >= n_memories)
                return *ret_why = "a plane names a memory that the frame does not have", FB_E_INVALID_FRAME;
        if (p->size == 0)
                return *ret_why = "a plane is empty", FB_E_INVALID_FRAME;
        if (__builtin_add_overflow(p->offset, p->size, &end) || end > memory_sizes[p->memory])
                return *ret_why = "a plane ends outside of its memory", FB_E_INVALID_MEMORY;
        return 0;
}

int format_judge_planes(uint32_t fourcc, uint64_t modifier, uint32_t width, uint32_t height,
                        const Plane *planes, size_t n_planes, const uint64_t *memory_sizes, size_t n_memories,
                        const char **ret_why) {
        const FormatInfo *info = modifier == DRM_FORMAT_MOD_LINEAR ? format_get_info(fourcc) : NULL;

        if (n_planes < 1 || n_planes > FB_PLANES_MAX)
                return *ret_why = "a frame has 1 to 4 planes", FB_E_INVALID_FRAME;
        if (info && n_planes != info->n_planes)
                return *ret_why = "the format has another number of planes", FB_E_INVALID_FRAME;
        if (format_is_compressed(fourcc) && (n_planes != 1 || planes[0].stride != 0))
                return *ret_why = "a compressed frame is one plane with stride 0", FB_E_INVALID_FRAME;
        for (size_t i = 0; i < n_planes; i++) {
                fb_try(plane_judge_place(&planes[i], memory_sizes, n_memories, ret_why));
                if (info)
                        fb_try(plane_judge_lines(info, i, width, height, &planes[i], ret_why));
        }
        return 0;
}
