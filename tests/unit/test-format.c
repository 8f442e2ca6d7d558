/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <drm_fourcc.h>
#include <linux/videodev2.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "tests/unit/test.h"
#include "wire/format.h"
#include "wire/mode.h"

#define TILED 0x0100000000000001ull

TEST(layouts) {
        static const struct {
                uint32_t fourcc, width, height;
                unsigned n_planes;
                uint64_t sizes[3], total;
                uint32_t strides[3];
        } rows[] = {
                { DRM_FORMAT_NV12, 1920, 1080, 2, { 2073600, 1036800 }, 3110400, { 1920, 1920 } },
                { DRM_FORMAT_NV21, 5, 3, 2, { 15, 12 }, 27, { 5, 6 } },
                { DRM_FORMAT_NV16, 4, 4, 2, { 16, 16 }, 32, { 4, 4 } },
                { DRM_FORMAT_NV61, 5, 4, 2, { 20, 24 }, 44, { 5, 6 } },
                { DRM_FORMAT_NV24, 5, 3, 2, { 15, 30 }, 45, { 5, 10 } },
                { DRM_FORMAT_NV42, 4, 4, 2, { 16, 32 }, 48, { 4, 8 } },
                { DRM_FORMAT_P010, 4, 4, 2, { 32, 16 }, 48, { 8, 8 } },
                { DRM_FORMAT_P012, 5, 5, 2, { 50, 36 }, 86, { 10, 12 } },
                { DRM_FORMAT_P016, 2, 2, 2, { 8, 4 }, 12, { 4, 4 } },
                { DRM_FORMAT_P210, 2, 2, 2, { 8, 8 }, 16, { 4, 4 } },
                { DRM_FORMAT_NV15, 4, 2, 2, { 10, 5 }, 15, { 5, 5 } },
                { DRM_FORMAT_YUV410, 8, 8, 3, { 64, 4, 4 }, 72, { 8, 2, 2 } },
                { DRM_FORMAT_YVU410, 9, 9, 3, { 81, 9, 9 }, 99, { 9, 3, 3 } },
                { DRM_FORMAT_YUV411, 8, 2, 3, { 16, 4, 4 }, 24, { 8, 2, 2 } },
                { DRM_FORMAT_YUV420, 1, 1, 3, { 1, 1, 1 }, 3, { 1, 1, 1 } },
                { DRM_FORMAT_YUV420, 641, 481, 3, { 308321, 77361, 77361 }, 463043, { 641, 321, 321 } },
                { DRM_FORMAT_YVU420, 4, 4, 3, { 16, 4, 4 }, 24, { 4, 2, 2 } },
                { DRM_FORMAT_YUV422, 5, 3, 3, { 15, 9, 9 }, 33, { 5, 3, 3 } },
                { DRM_FORMAT_YUV444, 5, 3, 3, { 15, 15, 15 }, 45, { 5, 5, 5 } },
                { DRM_FORMAT_YUYV, 640, 480, 1, { 614400 }, 614400, { 1280 } },
                { DRM_FORMAT_UYVY, 5, 2, 1, { 24 }, 24, { 12 } },
                { DRM_FORMAT_Y210, 3, 1, 1, { 16 }, 16, { 16 } },
                { DRM_FORMAT_R8, 7, 2, 1, { 14 }, 14, { 7 } },
                { DRM_FORMAT_R16, 7, 2, 1, { 28 }, 28, { 14 } },
                { DRM_FORMAT_RGB565, 3, 2, 1, { 12 }, 12, { 6 } },
                { DRM_FORMAT_RGB888, 3, 2, 1, { 18 }, 18, { 9 } },
                { DRM_FORMAT_XRGB8888, 3, 2, 1, { 24 }, 24, { 12 } },
                { DRM_FORMAT_YUV420, 65535, 65535, 3, { 4294836225, 1073741824, 1073741824 }, 6442319873,
                  { 65535, 32768, 32768 } },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                const FormatInfo *info = format_get_info(rows[i].fourcc);
                Plane planes[FB_PLANES_MAX];
                uint64_t size = 0, end = 0;
                char name[5];

                ROW("%s %ux%u", fourcc_to_string(rows[i].fourcc, name), rows[i].width, rows[i].height);
                REQUIRE(info);
                CHECK_INT(info->n_planes, rows[i].n_planes);
                CHECK(format_layout(info, rows[i].width, rows[i].height, planes, &size));
                CHECK_INT(size, rows[i].total);
                for (unsigned k = 0; k < rows[i].n_planes; k++) {
                        CHECK_INT(planes[k].memory, 0);
                        CHECK_INT(planes[k].offset, end);
                        CHECK_INT(planes[k].size, rows[i].sizes[k]);
                        CHECK_INT(planes[k].stride, rows[i].strides[k]);
                        end += planes[k].size;
                }
        }
}

