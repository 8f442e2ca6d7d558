/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a device's frames travel: what is wanted and what the driver can do decide. Memory that receivers can
 * have without a copy is used while somebody wants it; when nobody does any more the stream goes on as it is,
 * with copies, since changing would cost frames. A way that never gave a frame is not offered any more.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "sources/v4l2/camera.h"
#include "sources/v4l2/probe.h"

#define FRUITLESS_MAX 2u

static const struct {
        Way way;
        enum framebus_memory memory;
        const char *words;
} kinds[] = {
        /* the best first */
        { WAY_EXPORT, FRAMEBUS_MEMORY_DMABUF, "dma-bufs" },
        { WAY_USERPTR, FRAMEBUS_MEMORY_LEASED, "memory of ours" },
};

/* ---- what is offered ---- */

static void camera_offer(Camera *c, uint32_t ways) {
        Program *p = &c->program;

        if (c->ways == ways)
                return;
        c->ways = ways;
        p->n_lendable = 0;
        for (size_t i = 0; i < FB_ELEMENTSOF(kinds); i++)
                if (c->ways & 1u << kinds[i].way)
                        p->lendable[p->n_lendable++] = kinds[i].memory;
        if (p->pub)
                (void)framebus_publisher_set_memories(p->pub, p->lendable, p->n_lendable);
}

static void on_released(Program *p, uint64_t buffer) {
        Camera *c = fb_container_of(p, Camera, program);
        int r = lend_end(&c->stream, buffer);

        if (r < 0)
                c->lend_error = r;
}

static void on_retired(Program *p, uint64_t buffer) {
        Camera *c = fb_container_of(p, Camera, program);
        int r = lend_retire(&c->stream, buffer);

        if (r < 0)
                c->lend_error = r;
}

/* A device without a signal, or in use, may be able to do more later. */
void camera_probe_ways(Camera *c) {
        Program *p = &c->program;
        uint32_t ways;
        int r;

        if (c->ways & ~(1u << WAY_COPY))
                return;
        p->released = on_released;
        p->retired = on_retired;
        r = probe_ways(&c->device, &ways);
        if (r < 0)
                log_debug("%s: cannot find out how frames can travel: %s", c->path, strerror(-r));
        else
                camera_offer(c, ways & ~c->ways_dropped);
}

/* ---- what is done ---- */

static Way choose_way(const Camera *c) {
        for (size_t i = 0; i < FB_ELEMENTSOF(kinds); i++)
                if ((c->program.memories & 1u << kinds[i].memory) && (c->ways & 1u << kinds[i].way))
                        return kinds[i].way;
        return WAY_COPY;
}

static const char *get_words(Way way) {
        for (size_t i = 0; i < FB_ELEMENTSOF(kinds); i++)
                if (kinds[i].way == way)
                        return kinds[i].words;
        return "copies";
}

StreamPlan camera_plan(Camera *c) {
        Way way = choose_way(c);

        if (!(c->ways_proven & 1u << way) && way != WAY_COPY && c->n_fruitless++ >= FRUITLESS_MAX) {
                log_warning("%s: no frames come in %s; they are copied from now on", c->path, get_words(way));
                c->ways_dropped |= 1u << way;
                c->n_fruitless = 0;
                camera_offer(c, c->ways & ~c->ways_dropped);
                way = choose_way(c);
        }
        return (StreamPlan){ .way = way, .n_lent = c->program.n_buffers };
}

static void forget_buffers(Camera *c) {
        uint64_t ids[POOL_SLOTS_MAX];
        size_t n = lend_list(&c->stream, ids);

        for (size_t i = 0; i < n && c->program.pub; i++)
                (void)framebus_publisher_forget(c->program.pub, ids[i]);
}

void camera_stop_stream(Camera *c) {
        forget_buffers(c);
        stream_stop(&c->stream);
        c->lend_error = 0;
}

static void note_gap(Camera *c) {
        c->gap_ns = c->stream.times.last_ns;
        c->discontinuity = true;
}

static void change_way(Camera *c, Way way) {
        log_debug("%s: frames go by %s", c->path, get_words(way));
        note_gap(c);
        camera_stop_stream(c);
        camera_start(c);
}

static void renew(Camera *c) {
        int r;

        note_gap(c);
        forget_buffers(c);
        r = stream_renew(&c->stream);
        if (r < 0)
                camera_recover(c, r, "getting new buffers");
}

