/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The modules of framebus-v4l2 against a device that exists in this process only, with scripted faults. */
#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "check.h"
#include "sources/v4l2/device.h"
#include "sources/v4l2/formats.h"
#include "sources/v4l2/holder.h"
#include "sources/v4l2/modes.h"
#include "sources/v4l2/stream.h"

/* ---- the fake ---- */

typedef struct FakeFormat {
        uint32_t pixelformat, flags;
} FakeFormat;

/* What one DQBUF gives. */
typedef struct FakeBuffer {
        uint32_t sequence, bytesused, flags;
        uint64_t pts_ns;
} FakeBuffer;

static struct {
        uint32_t capabilities, device_caps;
        const FakeFormat *formats;
        size_t n_formats;
        enum { SIZES_DISCRETE, SIZES_STEPWISE, SIZES_NONE } sizes;
        unsigned n_sizes; /* (320 << i) x (180 << i) */
        enum { RATES_DISCRETE, RATES_STEPWISE, RATES_NONE } rates;
        unsigned n_rates; /* 60, 30, 20, 15, … */
        uint32_t bytesperline, width_given; /* what S_FMT makes of it; 0: as wished */
        uint32_t pixelformat_given;
        struct v4l2_fract interval; /* as set; 0/0: the device does not know rates */
        uint32_t sizeimage;

        unsigned long fail_request; /* this ioctl … */
        int fail_errno;             /* … fails so … */
        int fail_times;             /* … so many times */

        FakeBuffer queue[16];
        size_t n_queue, next;

        unsigned n_open, n_mapped, n_requested, n_queued, n_streamon, n_streamoff;
        uint32_t pixelformat, width, height;
        char memory[8][65536];
} fake;

static void fake_reset(void) {
        memset(&fake, 0, sizeof fake);
        fake.capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        fake.device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        fake.n_sizes = fake.n_rates = 1;
        fake.interval = (struct v4l2_fract){ 1, 25 };
        fake.width = 640;
        fake.height = 480;
}

static int fake_open(const char *path) {
        if (strcmp(path, "gone") == 0)
                return -ENOENT;
        fake.n_open++;
        return 77;
}

static int fake_close(int fd) {
        CHECK_INT("close", fd, 77);
        fake.n_open--;
        return 0;
}

static int fake_enum_sizes(struct v4l2_frmsizeenum *e) {
        if (fake.sizes == SIZES_NONE)
                return -ENOTTY;
        if (fake.sizes == SIZES_STEPWISE) {
                e->type = V4L2_FRMSIZE_TYPE_STEPWISE;
                e->stepwise = (struct v4l2_frmsize_stepwise){ 48, 1920, 16, 32, 1080, 4 };
                return e->index ? -EINVAL : 0;
        }
        e->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        e->discrete = (struct v4l2_frmsize_discrete){ 320u << e->index, 180u << e->index };
        return e->index < fake.n_sizes ? 0 : -EINVAL;
}

static int fake_enum_rates(struct v4l2_frmivalenum *e) {
        if (fake.rates == RATES_NONE)
                return -ENOTTY;
        CHECK(e->width && e->height);
        if (fake.rates == RATES_STEPWISE) {
                e->type = V4L2_FRMIVAL_TYPE_CONTINUOUS;
                e->stepwise = (struct v4l2_frmival_stepwise){ { 1, 60 }, { 2, 10 }, { 1, 1 } };
                return e->index ? -EINVAL : 0;
        }
        e->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        e->discrete = (struct v4l2_fract){ (e->index + 1) * 1000, 60000 };
        return e->index < fake.n_rates ? 0 : -EINVAL;
}

static int fake_set_format(struct v4l2_format *f) {
        CHECK_INT("field", f->fmt.pix.field, V4L2_FIELD_NONE);
        fake.pixelformat = f->fmt.pix.pixelformat;
        if (fake.pixelformat_given)
                f->fmt.pix.pixelformat = fake.pixelformat_given;
        if (fake.width_given)
                f->fmt.pix.width = fake.width_given;
        f->fmt.pix.bytesperline = fake.bytesperline;
        fake.width = f->fmt.pix.width;
        fake.height = f->fmt.pix.height;
        return 0;
}

static int fake_parm(struct v4l2_streamparm *p, bool set) {
        if (!fake.interval.denominator)
                return -ENOTTY;
        if (set)
                fake.interval = p->parm.capture.timeperframe;
        p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        p->parm.capture.timeperframe = fake.interval;
        return 0;
}