/* Of a linear frame in one memory. */
static int judge(uint32_t fourcc, uint32_t width, uint32_t height, const Plane *planes, uint64_t size) {
        size_t n_planes = format_get_info(fourcc)->n_planes;
        const char *why;

        return format_judge_planes(fourcc, 0, width, height, planes, n_planes, &size, 1, &why);
}

/* What is laid out tightly has to pass its own judgement, and one byte less not. */
TEST(every_layout_is_judged_good) {
        static const uint32_t fourccs[] = {
                DRM_FORMAT_C8,       DRM_FORMAT_R8,       DRM_FORMAT_R16,         DRM_FORMAT_RG88,
                DRM_FORMAT_RGB565,   DRM_FORMAT_BGR565,   DRM_FORMAT_XRGB1555,    DRM_FORMAT_RGB888,
                DRM_FORMAT_BGR888,   DRM_FORMAT_XRGB8888, DRM_FORMAT_XBGR8888,    DRM_FORMAT_RGBX8888,
                DRM_FORMAT_BGRX8888, DRM_FORMAT_ARGB8888, DRM_FORMAT_ABGR8888,    DRM_FORMAT_RGBA8888,
                DRM_FORMAT_BGRA8888, DRM_FORMAT_AYUV,     DRM_FORMAT_XRGB2101010, DRM_FORMAT_YUYV,
                DRM_FORMAT_YVYU,     DRM_FORMAT_UYVY,     DRM_FORMAT_VYUY,        DRM_FORMAT_NV12,
                DRM_FORMAT_NV21,     DRM_FORMAT_NV16,     DRM_FORMAT_NV61,        DRM_FORMAT_NV24,
                DRM_FORMAT_NV42,     DRM_FORMAT_P010,     DRM_FORMAT_P012,        DRM_FORMAT_P016,
                DRM_FORMAT_YUV410,   DRM_FORMAT_YVU410,   DRM_FORMAT_YUV411,      DRM_FORMAT_YVU411,
                DRM_FORMAT_YUV420,   DRM_FORMAT_YVU420,   DRM_FORMAT_YUV422,      DRM_FORMAT_YVU422,
                DRM_FORMAT_YUV444,   DRM_FORMAT_YVU444,
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(fourccs); i++) {
                const FormatInfo *info = format_get_info(fourccs[i]);
                Plane planes[FB_PLANES_MAX];
                uint64_t size = 0;
                char name[5];

                ROW("%s", fourcc_to_string(fourccs[i], name));
                REQUIRE(info);
                CHECK(!format_is_compressed(fourccs[i]));
                for (uint32_t w = 1; w <= 9; w++)
                        for (uint32_t h = 1; h <= 9; h++) {
                                Plane *last = &planes[info->n_planes - 1];

                                CHECK(format_layout(info, w, h, planes, &size));
                                CHECK_INT(judge(fourccs[i], w, h, planes, size), 0);
                                last->size--;
                                CHECK_INT(judge(fourccs[i], w, h, planes, size), FB_E_INVALID_FRAME);
                        }
        }
}

TEST(no_layout_without_pixels_or_beyond_numbers) {
        const FormatInfo *rgba = format_get_info(DRM_FORMAT_RGBA8888);
        const FormatInfo *nv12 = format_get_info(DRM_FORMAT_NV12);
        Plane planes[FB_PLANES_MAX];
        uint64_t size = 1, stride = 1, lines = 1;

        REQUIRE(rgba && nv12);
        CHECK(!format_layout(rgba, 0, 5, planes, &size));
        CHECK(!format_layout(rgba, 5, 0, planes, &size));
        CHECK(!format_layout(rgba, UINT32_MAX, 1, planes, &size)); /* the stride has 32 bits */
        CHECK(!format_plane_min(nv12, 2, 5, 5, &stride, &lines));
        CHECK(!format_plane_min(nv12, SIZE_MAX, 5, 5, &stride, &lines));
        CHECK_INT(size + stride + lines, 3);
        CHECK(format_plane_min(rgba, 0, UINT32_MAX, UINT32_MAX, &stride, &lines));
        CHECK_INT(stride, 4 * (uint64_t)UINT32_MAX);
}

