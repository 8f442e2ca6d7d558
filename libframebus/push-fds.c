/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames in memory of the program. What is sealed goes out as it is. What is lent goes out if somebody needs
 * its kind; and as one sealed copy of all its memories, one behind the other, if somebody needs that, or
 * nobody the other. The copy goes first and says that the other follows.
 */
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/memfd.h"
#include "libframebus/export.h"
#include "libframebus/memory.h"
#include "libframebus/push.h"

/* How much of each memory the planes take. */
static int used_sizes(const Frame *f, const LentBuffer *b, size_t ret_used[static FB_MEMORIES_MAX]) {
        uint64_t end;

        memset(ret_used, 0, FB_MEMORIES_MAX * sizeof *ret_used);
        for (uint32_t i = 0; i < f->n_planes; i++) {
                const Plane *p = &f->planes[i];

                if (__builtin_add_overflow(p->offset, p->size, &end) || end > b->memories[p->memory].size ||
                    end > SSIZE_MAX)
                        return -EINVAL;
                ret_used[p->memory] = FB_MAX(ret_used[p->memory], (size_t)end);
        }
        return 0;
}

/* Where memory @i can be read; mapped as a whole, as the next frame may take more of it. */
static int memory_get_data(const struct framebus_push_info *info, LentBuffer *b, size_t i, int fd,
                           const void **ret) {
        LentMemory *m = &b->memories[i];
        int r;

        if (!info->data[0] && !m->map) {
                if (m->size > SIZE_MAX)
                        return -EOVERFLOW;
                r = memory_map(info->memory, fd, (size_t)m->size, &m->map);
                if (r < 0)
                        return r;
                m->map_size = (size_t)m->size;
        }
        *ret = info->data[0] ? info->data[i] : m->map;
        return *ret ? 0 : -EINVAL;
}

static int memory_copy(const struct framebus_push_info *info, LentBuffer *b, size_t i, int fd, size_t size,
                       int copy_fd) {
        const void *data;
        int r;

        if (size == 0)
                return 0;
        r = memory_get_data(info, b, i, fd, &data);
        if (r < 0)
                return r;
        r = memory_begin_read(info->memory, fd);
        if (r < 0)
                return r;
        r = memfd_append(copy_fd, data, size);
        memory_end_read(info->memory, fd);
        return r;
}

/* The same picture in one sealed memory. @ret_copy is complete but for its number; its descriptor is the
 * caller's. */
static int copy_make(framebus_publisher *pub, const struct framebus_push_info *info, LentBuffer *b,
                     const Frame *f, const size_t used[static FB_MEMORIES_MAX], Frame *ret_copy) {
        _cleanup_close_ int fd = memfd_new(MEMFD_NAME);
        uint64_t starts[FB_MEMORIES_MAX], size = 0;
        int r = fd < 0 ? fd : 0;

        for (uint32_t i = 0; r >= 0 && i < f->n_fds; i++) {
                starts[i] = size;
                size += used[i];
                r = memory_copy(info, b, i, f->fds[i], used[i], fd);
        }
        if (r >= 0)
                r = memfd_seal(fd);
        if (r < 0)
                return r;
        pub->stats.copied++;
        pub->stats.copied_bytes += size;
        *ret_copy = *f;
        ret_copy->flags &= ~(FB_FRAME_MEMORY_MASK | FB_FRAME_VOLATILE);
        ret_copy->meta.present &= ~(uint32_t)FRAME_META_BUFFER;
        ret_copy->n_fds = 1;
        ret_copy->fds[0] = take_fd(fd);
        for (uint32_t i = 0; i < f->n_planes; i++) {
                ret_copy->planes[i].memory = 0;
                ret_copy->planes[i].offset += starts[f->planes[i].memory];
        }
        return 0;
}

/* Nobody needs the kind: the copy alone. */
static int send_copy(framebus_publisher *pub, LentBuffer *b, Frame *copy) {
        int r = push_send(pub, copy);

        return r < 0 ? r : lending_lend(pub, b, 0);
}

