/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streaming from a fake device, with damaged frames, gaps and faults. */
#include <drm_fourcc.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "check.h"
#include "fake-device.h"
#include "sources/v4l2/stream.h"

#define N_BUFFERS  4
#define FRAME_SIZE (64 * 48 * 2)
static const struct framebus_mode yuyv = {
                .fourcc = DRM_FORMAT_YUYV, .width = 64, .height = 48, .rate = {30, 1}};
static Device device = DEVICE_NULL;
static Stream stream;

static int start(uint32_t pixelformat, const char **ret_step) {
        const char *ignored;

        if (device.fd < 0)
                CHECK_INT("open", device_open(&device, &fake_ops, "fake"), 0);
        return stream_start(&stream, &device, pixelformat, &yuyv, &(StreamPlan){ WAY_COPY, 0 },
                            ret_step ? ret_step : &ignored);
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
        CHECK_INT("buffers", fake.n_queued, N_BUFFERS);
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

/* The modifier is told with the format; what a frame has is whole tiles. */
static void test_tiles(void) {
        const struct framebus_mode tiled = { .fourcc = DRM_FORMAT_NV12,
                                             .modifier = DRM_FORMAT_MOD_SAMSUNG_64_32_TILE,
                                             .width = 64, .height = 48, .rate = { 30, 1 } };
        const char *step;

        fake_reset();
        fake.capabilities = fake.device_caps = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE_MPLANE |
                                               V4L2_CAP_STREAMING;
        fake.n_memories = 2;
        CHECK_INT("open", device_open(&device, &fake_ops, "fake"), 0);
        CHECK_INT("start",
                  stream_start(&stream, &device, V4L2_PIX_FMT_NV12MT, &tiled, &(StreamPlan){ WAY_COPY, 0 },
                               &step),
                  0);
        CHECK(stream.mode.modifier == tiled.modifier && stream.mode.fourcc == DRM_FORMAT_NV12);
        CHECK(stream.sizes[0] == 128 * 64 && stream.sizes[1] == 128 * 32);
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
                { VIDIOC_QBUF, -EIO, -EIO, "starting the stream" },
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
                Fault fault;
        } table[] = {
                { { .sequence = 0, FRAME_SIZE, OK }, STREAM_FRAME, 0, 0 },
                { { .sequence = 1, FRAME_SIZE, OK }, STREAM_FRAME, 0, 0 },
                { { .sequence = 4, FRAME_SIZE, OK }, STREAM_FRAME, 2, 0 }, /* 2 and 3 are missing */
                { { .sequence = 5, FRAME_SIZE - 1, OK }, STREAM_DAMAGED, 1, FAULT_SHORT },
                { { .sequence = 6, FRAME_SIZE, OK | V4L2_BUF_FLAG_ERROR }, STREAM_DAMAGED, 1, FAULT_DAMAGED },
                { { .sequence = 8, 0, OK }, STREAM_DAMAGED, 2, FAULT_EMPTY }, /* 7 is missing */
                { { .sequence = 9, 65537, OK }, STREAM_DAMAGED, 1, FAULT_OVERRUN },
                { { .sequence = 10, FRAME_SIZE + 64, OK }, STREAM_FRAME, 0, 0 }, /* padding */
                { { .sequence = UINT32_MAX - 1, FRAME_SIZE, OK }, STREAM_FRAME, 0, 0 }, /* began anew */
                { { .sequence = UINT32_MAX, FRAME_SIZE, OK }, STREAM_FRAME, 0, 0 },
                { { .sequence = 0, FRAME_SIZE, OK }, STREAM_FRAME, 0, 0 }, /* wraps */
                { { .sequence = UINT32_MAX, FRAME_SIZE, OK }, STREAM_FRAME, 0, 0 },
                { { .sequence = 2, FRAME_SIZE, OK }, STREAM_FRAME, 2, 0 }, /* wraps over 0 and 1 */
                { { .sequence = 2, FRAME_SIZE, OK }, STREAM_FRAME, 0, 0 }, /* a driver that does not count */
        };

        fake_reset();
        CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                fake.queue[fake.n_queue] = table[i].buffer;
                fake.queue[fake.n_queue++].pts_ns = clock_now_ns() / 1000 * 1000;
        }
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                StreamFrame f;
                char row[16];

                sprintf(row, "buffer %zu", i);
                CHECK_INT(row, stream_read(&stream, &f), table[i].r);
                CHECK_INT(row, f.n_lost, table[i].n_lost);
                CHECK_INT(row, f.fault, table[i].fault);
                if (table[i].r == STREAM_FRAME) {
                        CHECK_INT(row, f.size, FRAME_SIZE);
                        CHECK_INT(row, f.sequence, table[i].buffer.sequence);
                        CHECK_INT(row, f.pts_ns, fake.queue[i].pts_ns);
                        CHECK_AT(row, !f.bad_time && f.n_parts == 1 && f.parts[0].size == FRAME_SIZE);
                        CHECK_AT(row, f.parts[0].data == fake.memory[i % N_BUFFERS]);
                        CHECK_INT(row, fake.n_queued, N_BUFFERS - 1);
                        CHECK_INT(row, stream_return(&stream, &f), 0);
                }
                CHECK_INT(row, fake.n_queued, N_BUFFERS); /* a damaged one goes back by itself */
        }
        CHECK_INT("no more", stream_read(&stream, &(StreamFrame){ 0 }), STREAM_NOTHING);
        stop();
}

