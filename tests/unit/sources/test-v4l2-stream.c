/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streaming from a fake device, with damaged frames, gaps and faults. */
#include <drm_fourcc.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "check.h"
#include "fake-device.h"
#include "sources/v4l2/stream.h"

#define FRAME_SIZE (64 * 48 * 2)
static const struct framebus_mode yuyv = {
                .fourcc = DRM_FORMAT_YUYV, .width = 64, .height = 48, .rate = {30, 1}};
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
                { { 4, FRAME_SIZE, OK, 5000002000 }, STREAM_FRAME, 2 }, /* 2 and 3 are missing */
                { { 5, FRAME_SIZE - 1, OK, 5000003000 }, STREAM_DAMAGED, 1 }, /* short */
                { { 6, FRAME_SIZE, OK | V4L2_BUF_FLAG_ERROR, 1 }, STREAM_DAMAGED, 1 },
                { { 8, 0, OK, 5000004000 }, STREAM_DAMAGED, 2 }, /* 7 is missing, 8 is empty */
                { { 9, 65537, OK, 5000004000 }, STREAM_DAMAGED, 1 }, /* more than there is room for */
                { { 10, FRAME_SIZE + 64, OK, 5000005000 }, STREAM_FRAME, 0 }, /* padding */
                { { UINT32_MAX - 1, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 }, /* began anew */
                { { UINT32_MAX, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 },
                { { 0, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 }, /* wraps */
                { { UINT32_MAX, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 },
                { { 2, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 2 }, /* wraps over 0 and 1 */
                { { 2, FRAME_SIZE, OK, 1000 }, STREAM_FRAME, 0 }, /* a driver that does not count */
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
                { 3, FRAME_SIZE, OK, UINT64_MAX / 4 }, /* in the future */
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

int main(void) {
        test_start();
        test_start_errors();
        test_frames();
        test_timestamps();
        test_mjpeg();
        test_broken();
        return check_end();
}
