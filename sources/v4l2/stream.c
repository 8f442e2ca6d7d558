/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every buffer is at one place: with the device, or between stream_read() and stream_return(). The device
 * counts frames in 32 bits that wrap; a step of half of that or more is a counter that began anew, not a
 * loss.
 *
 * The two interfaces differ in how a buffer's memories are told: in the buffer itself or in an array of
 * planes. It is always the array here, and unpacked from the buffer for the single-planar one.
 */
#include "sources/v4l2/stream.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sources/common/options.h"

/* A v4l2_buffer with room for its planes; not to be copied. */
typedef struct Buffer {
        struct v4l2_buffer b;
        struct v4l2_plane planes[VIDEO_MAX_PLANES];
} Buffer;

static void buffer_init(const Stream *s, Buffer *ret, uint32_t index) {
        *ret = (Buffer){ .b = { .index = index, .type = s->device->buf_type, .memory = V4L2_MEMORY_MMAP } };
        if (device_is_multiplanar(s->device)) {
                ret->b.m.planes = ret->planes;
                ret->b.length = VIDEO_MAX_PLANES;
        }
}

/* QUERYBUF, QBUF or DQBUF; afterwards the planes are told in the array. */
static int buffer_ioctl(const Stream *s, unsigned long request, Buffer *b) {
        int r = device_ioctl(s->device, request, &b->b);

        if (r < 0 || device_is_multiplanar(s->device))
                return r;
        b->planes[0] = (struct v4l2_plane){ .bytesused = b->b.bytesused, .length = b->b.length };
        b->planes[0].m.mem_offset = b->b.m.offset;
        return r;
}

/* ---- the format ---- */

/* What both kinds of v4l2_format say. */
typedef struct Picture {
        uint32_t width, height, pixelformat, field;
        uint32_t bytesperline[STREAM_MEMORIES_MAX];
        uint32_t n_memories;
        uint32_t colorspace, transfer, encoding, quantization;
} Picture;

static int exchange_format(const Device *d, Picture *p) {
        struct v4l2_format f = { .type = d->buf_type };
        struct v4l2_pix_format_mplane *mp = &f.fmt.pix_mp;
        int r;

        if (device_is_multiplanar(d))
                *mp = (struct v4l2_pix_format_mplane){ .width = p->width, .height = p->height,
                                                       .pixelformat = p->pixelformat, .field = p->field };
        else
                f.fmt.pix = (struct v4l2_pix_format){ .width = p->width, .height = p->height,
                                                      .pixelformat = p->pixelformat, .field = p->field };
        r = device_ioctl(d, VIDIOC_S_FMT, &f);
        if (r < 0)
                return r;
        if (!device_is_multiplanar(d)) {
                const struct v4l2_pix_format *pix = &f.fmt.pix;

                *p = (Picture){ pix->width, pix->height, pix->pixelformat, pix->field, { pix->bytesperline },
                                1, pix->colorspace, pix->xfer_func, pix->ycbcr_enc, pix->quantization };
                return 0;
        }
        *p = (Picture){ mp->width, mp->height, mp->pixelformat, mp->field, { 0 }, mp->num_planes,
                        mp->colorspace, mp->xfer_func, mp->ycbcr_enc, mp->quantization };
        for (uint32_t i = 0; i < p->n_memories && i < STREAM_MEMORIES_MAX; i++)
                p->bytesperline[i] = mp->plane_fmt[i].bytesperline;
        return 0;
}

/* How much of a frame is in each memory. */
static void divide_size(Stream *s) {
        s->sizes[0] = s->size;
        for (uint32_t i = 0; s->n_memories > 1 && i < s->n_planes; i++)
                s->sizes[i] = s->planes[i].size;
}

