/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of our own that the driver writes into (USERPTR) stays pinned after DQBUF and after munmap: until
 * its index is queued with another address, or REQBUFS(0). And what the kernel compares is the address: with
 * new memory at an old address it goes on writing the old. So new memory is mapped while the old still is,
 * queued, and only then the old unmapped and sealed. That F_SEAL_WRITE succeeds proves that nobody can write
 * there any more. It fails after 0.2 s if somebody, also a receiver, holds the pages for I/O; then it is not
 * tried again in this run, as there is nobody left who would write: we have no mapping, and nobody else can
 * make one.
 *
 * What the driver owns and others map (EXPORT) outlives REQBUFS(0) with them, and is not written after it.
 */
#include "sources/v4l2/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/memfd.h"

#define SPARE 3u /* the two with the driver, and the newest frame, which is kept for who comes next */

uint32_t pool_get_memory(const Pool *p) {
        return p->way == WAY_USERPTR ? V4L2_MEMORY_USERPTR : V4L2_MEMORY_MMAP;
}

/* ---- the memory of a slot ---- */

static void memory_close(const Pool *p, SlotMemory *m) {
        if (m->start && p->way == WAY_USERPTR)
                (void)munmap(m->start, m->length);
        else if (m->start)
                (void)p->device->ops->munmap(m->start, m->length);
        *m = (SlotMemory){ .fd = fb_close(m->fd) };
}

/* Of a pool, when the driver has let go of it. */
static void memory_retire(Pool *p, SlotMemory *m) {
        (void)munmap(m->start, m->length);
        m->start = NULL;
        p->no_seals = p->no_seals || memfd_seal(m->fd) < 0;
        if (p->no_seals)
                p->counts.unsealed++;
        else
                p->counts.sealed++;
        m->fd = fb_close(m->fd);
}

static int memory_make(size_t size, SlotMemory *ret) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), length = (size + page - 1) / page * page;
        _cleanup_close_ int fd = memfd_new("framebus");
        void *start;
        int r;

        if (fd < 0)
                return fd;
        if (length == 0 || ftruncate(fd, (off_t)length) < 0)
                return length ? -errno : -EINVAL;
        start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (start == MAP_FAILED)
                return -errno;
        r = memfd_seal_pool(fd);
        if (r < 0) {
                (void)munmap(start, length);
                return r;
        }
        *ret = (SlotMemory){ start, length, take_fd(fd) };
        return 0;
}

static int make_memories(const Pool *p, SlotMemory *memories) {
        int r = 0;

        for (uint32_t k = 0; r >= 0 && k < p->n_memories; k++)
                r = memory_make(p->sizes[k], &memories[k]);
        for (uint32_t k = 0; r < 0 && k < p->n_memories; k++)
                memory_close(p, &memories[k]);
        return r;
}

static int map_memories(const Pool *p, uint32_t index, SlotMemory *memories) {
        Buffer b;
        int r;

        buffer_init(&b, p->device, V4L2_MEMORY_MMAP, index);
        r = buffer_ioctl(p->device, VIDIOC_QUERYBUF, &b);
        for (uint32_t k = 0; r >= 0 && k < p->n_memories; k++) {
                const struct v4l2_plane *plane = &b.planes[k];
                SlotMemory *m = &memories[k];

                r = p->device->ops->mmap(p->device->fd, plane->length, plane->m.mem_offset, &m->start);
                m->length = r < 0 ? 0 : plane->length;
        }
        return r;
}

/* Not to be written by whoever gets it. */
static int export_memories(const Pool *p, uint32_t index, SlotMemory *memories) {
        int r = 0;

        for (uint32_t k = 0; r >= 0 && k < p->n_memories; k++) {
                struct v4l2_exportbuffer e = { .type = p->device->buf_type, .index = index, .plane = k,
                                               .flags = O_RDONLY | O_CLOEXEC };

                r = device_ioctl(p->device, VIDIOC_EXPBUF, &e);
                if (r >= 0)
                        memories[k].fd = e.fd;
        }
        return r;
}

static void memories_init(SlotMemory *memories) {
        for (uint32_t k = 0; k < BUFFER_MEMORIES_MAX; k++)
                memories[k] = (SlotMemory){ .fd = -1 };
}

static int slot_open(Pool *p, uint32_t index) {
        SlotMemory *memories = p->slots[index].memories;
        int r;

        p->slots[index] = (Slot){ 0 };
        memories_init(memories);
        p->n_slots = index + 1;
        if (p->way == WAY_USERPTR)
                return make_memories(p, memories);
        r = map_memories(p, index, memories);
        return r >= 0 && p->way == WAY_EXPORT ? export_memories(p, index, memories) : r;
}

/* ---- all ---- */

static uint32_t get_wanted_slots(const Pool *p, uint32_t n_lent) {
        uint32_t spare = FB_MAX(SPARE, p->reserve + 1);

        if (n_lent == POOL_TRIAL)
                return 1;
        if (p->way == WAY_COPY)
                return FB_MAX(4u, p->reserve + 1);
        return FB_MIN(spare + FB_MIN(n_lent, POOL_SLOTS_MAX), POOL_SLOTS_MAX);
}

/* The driver's own idea of how many it needs. */
static uint32_t ask_reserve(const Device *d) {
        struct v4l2_control c = { .id = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE };

        if (device_ioctl(d, VIDIOC_G_CTRL, &c) < 0 || c.value < 0)
                return POOL_RESERVE;
        return FB_MIN(FB_MAX((uint32_t)c.value, POOL_RESERVE), POOL_SLOTS_MAX - 1);
}

