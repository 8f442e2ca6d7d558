/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames of a publisher.
 *
 * At most FB_PUBLISHER_WINDOW of them are with the broker, and none is pushed while the socket still owes
 * bytes: what finds no room is dropped, and its number is skipped, so that the broker counts it as lost at
 * the source. Sealed memory cannot be used again, so every frame is memory of its own. What is lent stays
 * with the broker for as long as receivers hold it, and does not count here.
 */
#include "libframebus/push.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/memfd.h"
#include "libframebus/export.h"
#include "libframebus/mode.h"
#include "wire/codec.h"

#define FIELD_NONE   1u /* of enum v4l2_field */
#define FIELD_MAX    9u
#define FLAGS_PUSHED (FRAMEBUS_FRAME_KEYFRAME | FRAMEBUS_FRAME_DISCONTINUITY)

struct framebus_buffer {
        int fd;
        void *data;
        size_t size;
};

/* Room */

bool publisher_has_room(framebus_publisher *pub) {
        return pub->n_unreleased < FB_PUBLISHER_WINDOW && pub->channel &&
               channel_get_n_unsent(pub->channel) == 0;
}

void publisher_released(framebus_publisher *pub, uint64_t seq) {
        for (size_t i = 0; i < pub->n_unreleased; i++)
                if (pub->unreleased[i] == seq) {
                        pub->unreleased[i] = pub->unreleased[--pub->n_unreleased];
                        pub->stats.unreleased--;
                        return;
                }
}

void publisher_flush(framebus_publisher *pub) {
        if (!pub->wants_room || !publisher_has_room(pub))
                return;
        pub->wants_room = false;
        publisher_tell(pub, writable);
}

int push_check_started(framebus_publisher *pub) {
        if (!pub->started || !pub->has_mode || pub->ended)
                return -ENOLINK;
        return 0;
}

int push_drop(framebus_publisher *pub) {
        pub->next_seq++;
        pub->stats.dropped++;
        pub->wants_room = true;
        return -EAGAIN;
}

int push_check_room(framebus_publisher *pub) {
        return publisher_has_room(pub) ? 0 : push_drop(pub);
}

/* Building a frame */

int push_check_info(const struct framebus_push_info *info, size_t n_fds, enum framebus_memory kind) {
        uint32_t flags = kind == FRAMEBUS_MEMORY_DMABUF ? FLAGS_PUSHED | FRAMEBUS_FRAME_VOLATILE
                                                        : FLAGS_PUSHED;

        if (!info)
                return 0;
        if (info->version > FRAMEBUS_PUSH_INFO_VERSION || (info->flags & ~flags) ||
            info->n_planes > FB_PLANES_MAX)
                return -EINVAL;
        if (info->version >= 2 && (info->memory != kind || (uint32_t)kind >= FB_MEMORY_KINDS))
                return -EINVAL;
        for (size_t i = 0; i < info->n_planes; i++)
                if (info->planes[i].memory >= n_fds)
                        return -EINVAL;
        if (info->version >= 1 && info->field > FIELD_MAX)
                return -EINVAL;
        return 0;
}

/* Planes of a frame of @size bytes in one memory about which nothing was said. */
static int planes_default(const Mode *mode, uint64_t size, Frame *f) {
        const FormatInfo *info = format_get_info(mode->fourcc);
        uint64_t needed;

        if (!info) { /* compressed, or for the broker to judge */
                f->planes[0] = (Plane){ .size = size };
                f->n_planes = 1;
                return 0;
        }
        if (!format_layout(info, mode->width, mode->height, f->planes, &needed) || needed > size)
                return -EINVAL;
        f->n_planes = info->n_planes;
        return 0;
}

static int planes_from_info(const struct framebus_push_info *info, uint64_t size, Frame *f) {
        uint64_t end;

        f->n_planes = (uint32_t)info->n_planes;
        for (size_t i = 0; i < info->n_planes; i++) {
                const struct framebus_plane *p = &info->planes[i];

                if (__builtin_add_overflow(p->offset, p->size, &end) || end > size)
                        return -EINVAL;
                f->planes[i] = (Plane){ p->memory, p->stride, p->offset, p->size };
        }
        return 0;
}

/* What info knows since version 1. */
static void frame_describe_picture(const struct framebus_push_info *info, Frame *f) {
        if (info->has_colorimetry) {
                f->meta.present |= FRAME_META_COLORIMETRY;
                memcpy(f->meta.colorimetry, info->colorimetry, sizeof f->meta.colorimetry);
        }
        if (info->field > FIELD_NONE) {
                f->meta.present |= FRAME_META_FIELD;
                f->meta.field = info->field;
        }
}

int push_describe(framebus_publisher *pub, const struct framebus_push_info *info, uint64_t size, Frame *f) {
        int r;

        if (info && info->n_planes > 0)
                r = planes_from_info(info, size, f);
        else
                r = planes_default(&pub->mode, size, f);
        if (r < 0)
                return r;
        f->format = pub->format;
        f->pts_ns = info && info->pts_ns > 0 ? info->pts_ns : clock_now_ns();
        f->flags = info ? info->flags : 0;
        if (info && info->has_device_sequence) {
                f->meta.present |= FRAME_META_DEVICE_SEQUENCE;
                f->meta.device_sequence = info->device_sequence;
        }
        if (info && info->version >= 1)
                frame_describe_picture(info, f);
        return 0;
}

