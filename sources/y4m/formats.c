/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Samples of more than 8 bits fill the low bits of 16 in yuv4mpeg2. DRM's grey formats are the same; its
 * planar and semi-planar ones keep them in the high bits, so these would be other pictures.
 */
#include "sources/y4m/formats.h"

#include <drm_fourcc.h>
#include <strings.h>

#include "base/cleanup.h"

#define DEEP  "DRM has no planar format with samples in the low bits; use 8, e.g. ffmpeg -pix_fmt yuv420p"
#define ALPHA "DRM has no planar format with alpha; drop it, e.g. ffmpeg -pix_fmt yuv444p"
#define GREY9 "DRM has no grey format of 9 bits; convert to gray, gray10le or gray12le"

static const Y4mFormat formats[] = {
        { "420jpeg", DRM_FORMAT_YUV420, NULL, 2, 2, 1 },
        { "420mpeg2", DRM_FORMAT_YUV420, NULL, 2, 2, 1 },
        { "420paldv", DRM_FORMAT_YUV420, NULL, 2, 2, 1 },
        { "420", DRM_FORMAT_YUV420, NULL, 2, 2, 1 },
        { "422", DRM_FORMAT_YUV422, NULL, 2, 1, 1 },
        { "444", DRM_FORMAT_YUV444, NULL, 1, 1, 1 },
        { "411", DRM_FORMAT_YUV411, NULL, 4, 1, 1 },
        { "410", DRM_FORMAT_YUV410, NULL, 4, 4, 1 },
        { "mono", DRM_FORMAT_R8, NULL, 0, 0, 1 },
        { "mono10", DRM_FORMAT_R10, NULL, 0, 0, 2 },
        { "mono12", DRM_FORMAT_R12, NULL, 0, 0, 2 },
        { "mono16", DRM_FORMAT_R16, NULL, 0, 0, 2 },
        { "mono9", 0, GREY9, 0, 0, 2 },
        { "444alpha", 0, ALPHA, 1, 1, 1 },
        { "420p9", 0, DEEP, 2, 2, 2 },
        { "420p10", 0, DEEP, 2, 2, 2 },
        { "420p12", 0, DEEP, 2, 2, 2 },
        { "420p14", 0, DEEP, 2, 2, 2 },
        { "420p16", 0, DEEP, 2, 2, 2 },
        { "422p9", 0, DEEP, 2, 1, 2 },
        { "422p10", 0, DEEP, 2, 1, 2 },
        { "422p12", 0, DEEP, 2, 1, 2 },
        { "422p14", 0, DEEP, 2, 1, 2 },
        { "422p16", 0, DEEP, 2, 1, 2 },
        { "444p9", 0, DEEP, 1, 1, 2 },
        { "444p10", 0, DEEP, 1, 1, 2 },
        { "444p12", 0, DEEP, 1, 1, 2 },
        { "444p14", 0, DEEP, 1, 1, 2 },
        { "444p16", 0, DEEP, 1, 1, 2 },
};

const Y4mFormat *y4m_format_find(const char *name) {
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                if (strcasecmp(name, formats[i].name) == 0)
                        return &formats[i];
        return NULL;
}
