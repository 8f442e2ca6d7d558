/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Colorimetry and interlacing. V4L2 has a number for the color space that stands for the other three where
 * they are 0; GStreamer has four independent ones.
 */
#include <linux/videodev2.h>

#include "base/cleanup.h"
#include "gst/caps.h"

static const struct {
        uint32_t colorspace;
        GstVideoColorPrimaries primaries;
} spaces[] = {
        { V4L2_COLORSPACE_REC709, GST_VIDEO_COLOR_PRIMARIES_BT709 },
        { V4L2_COLORSPACE_SMPTE170M, GST_VIDEO_COLOR_PRIMARIES_SMPTE170M },
        { V4L2_COLORSPACE_SMPTE240M, GST_VIDEO_COLOR_PRIMARIES_SMPTE240M },
        { V4L2_COLORSPACE_470_SYSTEM_M, GST_VIDEO_COLOR_PRIMARIES_BT470M },
        { V4L2_COLORSPACE_470_SYSTEM_BG, GST_VIDEO_COLOR_PRIMARIES_BT470BG },
        { V4L2_COLORSPACE_OPRGB, GST_VIDEO_COLOR_PRIMARIES_ADOBERGB },
        { V4L2_COLORSPACE_BT2020, GST_VIDEO_COLOR_PRIMARIES_BT2020 },
        { V4L2_COLORSPACE_SRGB, GST_VIDEO_COLOR_PRIMARIES_BT709 },
        { V4L2_COLORSPACE_JPEG, GST_VIDEO_COLOR_PRIMARIES_BT709 },
};

static const struct {
        uint32_t xfer;
        GstVideoTransferFunction transfer;
} transfers[] = {
        { V4L2_XFER_FUNC_709, GST_VIDEO_TRANSFER_BT709 },
        { V4L2_XFER_FUNC_SRGB, GST_VIDEO_TRANSFER_SRGB },
        { V4L2_XFER_FUNC_OPRGB, GST_VIDEO_TRANSFER_ADOBERGB },
        { V4L2_XFER_FUNC_SMPTE240M, GST_VIDEO_TRANSFER_SMPTE240M },
        { V4L2_XFER_FUNC_NONE, GST_VIDEO_TRANSFER_GAMMA10 },
        { V4L2_XFER_FUNC_SMPTE2084, GST_VIDEO_TRANSFER_SMPTE2084 },
        /* the same curve, under other names */
        { V4L2_XFER_FUNC_709, GST_VIDEO_TRANSFER_BT601 },
        { V4L2_XFER_FUNC_709, GST_VIDEO_TRANSFER_BT2020_10 },
        { V4L2_XFER_FUNC_709, GST_VIDEO_TRANSFER_BT2020_12 },
};

static const struct {
        uint32_t encoding;
        GstVideoColorMatrix matrix;
} matrices[] = {
        { V4L2_YCBCR_ENC_601, GST_VIDEO_COLOR_MATRIX_BT601 },
        { V4L2_YCBCR_ENC_709, GST_VIDEO_COLOR_MATRIX_BT709 },
        { V4L2_YCBCR_ENC_BT2020, GST_VIDEO_COLOR_MATRIX_BT2020 },
        { V4L2_YCBCR_ENC_SMPTE240M, GST_VIDEO_COLOR_MATRIX_SMPTE240M },
        { V4L2_YCBCR_ENC_XV601, GST_VIDEO_COLOR_MATRIX_BT601 },
        { V4L2_YCBCR_ENC_XV709, GST_VIDEO_COLOR_MATRIX_BT709 },
        { V4L2_YCBCR_ENC_BT2020_CONST_LUM, GST_VIDEO_COLOR_MATRIX_BT2020 },
};

/* @key to @value in a table of pairs; 0 if it is not there, which stands for unknown everywhere here. */
#define LOOK_UP(table, key, value, wanted)                                                                   \
        ({                                                                                                   \
                uint32_t _found = 0;                                                                         \
                for (size_t _i = 0; _i < FB_ELEMENTSOF(table) && !_found; _i++)                              \
                        if ((table)[_i].key == (wanted))                                                     \
                                _found = (table)[_i].value;                                                  \
                _found;                                                                                      \
        })