/* Off and on again with the same buffers: nothing is counted over the gap, and time goes on. */
static void test_restart(void) {
        uint64_t now_ns = clock_now_ns() / 1000 * 1000;
        StreamFrame f = { 0 };

        fake_reset();
        CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
        fake.queue[0] = (FakeBuffer){ .sequence = 7, FRAME_SIZE, OK, now_ns };
        fake.queue[1] = (FakeBuffer){ .sequence = 100, FRAME_SIZE, OK, now_ns - 1000000 }; /* backwards */
        fake.n_queue = 2;
        CHECK_INT("frame", stream_read(&stream, &f), STREAM_FRAME);
        CHECK_INT("return", stream_return(&stream, &f), 0);
        fake_fail(VIDIOC_DQBUF, -EIO, 1);
        CHECK_INT("broken", stream_read(&stream, &f), -EIO);
        CHECK_INT("restart", stream_restart(&stream), 0);
        CHECK(fake.n_streamon == 2 && fake.n_streamoff == 1 && fake.n_queued == N_BUFFERS);
        CHECK_INT("frame", stream_read(&stream, &f), STREAM_FRAME);
        CHECK(f.n_lost == 0 && f.bad_time && f.pts_ns >= now_ns);
        CHECK_INT("return", stream_return(&stream, &f), 0);
        fake_fail(VIDIOC_STREAMON, -EIO, 1);
        CHECK_INT("no restart", stream_restart(&stream), -EIO);
        stream_stop(&stream);
        CHECK_INT("the time of before is kept", stream.times.last_ns >= now_ns, 1);
        CHECK(fake.n_mapped == 0 && fake.n_requested == 0);
        device_close(&device);
}

/* A buffer that is not taken at once is counted. */
static void test_requeue(void) {
        fake_reset();
        stream.pool.counts.requeued = 0;
        fake_fail(VIDIOC_QBUF, -EINVAL, 1);
        CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
        CHECK_INT("requeued", stream.pool.counts.requeued, 1);
        CHECK_INT("buffers", fake.n_queued, N_BUFFERS);
        stop();
}

