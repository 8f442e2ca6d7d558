/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The helpers of the public header. */
#include <drm_fourcc.h>
#include <errno.h>
#include <string.h>

#include "../test.h"
#include "base/cleanup.h"
#include "libframebus/framebus.h"

TEST(layouts) {
        static const struct {
                uint32_t fourcc, width, height;
                int result;
                size_t n_planes, size;
                uint32_t stride;
        } rows[] = {
                { DRM_FORMAT_YUYV, 16, 8, 0, 1, 256, 32 },
                { DRM_FORMAT_NV12, 16, 8, 0, 2, 192, 16 },
                { DRM_FORMAT_NV12, 3, 3, 0, 2, 17, 3 },
                { DRM_FORMAT_YUV420, 16, 8, 0, 3, 192, 16 },
                { DRM_FORMAT_RGB888, 5, 2, 0, 1, 30, 15 },
                { fourcc_code('M', 'J', 'P', 'G'), 16, 8, -ENOTSUP, 0, 0, 0 },
                { DRM_FORMAT_NV12, 0, 8, -EINVAL, 0, 0, 0 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                struct framebus_mode mode = { .fourcc = rows[i].fourcc,
                                              .width = rows[i].width,
                                              .height = rows[i].height };
                struct framebus_plane planes[4];
                size_t n_planes = 0, size = 0;

                ROW("row %zu", i);
                CHECK_INT(framebus_mode_get_layout(&mode, planes, &n_planes, &size), rows[i].result);
                CHECK_INT(n_planes, rows[i].n_planes);
                CHECK_INT(size, rows[i].size);
                if (n_planes)
                        CHECK_INT(planes[0].stride, rows[i].stride);
        }
}

TEST(fourccs) {
        char s[5];

        CHECK_STR(framebus_fourcc_to_string(DRM_FORMAT_NV12, s), "NV12");
        CHECK_INT(framebus_fourcc_from_string("NV12"), DRM_FORMAT_NV12);
        CHECK_INT(framebus_fourcc_from_string("R8"), DRM_FORMAT_R8);
        CHECK_INT(framebus_fourcc_from_string(""), 0);
        CHECK_INT(framebus_fourcc_from_string("NV12x"), 0);
        CHECK_INT(framebus_fourcc_from_string("N\t"), 0);
}

TEST_MAIN
