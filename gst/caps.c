/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Modes as caps. GStreamer names bytes in the order of memory, DRM the bits of a little-endian word: its
 * RGB888 is BGR here. What has no equal is left out, rather than passed on under a name that is not quite
 * right.
 */
#include "gst/caps.h"

#include <drm_fourcc.h>
#include <linux/videodev2.h>

#include "base/cleanup.h"

#define SIZE_LIMIT 65535

static const struct {
        GstVideoFormat format;
        uint32_t fourcc;
} raw[] = {
        { GST_VIDEO_FORMAT_I420, DRM_FORMAT_YUV420 },
        { GST_VIDEO_FORMAT_YV12, DRM_FORMAT_YVU420 },
        { GST_VIDEO_FORMAT_NV12, DRM_FORMAT_NV12 },
        { GST_VIDEO_FORMAT_NV21, DRM_FORMAT_NV21 },
        { GST_VIDEO_FORMAT_YUY2, DRM_FORMAT_YUYV },
        { GST_VIDEO_FORMAT_UYVY, DRM_FORMAT_UYVY },
        { GST_VIDEO_FORMAT_YVYU, DRM_FORMAT_YVYU },
        { GST_VIDEO_FORMAT_VYUY, DRM_FORMAT_VYUY },
        { GST_VIDEO_FORMAT_RGB, DRM_FORMAT_BGR888 },
        { GST_VIDEO_FORMAT_BGR, DRM_FORMAT_RGB888 },
        { GST_VIDEO_FORMAT_BGRx, DRM_FORMAT_XRGB8888 },
        { GST_VIDEO_FORMAT_RGBx, DRM_FORMAT_XBGR8888 },
        { GST_VIDEO_FORMAT_xRGB, DRM_FORMAT_BGRX8888 },
        { GST_VIDEO_FORMAT_xBGR, DRM_FORMAT_RGBX8888 },
        { GST_VIDEO_FORMAT_BGRA, DRM_FORMAT_ARGB8888 },
        { GST_VIDEO_FORMAT_RGBA, DRM_FORMAT_ABGR8888 },
        { GST_VIDEO_FORMAT_ARGB, DRM_FORMAT_BGRA8888 },
        { GST_VIDEO_FORMAT_ABGR, DRM_FORMAT_RGBA8888 },
        { GST_VIDEO_FORMAT_GRAY8, DRM_FORMAT_R8 },
        { GST_VIDEO_FORMAT_GRAY16_LE, DRM_FORMAT_R16 },
        { GST_VIDEO_FORMAT_RGB16, DRM_FORMAT_RGB565 },
        { GST_VIDEO_FORMAT_BGR16, DRM_FORMAT_BGR565 },
        { GST_VIDEO_FORMAT_RGB15, DRM_FORMAT_XRGB1555 },
        { GST_VIDEO_FORMAT_BGR15, DRM_FORMAT_XBGR1555 },
        { GST_VIDEO_FORMAT_NV16, DRM_FORMAT_NV16 },
        { GST_VIDEO_FORMAT_NV61, DRM_FORMAT_NV61 },
        { GST_VIDEO_FORMAT_NV24, DRM_FORMAT_NV24 },
        { GST_VIDEO_FORMAT_Y42B, DRM_FORMAT_YUV422 },
        { GST_VIDEO_FORMAT_Y444, DRM_FORMAT_YUV444 },
        { GST_VIDEO_FORMAT_Y41B, DRM_FORMAT_YUV411 },
        { GST_VIDEO_FORMAT_YUV9, DRM_FORMAT_YUV410 },
        { GST_VIDEO_FORMAT_YVU9, DRM_FORMAT_YVU410 },
        { GST_VIDEO_FORMAT_v308, DRM_FORMAT_VUY888 },
        { GST_VIDEO_FORMAT_VUYA, DRM_FORMAT_AYUV },
        { GST_VIDEO_FORMAT_P010_10LE, DRM_FORMAT_P010 },
        { GST_VIDEO_FORMAT_P012_LE, DRM_FORMAT_P012 },
        { GST_VIDEO_FORMAT_P016_LE, DRM_FORMAT_P016 },
        { GST_VIDEO_FORMAT_Y210, DRM_FORMAT_Y210 },
        { GST_VIDEO_FORMAT_Y212_LE, DRM_FORMAT_Y212 },
        { GST_VIDEO_FORMAT_Y410, DRM_FORMAT_Y410 },
        { GST_VIDEO_FORMAT_Y412_LE, DRM_FORMAT_Y412 },
        { GST_VIDEO_FORMAT_BGR10A2_LE, DRM_FORMAT_ARGB2101010 },
        { GST_VIDEO_FORMAT_RGB10A2_LE, DRM_FORMAT_ABGR2101010 },
};

