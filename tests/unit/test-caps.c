/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <drm_fourcc.h>
#include <linux/videodev2.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "broker/conduit/caps.h"
#include "tests/unit/test.h"

static Mode mode_of(uint32_t fourcc, uint32_t width, uint32_t height) {
        return (Mode){ .fourcc = fourcc, .width = width, .height = height, .rate = { 30000, 1001 } };
}

TEST(modes_have_words) {
        static const struct {
                uint32_t fourcc;
                const char *caps;
        } rows[] = {
                { DRM_FORMAT_YUV420, "video/x-raw, format=(string)I420" },
                { DRM_FORMAT_YVU420, "video/x-raw, format=(string)YV12" },
                { DRM_FORMAT_NV12, "video/x-raw, format=(string)NV12" },
                { DRM_FORMAT_YUYV, "video/x-raw, format=(string)YUY2" },
                { DRM_FORMAT_UYVY, "video/x-raw, format=(string)UYVY" },
                { DRM_FORMAT_RGB888, "video/x-raw, format=(string)BGR" }, /* DRM counts from the low end */
                { DRM_FORMAT_BGR888, "video/x-raw, format=(string)RGB" },
                { DRM_FORMAT_XRGB8888, "video/x-raw, format=(string)BGRx" },
                { DRM_FORMAT_RGBA8888, "video/x-raw, format=(string)ABGR" },
                { V4L2_PIX_FMT_MJPEG, "image/jpeg" },
                { V4L2_PIX_FMT_H264,
                  "video/x-h264, stream-format=(string)byte-stream, alignment=(string)au" },
        };
        char caps[CAPS_MAX], expected[CAPS_MAX];

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                Mode m = mode_of(rows[i].fourcc, 640, 480);

                ROW("%s", rows[i].caps);
                snprintf(expected, sizeof expected,
                         "%s, width=(int)640, height=(int)480, framerate=(fraction)30000/1001", rows[i].caps);
                CHECK(caps_know(m.fourcc));
                CHECK_INT(caps_from_mode(&m, caps), 0);
                CHECK_STR(caps, expected);
        }
}

TEST(others_have_none) {
        Mode m = mode_of(DRM_FORMAT_XRGB2101010, 640, 480);
        char caps[CAPS_MAX] = "untouched";

        CHECK(!caps_know(m.fourcc));
        CHECK_INT(caps_from_mode(&m, caps), FB_E_NOT_SUPPORTED);
        m = mode_of(DRM_FORMAT_NV12, 640, 480);
        m.modifier = DRM_FORMAT_MOD_BROADCOM_SAND128;
        CHECK_INT(caps_from_mode(&m, caps), FB_E_NOT_SUPPORTED);
        CHECK_STR(caps, "untouched");
}

/* Layouts as gst_video_info_set_format() has them. */
TEST(pictures_lie_as_the_caps_say) {
        static const struct {
                uint32_t fourcc, width, height;
                uint32_t n;
                Plane planes[3];
                uint64_t size; /* 0: they do not */
        } rows[] = {
                { DRM_FORMAT_YUV420, 320, 240, 3,
                  { { .stride = 320, .size = 76800 },
                    { .stride = 160, .offset = 76800, .size = 19200 },
                    { .stride = 160, .offset = 96000, .size = 19200 } }, 115200 },
                /* lines of chroma rounded up, an even number of lines of luma */
                { DRM_FORMAT_YUV420, 36, 5, 3,
                  { { .stride = 36, .size = 36 * 6 },
                    { .stride = 20, .offset = 216, .size = 60 },
                    { .stride = 20, .offset = 276, .size = 60 } }, 336 },
                { DRM_FORMAT_YUV420, 36, 5, 3,
                  { { .stride = 36, .size = 36 * 5 },
                    { .stride = 20, .offset = 180, .size = 60 },
                    { .stride = 20, .offset = 240, .size = 60 } }, 0 },
                { DRM_FORMAT_NV12, 62, 48, 2,
                  { { .stride = 64, .size = 3072 }, { .stride = 64, .offset = 3072, .size = 1536 } }, 4608 },
                { DRM_FORMAT_NV12, 64, 48, 2, /* planes apart */
                  { { .stride = 64, .size = 3072 }, { .stride = 64, .offset = 4096, .size = 1536 } }, 0 },
                { DRM_FORMAT_BGR888, 62, 2, 1, { { .stride = 188, .size = 376, .offset = 4096 } }, 376 },
                { DRM_FORMAT_BGR888, 62, 2, 1, { { .stride = 186, .size = 372 } }, 0 },
                { DRM_FORMAT_BGR888, 62, 2, 1, { { .stride = 188, .size = 374 } }, 0 }, /* no end of a line */
                { V4L2_PIX_FMT_MJPEG, 64, 48, 1, { { .size = 1234, .offset = 8 } }, 1234 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                Frame f = { .n_fds = 1, .n_planes = rows[i].n };
                Mode m = mode_of(rows[i].fourcc, rows[i].width, rows[i].height);
                uint64_t offset = UINT64_MAX, size = 0;
                const char *why = NULL;
                int r;

                ROW("%zu", i);
                memcpy(f.planes, rows[i].planes, sizeof rows[i].planes);
                r = caps_locate(&m, &f, &offset, &size, &why);
                CHECK_INT(r, rows[i].size > 0 ? 0 : FB_E_NOT_SUPPORTED);
                CHECK_INT(size, rows[i].size);
                CHECK(r == 0 ? offset == rows[i].planes[0].offset : why != NULL);
                f.n_fds = 2;
                CHECK_INT(caps_locate(&m, &f, &offset, &size, &why), FB_E_NOT_SUPPORTED);
        }
}

TEST_MAIN
