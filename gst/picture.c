/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See picture.h. Each memory of a frame is a GstFdMemory, or one of GstDmaBufAllocator, that has a reference
 * to the Hold as its qdata: buffers are copied, split and joined on the way, and their memories survive them.
 *
 * What is lent comes again: its memory, with the mapping, is kept by the publisher's number of the buffer,
 * and each frame gets a share of it. Mapped privately: a shared mapping would keep the owner from sealing it.
 */
#include "gst/picture.h"

#include <errno.h>
#include <gst/allocators/allocators.h>
#include <linux/videodev2.h>
#include <string.h>

#include "base/cleanup.h"
#include "gst/caps.h"

#define PLANES_MAX  4u
#define IMPORTS_MAX 128u

struct Imports {
        GHashTable *memories; /* buffer number and index to GstMemory */
};

typedef struct Hold {
        gatomicrefcount n_refs;
        Worker *worker;
        framebus_frame *frame;
} Hold;

static void hold_unref(void *p) {
        Hold *h = p;

        if (!g_atomic_ref_count_dec(&h->n_refs))
                return;
        worker_release_consume(h->worker, h->frame);
        worker_unref(h->worker);
        g_free(h);
}

/* Looks */

bool look_equal(const Look *a, const Look *b) {
        return memcmp(&a->mode, &b->mode, sizeof a->mode) == 0 && a->has_colorimetry == b->has_colorimetry &&
               memcmp(a->colorimetry, b->colorimetry, sizeof a->colorimetry) == 0 && a->field == b->field;
}

GstCaps *look_to_caps(const Look *look) {
        GstCaps *caps = caps_from_modes(&look->mode, 1);

        if (!gst_caps_is_empty(caps) &&
            caps_format_from_fourcc(look->mode.fourcc) != GST_VIDEO_FORMAT_UNKNOWN)
                caps_set_picture(caps, look->has_colorimetry ? look->colorimetry : NULL, look->field);
        return caps;
}

static Look look_of(framebus_frame *frame) {
        Look look = { .mode = *framebus_frame_get_mode(frame), .field = framebus_frame_get_field(frame) };

        look.has_colorimetry = framebus_frame_get_colorimetry(frame, look.colorimetry);
        return look;
}

/* Memories */

static GstAllocator *allocator_of(enum framebus_memory kind) {
        static GstAllocator *fds, *dmabufs;
        static gsize once;

        if (g_once_init_enter(&once)) {
                fds = gst_fd_allocator_new();
                dmabufs = gst_dmabuf_allocator_new();
                GST_OBJECT_FLAG_SET(fds, GST_OBJECT_FLAG_MAY_BE_LEAKED);
                GST_OBJECT_FLAG_SET(dmabufs, GST_OBJECT_FLAG_MAY_BE_LEAKED);
                g_once_init_leave(&once, 1);
        }
        return kind == FRAMEBUS_MEMORY_DMABUF ? dmabufs : fds;
}

static int memory_new(framebus_frame *frame, uint32_t index, GstMemory **ret) {
        enum framebus_memory kind = framebus_frame_get_memory(frame);
        GstAllocator *allocator = allocator_of(kind);
        GstFdMemoryFlags flags = GST_FD_MEMORY_FLAG_KEEP_MAPPED;
        int fd = framebus_frame_dup_fd(frame, index);
        GstMemory *memory;
        off_t size;

        if (fd < 0)
                return fd;
        size = lseek(fd, 0, SEEK_END);
        if (size <= 0) {
                fb_close(fd);
                return -EIO;
        }
        if (kind == FRAMEBUS_MEMORY_DMABUF)
                memory = gst_dmabuf_allocator_alloc_with_flags(allocator, fd, (gsize)size, flags);
        else
                memory = gst_fd_allocator_alloc(allocator, fd, (gsize)size,
                                                flags | GST_FD_MEMORY_FLAG_MAP_PRIVATE);
        GST_MINI_OBJECT_FLAG_SET(memory, GST_MEMORY_FLAG_READONLY);
        *ret = memory;
        return 0;
}

static void memory_free(void *p) {
        gst_memory_unref(p);
}

Imports *imports_free(Imports *imports) {
        if (!imports)
                return NULL;
        g_hash_table_unref(imports->memories);
        g_free(imports);
        return NULL;
}

static GHashTable *imports_get_table(Imports **imports) {
        if (!*imports) {
                *imports = g_new0(Imports, 1);
                (*imports)->memories =
                                g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, memory_free);
        }
        /* numbers are never used again, and nobody tells which are gone */
        if (g_hash_table_size((*imports)->memories) >= IMPORTS_MAX)
                g_hash_table_remove_all((*imports)->memories);
        return (*imports)->memories;
}

/* Of what is lent, the one that was made before. The caller's reference. */
static int memory_get(Imports **imports, framebus_frame *frame, uint32_t index, GstMemory **ret) {
        uint64_t id, *key;
        GHashTable *table;
        int r;

        if (!framebus_frame_get_buffer(frame, &id))
                return memory_new(frame, index, ret);
        id = id * PLANES_MAX + index;
        table = imports_get_table(imports);
        *ret = g_hash_table_lookup(table, &id);
        if (!*ret) {
                r = memory_new(frame, index, ret);
                if (r < 0)
                        return r;
                key = g_new(uint64_t, 1);
                *key = id;
                g_hash_table_insert(table, key, *ret);
        }
        gst_memory_ref(*ret);
        return 0;
}

