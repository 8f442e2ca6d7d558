/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every buffer is at one place: with the device, or between stream_read() and stream_return(). The device
 * counts frames in 32 bits that wrap; a step of half of that or more is a counter that began anew, not a
 * loss.
 */
#include "sources/v4l2/stream.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sources/common/options.h"

#define TYPE V4L2_BUF_TYPE_VIDEO_CAPTURE

static int set_format(Stream *s, uint32_t pixelformat, const struct framebus_mode *wanted) {
        struct v4l2_format f = {
                .type = TYPE,
                .fmt.pix = {
                        .width = wanted->width,
                        .height = wanted->height,
                        .pixelformat = pixelformat,
                        .field = V4L2_FIELD_NONE,
                },
        };
        int r = device_ioctl(s->device, VIDIOC_S_FMT, &f);

        if (r < 0)
                return r;
        if (f.fmt.pix.pixelformat != pixelformat)
                return -EPROTO;
        s->format = pixel_format_find(pixelformat);
        s->mode = (struct framebus_mode){
                .fourcc = s->format->fourcc,
                .width = f.fmt.pix.width,
                .height = f.fmt.pix.height,
                .rate = wanted->rate,
        };
        s->size = s->n_planes = 0;
        if (pixel_format_is_compressed(s->format))
                return 0;
        r = pixel_format_get_layout(s->format, s->mode.width, s->mode.height, f.fmt.pix.bytesperline,
                                    s->planes, &s->n_planes, &s->size);
        return r < 0 ? -EPROTO : 0;
}

/* A device that cannot set its rate has the one it has; nothing is wrong with that. */
static int set_rate(Stream *s) {
        struct v4l2_streamparm parm = { .type = TYPE };
        struct v4l2_fract *interval = &parm.parm.capture.timeperframe;
        int r = device_ioctl(s->device, VIDIOC_G_PARM, &parm);

        if (r >= 0 && (parm.parm.capture.capability & V4L2_CAP_TIMEPERFRAME)) {
                *interval = (struct v4l2_fract){ s->mode.rate.den, s->mode.rate.num };
                r = device_ioctl(s->device, VIDIOC_S_PARM, &parm);
        }
        if (r == -ENOTTY || r == -EINVAL)
                return 0;
        if (r >= 0 && interval->numerator && interval->denominator)
                s->mode.rate = fraction_reduce((struct framebus_fraction){ interval->denominator,
                                                                           interval->numerator });
        return r < 0 ? r : 0;
}

static int queue_buffer(Stream *s, uint32_t index) {
        struct v4l2_buffer b = { .index = index, .type = TYPE, .memory = V4L2_MEMORY_MMAP };
        int r = device_ioctl(s->device, VIDIOC_QBUF, &b);

        if (r == -EINVAL) { /* seen to fail once and then not */
                b = (struct v4l2_buffer){ .index = index, .type = TYPE, .memory = V4L2_MEMORY_MMAP };
                r = device_ioctl(s->device, VIDIOC_QBUF, &b);
        }
        return r;
}

static int request_buffers(Stream *s, uint32_t count, uint32_t *ret_count) {
        struct v4l2_requestbuffers q = { .count = count, .type = TYPE, .memory = V4L2_MEMORY_MMAP };
        int r = device_ioctl(s->device, VIDIOC_REQBUFS, &q);

        *ret_count = r < 0 ? 0 : q.count;
        return r;
}

/* Those that the device gives beyond what was asked for are never queued. */
static int map_buffers(Stream *s, uint32_t n) {
        for (uint32_t i = 0; i < n && i < STREAM_BUFFERS; i++) {
                struct v4l2_buffer b = { .index = i, .type = TYPE, .memory = V4L2_MEMORY_MMAP };
                int r = device_ioctl(s->device, VIDIOC_QUERYBUF, &b);

                if (r >= 0)
                        r = s->device->ops->mmap(s->device->fd, b.length, b.m.offset, &s->buffers[i].start);
                if (r < 0)
                        return r;
                s->buffers[i].length = b.length;
                s->n_buffers++;
        }
        return s->n_buffers < 2 ? -ENOBUFS : 0;
}