/* Parsers before a sink, and caps filters behind a source, use the fields behind the name. */
static const struct {
        uint32_t fourcc;
        const char *caps, *accepted; /* what comes out; what goes in, if that is less strict */
        bool deltas;
} compressed[] = {
        { V4L2_PIX_FMT_MJPEG, "image/jpeg", NULL, false },
        { V4L2_PIX_FMT_JPEG, "image/jpeg", NULL, false },
        { V4L2_PIX_FMT_H264, "video/x-h264,stream-format=byte-stream,alignment=au", NULL, true },
        { V4L2_PIX_FMT_HEVC, "video/x-h265,stream-format=byte-stream,alignment=au", NULL, true },
        { V4L2_PIX_FMT_VP8, "video/x-vp8", NULL, true },
        { V4L2_PIX_FMT_VP9, "video/x-vp9", NULL, true },
        { V4L2_PIX_FMT_MPEG2, "video/mpeg,mpegversion=2,systemstream=false,parsed=true",
          "video/mpeg,mpegversion=2,systemstream=false", true },
        { V4L2_PIX_FMT_SRGGB8, "video/x-bayer,format=rggb", NULL, false },
        { V4L2_PIX_FMT_SBGGR8, "video/x-bayer,format=bggr", NULL, false },
        { V4L2_PIX_FMT_SGRBG8, "video/x-bayer,format=grbg", NULL, false },
        { V4L2_PIX_FMT_SGBRG8, "video/x-bayer,format=gbrg", NULL, false },
};

GstVideoFormat caps_format_from_fourcc(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(raw); i++)
                if (raw[i].fourcc == fourcc)
                        return raw[i].format;
        return GST_VIDEO_FORMAT_UNKNOWN;
}

bool caps_fourcc_has_deltas(uint32_t fourcc) {
        for (size_t i = 0; i < FB_ELEMENTSOF(compressed); i++)
                if (compressed[i].fourcc == fourcc)
                        return compressed[i].deltas;
        return false;
}

/* From modes */

/* A structure that names the format alone; NULL: GStreamer has none. */
static GstStructure *structure_from_fourcc(uint32_t fourcc) {
        GstVideoFormat format = caps_format_from_fourcc(fourcc);

        if (format != GST_VIDEO_FORMAT_UNKNOWN)
                return gst_structure_new("video/x-raw", "format", G_TYPE_STRING,
                                         gst_video_format_to_string(format), NULL);
        for (size_t i = 0; i < FB_ELEMENTSOF(compressed); i++)
                if (compressed[i].fourcc == fourcc)
                        return gst_structure_from_string(compressed[i].caps, NULL);
        return NULL;
}

static void set_size(GstStructure *s, const char *field, uint32_t value, const struct framebus_range *range) {
        int min = (int)range->min, max = (int)range->max, step = (int)(range->step ?: 1);
        GValue v = G_VALUE_INIT;

        if (!range->max) {
                gst_structure_set(s, field, G_TYPE_INT, (int)value, NULL);
                return;
        }
        min += (step - min % step) % step; /* GStreamer's steps are multiples */
        max -= max % step;
        if (min >= max) {
                gst_structure_set(s, field, G_TYPE_INT, (int)value ?: max, NULL);
                return;
        }
        g_value_init(&v, GST_TYPE_INT_RANGE);
        gst_value_set_int_range_step(&v, min, max, step);
        gst_structure_take_value(s, field, &v);
}

static void set_rate(GstStructure *s, const struct framebus_mode *m, bool ranges) {
        if (ranges && m->rate_max.num)
                gst_structure_set(s, "framerate", GST_TYPE_FRACTION_RANGE, (int)m->rate_min.num,
                                  (int)m->rate_min.den, (int)m->rate_max.num, (int)m->rate_max.den, NULL);
        else
                gst_structure_set(s, "framerate", GST_TYPE_FRACTION, m->rate.den ? (int)m->rate.num : 0,
                                  m->rate.den ? (int)m->rate.den : 1, NULL);
}

static void append_mode(GstCaps *caps, const struct framebus_mode *m, bool ranges) {
        static const struct framebus_range none;
        GstStructure *s = m->modifier == DRM_FORMAT_MOD_LINEAR ? structure_from_fourcc(m->fourcc) : NULL;

        if (!s)
                return;
        set_size(s, "width", m->width, ranges ? &m->width_range : &none);
        set_size(s, "height", m->height, ranges ? &m->height_range : &none);
        set_rate(s, m, ranges);
        gst_caps_append_structure(caps, s);
}

GstCaps *caps_from_modes(const struct framebus_mode *modes, size_t n_modes) {
        GstCaps *caps = gst_caps_new_empty();

        for (size_t i = 0; i < n_modes; i++) {
                const struct framebus_mode *m = &modes[i];
                bool ranges = m->width_range.max || m->height_range.max || m->rate_max.num;

                if (m->width && m->height && (m->rate.num || !m->rate_max.num))
                        append_mode(caps, m, false);
                if (ranges)
                        append_mode(caps, m, true);
        }
        return caps;
}

