/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames as programs hold them. The descriptors belong to the message that the frame came in, which the
 * wire's frame keeps; so a frame needs neither its subscription nor its connection. Only the release does,
 * and it is left out when they are gone.
 */
#include "libframebus/frame.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "libframebus/export.h"
#include "libframebus/memory.h"

#define FLAGS_PUBLIC                                                                                    \
        (FRAMEBUS_FRAME_REPLAYED | FRAMEBUS_FRAME_KEYFRAME | FRAMEBUS_FRAME_DISCONTINUITY |             \
         FRAMEBUS_FRAME_VOLATILE)

struct framebus_frame {
        unsigned int n_refs;
        Frame *frame;
        FormatRef *format;
        framebus_subscription *sub; /* NULL: closed */
        List link;                  // framebus_subscription::frames
        uint64_t generation;
        struct framebus_plane planes[FB_PLANES_MAX];
        struct {
                const void *data; /* NULL: not mapped */
                size_t size;
                Map *kept; /* of the subscription's; NULL: the frame's own */
        } maps[FB_MEMORIES_MAX];
};

framebus_frame *held_frame_new(framebus_subscription *sub, Frame *frame) {
        framebus_frame *f = calloc(1, sizeof *f);

        if (!f)
                return NULL;
        f->n_refs = 1;
        f->frame = frame_ref(frame);
        f->format = format_ref_ref(sub->format);
        f->sub = sub;
        f->generation = sub->generation;
        for (uint32_t i = 0; i < frame->n_planes; i++)
                f->planes[i] = (struct framebus_plane){ .memory = frame->planes[i].memory,
                                                        .stride = frame->planes[i].stride,
                                                        .offset = frame->planes[i].offset,
                                                        .size = frame->planes[i].size };
        list_append(&sub->frames, &f->link);
        sub->stats.held++;
        return f;
}

static void frame_leave(framebus_frame *f) {
        list_remove(&f->link);
        f->sub->stats.held--;
        f->sub = NULL;
}

void held_frames_disown(framebus_subscription *sub) {
        framebus_frame *f;

        while ((f = list_first(&sub->frames, framebus_frame, link)))
                frame_leave(f);
}

static void frame_unmap_memory(framebus_frame *f, size_t memory) {
        if (f->maps[memory].kept) {
                map_put(f->maps[memory].kept);
                return;
        }
        if (!f->maps[memory].data)
                return;
        memory_end_read(framebus_frame_get_memory(f), f->frame->fds[memory]);
        (void)munmap((void *)f->maps[memory].data, f->maps[memory].size);
}

FB_PUBLIC framebus_frame *framebus_frame_ref(framebus_frame *frame) {
        frame->n_refs++;
        return frame;
}

FB_PUBLIC framebus_frame *framebus_frame_unref(framebus_frame *frame) {
        if (!frame || --frame->n_refs > 0)
                return NULL;
        for (size_t i = 0; i < FB_MEMORIES_MAX; i++)
                frame_unmap_memory(frame, i);
        if (frame->sub) {
                if (frame->generation == frame->sub->generation)
                        subscription_release(frame->sub, frame->frame->seq);
                frame_leave(frame);
        }
        format_ref_unref(frame->format);
        frame_unref(frame->frame);
        free(frame);
        return NULL;
}

FB_PUBLIC uint64_t framebus_frame_get_seq(const framebus_frame *frame) {
        return frame->frame->seq;
}

FB_PUBLIC uint64_t framebus_frame_get_order(const framebus_frame *frame) {
        return frame->frame->order;
}

FB_PUBLIC uint64_t framebus_frame_get_pts_ns(const framebus_frame *frame) {
        return frame->frame->pts_ns;
}

FB_PUBLIC uint32_t framebus_frame_get_flags(const framebus_frame *frame) {
        return frame->frame->flags & FLAGS_PUBLIC;
}

FB_PUBLIC uint32_t framebus_frame_get_format(const framebus_frame *frame) {
        return frame->frame->format;
}

FB_PUBLIC const struct framebus_mode *framebus_frame_get_mode(const framebus_frame *frame) {
        return &frame->format->public_mode;
}