/* One curve has three names, which go with the color space. */
static GstVideoTransferFunction transfer_from_xfer(uint32_t xfer, uint32_t space) {
        if (xfer == V4L2_XFER_FUNC_709 && space == V4L2_COLORSPACE_SMPTE170M)
                return GST_VIDEO_TRANSFER_BT601;
        if (xfer == V4L2_XFER_FUNC_709 && space == V4L2_COLORSPACE_BT2020)
                return GST_VIDEO_TRANSFER_BT2020_10;
        return LOOK_UP(transfers, xfer, transfer, xfer);
}

static GstVideoColorimetry colorimetry_from_numbers(const uint32_t numbers[4], bool rgb) {
        uint32_t space = numbers[0], xfer = numbers[1], encoding = numbers[2], quantization = numbers[3];

        if (!xfer)
                xfer = V4L2_MAP_XFER_FUNC_DEFAULT(space);
        if (!encoding)
                encoding = V4L2_MAP_YCBCR_ENC_DEFAULT(space);
        if (!quantization)
                quantization = V4L2_MAP_QUANTIZATION_DEFAULT(rgb, space, encoding);
        return (GstVideoColorimetry){
                .range = quantization == V4L2_QUANTIZATION_FULL_RANGE ? GST_VIDEO_COLOR_RANGE_0_255
                                                                      : GST_VIDEO_COLOR_RANGE_16_235,
                .matrix = rgb ? GST_VIDEO_COLOR_MATRIX_RGB : LOOK_UP(matrices, encoding, matrix, encoding),
                .transfer = transfer_from_xfer(xfer, space),
                .primaries = LOOK_UP(spaces, colorspace, primaries, space),
        };
}

static void caps_set_field(GstCaps *caps, uint32_t field) {
        const char *order = field == V4L2_FIELD_INTERLACED_BT ? "bottom-field-first" :
                            field == V4L2_FIELD_INTERLACED_TB ? "top-field-first" :
                                                                NULL;

        if (field == V4L2_FIELD_INTERLACED || order)
                gst_caps_set_simple(caps, "interlace-mode", G_TYPE_STRING, "interleaved", NULL);
        else
                gst_caps_set_simple(caps, "interlace-mode", G_TYPE_STRING, "progressive", NULL);
        if (order)
                gst_caps_set_simple(caps, "field-order", G_TYPE_STRING, order, NULL);
}

void caps_set_picture(GstCaps *caps, const uint32_t *colorimetry, uint32_t field) {
        const char *name = gst_structure_get_string(gst_caps_get_structure(caps, 0), "format");
        const GstVideoFormatInfo *format = gst_video_format_get_info(gst_video_format_from_string(name));
        GstVideoColorimetry c;
        char *text;

        gst_caps_set_simple(caps, "pixel-aspect-ratio", GST_TYPE_FRACTION, 1, 1, NULL);
        caps_set_field(caps, field);
        if (!colorimetry || colorimetry[0] == V4L2_COLORSPACE_DEFAULT ||
            colorimetry[0] == V4L2_COLORSPACE_RAW)
                return;
        c = colorimetry_from_numbers(colorimetry, GST_VIDEO_FORMAT_INFO_IS_RGB(format));
        text = gst_video_colorimetry_to_string(&c);
        if (text)
                gst_caps_set_simple(caps, "colorimetry", G_TYPE_STRING, text, NULL);
        g_free(text);
}

bool caps_get_colorimetry(const GstVideoInfo *info, uint32_t ret_colorimetry[4]) {
        const GstVideoColorimetry *c = &info->colorimetry;
        uint32_t space = LOOK_UP(spaces, primaries, colorspace, c->primaries);

        if (!space)
                return false;
        if (space == V4L2_COLORSPACE_REC709 && c->transfer == GST_VIDEO_TRANSFER_SRGB)
                space = V4L2_COLORSPACE_SRGB;
        ret_colorimetry[0] = space;
        ret_colorimetry[1] = LOOK_UP(transfers, transfer, xfer, c->transfer);
        ret_colorimetry[2] = LOOK_UP(matrices, matrix, encoding, c->matrix);
        ret_colorimetry[3] = c->range == GST_VIDEO_COLOR_RANGE_0_255  ? V4L2_QUANTIZATION_FULL_RANGE :
                             c->range == GST_VIDEO_COLOR_RANGE_16_235 ? V4L2_QUANTIZATION_LIM_RANGE :
                                                                        V4L2_QUANTIZATION_DEFAULT;
        return true;
}