GstCaps *caps_template(void) {
        static const char sizes[] =
                        "width=(int)[1,65535],height=(int)[1,65535],framerate=(fraction)[0/1,max]";
        GString *text = g_string_new("video/x-raw,format={");
        GstCaps *caps;

        for (size_t i = 0; i < FB_ELEMENTSOF(raw); i++)
                g_string_append_printf(text, "%s%s", i > 0 ? "," : "",
                                       gst_video_format_to_string(raw[i].format));
        g_string_append_printf(text, "},%s", sizes);
        for (size_t i = 0; i < FB_ELEMENTSOF(compressed); i++)
                if (compressed[i].fourcc != V4L2_PIX_FMT_JPEG)
                        g_string_append_printf(text, ";%s,%s", compressed[i].accepted ?: compressed[i].caps,
                                               sizes);
        caps = gst_caps_from_string(text->str);
        g_string_free(text, TRUE);
        return caps;
}

/* To modes */

static void get_size(const GstStructure *s, const char *field, uint32_t *ret,
                     struct framebus_range *ret_range) {
        const GValue *v = gst_structure_get_value(s, field);

        if (v && GST_VALUE_HOLDS_LIST(v) && gst_value_list_get_size(v) > 0)
                v = gst_value_list_get_value(v, 0);
        if (v && G_VALUE_HOLDS_INT(v))
                *ret = (uint32_t)g_value_get_int(v);
        else if (v && GST_VALUE_HOLDS_INT_RANGE(v) && gst_value_get_int_range_max(v) <= SIZE_LIMIT) {
                ret_range->min = (uint32_t)MAX(gst_value_get_int_range_min(v), 1);
                ret_range->max = (uint32_t)gst_value_get_int_range_max(v);
                ret_range->step = (uint32_t)gst_value_get_int_range_step(v);
                if (ret_range->min == 1 && ret_range->max == SIZE_LIMIT)
                        *ret_range = (struct framebus_range){ 0 };
        }
}

static struct framebus_fraction fraction_of(const GValue *v) {
        return (struct framebus_fraction){ (uint32_t)gst_value_get_fraction_numerator(v),
                                           (uint32_t)gst_value_get_fraction_denominator(v) };
}

static void get_rate(const GstStructure *s, struct framebus_mode *m) {
        const GValue *v = gst_structure_get_value(s, "framerate"), *max;

        if (v && GST_VALUE_HOLDS_LIST(v) && gst_value_list_get_size(v) > 0)
                v = gst_value_list_get_value(v, 0);
        if (v && GST_VALUE_HOLDS_FRACTION(v) && gst_value_get_fraction_numerator(v) > 0)
                m->rate = fraction_of(v);
        if (!v || !GST_VALUE_HOLDS_FRACTION_RANGE(v))
                return;
        max = gst_value_get_fraction_range_max(v);
        if (gst_value_get_fraction_numerator(max) == G_MAXINT) /* any */
                return;
        m->rate_max = fraction_of(max);
        m->rate_min = fraction_of(gst_value_get_fraction_range_min(v));
        if (m->rate_min.num == 0)
                m->rate_min = (struct framebus_fraction){ 1, 1000 };
}

/* The fourccs that a structure with one format stands for. */
static size_t get_fourccs(const GstStructure *s, const char *format, uint32_t ret[2]) {
        size_t n = 0;

        if (gst_structure_has_name(s, "video/x-raw")) {
                for (size_t i = 0; i < FB_ELEMENTSOF(raw) && n == 0; i++)
                        if (g_strcmp0(format, gst_video_format_to_string(raw[i].format)) == 0)
                                ret[n++] = raw[i].fourcc;
                return n;
        }
        for (size_t i = 0; i < FB_ELEMENTSOF(compressed) && n < 2; i++) {
                GstStructure *known =
                                gst_structure_from_string(compressed[i].accepted ?: compressed[i].caps, NULL);

                if (gst_structure_can_intersect(known, s))
                        ret[n++] = compressed[i].fourcc;
                gst_structure_free(known);
        }
        return n;
}

static size_t add_format(const GstStructure *s, const char *format, struct framebus_mode *ret, size_t max) {
        uint32_t fourccs[2];
        size_t n = MIN(get_fourccs(s, format, fourccs), max);

        for (size_t i = 0; i < n; i++) {
                ret[i] = (struct framebus_mode){ .fourcc = fourccs[i] };
                get_size(s, "width", &ret[i].width, &ret[i].width_range);
                get_size(s, "height", &ret[i].height, &ret[i].height_range);
                get_rate(s, &ret[i]);
        }
        return n;
}

size_t caps_to_modes(const GstCaps *caps, struct framebus_mode *ret_modes, size_t max) {
        size_t n = 0;

        if (!caps || gst_caps_is_any(caps))
                return 0;
        for (guint i = 0; i < gst_caps_get_size(caps); i++) {
                const GstStructure *s = gst_caps_get_structure(caps, i);
                const GValue *v = gst_structure_get_value(s, "format");

                if (v && GST_VALUE_HOLDS_LIST(v)) {
                        for (guint k = 0; k < gst_value_list_get_size(v); k++)
                                n += add_format(s, g_value_get_string(gst_value_list_get_value(v, k)),
                                                ret_modes + n, max - n);
                } else
                        n += add_format(s, v && G_VALUE_HOLDS_STRING(v) ? g_value_get_string(v) : NULL,
                                        ret_modes + n, max - n);
        }
        return n;
}