/* The bytes of memory @index that planes lie in. */
static bool memory_get_extent(framebus_frame *frame, uint32_t index, uint64_t *ret_start, uint64_t *ret_end) {
        uint64_t start = UINT64_MAX, end = 0;

        for (size_t i = 0; i < framebus_frame_get_n_planes(frame); i++) {
                const struct framebus_plane *p = framebus_frame_get_plane(frame, i);

                if (p->memory != index)
                        continue;
                start = MIN(start, p->offset);
                end = MAX(end, p->offset + p->size);
        }
        *ret_start = start;
        *ret_end = end;
        return end > start;
}

/* Buffers */

static void add_meta(GstBuffer *buffer, framebus_frame *frame, const Look *look, const uint64_t *starts,
                     const uint64_t *places) {
        GstVideoFormat format = caps_format_from_fourcc(look->mode.fourcc);
        gsize offsets[GST_VIDEO_MAX_PLANES] = { 0 };
        gint strides[GST_VIDEO_MAX_PLANES] = { 0 };
        size_t n = framebus_frame_get_n_planes(frame);

        if (format == GST_VIDEO_FORMAT_UNKNOWN || n > GST_VIDEO_MAX_PLANES)
                return;
        for (size_t i = 0; i < n; i++) {
                const struct framebus_plane *p = framebus_frame_get_plane(frame, i);

                offsets[i] = places[p->memory] + p->offset - starts[p->memory];
                strides[i] = (gint)p->stride;
        }
        gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, format, look->mode.width,
                                       look->mode.height, (guint)n, offsets, strides);
}

static void set_flags(GstBuffer *buffer, framebus_frame *frame, const Look *look) {
        if (framebus_frame_get_flags(frame) & FRAMEBUS_FRAME_DISCONTINUITY)
                GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
        if (!(framebus_frame_get_flags(frame) & FRAMEBUS_FRAME_KEYFRAME) &&
            caps_fourcc_has_deltas(look->mode.fourcc))
                GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
        switch (look->field) {
        case V4L2_FIELD_INTERLACED:
        case V4L2_FIELD_INTERLACED_TB:
                GST_BUFFER_FLAG_SET(buffer, GST_VIDEO_BUFFER_FLAG_TFF);
                __attribute__((fallthrough));
        case V4L2_FIELD_INTERLACED_BT:
                GST_BUFFER_FLAG_SET(buffer, GST_VIDEO_BUFFER_FLAG_INTERLACED);
        }
        GST_BUFFER_PTS(buffer) = framebus_frame_get_pts_ns(frame);
        GST_BUFFER_OFFSET(buffer) = framebus_frame_get_seq(frame);
}

static int add_memory(GstBuffer *buffer, Hold *hold, Imports **imports, uint32_t index, uint64_t start,
                      uint64_t end) {
        GstMemory *whole, *share;
        int r;

        r = memory_get(imports, hold->frame, index, &whole);
        if (r < 0)
                return r;
        share = gst_memory_share(whole, (gssize)start, (gssize)(end - start));
        gst_memory_unref(whole);
        if (!share)
                return -ENOMEM;
        g_atomic_ref_count_inc(&hold->n_refs);
        gst_mini_object_set_qdata(GST_MINI_OBJECT(share), g_quark_from_static_string("framebus-frame"), hold,
                                  hold_unref);
        gst_buffer_append_memory(buffer, share);
        return 0;
}

int picture_import(Worker *worker, Imports **imports, framebus_frame *frame, GstBuffer **ret_buffer,
                   Look *ret_look) {
        uint64_t starts[PLANES_MAX] = { 0 }, places[PLANES_MAX] = { 0 }, size = 0, end;
        Hold *hold = g_new(Hold, 1);
        GstBuffer *buffer = gst_buffer_new();
        int r = 0;

        g_atomic_ref_count_init(&hold->n_refs);
        hold->worker = worker_ref(worker);
        hold->frame = framebus_frame_ref(frame);
        *ret_look = look_of(frame);
        for (uint32_t i = 0; i < PLANES_MAX && r >= 0; i++) {
                if (!memory_get_extent(frame, i, &starts[i], &end))
                        continue;
                r = add_memory(buffer, hold, imports, i, starts[i], end);
                places[i] = size;
                size += end - starts[i];
        }
        if (r >= 0) {
                add_meta(buffer, frame, ret_look, starts, places);
                set_flags(buffer, frame, ret_look);
                *ret_buffer = g_steal_pointer(&buffer);
        }
        gst_clear_buffer(&buffer);
        hold_unref(hold);
        return r;
}

bool picture_is_plain(GstBuffer *buffer, const GstVideoInfo *info) {
        const GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);

        if (!meta)
                return true;
        if (meta->n_planes != GST_VIDEO_INFO_N_PLANES(info) ||
            gst_buffer_get_size(buffer) < GST_VIDEO_INFO_SIZE(info))
                return false;
        for (guint i = 0; i < meta->n_planes; i++)
                if (meta->offset[i] != GST_VIDEO_INFO_PLANE_OFFSET(info, i) ||
                    meta->stride[i] != GST_VIDEO_INFO_PLANE_STRIDE(info, i))
                        return false;
        return true;
}

GstBuffer *picture_copy_plain(GstBuffer *buffer, const GstVideoInfo *info) {
        GstBuffer *copy = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(info), NULL);
        GstVideoFrame from, to;
        gboolean ok = FALSE;

        if (!gst_video_frame_map(&from, info, buffer, GST_MAP_READ)) {
                gst_buffer_unref(copy);
                return NULL;
        }
        if (gst_video_frame_map(&to, info, copy, GST_MAP_WRITE)) {
                ok = gst_video_frame_copy(&to, &from);
                gst_video_frame_unmap(&to);
        }
        gst_video_frame_unmap(&from);
        if (ok)
                ok = gst_buffer_copy_into(copy, buffer, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0,
                                          -1);
        if (!ok)
                gst_clear_buffer(&copy);
        return copy;
}