static int set_format(Stream *s, uint32_t pixelformat, const struct framebus_mode *wanted) {
        Picture p = { .width = wanted->width, .height = wanted->height, .pixelformat = pixelformat,
                      .field = V4L2_FIELD_NONE };
        int r = exchange_format(s->device, &p);

        if (r < 0)
                return r;
        s->format = pixel_format_find(pixelformat);
        if (p.pixelformat != pixelformat || p.n_memories != s->format->n_memories)
                return -EPROTO;
        s->n_memories = p.n_memories;
        s->mode = (struct framebus_mode){
                .fourcc = s->format->fourcc,
                .width = p.width,
                .height = p.height,
                .rate = wanted->rate,
        };
        s->field = p.field;
        s->colorimetry[0] = p.colorspace;
        s->colorimetry[1] = p.transfer;
        s->colorimetry[2] = p.encoding;
        s->colorimetry[3] = p.quantization;
        if (pixel_format_is_compressed(s->format))
                return 0;
        r = pixel_format_get_layout(s->format, p.width, p.height, p.bytesperline, s->planes, &s->n_planes,
                                    &s->size);
        divide_size(s);
        return r < 0 ? -EPROTO : 0;
}

/* A device that cannot set its rate has the one it has; nothing is wrong with that. */
static int set_rate(Stream *s) {
        struct v4l2_streamparm parm = { .type = s->device->buf_type };
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

/* ---- buffers ---- */

static int queue_buffer(Stream *s, uint32_t index) {
        Buffer b;
        int r;

        buffer_init(s, &b, index);
        r = buffer_ioctl(s, VIDIOC_QBUF, &b);
        if (r == -EINVAL) { /* seen to fail once and then not */
                buffer_init(s, &b, index);
                r = buffer_ioctl(s, VIDIOC_QBUF, &b);
                if (r >= 0)
                        s->n_requeued++;
        }
        return r;
}

static int request_buffers(Stream *s, uint32_t count, uint32_t *ret_count) {
        struct v4l2_requestbuffers q = { .count = count, .type = s->device->buf_type,
                                         .memory = V4L2_MEMORY_MMAP };
        int r = device_ioctl(s->device, VIDIOC_REQBUFS, &q);

        *ret_count = r < 0 ? 0 : q.count;
        return r;
}

static void unmap_buffers(Stream *s) {
        for (uint32_t i = 0; i < STREAM_BUFFERS; i++)
                for (uint32_t k = 0; k < STREAM_MEMORIES_MAX; k++) {
                        StreamMemory *m = &s->buffers[i][k];

                        if (m->start)
                                (void)s->device->ops->munmap(m->start, m->length);
                        *m = (StreamMemory){ 0 };
                }
        s->n_buffers = 0;
}

static int map_buffer(Stream *s, uint32_t index) {
        Buffer b;
        int r;

        buffer_init(s, &b, index);
        r = buffer_ioctl(s, VIDIOC_QUERYBUF, &b);
        for (uint32_t k = 0; r >= 0 && k < s->n_memories; k++) {
                StreamMemory *m = &s->buffers[index][k];
                const struct v4l2_plane *p = &b.planes[k];

                r = s->device->ops->mmap(s->device->fd, p->length, p->m.mem_offset, &m->start);
                m->length = r < 0 ? 0 : p->length;
        }
        return r;
}

/* Those that the device gives beyond what was asked for are never queued. */
static int map_buffers(Stream *s, uint32_t n) {
        for (uint32_t i = 0; i < n && i < STREAM_BUFFERS; i++) {
                int r = map_buffer(s, i);

                if (r < 0)
                        return r;
                s->n_buffers++;
        }
        return s->n_buffers < 2 ? -ENOBUFS : 0;
}

/* ---- on and off ---- */

static int switch_on(Stream *s) {
        int type = (int)s->device->buf_type, r = 0;

        for (uint32_t i = 0; r >= 0 && i < s->n_buffers; i++)
                r = queue_buffer(s, i);
        if (r >= 0)
                r = device_ioctl(s->device, VIDIOC_STREAMON, &type);
        if (r < 0)
                return r;
        s->streaming = true;
        s->has_sequence = false;
        s->times.begun_ns = clock_now_ns();
        return 0;
}

static void switch_off(Stream *s) {
        int type = (int)s->device->buf_type;

        if (s->streaming)
                (void)device_ioctl(s->device, VIDIOC_STREAMOFF, &type);
        s->streaming = false;
}

static int start_buffers(Stream *s, const char **ret_step) {
        uint32_t n;
        int r;

        *ret_step = "getting buffers";
        r = request_buffers(s, STREAM_BUFFERS, &n);
        if (r >= 0)
                r = map_buffers(s, n);
        if (r < 0)
                return r;
        *ret_step = "starting the stream";
        return switch_on(s);
}

int stream_start(Stream *s, const Device *d, uint32_t pixelformat, const struct framebus_mode *wanted,
                 const char **ret_step) {
        int r;

        *s = (Stream){ .device = d, .times = s->times };
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

int stream_restart(Stream *s) {
        switch_off(s);
        return switch_on(s);
}

void stream_stop(Stream *s) {
        uint32_t ignored;

        if (!s->device)
                return;
        switch_off(s);
        unmap_buffers(s);
        (void)request_buffers(s, 0, &ignored);
        *s = (Stream){ .times = s->times };
}

/* ---- frames ---- */

/* How many frames the device made between the last buffer and this one. */
static uint64_t count_gap(Stream *s, uint32_t sequence) {
        uint32_t gap = s->has_sequence ? sequence - s->sequence - 1 : 0;

        s->has_sequence = true;
        s->sequence = sequence;
        return gap < UINT32_MAX / 2 ? gap : 0;
}

/* The parts of the frame, without the padding behind a raw one. */
static Fault take_parts(const Stream *s, const Buffer *b, StreamFrame *f) {
        if (b->b.flags & V4L2_BUF_FLAG_ERROR)
                return FAULT_DAMAGED;
        for (uint32_t i = 0; i < s->n_memories; i++) {
                const StreamMemory *m = &s->buffers[b->b.index][i];
                size_t skip = b->planes[i].data_offset, used = b->planes[i].bytesused;
                const char *data = m->start;
                Fault fault;

                if (skip > used || skip > m->length)
                        return used == 0 ? FAULT_EMPTY : FAULT_OVERRUN;
                fault = payload_judge(s->format, data + skip, used - skip, m->length - skip, s->sizes[i]);
                if (fault != FAULT_NONE)
                        return fault;
                f->parts[i] = (StreamPart){ data + skip, s->sizes[i] ? s->sizes[i] : used - skip };
                f->size += f->parts[i].size;
        }
        f->n_parts = s->n_memories;
        return FAULT_NONE;
}

static int give_up_damaged(Stream *s, const StreamFrame *f, Fault fault, StreamFrame *ret_frame) {
        int r = queue_buffer(s, f->index);

        if (r < 0)
                return r;
        *ret_frame = (StreamFrame){ .n_lost = f->n_lost + 1, .fault = fault };
        return STREAM_DAMAGED;
}

int stream_read(Stream *s, StreamFrame *ret_frame) {
        StreamFrame f = { 0 };
        Fault fault;
        Buffer b;
        int r;

        buffer_init(s, &b, 0);
        r = buffer_ioctl(s, VIDIOC_DQBUF, &b);
        if (r < 0)
                return r == -EAGAIN ? STREAM_NOTHING : r;
        if (b.b.index >= s->n_buffers)
                return -EPROTO;
        f.index = b.b.index;
        f.sequence = b.b.sequence;
        f.n_lost = count_gap(s, b.b.sequence);
        fault = take_parts(s, &b, &f);
        if (fault != FAULT_NONE)
                return give_up_damaged(s, &f, fault, ret_frame);
        f.pts_ns = times_judge(&s->times, &b.b, clock_now_ns(), &f.bad_time);
        f.field = b.b.field != V4L2_FIELD_ANY ? b.b.field : s->field;
        f.keyframe = payload_is_keyframe(s->format, b.b.flags, f.parts[0].data, f.parts[0].size);
        *ret_frame = f;
        return STREAM_FRAME;
}

int stream_return(Stream *s, const StreamFrame *frame) {
        return queue_buffer(s, frame->index);
}
