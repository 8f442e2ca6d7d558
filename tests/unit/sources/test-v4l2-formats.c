/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The layouts that framebus-v4l2 makes are those that a broker takes, for every format that both know. */
#include <drm_fourcc.h>
#include <linux/videodev2.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "check.h"
#include "sources/v4l2/formats.h"
#include "wire/format.h"

static void check_layout(const PixelFormat *f, const char *what, uint32_t width, uint32_t height) {
        const FormatInfo *info = format_get_info(f->fourcc);
        struct framebus_plane planes[4];
        const uint32_t tight[4] = { 0 };
        Plane of_wire[FB_PLANES_MAX];
        const char *why = "";
        uint64_t size;
        size_t n, mine;

        CHECK_INT(what, pixel_format_get_layout(f, width, height, tight, planes, &n, &mine), 0);
        CHECK_INT(what, n, info->n_planes);
        CHECK_AT(what, format_layout(info, width, height, of_wire, &size));
        CHECK_INT(what, mine, size);
        for (size_t i = 0; i < n; i++) {
                CHECK_INT(what, planes[i].stride, of_wire[i].stride);
                CHECK_INT(what, planes[i].offset, of_wire[i].offset);
                CHECK_INT(what, planes[i].size, of_wire[i].size);
                of_wire[i] = (Plane){ 0, planes[i].stride, planes[i].offset, planes[i].size };
        }
        CHECK_INT(what,
                  format_judge_planes(f->fourcc, DRM_FORMAT_MOD_LINEAR, width, height, of_wire, n, &size, 1,
                                      &why),
                  0);
        CHECK_STR(what, why, "");
}

int main(void) {
        unsigned n_raw = 0, n_compressed = 0, n_unknown = 0;
        const PixelFormat *f;

        for (size_t i = 0; (f = pixel_format_get(i)); i++) {
                char what[32];

                (void)snprintf(what, sizeof what, "%.4s", (const char *)&f->v4l2);
                CHECK_INT(what, pixel_format_find(f->v4l2) == f, 1); /* once */
                CHECK_INT(what, pixel_format_get_rank(f), i);
                CHECK_AT(what, f->n_memories == 1 || f->n_memories == f->n_planes);
                CHECK_INT(what, format_is_compressed(f->fourcc), pixel_format_is_compressed(f));
                if (pixel_format_is_compressed(f)) {
                        n_compressed++;
                } else if (f->modifier) {
                        CHECK_AT(what, f->tile_width && f->tile_lines);
                } else if (!format_get_info(f->fourcc)) {
                        n_unknown++; /* the broker takes them as they are */
                } else {
                        n_raw++;
                        check_layout(f, what, 64, 48);
                        check_layout(f, what, 640, 360);
                        check_layout(f, what, 176, 44);
                }
        }
        for (size_t i = 0; (f = pixel_format_get(i)); i++)
                CHECK_STR("not refused", pixel_format_why_not(f->v4l2), "nothing is known of it");
        CHECK(strstr(pixel_format_why_not(V4L2_PIX_FMT_SBGGR8), "neighbours"));
        CHECK(strstr(pixel_format_why_not(V4L2_PIX_FMT_H264_NO_SC), "decode"));
        CHECK(strstr(pixel_format_why_not(V4L2_PIX_FMT_NV12_4L4), "tiles"));
        CHECK(strstr(pixel_format_why_not(v4l2_fourcc_be('N', 'T', '1', '2')), "tiles"));
        CHECK_STR("not the same", pixel_format_why_not(v4l2_fourcc('N', 'T', '1', '2')),
                  "nothing is known of it");
        CHECK(n_raw > 60 && n_compressed > 10);
        CHECK_INT("formats whose layout the broker does not know", n_unknown, 0);
        return check_end();
}