TEST(compressed_formats) {
        static const uint32_t compressed[] = {
                V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_JPEG, V4L2_PIX_FMT_H264, V4L2_PIX_FMT_HEVC, V4L2_PIX_FMT_VP8,
                V4L2_PIX_FMT_VP9, v4l2_fourcc('A', 'V', '1', 'F'),
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(compressed); i++) {
                ROW("%zu", i);
                CHECK(format_is_compressed(compressed[i]));
                CHECK(!format_get_info(compressed[i]));
        }
        CHECK(!format_is_compressed(DRM_FORMAT_NV12));
        CHECK(!format_is_compressed(V4L2_PIX_FMT_SBGGR8)); /* raw, with a layout that we do not know */
        CHECK(!format_get_info(V4L2_PIX_FMT_SBGGR8));
        CHECK(!format_get_info(0));
}

#define MJPG V4L2_PIX_FMT_MJPEG
#define NV12 DRM_FORMAT_NV12
#define RGB  DRM_FORMAT_RGB888

typedef struct Judgement {
        const char *name;
        uint32_t fourcc;
        uint64_t modifier;
        uint32_t width, height;
        Plane planes[5]; /* memory, stride, offset, size */
        size_t n_planes;
        uint64_t sizes[2];
        size_t n_memories;
        int expected;
} Judgement;

