/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every buffer is at one place: with the device, between stream_read() and stream_return(), or lent. The
 * device counts frames in 32 bits that wrap; a step of half of that or more is a counter that began anew, not
 * a loss.
 */
#include "sources/v4l2/stream.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sources/common/options.h"

/* ---- the format ---- */

/* What both kinds of v4l2_format say. */
typedef struct Picture {
        uint32_t width, height, pixelformat, field;
        uint32_t bytesperline[STREAM_MEMORIES_MAX];
        uint32_t n_memories;
        uint32_t colorspace, transfer, encoding, quantization;
        size_t lengths[STREAM_MEMORIES_MAX];
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
                                1, pix->colorspace, pix->xfer_func, pix->ycbcr_enc, pix->quantization,
                                { pix->sizeimage } };
                return 0;
        }
        *p = (Picture){ mp->width, mp->height, mp->pixelformat, mp->field, { 0 }, mp->num_planes,
                        mp->colorspace, mp->xfer_func, mp->ycbcr_enc, mp->quantization, { 0 } };
        for (uint32_t i = 0; i < p->n_memories && i < STREAM_MEMORIES_MAX; i++) {
                p->bytesperline[i] = mp->plane_fmt[i].bytesperline;
                p->lengths[i] = mp->plane_fmt[i].sizeimage;
        }
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
        memcpy(s->lengths, p.lengths, sizeof s->lengths);
        s->mode = (struct framebus_mode){
                .fourcc = s->format->fourcc,
                .modifier = s->format->modifier,
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

/* ---- on and off ---- */

int stream_give_back(Stream *s, Slot *slot) {
        uint32_t index = (uint32_t)(slot - s->pool.slots);

        if (!slot->retired)
                return pool_queue(&s->pool, index);
        if (s->pool.way == WAY_USERPTR)
                return pool_replace(&s->pool, index);
        slot->place = SLOT_SPENT;
        s->wants_renewal = true;
        return 0;
}

static int switch_on(Stream *s) {
        int type = (int)s->device->buf_type, r = 0;

        for (uint32_t i = 0; r >= 0 && i < s->pool.n_slots; i++)
                if (s->pool.slots[i].place == SLOT_IDLE)
                        r = stream_give_back(s, &s->pool.slots[i]);
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
        for (uint32_t i = 0; i < s->pool.n_slots; i++) {
                Slot *slot = &s->pool.slots[i];

                if (slot->place == SLOT_QUEUED || slot->place == SLOT_READ)
                        slot->place = SLOT_IDLE;
        }
}

static int start_buffers(Stream *s, const char **ret_step) {
        int r;

        *ret_step = "getting buffers";
        r = pool_allocate(&s->pool, s->device, s->plan.way, s->n_memories, s->lengths, s->plan.n_lent);
        if (r < 0)
                return r;
        *ret_step = "starting the stream";
        return switch_on(s);
}

/* What is kept over all runs. */
static void stream_reset(Stream *s) {
        *s = (Stream){ .times = s->times, .counts = s->counts, .last_id = s->last_id,
                       .pool = { .counts = s->pool.counts } };
}

int stream_start(Stream *s, const Device *d, uint32_t pixelformat, const struct framebus_mode *wanted,
                 const StreamPlan *plan, const char **ret_step) {
        int r;

        stream_reset(s);
        s->device = d;
        s->plan = *plan;
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

int stream_renew(Stream *s) {
        const char *ignored;

        switch_off(s);
        pool_free(&s->pool);
        s->wants_renewal = false;
        s->pool.counts.reallocated++;
        return start_buffers(s, &ignored);
}

void stream_stop(Stream *s) {
        if (!s->device)
                return;
        switch_off(s);
        pool_free(&s->pool);
        stream_reset(s);
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
                const SlotMemory *m = &s->pool.slots[b->b.index].memories[i];
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
        int r = stream_return(s, f);

        if (r < 0)
                return r;
        *ret_frame = (StreamFrame){ .n_lost = f->n_lost + 1, .fault = fault };
        return STREAM_DAMAGED;
}

/* So that decoding can begin with every frame that is called a keyframe, whoever comes, what the device said
 * once at the beginning is put into it. */
static void complete_keyframe(Stream *s, StreamFrame *f) {
        StreamPart whole = f->parts[0];
        NalPrefix prefix = { 0 };
        size_t n = 0;

        if (!nal_is_stream(s->format->v4l2))
                return;
        if (!nal_complete(&s->sets, s->format->v4l2, whole.data, whole.size, &prefix))
                f->keyframe = false;
        if (!f->keyframe || prefix.size == 0)
                return;
        if (prefix.at)
                f->parts[n++] = (StreamPart){ whole.data, prefix.at };
        f->parts[n++] = (StreamPart){ prefix.data, prefix.size };
        f->parts[n++] = (StreamPart){ (const char *)whole.data + prefix.at, whole.size - prefix.at };
        f->n_parts = n;
        f->size += prefix.size;
}

int stream_read(Stream *s, StreamFrame *ret_frame) {
        StreamFrame f = { 0 };
        Fault fault;
        Buffer b;
        int r;

        buffer_init(&b, s->device, pool_get_memory(&s->pool), 0);
        r = buffer_ioctl(s->device, VIDIOC_DQBUF, &b);
        if (r < 0)
                return r == -EAGAIN ? STREAM_NOTHING : r;
        if (b.b.index >= s->pool.n_slots || s->pool.slots[b.b.index].place != SLOT_QUEUED)
                return -EPROTO;
        f.index = b.b.index;
        s->pool.slots[f.index].place = SLOT_READ;
        f.sequence = b.b.sequence;
        f.n_lost = count_gap(s, b.b.sequence);
        fault = take_parts(s, &b, &f);
        if (fault != FAULT_NONE)
                return give_up_damaged(s, &f, fault, ret_frame);
        f.pts_ns = times_judge(&s->times, &b.b, clock_now_ns(), &f.bad_time);
        f.field = b.b.field != V4L2_FIELD_ANY ? b.b.field : s->field;
        f.keyframe = payload_is_keyframe(s->format, b.b.flags, f.parts[0].data, f.parts[0].size);
        complete_keyframe(s, &f);
        *ret_frame = f;
        return STREAM_FRAME;
}

int stream_return(Stream *s, const StreamFrame *frame) {
        return stream_give_back(s, &s->pool.slots[frame->index]);
}
