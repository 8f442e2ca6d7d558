/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fake device's buffers, and their memory. Each is a memfd, its own or one that was given to it by
 * address. As the kernel does, it keeps the pages of such a one until it is queued with another *address*,
 * or all buffers go: what it goes on writing is what was there first, whatever is at that address by then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "fake-device.h"

bool fake_is_multiplanar(void) {
        return !(fake.device_caps & V4L2_CAP_VIDEO_CAPTURE);
}

/* ---- memory of its own ---- */

static void chunk_close(unsigned i) {
        if (fake.chunk_fds[i] > 0)
                (void)close(fake.chunk_fds[i]);
        fake.chunk_fds[i] = 0;
}

static void chunk_open(unsigned i) {
        int fd = memfd_create("fake", MFD_CLOEXEC);

        CHECK(fd > 0 && ftruncate(fd, FAKE_CHUNK) == 0);
        CHECK(mmap(fake.memory[i], FAKE_CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
              fake.memory[i]);
        fake.chunk_fds[i] = fd;
}

void fake_reset_memory(void) {
        static char (*memory)[FAKE_CHUNK];

        if (!memory)
                memory = mmap(NULL, (size_t)FAKE_CHUNKS * FAKE_CHUNK, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        fake.memory = memory;
}

/* ---- memory that was given to it ---- */

static void unpin(FakeSlot *s) {
        for (unsigned k = 0; k < fake.n_memories; k++)
                if (s->pinned[k])
                        CHECK(munmap(s->pinned[k], FAKE_CHUNK) == 0);
        memset(s->pinned, 0, sizeof s->pinned);
        memset(s->address, 0, sizeof s->address);
}

static void pin(FakeSlot *s, unsigned k, uintptr_t address, size_t length) {
        CHECK(address % 4096 == 0 && length >= FAKE_CHUNK);
        /* a size of 0 makes a second mapping of the same pages */
        s->pinned[k] = mremap((void *)address, 0, FAKE_CHUNK, MREMAP_MAYMOVE);
        CHECK(s->pinned[k] != MAP_FAILED);
        s->address[k] = address;
}

static void accept_pointers(FakeSlot *s, const struct v4l2_buffer *b) {
        bool same = true;

        for (unsigned k = 0; k < fake.n_memories; k++)
                same &= s->address[k] == (fake_is_multiplanar() ? b->m.planes[k].m.userptr : b->m.userptr);
        if (same)
                return;
        unpin(s);
        for (unsigned k = 0; k < fake.n_memories; k++)
                if (fake_is_multiplanar())
                        pin(s, k, b->m.planes[k].m.userptr, b->m.planes[k].length);
                else
                        pin(s, k, b->m.userptr, b->length);
}

static char *get_memory(uint32_t index, unsigned k) {
        FakeSlot *s = &fake.slots[index];

        return fake.memory_type == V4L2_MEMORY_USERPTR ? s->pinned[k]
                                                       : fake.memory[index * fake.n_memories + k];
}

/* ---- buffers ---- */

static void free_buffers(void) {
        for (unsigned i = 0; i < fake.n_requested; i++) {
                unpin(&fake.slots[i]);
                fake.slots[i] = (FakeSlot){ 0 };
        }
        for (unsigned i = 0; i < FAKE_CHUNKS; i++)
                chunk_close(i);
        fake.n_requested = fake.n_queued = 0;
}

static void add_buffers(unsigned n) {
        unsigned first = fake.n_requested * fake.n_memories;

        for (unsigned i = 0; fake.memory_type == V4L2_MEMORY_MMAP && i < n * fake.n_memories; i++)
                chunk_open(first + i);
        fake.n_requested += n;
}

static int request(struct v4l2_requestbuffers *req) {
        CHECK_INT("nothing is mapped when buffers change", fake.n_mapped, 0);
        req->capabilities = fake.buffer_capabilities;
        if (req->memory == V4L2_MEMORY_USERPTR && !(fake.buffer_capabilities & V4L2_BUF_CAP_SUPPORTS_USERPTR))
                return -EINVAL;
        free_buffers();
        fake.memory_type = req->memory;
        if (fake.n_buffers_max && req->count > fake.n_buffers_max)
                req->count = fake.n_buffers_max;
        add_buffers(req->count);
        return 0;
}

static int create(struct v4l2_create_buffers *c) {
        if (!fake.can_create)
                return -ENOTTY;
        CHECK_INT("kind", c->memory, fake.memory_type);
        c->index = fake.n_requested;
        add_buffers(c->count);
        return 0;
}

static int export(struct v4l2_exportbuffer *e) {
        char path[64];

        if (!fake.can_export)
                return -ENOTTY;
        CHECK_INT("flags", e->flags, O_RDONLY | O_CLOEXEC);
        CHECK(e->index < fake.n_requested && e->plane < fake.n_memories);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d",
                       fake.chunk_fds[e->index * fake.n_memories + e->plane]);
        e->fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(e->fd >= 0);
        fake.n_exported++;
        return 0;
}

static int query(struct v4l2_buffer *b) {
        for (unsigned i = 0; fake_is_multiplanar() && i < fake.n_memories; i++) {
                b->m.planes[i].length = FAKE_CHUNK;
                b->m.planes[i].m.mem_offset = (b->index * fake.n_memories + i) * 4096;
        }
        if (fake_is_multiplanar())
                return 0;
        b->length = FAKE_CHUNK;
        b->m.offset = b->index * 4096;
        return 0;
}

static int queue(const struct v4l2_buffer *b) {
        FakeSlot *s = &fake.slots[b->index];

        CHECK(b->index < fake.n_requested);
        CHECK_AT("queued once", !s->queued);
        CHECK_INT("kind", b->memory, fake.memory_type);
        if (fake.memory_type == V4L2_MEMORY_USERPTR && fake.pointer_error)
                return fake.pointer_error;
        if (fake.memory_type == V4L2_MEMORY_USERPTR)
                accept_pointers(s, b);
        s->queued = true;
        fake.order[fake.n_queued++] = b->index;
        return 0;
}

static void tell_memories(struct v4l2_buffer *b, const FakeBuffer *f) {
        b->bytesused = f->bytesused;
        if (fake.memory_type == V4L2_MEMORY_USERPTR && !fake_is_multiplanar()) {
                b->m.userptr = fake.slots[b->index].address[0];
                b->length = FAKE_CHUNK;
        }
        for (unsigned i = 0; fake_is_multiplanar() && i < fake.n_memories; i++) {
                CHECK(b->length >= fake.n_memories);
                b->m.planes[i].bytesused = i ? f->bytesused_more[i - 1] : f->bytesused;
                b->m.planes[i].data_offset = f->data_offset;
        }
}

/* The first that was queued; what is written says which frame it is. */
static int dequeue(struct v4l2_buffer *b) {
        const FakeBuffer *f = &fake.queue[fake.next];

        if (fake.next == fake.n_queue)
                return -EAGAIN;
        CHECK_AT("not starved", fake.n_queued > 0);
        CHECK_INT("kind", b->memory, fake.memory_type);
        fake.next++;
        b->index = fake.order[0];
        memmove(fake.order, fake.order + 1, --fake.n_queued * sizeof fake.order[0]);
        fake.slots[b->index].queued = false;
        for (unsigned k = 0; fake.draws && k < fake.n_memories; k++)
                memset(get_memory(b->index, k), (int)f->sequence + 1, FAKE_CHUNK);
        b->sequence = f->sequence;
        b->field = f->field;
        b->flags = f->flags;
        b->timestamp.tv_sec = (time_t)(f->pts_ns / NSEC_PER_SEC);
        b->timestamp.tv_usec = (suseconds_t)(f->pts_ns % NSEC_PER_SEC / NSEC_PER_USEC);
        tell_memories(b, f);
        return 0;
}

static int switch_stream(bool on) {
        fake.n_streamon += on;
        fake.n_streamoff += !on;
        for (unsigned i = 0; !on && i < fake.n_requested; i++)
                fake.slots[i].queued = false;
        if (!on)
                fake.n_queued = 0;
        return 0;
}

int fake_ioctl_stream(unsigned long request_code, void *a) {
        struct v4l2_control *control = a;

        switch (request_code) {
        case VIDIOC_REQBUFS:
                return request(a);
        case VIDIOC_CREATE_BUFS:
                return create(a);
        case VIDIOC_EXPBUF:
                return export(a);
        case VIDIOC_QUERYBUF:
                return query(a);
        case VIDIOC_QBUF:
                return queue(a);
        case VIDIOC_DQBUF:
                return dequeue(a);
        case VIDIOC_STREAMON:
        case VIDIOC_STREAMOFF:
                return switch_stream(request_code == VIDIOC_STREAMON);
        case VIDIOC_G_CTRL:
                CHECK_INT("control", control->id, V4L2_CID_MIN_BUFFERS_FOR_CAPTURE);
                control->value = fake.n_buffers_min;
                return fake.n_buffers_min ? 0 : -EINVAL;
        default:
                return -ENOTTY;
        }
}

int fake_mmap(int fd, size_t length, int64_t offset, void **ret_start) {
        CHECK_INT("mmap", length, FAKE_CHUNK);
        fake.n_mapped++;
        *ret_start = fake.memory[offset / 4096];
        return 0;
}

int fake_munmap(void *start, size_t length) {
        CHECK_INT("munmap", length, FAKE_CHUNK);
        CHECK((char *)start >= fake.memory[0] && (char *)start < fake.memory[FAKE_CHUNKS]);
        fake.n_mapped--;
        return 0;
}
