/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What framebus-v4l2 finds out about a device: what it is, what it can do, who has it. */
#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "fake-device.h"
#include "sources/v4l2/formats.h"
#include "sources/v4l2/holder.h"
#include "sources/v4l2/modes.h"

/* ---- device ---- */

static void test_device(void) {
        static const struct {
                uint32_t capabilities, device_caps;
                const char *why;
        } table[] = {
                { V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING, 0, NULL },
                        {V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING,
                         V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING,
                         "not a capture device"}, /* the second node of a webcam */
                { V4L2_CAP_DEVICE_CAPS, V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_STREAMING, "not a capture device" },
                { V4L2_CAP_DEVICE_CAPS, V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_READWRITE,
                  "a capture device that cannot stream" },
                { V4L2_CAP_DEVICE_CAPS, V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING, NULL },
                { V4L2_CAP_DEVICE_CAPS, V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING,
                  "not a capture device" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                const char *why = NULL;
                Device d = DEVICE_NULL;

                fake_reset();
                fake.capabilities = table[i].capabilities;
                fake.device_caps = table[i].device_caps;
                CHECK_INT("open", device_open(&d, &fake_ops, "fake"), 0);
                CHECK_INT("judge", device_judge(&d, &why), table[i].why ? -ENOTSUP : 0);
                CHECK_STR("why", why, table[i].why);
                CHECK_STR("card", d.card, "Fake");
                device_close(&d);
                device_close(&d);
                CHECK_INT("closed", fake.n_open, 0);
        }
}

static void test_device_errors(void) {
        static const int errors[][2] = { { -ENOTTY, -ENOTTY }, { -EINVAL, -ENOTTY }, { -ENODEV, -ENODEV } };
        Device d = DEVICE_NULL;

        fake_reset();
        CHECK_INT("gone", device_open(&d, &fake_ops, "gone"), -ENOENT);
        for (size_t i = 0; i < FB_ELEMENTSOF(errors); i++) {
                fake_fail(VIDIOC_QUERYCAP, errors[i][0], 1);
                CHECK_INT("querycap", device_open(&d, &fake_ops, "fake"), errors[i][1]);
                CHECK(fake.n_open == 0 && d.fd == -1);
        }
        fake_fail(VIDIOC_QUERYCAP, -EINTR, 3);
        CHECK_INT("interrupted", device_open(&d, &fake_ops, "fake"), 0);
        CHECK(!device_is_gone(&d));
        fake_fail(VIDIOC_QUERYCAP, -ENODEV, 1);
        CHECK(device_is_gone(&d));
        device_close(&d);
}

/* ---- formats ---- */

static const struct {
        uint32_t v4l2, fourcc, width, height, bytesperline;
        int r;
        size_t n, size;
        uint32_t strides[3];
        uint64_t offsets[3];
} layouts[] = {
        { V4L2_PIX_FMT_NV12, DRM_FORMAT_NV12, 64, 48, 0, 0, 2, 4608, { 64, 64 }, { 0, 3072 } },
        { V4L2_PIX_FMT_NV12, DRM_FORMAT_NV12, 64, 48, 80, 0, 2, 5760, { 80, 80 }, { 0, 3840 } },
        { V4L2_PIX_FMT_NV24, DRM_FORMAT_NV24, 64, 48, 0, 0, 2, 9216, { 64, 128 }, { 0, 3072 } },
        { V4L2_PIX_FMT_NV16, DRM_FORMAT_NV16, 64, 48, 0, 0, 2, 6144, { 64, 64 }, { 0, 3072 } },
        { V4L2_PIX_FMT_P010, DRM_FORMAT_P010, 64, 48, 0, 0, 2, 9216, { 128, 128 }, { 0, 6144 } },
        { V4L2_PIX_FMT_YUV420, DRM_FORMAT_YUV420, 64, 47, 96, 0, 3, 6816, { 96, 48, 48 }, { 0, 4512, 5664 } },
        { V4L2_PIX_FMT_YVU420, DRM_FORMAT_YVU420, 64, 48, 0, 0, 3, 4608, { 64, 32, 32 }, { 0, 3072, 3840 } },
        { V4L2_PIX_FMT_YUV411P, DRM_FORMAT_YUV411, 64, 48, 0, 0, 3, 4608, { 64, 16, 16 }, { 0, 3072, 3840 } },
        { V4L2_PIX_FMT_YUYV, DRM_FORMAT_YUYV, 64, 48, 0, 0, 1, 6144, { 128 }, { 0 } },
        { V4L2_PIX_FMT_RGB24, DRM_FORMAT_BGR888, 64, 48, 256, 0, 1, 12288, { 256 }, { 0 } },
        { V4L2_PIX_FMT_BGR24, DRM_FORMAT_RGB888, 64, 48, 0, 0, 1, 9216, { 192 }, { 0 } },
        { V4L2_PIX_FMT_XBGR32, DRM_FORMAT_XRGB8888, 64, 48, 0, 0, 1, 12288, { 256 }, { 0 } },
        { V4L2_PIX_FMT_GREY, DRM_FORMAT_R8, 63, 48, 0, 0, 1, 3024, { 63 }, { 0 } },
        { V4L2_PIX_FMT_VUYA32, DRM_FORMAT_AYUV, 64, 48, 0, 0, 1, 12288, { 256 }, { 0 } },
        { V4L2_PIX_FMT_YUYV, DRM_FORMAT_YUYV, 64, 48, 127, -EINVAL, 0, 0, { 0 }, { 0 } },
        { V4L2_PIX_FMT_YUYV, DRM_FORMAT_YUYV, 0, 48, 0, -EINVAL, 0, 0, { 0 }, { 0 } },
        { V4L2_PIX_FMT_NV24, DRM_FORMAT_NV24, 64, 48, UINT32_MAX, -EOVERFLOW, 0, 0, { 0 }, { 0 } },
        { V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_MJPEG, 64, 48, 0, -ENOTSUP, 0, 0, { 0 }, { 0 } },
};

/* A memory for each plane, with strides of their own. */
static void test_layout_of_memories(void) {
        const PixelFormat *f = pixel_format_find(V4L2_PIX_FMT_YUV420M);
        struct framebus_plane planes[4];
        size_t n, size;

        CHECK(f && f->n_memories == 3);
        CHECK_INT("layout", pixel_format_get_layout(f, 64, 48, (uint32_t[]){ 64, 48, 0 }, planes, &n, &size),
                  0);
        CHECK(n == 3 && size == 64 * 48 + 48 * 24 + 32 * 24);
        CHECK(planes[1].stride == 48 && planes[1].offset == 64 * 48 && planes[2].offset == 64 * 48 + 48 * 24);
        CHECK_INT("short", pixel_format_get_layout(f, 64, 48, (uint32_t[]){ 64, 31, 0 }, planes, &n, &size),
                  -EINVAL);
}

static void test_layouts(void) {
        for (size_t i = 0; i < FB_ELEMENTSOF(layouts); i++) {
                const PixelFormat *f = pixel_format_find(layouts[i].v4l2);
                struct framebus_plane planes[4];
                size_t n = 0, size = 0;
                char row[16];
                int r;

                sprintf(row, "row %zu", i);
                CHECK_AT(row, f);
                if (!f)
                        continue;
                CHECK_INT(row, f->fourcc, layouts[i].fourcc);
                r = pixel_format_get_layout(f, layouts[i].width, layouts[i].height,
                                            &layouts[i].bytesperline, planes, &n, &size);
                CHECK_INT(row, r, layouts[i].r);
                CHECK_INT(row, n, layouts[i].n);
                CHECK_INT(row, size, layouts[i].size);
                for (size_t k = 0; k < n; k++) {
                        CHECK_INT(row, planes[k].stride, layouts[i].strides[k]);
                        CHECK_INT(row, planes[k].offset, layouts[i].offsets[k]);
                        CHECK_INT(row, planes[k].offset + planes[k].size,
                                  k + 1 < n ? layouts[i].offsets[k + 1] : size);
                }
        }
        CHECK(!pixel_format_find(V4L2_PIX_FMT_SBGGR8) && !pixel_format_find(V4L2_PIX_FMT_AYUV32));
}

/* ---- modes ---- */

static const FakeFormat webcam[] = {
        { V4L2_PIX_FMT_MJPEG, V4L2_FMT_FLAG_COMPRESSED },
        { V4L2_PIX_FMT_YUYV, 0 },
        { V4L2_PIX_FMT_RGB24, V4L2_FMT_FLAG_EMULATED },
        { V4L2_PIX_FMT_SBGGR8, 0 },
        { V4L2_PIX_FMT_NV12, 0 },
};

static int enumerate(ModeTable *t) {
        Device d = DEVICE_NULL;
        int r;

        CHECK_INT("open", device_open(&d, &fake_ops, "fake"), 0);
        r = modes_enumerate(&d, t);
        device_close(&d);
        return r;
}

static void check_mode(const struct framebus_mode *m, uint32_t fourcc, uint32_t width, uint32_t height,
                       uint32_t rate) {
        char what[64], name[5] = "";

        memcpy(name, &fourcc, 4);
        sprintf(what, "%s %ux%u %u", name, width, height, rate);
        CHECK_INT(what, m->fourcc, fourcc);
        CHECK_INT(what, m->width, width);
        CHECK_INT(what, m->height, height);
        CHECK_AT(what, m->rate.num == rate && m->rate.den == 1);
}

static void test_modes_discrete(void) {
        ModeTable t;

        fake_reset();
        fake.formats = webcam;
        fake.n_formats = FB_ELEMENTSOF(webcam);
        fake.n_sizes = 2;
        fake.n_rates = 3; /* 60, 30, 20 */
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("modes", t.n_modes, 3 * 2 * 3);
        CHECK_INT("formats", t.n_formats, 3);
        CHECK_INT("unknown", t.n_unknown, 1);
        check_mode(&t.modes[0], DRM_FORMAT_NV12, 640, 360,
                   60); /* raw, fast, large, and of these the first in rank */
        check_mode(&t.modes[1], DRM_FORMAT_NV12, 640, 360, 30);
        check_mode(&t.modes[2], DRM_FORMAT_YUYV, 640, 360, 60);
        check_mode(&t.modes[4], DRM_FORMAT_NV12, 320, 180, 60);
        check_mode(&t.modes[8], DRM_FORMAT_NV12, 640, 360, 20); /* slow */
        check_mode(&t.modes[12], V4L2_PIX_FMT_MJPEG, 640, 360, 60);
        CHECK_INT("no range", t.modes[0].rate_max.num + t.modes[0].width_range.max, 0);
        CHECK_INT("nv12", modes_get_pixelformat(&t, DRM_FORMAT_NV12, 0), V4L2_PIX_FMT_NV12);
        CHECK_INT("emulated", modes_get_pixelformat(&t, DRM_FORMAT_BGR888, 0), 0);
}

static void test_modes_stepwise(void) {
        static const FakeFormat formats[] = { { V4L2_PIX_FMT_YUYV, 0 } };
        ModeTable t;

        fake_reset();
        fake.formats = formats;
        fake.n_formats = 1;
        fake.sizes = SIZES_STEPWISE;
        fake.rates = RATES_STEPWISE;
        fake.width = 650; /* not a size of the range */
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("modes", t.n_modes, 1);
        check_mode(&t.modes[0], DRM_FORMAT_YUYV, 640, 480, 60);
        CHECK(t.modes[0].width_range.min == 48 && t.modes[0].width_range.max == 1920 &&
              t.modes[0].width_range.step == 16);
        CHECK(t.modes[0].height_range.min == 32 && t.modes[0].height_range.max == 1080 &&
              t.modes[0].height_range.step == 4);
        CHECK(t.modes[0].rate_min.num == 5 && t.modes[0].rate_min.den == 1 && t.modes[0].rate_max.num == 60);
}

/* The size of the signal is the preferred one, whatever is set. */
static void test_modes_of_signal(void) {
        static const FakeFormat formats[] = { { V4L2_PIX_FMT_YUYV, 0 } };
        ModeTable t;

        fake_reset();
        fake.formats = formats;
        fake.n_formats = 1;
        fake.sizes = SIZES_STEPWISE;
        fake.rates = RATES_STEPWISE;
        fake.has_input = true;
        fake.timings.bt.width = 1280;
        fake.timings.bt.height = 720;
        CHECK_INT("enumerate", enumerate(&t), 0);
        check_mode(&t.modes[0], DRM_FORMAT_YUYV, 1280, 720, 60);
}

/* Old drivers enumerate neither sizes nor rates: what is set is what there is. */
static void test_modes_unknown(void) {
        ModeTable t;

        fake_reset();
        fake.formats = webcam;
        fake.n_formats = 2;
        fake.sizes = SIZES_NONE;
        fake.rates = RATES_NONE;
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("modes", t.n_modes, 2);
        check_mode(&t.modes[0], DRM_FORMAT_YUYV, 640, 480, 25);
        fake.interval = (struct v4l2_fract){ 0, 0 };
        CHECK_INT("enumerate", enumerate(&t), 0);
        check_mode(&t.modes[0], DRM_FORMAT_YUYV, 640, 480, 30);
}

/* What a camera of today lists: raw in few sizes and rates, compressed in all. Nothing of it is lost. */
static void test_modes_webcam(void) {
        static const FakeFormat formats[] = { { V4L2_PIX_FMT_MJPEG, 0 }, { V4L2_PIX_FMT_YUYV, 0 },
                                              { V4L2_PIX_FMT_H264, 0 } };
        ModeTable t;

        fake_reset();
        fake.formats = formats;
        fake.n_formats = FB_ELEMENTSOF(formats);
        fake.n_sizes = 20;
        fake.sizes = SIZES_LADDER;
        fake.n_rates = 8;
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("modes", t.n_modes, 3 * 20 * 8);
        CHECK_INT("as they are", t.n_merged + t.n_left_out, 0);
        for (size_t i = 0; i < t.n_modes; i++) {
                CHECK(t.modes[i].rate_max.num == 0);
                for (size_t k = 0; k < i; k++)
                        CHECK(memcmp(&t.modes[i], &t.modes[k], sizeof t.modes[i]) != 0);
        }
}

static const PixelFormat *raw_format(size_t i) {
        const PixelFormat *f;

        for (size_t rank = 0; (f = pixel_format_get(rank)); rank++) {
                if (pixel_format_is_compressed(f) || pixel_format_get_rank_of_fourcc(f->fourcc) != rank)
                        continue;
                if (i-- == 0)
                        return f;
        }
        return NULL;
}

/* As many as vivid has: the formats that are wanted most keep their rates, of the others they become ranges.
 * */
static void test_modes_many(void) {
        FakeFormat formats[60] = { 0 };
        size_t n_exact = 0, n_ranges = 0;
        ModeTable t;

        fake_reset();
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                formats[i].pixelformat = raw_format(FB_ELEMENTSOF(formats) - 1 - i)->v4l2;
        formats[7].pixelformat = V4L2_PIX_FMT_MJPEG;
        fake.formats = formats;
        fake.n_formats = FB_ELEMENTSOF(formats);
        fake.sizes = SIZES_LADDER;
        fake.n_sizes = 6;
        fake.n_rates = 8;
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("formats", t.n_formats, FB_ELEMENTSOF(formats));
        CHECK_INT("nothing is left out", t.n_left_out, 0);
        CHECK_INT("modes", t.n_modes, (60 - t.n_merged) * 6 * 8 + t.n_merged * 6);
        CHECK(t.n_modes <= FB_MODES_MAX && t.n_modes + 6 * 8 - 6 > FB_MODES_MAX);
        for (size_t i = 0; i < t.n_modes; i++) {
                const struct framebus_mode *m = &t.modes[i];
                bool range = m->rate_max.num > 0;

                n_exact += !range;
                n_ranges += range;
                CHECK(!range || (m->rate.num == 60 && m->rate_max.num == 60 && m->rate_min.num == 15 &&
                                 m->rate_min.den == 2));
                if (m->fourcc == DRM_FORMAT_NV12 || m->fourcc == V4L2_PIX_FMT_MJPEG)
                        CHECK(!range);
        }
        CHECK_INT("exact", n_exact, (60 - t.n_merged) * 6 * 8);
        CHECK_INT("ranges", n_ranges, t.n_merged * 6);
}

/* More than there is room for, even so: the best remain, and it is said how many do not. */
static void test_modes_too_many(void) {
        FakeFormat formats[60] = { 0 };
        ModeTable t;

        fake_reset();
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                formats[i].pixelformat = raw_format(i)->v4l2;
        fake.formats = formats;
        fake.n_formats = FB_ELEMENTSOF(formats);
        fake.sizes = SIZES_LADDER;
        fake.n_sizes = 20;
        fake.n_rates = 3;
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("modes", t.n_modes, FB_MODES_MAX);
        CHECK_INT("left out", t.n_left_out, 60 * 20 - FB_MODES_MAX);
        CHECK_INT("the largest first", t.modes[0].width, 320 + 19 * 160);
        fake.n_sizes = 200;
        fake.n_rates = 20;
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK(t.n_modes <= FB_MODES_MAX && t.n_left_out > 0);
}

/* A continuous range of sizes is one of steps of 1. */
static void test_modes_continuous(void) {
        static const FakeFormat formats[] = { { V4L2_PIX_FMT_YUYV, 0 } };
        ModeTable t;

        fake_reset();
        fake.formats = formats;
        fake.n_formats = 1;
        fake.sizes = SIZES_CONTINUOUS;
        fake.n_rates = 3;
        fake.width = 8;
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("modes", t.n_modes, 3);
        for (size_t i = 0; i < t.n_modes; i++) {
                CHECK_INT("step", t.modes[i].width_range.step, 1);
                CHECK_INT("step", t.modes[i].height_range.step, 1);
                CHECK_INT("least", t.modes[i].width_range.min, 48);
                CHECK_INT("most", t.modes[i].height_range.max, 1080);
        }
        check_mode(&t.modes[0], DRM_FORMAT_YUYV, 48, 480, 60); /* what is set is outside */
        check_mode(&t.modes[1], DRM_FORMAT_YUYV, 48, 480, 30);
        check_mode(&t.modes[2], DRM_FORMAT_YUYV, 48, 480, 20);
}

/* Tiles are offered with their modifier, behind what everybody can show, and have whole tiles. */
static void test_modes_tiled(void) {
        static const FakeFormat formats[] = { { V4L2_PIX_FMT_NV12MT, 0 }, { V4L2_PIX_FMT_MJPEG, 0 },
                                              { V4L2_PIX_FMT_NV12, 0 } };
        const uint64_t tiles = DRM_FORMAT_MOD_SAMSUNG_64_32_TILE;
        const PixelFormat *f = pixel_format_find(V4L2_PIX_FMT_NV12MT);
        struct framebus_plane planes[4];
        ModeTable t;
        size_t n, size;

        fake_reset();
        fake.formats = formats;
        fake.n_formats = FB_ELEMENTSOF(formats);
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("modes", t.n_modes, 3);
        CHECK(t.modes[0].fourcc == DRM_FORMAT_NV12 && t.modes[0].modifier == 0);
        CHECK(t.modes[1].fourcc == V4L2_PIX_FMT_MJPEG);
        CHECK(t.modes[2].fourcc == DRM_FORMAT_NV12 && t.modes[2].modifier == tiles);
        CHECK_INT("linear", modes_get_pixelformat(&t, DRM_FORMAT_NV12, 0), V4L2_PIX_FMT_NV12);
        CHECK_INT("tiled", modes_get_pixelformat(&t, DRM_FORMAT_NV12, tiles), V4L2_PIX_FMT_NV12MT);
        CHECK_INT("others", modes_get_pixelformat(&t, DRM_FORMAT_NV12, tiles + 1), 0);

        CHECK_INT("layout", pixel_format_get_layout(f, 1300, 720, (uint32_t[4]){ 0 }, planes, &n, &size), 0);
        CHECK(n == 2 && planes[0].stride == 1408 && planes[1].stride == 1408);
        CHECK(planes[0].size == 1408 * 736 && planes[1].offset == planes[0].size);
        CHECK_INT("half of 720 lines", planes[1].size, 1408 * 384);
        CHECK_INT("short", pixel_format_get_layout(f, 1300, 720, (uint32_t[4]){ 1300 }, planes, &n, &size),
                  -EINVAL);
}

/* Every format that there is a name for has room in the list. */
static void test_modes_of_every_format(void) {
        FakeFormat formats[MODES_FORMATS_MAX] = { 0 };
        const PixelFormat *f;
        size_t n = 0, n_fourccs = 0;
        ModeTable t;

        fake_reset();
        for (; n < FB_ELEMENTSOF(formats) && (f = pixel_format_get(n)); n++) {
                formats[n].pixelformat = f->v4l2;
                n_fourccs += f->modifier || pixel_format_get_rank_of_fourcc(f->fourcc) == n;
        }
        CHECK(!pixel_format_get(n));
        fake.formats = formats;
        fake.n_formats = n;
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("formats", t.n_formats, n_fourccs);
        CHECK_INT("nothing is left out", t.n_left_out + t.n_unknown, 0);
        for (size_t i = 0; (f = pixel_format_get(i)); i++)
                CHECK(modes_get_pixelformat(&t, f->fourcc, f->modifier) != 0);
}

static void test_modes_none(void) {
        static const FakeFormat formats[] = {{V4L2_PIX_FMT_SBGGR8, 0},
                                             {V4L2_PIX_FMT_NV12, V4L2_FMT_FLAG_EMULATED}};
        ModeTable t;

        fake_reset();
        CHECK_INT("no format", enumerate(&t), -ENODATA);
        fake.formats = formats;
        fake.n_formats = 2;
        CHECK_INT("no format with a name", enumerate(&t), -ENODATA);
}

/* ---- who has it ---- */

static void test_holder(void) {
        char path[] = "/tmp/fb-holder-XXXXXX", text[200], expected[64];
        int fd = mkstemp(path), ready[2], status;
        pid_t pid;

        CHECK(fd >= 0 && pipe(ready) == 0);
        holder_describe(path, text, sizeof text);
        CHECK(!strstr(text, "test-v4l2")); /* not itself */
        pid = fork();
        if (pid == 0) {
                close(ready[1]);
                (void)!read(ready[0], text, 1);
                _exit(0);
        }
        close(fd); /* the child has it still */
        holder_describe(path, text, sizeof text);
        snprintf(expected, sizeof expected, "process %d (test-v4l2)", (int)pid);
        if (!strstr(text, "(v4l2)")) /* the name when built by hand */
                CHECK_STR("holder", text, expected);
        close(ready[1]);
        waitpid(pid, &status, 0);
        holder_describe(path, text, sizeof text);
        CHECK_STR("gone", text, "");
        CHECK(chmod(path, 0640) == 0);
        holder_describe_permission(path, text, sizeof text);
        CHECK_STR("mode", text, "its mode is 0640, so no group would help");
        unlink(path);
        close(ready[0]);
}

int main(void) {
        test_device();
        test_device_errors();
        test_layouts();
        test_layout_of_memories();
        test_modes_discrete();
        test_modes_stepwise();
        test_modes_of_signal();
        test_modes_unknown();
        test_modes_webcam();
        test_modes_many();
        test_modes_too_many();
        test_modes_continuous();
        test_modes_tiled();
        test_modes_of_every_format();
        test_modes_none();
        test_holder();
        return check_end();
}
