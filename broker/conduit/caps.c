/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See caps.h. The layouts are those that gst_video_info_set_format() computes: all of the formats here have
 * lines rounded up to four bytes; where colour has half the lines, the first plane has an even number of
 * them.
 */
#include "broker/conduit/caps.h"

#include <drm_fourcc.h>
#include <linux/videodev2.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "wire/format.h"

static const struct {
        uint32_t fourcc;
        const char *format;
} raw_formats[] = {
        { DRM_FORMAT_YUYV, "YUY2" },     { DRM_FORMAT_YVYU, "YVYU" },     { DRM_FORMAT_UYVY, "UYVY" },
        { DRM_FORMAT_VYUY, "VYUY" },     { DRM_FORMAT_NV12, "NV12" },     { DRM_FORMAT_NV21, "NV21" },
        { DRM_FORMAT_NV16, "NV16" },     { DRM_FORMAT_NV61, "NV61" },     { DRM_FORMAT_NV24, "NV24" },
        { DRM_FORMAT_YUV420, "I420" },   { DRM_FORMAT_YVU420, "YV12" },   { DRM_FORMAT_YUV422, "Y42B" },
        { DRM_FORMAT_YUV444, "Y444" },   { DRM_FORMAT_YUV411, "Y41B" },   { DRM_FORMAT_YUV410, "YUV9" },
        { DRM_FORMAT_YVU410, "YVU9" },   { DRM_FORMAT_P010, "P010_10LE" }, { DRM_FORMAT_R8, "GRAY8" },
        { DRM_FORMAT_R16, "GRAY16_LE" }, { DRM_FORMAT_RGB565, "RGB16" },  { DRM_FORMAT_BGR565, "BGR16" },
        { DRM_FORMAT_RGB888, "BGR" },    { DRM_FORMAT_BGR888, "RGB" },    { DRM_FORMAT_XRGB8888, "BGRx" },
        { DRM_FORMAT_ARGB8888, "BGRA" }, { DRM_FORMAT_XBGR8888, "RGBx" }, { DRM_FORMAT_ABGR8888, "RGBA" },
        { DRM_FORMAT_RGBX8888, "xBGR" }, { DRM_FORMAT_RGBA8888, "ABGR" }, { DRM_FORMAT_BGRX8888, "xRGB" },
        { DRM_FORMAT_BGRA8888, "ARGB" },
};

static const struct {
        uint32_t fourcc;
        const char *type;
} compressed_formats[] = {
        { V4L2_PIX_FMT_MJPEG, "image/jpeg" },
        { V4L2_PIX_FMT_JPEG, "image/jpeg" },
        { V4L2_PIX_FMT_H264, "video/x-h264, stream-format=(string)byte-stream, alignment=(string)au" },
        { V4L2_PIX_FMT_HEVC, "video/x-h265, stream-format=(string)byte-stream, alignment=(string)au" },
        { V4L2_PIX_FMT_VP8, "video/x-vp8" },
        { V4L2_PIX_FMT_VP9, "video/x-vp9" },
};

static const char *find_raw(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(raw_formats); i++)
                if (raw_formats[i].fourcc == fourcc)
                        return raw_formats[i].format;
        return NULL;
}

static const char *find_compressed(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(compressed_formats); i++)
                if (compressed_formats[i].fourcc == fourcc)
                        return compressed_formats[i].type;
        return NULL;
}

bool caps_know(uint32_t fourcc) {
        return find_raw(fourcc) || find_compressed(fourcc);
}

int caps_from_mode(const Mode *m, char ret[static CAPS_MAX]) {
        const char *raw = find_raw(m->fourcc), *compressed = find_compressed(m->fourcc);

        if ((!raw && !compressed) || m->modifier != DRM_FORMAT_MOD_LINEAR)
                return FB_E_NOT_SUPPORTED;
        snprintf(ret, CAPS_MAX, "%s%s%s, width=(int)%u, height=(int)%u, framerate=(fraction)%u/%u",
                 raw ? "video/x-raw, format=(string)" : "", raw ?: "", compressed ?: "", m->width, m->height,
                 m->rate.num, m->rate.den ?: 1);
        return 0;
}

static int locate_compressed(const Frame *f, uint64_t *ret_offset, uint64_t *ret_size, const char **ret_why) {
        if (f->n_planes != 1)
                return *ret_why = "it has several pieces", FB_E_NOT_SUPPORTED;
        *ret_offset = f->planes[0].offset;
        *ret_size = f->planes[0].size;
        return 0;
}

int caps_locate(const Mode *m, const Frame *f, uint64_t *ret_offset, uint64_t *ret_size,
                const char **ret_why) {
        const FormatInfo *info = format_get_info(m->fourcc);
        const Plane *p = f->planes;
        uint64_t stride, lines, at = p[0].offset;

        if (f->n_fds != 1)
                return *ret_why = "it is in several memories", FB_E_NOT_SUPPORTED;
        if (find_compressed(m->fourcc))
                return locate_compressed(f, ret_offset, ret_size, ret_why);
        if (!info || !find_raw(m->fourcc) || f->n_planes != info->n_planes)
                return *ret_why = "its format has no caps", FB_E_NOT_SUPPORTED;
        for (uint32_t i = 0; i < f->n_planes; i++) {
                if (!format_plane_min(info, i, m->width, m->height, &stride, &lines))
                        return *ret_why = "it is too large", FB_E_NOT_SUPPORTED;
                stride = (stride + 3) & ~UINT64_C(3);
                if (i == 0 && info->n_planes > 1 && info->vsub[1] == 2)
                        lines += lines & 1;
                if (p[i].stride != stride || p[i].offset != at)
                        return *ret_why = "its lines or planes do not lie where the caps have them",
                               FB_E_NOT_SUPPORTED;
                at += stride * lines;
        }
        if (p[f->n_planes - 1].offset + p[f->n_planes - 1].size < at)
                return *ret_why = "its last line is too short", FB_E_NOT_SUPPORTED;
        *ret_offset = p[0].offset;
        *ret_size = at - p[0].offset;
        return 0;
}