static int start_buffers(Stream *s, const char **ret_step) {
        int type = TYPE, r;
        uint32_t n;

        *ret_step = "getting buffers";
        r = request_buffers(s, STREAM_BUFFERS, &n);
        if (r >= 0)
                r = map_buffers(s, n);
        for (uint32_t i = 0; r >= 0 && i < s->n_buffers; i++)
                r = queue_buffer(s, i);
        if (r < 0)
                return r;
        *ret_step = "starting the stream";
        r = device_ioctl(s->device, VIDIOC_STREAMON, &type);
        if (r < 0)
                return r;
        s->streaming = true;
        return 0;
}

int stream_start(Stream *s, const Device *d, uint32_t pixelformat, const struct framebus_mode *wanted,
                 const char **ret_step) {
        int r;

        *s = (Stream){ .device = d };
        *ret_step = "setting the format";
        r = set_format(s, pixelformat, wanted);
        if (r >= 0) {
                *ret_step = "setting the rate";
                r = set_rate(s);
        }
        if (r >= 0)
                r = start_buffers(s, ret_step);
        if (r < 0)
                stream_stop(s);
        return r < 0 ? r : 0;
}

void stream_stop(Stream *s) {
        int type = TYPE;
        uint32_t ignored;

        if (!s->device)
                return;
        if (s->streaming)
                (void)device_ioctl(s->device, VIDIOC_STREAMOFF, &type);
        for (uint32_t i = 0; i < s->n_buffers; i++)
                (void)s->device->ops->munmap(s->buffers[i].start, s->buffers[i].length);
        (void)request_buffers(s, 0, &ignored);
        *s = (Stream){ 0 };
}

/* A time of the right clock; drivers that compute it may be ahead of it by a little. */
static uint64_t get_pts_ns(const struct v4l2_buffer *b) {
        uint64_t ns = (uint64_t)b->timestamp.tv_sec * NSEC_PER_SEC +
                      (uint64_t)b->timestamp.tv_usec * NSEC_PER_USEC;

        uint64_t now_ns = clock_now_ns();

        if ((b->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC || ns == 0)
                return now_ns;
        return FB_MIN(ns, now_ns);
}

/* How many frames the device made between the last buffer and this one. */
static uint64_t count_gap(Stream *s, uint32_t sequence) {
        uint32_t gap = s->has_sequence ? sequence - s->sequence - 1 : 0;

        s->has_sequence = true;
        s->sequence = sequence;
        return gap < UINT32_MAX / 2 ? gap : 0;
}

static bool buffer_is_usable(const Stream *s, const struct v4l2_buffer *b) {
        if (b->flags & V4L2_BUF_FLAG_ERROR || b->bytesused == 0 || b->bytesused > s->buffers[b->index].length)
                return false;
        return b->bytesused >= s->size;
}

int stream_read(Stream *s, StreamFrame *ret_frame) {
        struct v4l2_buffer b = { .type = TYPE, .memory = V4L2_MEMORY_MMAP };
        StreamFrame f;
        int r = device_ioctl(s->device, VIDIOC_DQBUF, &b);

        if (r < 0)
                return r == -EAGAIN ? STREAM_NOTHING : r;
        if (b.index >= s->n_buffers)
                return -EPROTO;
        f = (StreamFrame){
                .index = b.index,
                .data = s->buffers[b.index].start,
                .size = s->size ? s->size : b.bytesused, /* padding behind a raw frame is not part of it */
                .pts_ns = get_pts_ns(&b),
                .sequence = b.sequence,
                .n_lost = count_gap(s, b.sequence),
                .keyframe = pixel_format_is_compressed(s->format) || (b.flags & V4L2_BUF_FLAG_KEYFRAME),
        };
        if (buffer_is_usable(s, &b)) {
                *ret_frame = f;
                return STREAM_FRAME;
        }
        r = queue_buffer(s, b.index);
        if (r < 0)
                return r;
        *ret_frame = (StreamFrame){ .n_lost = f.n_lost + 1 };
        return STREAM_DAMAGED;
}

int stream_return(Stream *s, const StreamFrame *frame) {
        return queue_buffer(s, frame->index);
}