void camera_follow_memories(Camera *c) {
        Stream *s = &c->stream;
        Way way = choose_way(c);
        int r = c->lend_error;

        c->program.want_memories = false;
        c->lend_error = 0;
        if (c->phase != CAMERA_RUNNING || !s->device)
                return;
        if (r == 0 && way != WAY_COPY && way != s->plan.way) {
                change_way(c, way);
                return;
        }
        if (r == 0 && c->program.n_buffers > s->plan.n_lent)
                r = lend_grow(s, c->program.n_buffers);
        if (r < 0)
                camera_recover(c, r, "giving a buffer back");
        else if (s->wants_renewal)
                renew(c);
}

/* ---- frames ---- */

static void describe_frame(const Camera *c, const StreamFrame *f, struct framebus_push_info *ret) {
        *ret = (struct framebus_push_info){
                .version = FRAMEBUS_PUSH_INFO_VERSION,
                .flags = (f->keyframe ? FRAMEBUS_FRAME_KEYFRAME : 0) |
                         (c->discontinuity ? FRAMEBUS_FRAME_DISCONTINUITY : 0),
                .pts_ns = f->pts_ns,
                .has_device_sequence = true,
                .device_sequence = f->sequence,
                .n_planes = c->stream.n_planes ? c->stream.n_planes : 1,
                .has_colorimetry = c->stream.colorimetry[0] != V4L2_COLORSPACE_DEFAULT,
                .field = f->field,
        };
        memcpy(ret->planes, c->stream.planes, sizeof ret->planes);
        memcpy(ret->colorimetry, c->stream.colorimetry, sizeof ret->colorimetry);
        if (!c->stream.n_planes)
                ret->planes[0] = (struct framebus_plane){ .size = f->size };
}

static bool push_copy(Camera *c, const StreamFrame *f, const struct framebus_push_info *info) {
        ProgramPart parts[STREAM_MEMORIES_MAX];

        for (size_t i = 0; i < f->n_parts; i++)
                parts[i] = (ProgramPart){ f->parts[i].data, f->parts[i].size };
        return program_push_parts(&c->program, parts, f->n_parts, info);
}

static bool push_loan(Camera *c, const StreamFrame *f, struct framebus_push_info *info) {
        Loan loan;

        lend_describe(&c->stream, f, &loan);
        info->memory = c->stream.plan.way == WAY_EXPORT ? FRAMEBUS_MEMORY_DMABUF : FRAMEBUS_MEMORY_LEASED;
        info->buffer = loan.buffer;
        memcpy(info->planes, loan.planes, sizeof info->planes);
        memcpy(info->data, loan.data, sizeof info->data);
        return program_lend(&c->program, loan.fds, loan.n, info);
}

/* Nothing could be lent for so long, as somebody holds it all: that one is to give way. */
#define STARVED_NS NSEC_PER_SEC

static void note_starved(Camera *c, const StreamFrame *f) {
        lend_count_starved(&c->stream, f);
        if (c->starved_ns == 0)
                c->starved_ns = f->pts_ns;
        if (f->pts_ns - c->starved_ns < STARVED_NS)
                return;
        c->starved_ns = f->pts_ns;
        (void)framebus_publisher_want_buffer(c->program.pub);
}

int camera_push(Camera *c, const StreamFrame *f) {
        const uint32_t lendable = 1u << FRAMEBUS_MEMORY_DMABUF | 1u << FRAMEBUS_MEMORY_LEASED;
        struct framebus_push_info info;
        bool lent = false, starved = false, pushed;

        describe_frame(c, f, &info);
        if ((c->program.memories & lendable) && lend_judge(&c->stream, f, &starved))
                pushed = lent = push_loan(c, f, &info);
        else
                pushed = push_copy(c, f, &info);
        if (pushed)
                c->discontinuity = false;
        if (pushed && starved)
                note_starved(c, f);
        if (!lent)
                return stream_return(&c->stream, f);
        c->starved_ns = 0;
        lend_begin(&c->stream, f);
        return 0;
}

const char *camera_describe_copies(Camera *c, char *buffer, size_t size) {
        const StreamCounts *s = &c->stream.counts;
        const PoolCounts *p = &c->stream.pool.counts;
        struct framebus_publisher_stats stats = { 0 };

        if (c->program.pub)
                framebus_publisher_get_stats(c->program.pub, &stats);
        (void)snprintf(buffer, size,
                       "lent=%llu copied=%llu bytes=%llu starved=%llu starved-bytes=%llu replaced=%llu "
                       "sealed=%llu unsealed=%llu reallocated=%llu",
                       (unsigned long long)s->lent,
                       (unsigned long long)(stats.copied + c->program.put_together),
                       (unsigned long long)(stats.copied_bytes + c->program.put_together_bytes),
                       (unsigned long long)s->starved, (unsigned long long)s->starved_bytes,
                       (unsigned long long)p->replaced, (unsigned long long)p->sealed,
                       (unsigned long long)p->unsealed, (unsigned long long)p->reallocated);
        return buffer;
}