FB_PUBLIC bool framebus_frame_get_device_sequence(const framebus_frame *frame, uint32_t *ret_sequence) {
        if (!(frame->frame->meta.present & FRAME_META_DEVICE_SEQUENCE))
                return false;
        *ret_sequence = frame->frame->meta.device_sequence;
        return true;
}

FB_PUBLIC bool framebus_frame_get_colorimetry(const framebus_frame *frame, uint32_t ret_colorimetry[4]) {
        const FrameMeta *meta = &frame->frame->meta;

        if (!(meta->present & FRAME_META_COLORIMETRY))
                return false;
        memcpy(ret_colorimetry, meta->colorimetry, sizeof meta->colorimetry);
        return true;
}

FB_PUBLIC uint32_t framebus_frame_get_field(const framebus_frame *frame) {
        const FrameMeta *meta = &frame->frame->meta;

        return meta->present & FRAME_META_FIELD ? meta->field : 1;
}

FB_PUBLIC enum framebus_memory framebus_frame_get_memory(const framebus_frame *frame) {
        return (enum framebus_memory)frame_get_memory_kind(frame->frame);
}

FB_PUBLIC bool framebus_frame_get_buffer(const framebus_frame *frame, uint64_t *ret_id) {
        if (frame_get_memory_kind(frame->frame) == FB_MEMORY_SEALED)
                return false;
        *ret_id = frame->frame->meta.buffer;
        return true;
}

FB_PUBLIC size_t framebus_frame_get_n_planes(const framebus_frame *frame) {
        return frame->frame->n_planes;
}

FB_PUBLIC const struct framebus_plane *framebus_frame_get_plane(const framebus_frame *frame, size_t plane) {
        return plane < frame->frame->n_planes ? &frame->planes[plane] : NULL;
}

/* Leased memory comes again: its mapping is the subscription's, as long as there is one. */
static bool frame_may_keep(const framebus_frame *f) {
        return framebus_frame_get_memory(f) == FRAMEBUS_MEMORY_LEASED && f->sub &&
               f->generation == f->sub->generation;
}

/* One mapping a memory, up to the end of its last plane. */
static int frame_map_own(framebus_frame *f, uint32_t memory) {
        enum framebus_memory kind = framebus_frame_get_memory(f);
        int fd = f->frame->fds[memory], r;
        uint64_t end = 0;
        void *p;

        for (size_t i = 0; i < f->frame->n_planes; i++)
                if (f->planes[i].memory == memory)
                        end = FB_MAX(end, f->planes[i].offset + f->planes[i].size);
        if (end > SIZE_MAX)
                return -EOVERFLOW;
        r = memory_map(kind, fd, (size_t)end, &p);
        if (r < 0)
                return r;
        r = memory_begin_read(kind, fd);
        if (r < 0) {
                (void)munmap(p, (size_t)end);
                return r;
        }
        f->maps[memory].data = p;
        f->maps[memory].size = (size_t)end;
        return 0;
}

static int frame_map_memory(framebus_frame *f, uint32_t memory) {
        int r;

        if (f->maps[memory].data)
                return 0;
        if (!frame_may_keep(f))
                return frame_map_own(f, memory);
        r = maps_get(&f->sub->maps, f->frame->meta.buffer, memory, f->frame->fds[memory],
                     &f->maps[memory].kept);
        if (r >= 0)
                f->maps[memory].data = map_get_data(f->maps[memory].kept, &f->maps[memory].size);
        return r;
}

FB_PUBLIC int framebus_frame_map(framebus_frame *frame, size_t plane, const void **ret_data,
                                 size_t *ret_size) {
        const struct framebus_plane *p = framebus_frame_get_plane(frame, plane);
        int r;

        if (!p)
                return -EINVAL;
        r = frame_map_memory(frame, p->memory);
        if (r < 0)
                return r;
        *ret_data = (const char *)frame->maps[p->memory].data + p->offset;
        *ret_size = (size_t)p->size;
        return 0;
}

FB_PUBLIC int framebus_frame_dup_fd(framebus_frame *frame, uint32_t memory) {
        return memory < frame->frame->n_fds ? fd_dup_cloexec(frame->frame->fds[memory]) : -EINVAL;
}