static int fake_dequeue(struct v4l2_buffer *b) {
        const FakeBuffer *f = &fake.queue[fake.next];

        if (fake.next == fake.n_queue)
                return -EAGAIN;
        CHECK(fake.n_queued > 0);
        fake.n_queued--;
        b->index = (uint32_t)(fake.next++ % STREAM_BUFFERS);
        b->sequence = f->sequence;
        b->bytesused = f->bytesused;
        b->flags = f->flags;
        b->timestamp.tv_sec = (time_t)(f->pts_ns / NSEC_PER_SEC);
        b->timestamp.tv_usec = (suseconds_t)(f->pts_ns % NSEC_PER_SEC / NSEC_PER_USEC);
        return 0;
}

static int fake_ioctl_format(unsigned long request, void *a) {
        struct v4l2_capability *cap = a;
        struct v4l2_fmtdesc *desc = a;
        struct v4l2_format *format = a;

        switch (request) {
        case VIDIOC_QUERYCAP:
                *cap = (struct v4l2_capability){ .card = "Fake", .driver = "fake", .capabilities = fake.capabilities,
                                                 .device_caps = fake.device_caps };
                return 0;
        case VIDIOC_ENUM_FMT:
                if (desc->index >= fake.n_formats)
                        return -EINVAL;
                desc->pixelformat = fake.formats[desc->index].pixelformat;
                desc->flags = fake.formats[desc->index].flags;
                return 0;
        case VIDIOC_ENUM_FRAMESIZES:
                return fake_enum_sizes(a);
        case VIDIOC_ENUM_FRAMEINTERVALS:
                return fake_enum_rates(a);
        case VIDIOC_G_FMT:
                format->fmt.pix.width = fake.width;
                format->fmt.pix.height = fake.height;
                return 0;
        case VIDIOC_S_FMT:
                return fake_set_format(a);
        default:
                return -ENOTTY;
        }
}

static int fake_ioctl_stream(unsigned long request, void *a) {
        struct v4l2_requestbuffers *req = a;
        struct v4l2_buffer *b = a;

        switch (request) {
        case VIDIOC_REQBUFS:
                CHECK_INT("nothing is mapped when buffers change", fake.n_mapped, 0);
                fake.n_requested = req->count;
                fake.n_queued = 0;
                return 0;
        case VIDIOC_QUERYBUF:
                b->length = sizeof fake.memory[0];
                b->m.offset = b->index * 4096;
                return 0;
        case VIDIOC_QBUF:
                fake.n_queued++;
                CHECK(fake.n_queued <= fake.n_requested);
                return 0;
        case VIDIOC_DQBUF:
                return fake_dequeue(a);
        case VIDIOC_STREAMON:
                fake.n_streamon++;
                return 0;
        case VIDIOC_STREAMOFF:
                fake.n_streamoff++;
                return 0;
        default:
                return -ENOTTY;
        }
}

static int fake_ioctl(int fd, unsigned long request, void *a) {
        int r;

        CHECK_INT("fd", fd, 77);
        if (request == fake.fail_request && fake.fail_times) {
                fake.fail_times--;
                return fake.fail_errno;
        }
        if (request == VIDIOC_G_PARM || request == VIDIOC_S_PARM)
                return fake_parm(a, request == VIDIOC_S_PARM);
        r = fake_ioctl_format(request, a);
        return r == -ENOTTY ? fake_ioctl_stream(request, a) : r;
}

static int fake_mmap(int fd, size_t length, int64_t offset, void **ret_start) {
        fake.n_mapped++;
        *ret_start = fake.memory[offset / 4096];
        return 0;
}

static int fake_munmap(void *start, size_t length) {
        CHECK_INT("munmap", length, sizeof fake.memory[0]);
        fake.n_mapped--;
        return 0;
}

static const DeviceOps fake_ops = {
        .open = fake_open,
        .close = fake_close,
        .ioctl = fake_ioctl,
        .mmap = fake_mmap,
        .munmap = fake_munmap,
};

static void fake_fail(unsigned long request, int error, int times) {
        fake.fail_request = request;
        fake.fail_errno = error;
        fake.fail_times = times;
}

/* ---- device ---- */