static int request_buffers(const Pool *p, uint32_t count, uint32_t *ret_count) {
        struct v4l2_requestbuffers q = { .count = count, .type = p->device->buf_type,
                                         .memory = pool_get_memory(p) };
        int r = device_ioctl(p->device, VIDIOC_REQBUFS, &q);

        if (r >= 0)
                *ret_count = q.count;
        return r;
}

int pool_allocate(Pool *p, const Device *d, Way way, uint32_t n_memories, const size_t *sizes,
                  uint32_t n_lent) {
        uint32_t n = 0;
        int r;

        *p = (Pool){ .device = d, .way = way, .n_memories = n_memories, .counts = p->counts };
        for (uint32_t k = 0; k < n_memories; k++)
                p->sizes[k] = sizes[k];
        p->reserve = ask_reserve(d);
        r = request_buffers(p, get_wanted_slots(p, n_lent), &n);
        for (uint32_t i = 0; r >= 0 && i < n && i < POOL_SLOTS_MAX; i++)
                r = slot_open(p, i);
        if (r < 0)
                return r;
        return p->n_slots < (n_lent == POOL_TRIAL ? 1 : 2) ? -ENOBUFS : 0;
}

static void free_ours(Pool *p) {
        uint32_t ignored;
        /* if the device is gone it holds the pages until it is closed, and sealing would wait for that */
        bool let_go = request_buffers(p, 0, &ignored) >= 0;

        for (uint32_t i = 0; i < p->n_slots; i++)
                for (uint32_t k = 0; k < p->n_memories; k++) {
                        SlotMemory *m = &p->slots[i].memories[k];

                        if (m->start && let_go && p->slots[i].id)
                                memory_retire(p, m);
                        else
                                memory_close(p, m);
                }
}

void pool_free(Pool *p) {
        uint32_t ignored;

        if (!p->device)
                return;
        if (p->way == WAY_USERPTR) {
                free_ours(p);
        } else {
                for (uint32_t i = 0; i < p->n_slots; i++)
                        for (uint32_t k = 0; k < p->n_memories; k++)
                                memory_close(p, &p->slots[i].memories[k]);
                (void)request_buffers(p, 0, &ignored); /* older kernels refuse while something is mapped */
        }
        *p = (Pool){ .counts = p->counts };
}

int pool_grow(Pool *p, uint32_t n_lent) {
        struct v4l2_create_buffers c = { .memory = pool_get_memory(p),
                                         .format = { .type = p->device->buf_type } };
        uint32_t wanted = get_wanted_slots(p, n_lent), first = p->n_slots;
        int r;

        if (wanted <= p->n_slots)
                return 0;
        c.count = wanted - p->n_slots;
        if (device_ioctl(p->device, VIDIOC_G_FMT, &c.format) < 0 ||
            device_ioctl(p->device, VIDIOC_CREATE_BUFS, &c) < 0 || c.index != first)
                return 0;
        for (uint32_t i = first; i < first + c.count && i < POOL_SLOTS_MAX; i++) {
                r = slot_open(p, i);
                if (r >= 0)
                        r = pool_queue(p, i);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- one ---- */

static int slot_queue_once(Pool *p, uint32_t index) {
        Buffer b;

        buffer_init(&b, p->device, pool_get_memory(p), index);
        for (uint32_t k = 0; p->way == WAY_USERPTR && k < p->n_memories; k++) {
                const SlotMemory *m = &p->slots[index].memories[k];

                b.planes[k].m.userptr = (unsigned long)m->start;
                b.planes[k].length = (uint32_t)m->length;
        }
        return buffer_ioctl(p->device, VIDIOC_QBUF, &b);
}

int pool_queue(Pool *p, uint32_t index) {
        int r = slot_queue_once(p, index);

        if (r == -EINVAL) { /* seen to fail once and then not */
                r = slot_queue_once(p, index);
                if (r >= 0)
                        p->counts.requeued++;
        }
        if (r >= 0)
                p->slots[index].place = SLOT_QUEUED;
        return r;
}

int pool_replace(Pool *p, uint32_t index) {
        SlotMemory fresh[BUFFER_MEMORIES_MAX], old[BUFFER_MEMORIES_MAX];
        Slot *slot = &p->slots[index];
        int r;

        memories_init(fresh);
        r = make_memories(p, fresh);
        if (r < 0)
                return r;
        memcpy(old, slot->memories, sizeof old);
        *slot = (Slot){ .place = slot->place };
        memcpy(slot->memories, fresh, sizeof fresh);
        r = pool_queue(p, index);
        for (uint32_t k = 0; k < p->n_memories; k++)
                if (r < 0) /* the driver has not let go of it */
                        memory_close(p, &old[k]);
                else
                        memory_retire(p, &old[k]);
        p->counts.replaced += r >= 0;
        return r;
}

uint32_t pool_count(const Pool *p, SlotPlace place) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < p->n_slots; i++)
                n += p->slots[i].place == place;
        return n;
}

Slot *pool_find(Pool *p, uint64_t id) {
        for (uint32_t i = 0; id && i < p->n_slots; i++)
                if (p->slots[i].id == id)
                        return &p->slots[i];
        return NULL;
}