static int send_lent(framebus_publisher *pub, LentBuffer *b, Frame *f) {
        int r;

        f->seq = pub->next_seq;
        r = push_transmit(pub, f);
        if (r == -ETOOMANYREFS)
                return push_drop(pub);
        if (r < 0)
                return r;
        r = lending_lend(pub, b, pub->next_seq++);
        pub->stats.pushed++;
        return r;
}

/* Both under one number. Where only the copy can be sent it is published alone. */
static int send_pair(framebus_publisher *pub, LentBuffer *b, Frame *f, Frame *copy) {
        int r;

        copy->seq = f->seq = pub->next_seq;
        copy->flags |= FB_FRAME_PAIRED;
        r = push_transmit(pub, copy);
        if (r == -ETOOMANYREFS)
                return push_drop(pub);
        if (r < 0)
                return r;
        if (push_transmit(pub, f) < 0) {
                push_count(pub);
                return lending_lend(pub, b, 0);
        }
        r = lending_lend(pub, b, pub->next_seq++);
        pub->stats.pushed++;
        return r;
}

static int push_lent(framebus_publisher *pub, const struct framebus_push_info *info, LentBuffer *b,
                     Frame *f) {
        uint32_t wanted = pub->lending.wanted;
        bool whole = wanted & MEMORY_BIT(info->memory);
        _cleanup_close_ int copy_fd = -1;
        size_t used[FB_MEMORIES_MAX];
        Frame copy = {};
        int r;

        r = push_describe(pub, info, info->n_planes > 0 ? UINT64_MAX : b->memories[0].size, f);
        if (r >= 0)
                r = used_sizes(f, b, used);
        if (r >= 0)
                r = push_check_room(pub);
        if (r < 0)
                return r;
        f->flags |= (uint32_t)info->memory << FB_FRAME_MEMORY_SHIFT;
        f->meta.present |= FRAME_META_BUFFER;
        f->meta.buffer = b->id;
        if (whole && !(wanted & MEMORY_BIT(FRAMEBUS_MEMORY_SEALED)))
                return send_lent(pub, b, f);
        r = copy_make(pub, info, b, f, used, &copy);
        if (r < 0)
                return r;
        copy_fd = copy.fds[0];
        return whole ? send_pair(pub, b, f, &copy) : send_copy(pub, b, &copy);
}

static int push_sealed(framebus_publisher *pub, const struct framebus_push_info *info, Frame *f) {
        uint64_t size = UINT64_MAX;
        int r = 0;

        if (!info || info->n_planes == 0)
                r = memory_get_size(FRAMEBUS_MEMORY_SEALED, f->fds[0], &size);
        if (r >= 0)
                r = push_describe(pub, info, size, f);
        if (r >= 0)
                r = push_check_room(pub);
        return r < 0 ? r : push_send(pub, f);
}

FB_PUBLIC int framebus_publisher_push_fds(framebus_publisher *pub, const int *fds_borrow, size_t n_fds,
                                          const struct framebus_push_info *info) {
        enum framebus_memory kind = info && info->version >= 2 ? info->memory : FRAMEBUS_MEMORY_SEALED;
        Frame f = { .n_fds = (uint32_t)n_fds };
        LentBuffer *b;
        int r;

        if (n_fds == 0 || n_fds > FB_MEMORIES_MAX)
                return -EINVAL;
        memcpy(f.fds, fds_borrow, n_fds * sizeof *fds_borrow);
        r = push_check_info(info, n_fds, kind);
        if (r >= 0)
                r = push_check_started(pub);
        if (r < 0)
                return r;
        if (kind == FRAMEBUS_MEMORY_SEALED)
                return push_sealed(pub, info, &f);
        r = lending_get(pub, info, fds_borrow, n_fds, &b);
        if (r < 0)
                return r;
        r = push_lent(pub, info, b, &f);
        if (r < 0)
                lending_put(pub, b);
        return r;
}