static void test_device(void) {
        static const struct {
                uint32_t capabilities, device_caps;
                const char *why;
        } table[] = {
                { V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING, 0, NULL },
                { V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING,
                  V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING, "not a capture device" }, /* the second node of a webcam */
                { V4L2_CAP_DEVICE_CAPS, V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_STREAMING, "not a capture device" },
                { V4L2_CAP_DEVICE_CAPS, V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_READWRITE, "a capture device that cannot stream" },
                { V4L2_CAP_DEVICE_CAPS, V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING,
                  "a capture device with the multi-planar interface only, which is not supported" },
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

static void test_layouts(void) {
        static const struct {
                uint32_t v4l2, fourcc, width, height, bytesperline;
                int r;
                size_t n, size;
                uint32_t strides[3];
                uint64_t offsets[3];
        } table[] = {
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

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                const PixelFormat *f = pixel_format_find(table[i].v4l2);
                struct framebus_plane planes[4];
                size_t n = 0, size = 0;
                char row[16];

                sprintf(row, "row %zu", i);
                CHECK_AT(row, f);
                if (!f)
                        continue;
                CHECK_INT(row, f->fourcc, table[i].fourcc);
                CHECK_INT(row, pixel_format_get_layout(f, table[i].width, table[i].height, table[i].bytesperline, planes,
                                                       &n, &size), table[i].r);
                CHECK_INT(row, n, table[i].n);
                CHECK_INT(row, size, table[i].size);
                for (size_t k = 0; k < n; k++) {
                        CHECK_INT(row, planes[k].stride, table[i].strides[k]);
                        CHECK_INT(row, planes[k].offset, table[i].offsets[k]);
                        CHECK_INT(row, planes[k].offset + planes[k].size, k + 1 < n ? table[i].offsets[k + 1] : size);
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

static void check_mode(const struct framebus_mode *m, uint32_t fourcc, uint32_t width, uint32_t height, uint32_t rate) {
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
        check_mode(&t.modes[0], DRM_FORMAT_NV12, 640, 360, 60); /* raw, fast, large, and of these the first in rank */
        check_mode(&t.modes[1], DRM_FORMAT_NV12, 640, 360, 30);
        check_mode(&t.modes[2], DRM_FORMAT_YUYV, 640, 360, 60);
        check_mode(&t.modes[4], DRM_FORMAT_NV12, 320, 180, 60);
        check_mode(&t.modes[8], DRM_FORMAT_NV12, 640, 360, 20); /* slow */
        check_mode(&t.modes[12], V4L2_PIX_FMT_MJPEG, 640, 360, 60);
        CHECK_INT("no range", t.modes[0].rate_max.num + t.modes[0].width_range.max, 0);
        CHECK_INT("nv12", modes_get_pixelformat(&t, DRM_FORMAT_NV12), V4L2_PIX_FMT_NV12);
        CHECK_INT("emulated", modes_get_pixelformat(&t, DRM_FORMAT_BGR888), 0);
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
        CHECK(t.modes[0].width_range.min == 48 && t.modes[0].width_range.max == 1920 && t.modes[0].width_range.step == 16);
        CHECK(t.modes[0].height_range.min == 32 && t.modes[0].height_range.max == 1080 && t.modes[0].height_range.step == 4);
        CHECK(t.modes[0].rate_min.num == 5 && t.modes[0].rate_min.den == 1 && t.modes[0].rate_max.num == 60);
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

static void test_modes_many(void) {
        static const uint32_t all[] = {
                V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_UYVY, V4L2_PIX_FMT_NV21,
                V4L2_PIX_FMT_YVU420, V4L2_PIX_FMT_NV16, V4L2_PIX_FMT_GREY, V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24,
        };
        FakeFormat formats[FB_ELEMENTSOF(all)] = { 0 };
        bool seen[FB_ELEMENTSOF(all)] = { false };
        ModeTable t;

        fake_reset();
        for (size_t i = 0; i < FB_ELEMENTSOF(all); i++)
                formats[i].pixelformat = all[i];
        fake.formats = formats;
        fake.n_formats = FB_ELEMENTSOF(formats);
        fake.n_sizes = 5;
        fake.n_rates = 6;
        CHECK_INT("enumerate", enumerate(&t), 0);
        CHECK_INT("300 became one for each size", t.n_modes, 50);
        for (size_t i = 0; i < t.n_modes; i++) {
                CHECK(t.modes[i].rate.num == 60 && t.modes[i].rate_min.num == 10 && t.modes[i].rate_max.num == 60);
                for (size_t k = 0; k < FB_ELEMENTSOF(all); k++)
                        seen[k] |= modes_get_pixelformat(&t, t.modes[i].fourcc) == all[k];
        }
        for (size_t k = 0; k < FB_ELEMENTSOF(all); k++)
                CHECK(seen[k]);
}

static void test_modes_none(void) {
        static const FakeFormat formats[] = { { V4L2_PIX_FMT_SBGGR8, 0 }, { V4L2_PIX_FMT_NV12, V4L2_FMT_FLAG_EMULATED } };
        ModeTable t;

        fake_reset();
        CHECK_INT("no format", enumerate(&t), -ENODATA);
        fake.formats = formats;
        fake.n_formats = 2;
        CHECK_INT("no format with a name", enumerate(&t), -ENODATA);
}

/* ---- stream ---- */

#define FRAME_SIZE (64 * 48 * 2)
static const struct framebus_mode yuyv = { .fourcc = DRM_FORMAT_YUYV, .width = 64, .height = 48, .rate = { 30, 1 } };
static Device device = DEVICE_NULL;
static Stream stream;

static int start(uint32_t pixelformat, const char **ret_step) {
        const char *ignored;

        if (device.fd < 0)
                CHECK_INT("open", device_open(&device, &fake_ops, "fake"), 0);
        return stream_start(&stream, &device, pixelformat, &yuyv, ret_step ? ret_step : &ignored);
}

static void stop(void) {
        stream_stop(&stream);
        CHECK_INT("all unmapped", fake.n_mapped, 0);
        CHECK_INT("buffers freed", fake.n_requested, 0);
        CHECK_INT("off as often as on", fake.n_streamoff, fake.n_streamon);
        stream_stop(&stream);
        device_close(&device);
}

static void test_start(void) {
        fake_reset();
        CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
        CHECK_INT("format", fake.pixelformat, V4L2_PIX_FMT_YUYV);
        CHECK_INT("buffers", fake.n_queued, STREAM_BUFFERS);
        CHECK(fake.interval.numerator == 1 && fake.interval.denominator == 30);
        CHECK_INT("size", stream.size, FRAME_SIZE);
        stop();

        fake_reset(); /* a device that does not do what was wished */
        fake.bytesperline = 192;
        fake.width_given = 80;
        fake.interval = (struct v4l2_fract){ 0, 0 };
        CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
        CHECK(stream.mode.width == 80 && stream.planes[0].stride == 192 && stream.size == 192 * 48);
        CHECK(stream.mode.rate.num == 30 && stream.mode.rate.den == 1);
        stop();
}

static void test_start_errors(void) {
        static const struct {
                unsigned long request;
                int error, r;
                const char *step;
        } table[] = {
                { VIDIOC_S_FMT, -EBUSY, -EBUSY, "setting the format" },
                { VIDIOC_S_PARM, -EIO, -EIO, "setting the rate" },
                { VIDIOC_S_PARM, -EINVAL, 0, NULL },
                { VIDIOC_REQBUFS, -EBUSY, -EBUSY, "getting buffers" },
                { VIDIOC_QUERYBUF, -EINVAL, -EINVAL, "getting buffers" },
                { VIDIOC_QBUF, -EINVAL, 0, NULL }, /* once only: tried again */
                { VIDIOC_QBUF, -EIO, -EIO, "getting buffers" },
                { VIDIOC_STREAMON, -ENOSPC, -ENOSPC, "starting the stream" },
                { VIDIOC_STREAMON, -ENODEV, -ENODEV, "starting the stream" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                const char *step = NULL;
                char row[16];

                fake_reset();
                fake_fail(table[i].request, table[i].error, 1);
                sprintf(row, "row %zu", i);
                CHECK_INT(row, start(V4L2_PIX_FMT_YUYV, &step), table[i].r);
                if (table[i].step)
                        CHECK_STR(row, step, table[i].step);
                CHECK_AT(row, !stream.device == (table[i].r < 0));
                stop();
        }
        fake_reset();
        fake.pixelformat_given = V4L2_PIX_FMT_UYVY;
        CHECK_INT("another format", start(V4L2_PIX_FMT_YUYV, NULL), -EPROTO);
        fake_reset();
        fake.bytesperline = 100;
        CHECK_INT("lines too short", start(V4L2_PIX_FMT_YUYV, NULL), -EPROTO);
        stop();
}

#define OK V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC

/* Each buffer of a script, and what becomes of it. */
static void test_frames(void) {
        static const struct {
                FakeBuffer buffer;
                int r;
                uint64_t n_lost;
        } table[] = {
                { { 0, FRAME_SIZE, OK, 5000000000 }, STREAM_FRAME, 0 },
                { { 1, FRAME_SIZE, OK, 5000001000 }, STREAM_FRAME, 0 },
                { { 4, FRAME_SIZE, OK, 5000002000 }, STREAM_FRAME, 2 },         /* 2 and 3 are missing */
                { { 5, FRAME_SIZE - 1, OK, 5000003000 }, STREAM_DAMAGED, 1 },   /* short */
                { { 6, FRAME_SIZE, OK | V4L2_BUF_FLAG_ERROR, 1 }, STREAM_DAMAGED, 1 },
                { { 8, 0, OK, 5000004000 }, STREAM_DAMAGED, 2 },                /* 7 is missing, 8 is empty */
                { { 9, 65537, OK, 5000004000 }, STREAM_DAMAGED, 1 },            /* more than there is room for */
                { { 10, FRAME_SIZE + 64, OK, 5000005000 }, STREAM_FRAME, 0 },   /* padding */
                { { UINT32_MAX - 1, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 },  /* began anew */
                { { UINT32_MAX, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 },
                { { 0, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 },               /* wraps */
                { { UINT32_MAX, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 },
                { { 2, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 2 },               /* wraps over 0 and 1 */
                { { 2, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 },               /* a driver that does not count */
        };

        fake_reset();
        CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++)
                fake.queue[fake.n_queue++] = table[i].buffer;
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                StreamFrame f;
                char row[16];

                sprintf(row, "buffer %zu", i);
                CHECK_INT(row, stream_read(&stream, &f), table[i].r);
                CHECK_INT(row, f.n_lost, table[i].n_lost);
                if (table[i].r == STREAM_FRAME) {
                        CHECK_INT(row, f.size, FRAME_SIZE);
                        CHECK_INT(row, f.sequence, table[i].buffer.sequence);
                        CHECK_INT(row, f.pts_ns, table[i].buffer.pts_ns);
                        CHECK_AT(row, f.data == fake.memory[i % STREAM_BUFFERS]);
                        CHECK_INT(row, fake.n_queued, STREAM_BUFFERS - 1);
                        CHECK_INT(row, stream_return(&stream, &f), 0);
                }
                CHECK_INT(row, fake.n_queued, STREAM_BUFFERS); /* a damaged one goes back by itself */
        }
        CHECK_INT("no more", stream_read(&stream, &(StreamFrame){ 0 }), STREAM_NOTHING);
        stop();
}

static void test_timestamps(void) {
        static const FakeBuffer buffers[] = {
                { 0, FRAME_SIZE, V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN, 1234567000 },
                { 1, FRAME_SIZE, V4L2_BUF_FLAG_TIMESTAMP_COPY, 1234567000 },
                { 2, FRAME_SIZE, OK, 0 },
        };
        uint64_t before = clock_now_ns();

        fake_reset();
        CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
        memcpy(fake.queue, buffers, sizeof buffers);
        fake.n_queue = FB_ELEMENTSOF(buffers);
        for (size_t i = 0; i < FB_ELEMENTSOF(buffers); i++) {
                StreamFrame f = { 0 };

                CHECK_INT("frame", stream_read(&stream, &f), STREAM_FRAME);
                CHECK_AT("the time of now", f.pts_ns >= before && f.pts_ns <= clock_now_ns());
                CHECK_INT("return", stream_return(&stream, &f), 0);
        }
        stop();
}

static void test_mjpeg(void) {
        StreamFrame f = { 0 };

        fake_reset();
        CHECK_INT("start", start(V4L2_PIX_FMT_MJPEG, NULL), 0);
        CHECK(stream.n_planes == 0 && stream.size == 0 && stream.mode.fourcc == V4L2_PIX_FMT_MJPEG);
        fake.queue[0] = (FakeBuffer){ 0, 1234, OK, 1000 };
        fake.queue[1] = (FakeBuffer){ 1, 0, OK, 1000 };
        fake.n_queue = 2;
        CHECK_INT("as large as it is", stream_read(&stream, &f), STREAM_FRAME);
        CHECK(f.size == 1234 && f.keyframe);
        CHECK_INT("return", stream_return(&stream, &f), 0);
        CHECK_INT("empty", stream_read(&stream, &f), STREAM_DAMAGED);
        stop();
}

static void test_broken(void) {
        static const int errors[] = { -ENODEV, -EIO };

        for (size_t i = 0; i < FB_ELEMENTSOF(errors); i++) {
                StreamFrame f;

                fake_reset();
                CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
                fake_fail(VIDIOC_DQBUF, errors[i], 1);
                CHECK_INT("read", stream_read(&stream, &f), errors[i]);
                stop();
        }
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
        CHECK(strcmp(text, "") == 0 || strcmp(text, "another user's process") == 0);
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
        test_modes_discrete();
        test_modes_stepwise();
        test_modes_unknown();
        test_modes_many();
        test_modes_none();
        test_start();
        test_start_errors();
        test_frames();
        test_timestamps();
        test_mjpeg();
        test_broken();
        test_holder();
        return check_end();
}