static const Judgement judgements[] = {
        { "tight", NV12, 0, 4, 4, { { 0, 4, 0, 16 }, { 0, 4, 16, 8 } }, 2, { 24 }, 1, 0 },
        { "a larger file", NV12, 0, 4, 4, { { 0, 4, 0, 16 }, { 0, 4, 16, 8 } }, 2, { 4096 }, 1, 0 },
        { "chroma first", NV12, 0, 4, 4, { { 0, 4, 8, 16 }, { 0, 4, 0, 8 } }, 2, { 24 }, 1, 0 },
        { "two memories", NV12, 0, 4, 4, { { 1, 4, 0, 16 }, { 0, 4, 0, 8 } }, 2, { 8, 16 }, 2, 0 },
        { "stride", NV12, 0, 4, 4, { { 0, 64, 0, 196 }, { 0, 64, 256, 68 } }, 2, { 324 }, 1, 0 },
        { "stride, a byte short", NV12, 0, 4, 4, { { 0, 64, 0, 195 }, { 0, 64, 256, 68 } }, 2,
          { 324 }, 1, FB_E_INVALID_FRAME },
        { "stride short", NV12, 0, 4, 4, { { 0, 3, 0, 16 }, { 0, 4, 16, 8 } }, 2, { 24 }, 1,
          FB_E_INVALID_FRAME },
        { "stride 0", NV12, 0, 4, 4, { { 0, 0, 0, 16 }, { 0, 4, 16, 8 } }, 2, { 24 }, 1,
          FB_E_INVALID_FRAME },
        { "huge stride", NV12, 0, 4, 4, { { 0, UINT32_MAX, 0, 16 }, { 0, 4, 16, 8 } }, 2, { 24 }, 1,
          FB_E_INVALID_FRAME },
        { "chroma short", NV12, 0, 4, 4, { { 0, 4, 0, 16 }, { 0, 4, 16, 7 } }, 2, { 24 }, 1,
          FB_E_INVALID_FRAME },
        { "one plane", NV12, 0, 4, 4, { { 0, 4, 0, 24 } }, 1, { 24 }, 1, FB_E_INVALID_FRAME },
        { "three planes", NV12, 0, 4, 4, { { 0, 4, 0, 16 }, { 0, 4, 16, 8 }, { 0, 1, 0, 1 } }, 3,
          { 24 }, 1,
          FB_E_INVALID_FRAME },
        { "no planes", MJPG, 0, 4, 4, { { 0 } }, 0, { 24 }, 1, FB_E_INVALID_FRAME },
        { "five planes", MJPG, 0, 4, 4, { { 0 } }, 5, { 24 }, 1, FB_E_INVALID_FRAME },
        { "one byte beyond", NV12, 0, 4, 4, { { 0, 4, 0, 16 }, { 0, 4, 17, 8 } }, 2, { 24 }, 1,
          FB_E_INVALID_MEMORY },
        { "a short file", NV12, 0, 4, 4, { { 0, 4, 0, 16 }, { 0, 4, 16, 8 } }, 2, { 23 }, 1,
          FB_E_INVALID_MEMORY },
        { "an empty file", NV12, 0, 4, 4, { { 0, 4, 0, 16 }, { 0, 4, 16, 8 } }, 2, { 0 }, 1,
          FB_E_INVALID_MEMORY },
        { "offset + size wraps", RGB, 0, 1, 1, { { 0, 3, UINT64_MAX - 1, 3 } }, 1, { 24 }, 1,
          FB_E_INVALID_MEMORY },
        { "offset + size wraps to a little", RGB, 0, 1, 1, { { 0, 3, 16, UINT64_MAX - 8 } }, 1,
          { 24 }, 1,
          FB_E_INVALID_MEMORY },
        { "offset at the end", RGB, 0, 1, 1, { { 0, 3, 24, 3 } }, 1, { 24 }, 1, FB_E_INVALID_MEMORY },
        { "a memory that is not there", RGB, 0, 1, 1, { { 1, 3, 0, 3 } }, 1, { 24 }, 1,
          FB_E_INVALID_FRAME },
        { "memory 2^32-1", RGB, 0, 1, 1, { { UINT32_MAX, 3, 0, 3 } }, 1, { 24 }, 1,
          FB_E_INVALID_FRAME },
        { "no memory at all", RGB, 0, 1, 1, { { 0, 3, 0, 3 } }, 1, { 0 }, 0, FB_E_INVALID_FRAME },
        { "no pixels", RGB, 0, 0, 0, { { 0, 3, 0, 3 } }, 1, { 24 }, 1, FB_E_INVALID_FRAME },
        { "the largest size", RGB, 0, UINT32_MAX, UINT32_MAX, { { 0, UINT32_MAX, 0, 24 } }, 1,
          { 24 }, 1,
          FB_E_INVALID_FRAME },
        { "an empty plane", RGB, 0, 1, 1, { { 0, 3, 0, 0 } }, 1, { 24 }, 1, FB_E_INVALID_FRAME },
        { "the same bytes twice", NV12, 0, 4, 4, { { 0, 4, 0, 16 }, { 0, 4, 8, 8 } }, 2, { 16 }, 1,
          0 },
        { "compressed", MJPG, 0, 640, 480, { { 0, 0, 100, 500 } }, 1, { 600 }, 1, 0 },
        { "compressed, of one byte", MJPG, 0, 640, 480, { { 0, 0, 0, 1 } }, 1, { 1 }, 1, 0 },
        { "compressed, empty", MJPG, 0, 640, 480, { { 0, 0, 0, 0 } }, 1, { 1 }, 1,
          FB_E_INVALID_FRAME },
        { "compressed with lines", MJPG, 0, 640, 480, { { 0, 640, 0, 500 } }, 1, { 600 }, 1,
          FB_E_INVALID_FRAME },
        { "compressed in two planes", MJPG, 0, 640, 480, { { 0, 0, 0, 5 }, { 0, 0, 5, 5 } }, 2,
          { 600 }, 1,
          FB_E_INVALID_FRAME },
        { "compressed, beyond", MJPG, 0, 640, 480, { { 0, 0, 1, 600 } }, 1, { 600 }, 1,
          FB_E_INVALID_MEMORY },
        { "tiled", NV12, TILED, 64, 64, { { 0, 1, 0, 16 } }, 1, { 24 }, 1, 0 },
        { "tiled, beyond", NV12, TILED, 64, 64, { { 0, 1, 9, 16 } }, 1, { 24 }, 1,
          FB_E_INVALID_MEMORY },
        { "implicit modifier", NV12, DRM_FORMAT_MOD_INVALID, 64, 64, { { 0, 1, 0, 16 } }, 1,
          { 24 }, 1,
          0 },
        { "unknown format", 0x12345678, 0, 64, 64, { { 0, 0, 0, 16 } }, 1, { 24 }, 1, 0 },
        { "unknown format, beyond", 0x12345678, 0, 64, 64, { { 0, 0, 20, 16 } }, 1, { 24 }, 1,
          FB_E_INVALID_MEMORY },
};

TEST(planes_are_judged) {
        for (size_t i = 0; i < FB_ELEMENTSOF(judgements); i++) {
                const Judgement *row = &judgements[i];
                const char *why = NULL;
                int r;

                ROW("%s", row->name);
                r = format_judge_planes(row->fourcc, row->modifier, row->width, row->height, row->planes,
                                        row->n_planes, row->sizes, row->n_memories, &why);
                CHECK_INT(r, row->expected);
                CHECK(!why == (row->expected == 0));
        }
}

TEST_MAIN