/* Three memories, put together; the frame is good only if each is. */
static void test_multiplanar(void) {
        const size_t y = 64 * 48, c = 32 * 24;
        const FakeBuffer buffers[] = {
                { .sequence = 0, y, OK, .bytesused_more = { c, c + 9 } },
                { .sequence = 1, y, OK, .bytesused_more = { c, c - 1 } },
                { .sequence = 2, y, OK, .bytesused_more = { c, 0 } },
                { .sequence = 4, y, OK, .bytesused_more = { c, c } },
        };
        static const Fault faults[] = { FAULT_NONE, FAULT_SHORT, FAULT_EMPTY, FAULT_NONE };

        fake_reset();
        fake.device_caps = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_STREAMING;
        fake.n_memories = 2;
        fake.colorimetry[0] = V4L2_COLORSPACE_REC709;
        fake.colorimetry[3] = V4L2_QUANTIZATION_LIM_RANGE;
        CHECK_INT("two memories for three planes", start(V4L2_PIX_FMT_YUV420M, NULL), -EPROTO);
        fake.n_memories = 3;
        CHECK_INT("start", start(V4L2_PIX_FMT_YUV420M, NULL), 0);
        CHECK_INT("as three planes", fake.n_mapped, 3 * N_BUFFERS);
        CHECK(stream.mode.fourcc == DRM_FORMAT_YUV420 && stream.n_planes == 3 && stream.size == y + 2 * c);
        CHECK(stream.colorimetry[0] == V4L2_COLORSPACE_REC709 &&
              stream.colorimetry[3] == V4L2_QUANTIZATION_LIM_RANGE);
        memcpy(fake.queue, buffers, sizeof buffers);
        fake.n_queue = FB_ELEMENTSOF(buffers);
        for (size_t i = 0; i < FB_ELEMENTSOF(buffers); i++) {
                StreamFrame f = { 0 };
                char row[16];

                sprintf(row, "buffer %zu", i);
                CHECK_INT(row, stream_read(&stream, &f), faults[i] ? STREAM_DAMAGED : STREAM_FRAME);
                CHECK_INT(row, f.fault, faults[i]);
                if (faults[i])
                        continue;
                CHECK_AT(row, f.n_parts == 3 && f.size == y + 2 * c);
                CHECK_AT(row, f.parts[0].size == y && f.parts[1].size == c && f.parts[2].size == c);
                CHECK_AT(row, f.parts[2].data == fake.memory[i % N_BUFFERS * 3 + 2]);
                CHECK_INT(row, stream_return(&stream, &f), 0);
        }
        stop();
}

/* What a frame's fields are is told by the buffer, or else by the format. */
static void test_fields(void) {
        static const struct {
                uint32_t of_format, of_buffer, field;
        } table[] = {
                { V4L2_FIELD_NONE, V4L2_FIELD_NONE, V4L2_FIELD_NONE },
                { V4L2_FIELD_NONE, V4L2_FIELD_ANY, V4L2_FIELD_NONE },
                { V4L2_FIELD_INTERLACED, V4L2_FIELD_ANY, V4L2_FIELD_INTERLACED },
                { V4L2_FIELD_ALTERNATE, V4L2_FIELD_BOTTOM, V4L2_FIELD_BOTTOM },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                StreamFrame f = { 0 };

                fake_reset();
                fake.field_given = table[i].of_format;
                CHECK_INT("start", start(V4L2_PIX_FMT_YUYV, NULL), 0);
                fake.queue[0] = (FakeBuffer){ .bytesused = FRAME_SIZE, .flags = OK,
                                              .field = table[i].of_buffer };
                fake.n_queue = 1;
                CHECK_INT("frame", stream_read(&stream, &f), STREAM_FRAME);
                CHECK_INT("field", f.field, table[i].field);
                stop();
        }
}

static void test_mjpeg(void) {
        static const unsigned char jpeg[] = { 0xff, 0xd8, 0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0xd9, 0, 0 };
        StreamFrame f = { 0 };

        fake_reset();
        CHECK_INT("start", start(V4L2_PIX_FMT_MJPEG, NULL), 0);
        CHECK(stream.n_planes == 0 && stream.size == 0 && stream.mode.fourcc == V4L2_PIX_FMT_MJPEG);
        memcpy(fake.memory[0], jpeg, sizeof jpeg);
        memcpy(fake.memory[2], jpeg, sizeof jpeg);
        fake.queue[0] = (FakeBuffer){ .sequence = 0, sizeof jpeg, OK };
        fake.queue[1] = (FakeBuffer){ .sequence = 1, 0, OK };
        fake.queue[2] = (FakeBuffer){ .sequence = 2, 10, OK };
        fake.n_queue = 3;
        CHECK_INT("as large as it is", stream_read(&stream, &f), STREAM_FRAME);
        CHECK(f.size == sizeof jpeg && f.keyframe && f.n_parts == 1);
        CHECK(memcmp(f.parts[0].data, jpeg, sizeof jpeg) == 0);
        CHECK_INT("return", stream_return(&stream, &f), 0);
        CHECK_INT("empty", stream_read(&stream, &f), STREAM_DAMAGED);
        CHECK_INT("cut off", stream_read(&stream, &f), STREAM_DAMAGED);
        CHECK_INT("cut off", f.fault, FAULT_TRUNCATED);
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
        test_tiles();
        test_frames();
        test_restart();
        test_requeue();
        test_multiplanar();
        test_fields();
        test_mjpeg();
        test_broken();
        return check_end();
}