int push_transmit(framebus_publisher *pub, const Frame *f) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        r = publisher_new_call(pub, "Frame", &m);
        if (r >= 0)
                r = codec_append_frame(m, f, 0);
        return r < 0 ? r : publisher_send(pub, m);
}

void push_count(framebus_publisher *pub) {
        pub->unreleased[pub->n_unreleased++] = pub->next_seq++;
        pub->stats.unreleased++;
        pub->stats.pushed++;
}

int push_send(framebus_publisher *pub, Frame *f) {
        int r;

        f->seq = pub->next_seq;
        r = push_transmit(pub, f);
        if (r == -ETOOMANYREFS) /* of all descriptors that this user has in flight */
                return push_drop(pub);
        if (r < 0)
                return r;
        push_count(pub);
        return 0;
}

/* Pushing */

FB_PUBLIC int framebus_publisher_push_data(framebus_publisher *pub, const void *data, size_t size,
                                           const struct framebus_push_info *info) {
        _cleanup_close_ int fd = -1;
        Frame f = { .n_fds = 1 };
        int r;

        r = push_check_info(info, 1, FRAMEBUS_MEMORY_SEALED);
        if (r >= 0)
                r = push_check_started(pub);
        if (r >= 0)
                r = size == 0 ? -EINVAL : push_describe(pub, info, size, &f);
        if (r >= 0)
                r = push_check_room(pub);
        if (r < 0)
                return r;
        fd = memfd_new_sealed(MEMFD_NAME, data, size);
        if (fd < 0)
                return fd;
        pub->stats.copied++;
        pub->stats.copied_bytes += size;
        f.fds[0] = fd;
        return push_send(pub, &f);
}

FB_PUBLIC framebus_buffer *framebus_buffer_discard(framebus_buffer *buffer) {
        if (!buffer)
                return NULL;
        if (buffer->data)
                (void)munmap(buffer->data, buffer->size);
        fb_close(buffer->fd);
        free(buffer);
        return NULL;
}

FB_DEFINE_CLEANUP(framebus_buffer *, framebus_buffer_discard)

FB_PUBLIC int framebus_publisher_acquire(framebus_publisher *pub, size_t size, framebus_buffer **ret_buffer) {
        _cleanup_(framebus_buffer_discardp) framebus_buffer *buffer = NULL;
        void *p;

        if (size == 0)
                return -EINVAL;
        if (size > (size_t)INT64_MAX)
                return -EMSGSIZE;
        buffer = calloc(1, sizeof *buffer);
        if (!buffer)
                return -ENOMEM;
        buffer->fd = memfd_new(MEMFD_NAME);
        if (buffer->fd < 0)
                return buffer->fd;
        if (ftruncate(buffer->fd, (off_t)size) < 0)
                return errno == EFBIG ? -EMSGSIZE : -errno;
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        buffer->data = p;
        buffer->size = size;
        *ret_buffer = take_ptr(buffer);
        return 0;
}

FB_PUBLIC void *framebus_buffer_get_data(framebus_buffer *buffer) {
        return buffer->data;
}

FB_PUBLIC size_t framebus_buffer_get_size(const framebus_buffer *buffer) {
        return buffer->size;
}

/* Nobody writes any more; a writable mapping would keep the seals off. */
static int buffer_seal(framebus_buffer *buffer) {
        if (munmap(buffer->data, buffer->size) < 0)
                return -errno;
        buffer->data = NULL;
        return memfd_seal(buffer->fd);
}

FB_PUBLIC int framebus_publisher_push(framebus_publisher *pub, framebus_buffer *buffer_consume,
                                      const struct framebus_push_info *info) {
        _cleanup_(framebus_buffer_discardp) framebus_buffer *buffer = buffer_consume;
        Frame f = { .n_fds = 1 };
        int r;

        r = push_check_info(info, 1, FRAMEBUS_MEMORY_SEALED);
        if (r >= 0)
                r = push_check_started(pub);
        if (r >= 0)
                r = push_describe(pub, info, buffer->size, &f);
        if (r >= 0)
                r = push_check_room(pub);
        if (r >= 0)
                r = buffer_seal(buffer);
        if (r < 0)
                return r;
        f.fds[0] = buffer->fd;
        return push_send(pub, &f);
}

FB_PUBLIC int framebus_publisher_set_format(framebus_publisher *pub, const struct framebus_mode *mode) {
        _cleanup_message_ sd_bus_message *m = NULL;
        Mode new_mode;
        int r;

        r = mode_from_public(mode, false, &new_mode);
        if (r < 0 || !mode_is_fixed(&new_mode))
                return -EINVAL;
        if (pub->has_mode && mode_equal(&pub->mode, &new_mode))
                return 0;
        r = publisher_new_call(pub, "FormatChanged", &m);
        if (r >= 0)
                r = codec_append_format(m, 0, pub->format + 1, &new_mode);
        if (r >= 0)
                r = publisher_send(pub, m);
        if (r < 0)
                return r;
        pub->mode = new_mode;
        pub->has_mode = true;
        pub->format++;
        return 0;
}

FB_PUBLIC void framebus_publisher_add_lost(framebus_publisher *pub, uint64_t count) {
        pub->next_seq += count;
        pub->stats.lost += count;
}

FB_PUBLIC void framebus_publisher_get_stats(framebus_publisher *pub,
                                            struct framebus_publisher_stats *ret_stats) {
        *ret_stats = pub->stats;
}
