/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A publisher that lends memory: its events in words, slots of a pool, and what the fake broker says about
 * them. */
#pragma once

#include <drm_fourcc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/memfd.h"
#include "fake.h"
#include "interfaces/names.h"
#include "interfaces/wire.h"

#define SEALED (1u << FRAMEBUS_MEMORY_SEALED)
#define LEASED (1u << FRAMEBUS_MEMORY_LEASED)
#define DMABUF (1u << FRAMEBUS_MEMORY_DMABUF)

static const struct framebus_mode mode = {
        .fourcc = DRM_FORMAT_YUYV, .width = FAKE_WIDTH, .height = FAKE_HEIGHT, .rate = { 30, 1 }
};
static const enum framebus_memory kinds[] = { FRAMEBUS_MEMORY_LEASED, FRAMEBUS_MEMORY_SEALED,
                                              FRAMEBUS_MEMORY_DMABUF };
static const struct framebus_publish_options publish_options = {
        .version = 1, .modes = &mode, .n_modes = 1, .memories = kinds, .n_memories = FB_ELEMENTSOF(kinds)
};

static inline void on_start(framebus_publisher *pub, const struct framebus_mode *started, void *userdata) {
        rig_log(userdata, "start:%ux%u ", started->width, started->height);
        CHECK_INT(framebus_publisher_set_format(pub, started), 0);
}

static inline void on_stop(framebus_publisher *pub, void *userdata) {
        rig_log(userdata, "stop ");
}

static inline void on_refused(framebus_publisher *pub, uint64_t seq, const struct framebus_error *error,
                       void *userdata) {
        rig_log(userdata, "refused:%llu ", (unsigned long long)seq);
}

static inline void on_ended(framebus_publisher *pub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        rig_log(userdata, "ended:%s ", reason);
}

static inline void on_memories(framebus_publisher *pub, uint32_t mask, uint32_t n_buffers, void *userdata) {
        rig_log(userdata, "memories:%u:%u ", mask, n_buffers);
}

static inline void on_released(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        rig_log(userdata, "released:%llu ", (unsigned long long)buffer);
}

static inline void on_retired(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        rig_log(userdata, "retired:%llu ", (unsigned long long)buffer);
}

static inline void on_keyframe_wanted(framebus_publisher *pub, void *userdata) {
        rig_log(userdata, "keyframe ");
}

static const struct framebus_publisher_events events = {
        .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION,
        .start = on_start,
        .stop = on_stop,
        .refused = on_refused,
        .ended = on_ended,
        .memories = on_memories,
        .released = on_released,
        .retired = on_retired,
        .keyframe_wanted = on_keyframe_wanted,
};

static inline framebus_publisher *started_with(Rig *rig, uint32_t memories,
                                        const struct framebus_publisher_events *e) {
        framebus_publisher *pub;

        if (!CHECK(rig_start(rig)) ||
            !CHECK_INT(framebus_publish(rig->fb, "cam", &publish_options, e, rig, &pub), 0))
                return NULL;
        CHECK(rig_until(rig, rig->fake.n_modes == 1));
        rig->fake.keep_frames = true;
        CHECK_INT(fake_start_with(&rig->fake, memories, 12), 1);
        rig_until_log(rig, "start:16x8 ");
        rig->log[0] = 0;
        return pub;
}

static inline framebus_publisher *started(Rig *rig, uint32_t memories) {
        return started_with(rig, memories, &events);
}

/* A slot of a pool, filled with @byte; *ret_data: where it is mapped for writing, as a producer has it. */
static inline int slot_new(unsigned char byte, size_t size, unsigned char **ret_data) {
        int fd = memfd_new("slot");

        if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
                abort();
        *ret_data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (*ret_data == MAP_FAILED || memfd_seal_pool(fd) < 0)
                abort();
        memset(*ret_data, byte, size);
        return fd;
}

static inline void slot_free(int fd, unsigned char *data, size_t size) {
        (void)munmap(data, size);
        (void)close(fd);
}

static inline struct framebus_push_info info_of(uint64_t buffer) {
        return (struct framebus_push_info){ .version = FRAMEBUS_PUSH_INFO_VERSION,
                                            .memory = FRAMEBUS_MEMORY_LEASED,
                                            .buffer = buffer };
}

static inline int push(framebus_publisher *pub, int fd, uint64_t buffer) {
        struct framebus_push_info info = info_of(buffer);

        return framebus_publisher_push_fds(pub, &fd, 1, &info);
}

static inline void release(Rig *rig, uint64_t seq) {
        fake_signal(&rig->fake, FB_IFACE_PUBLICATION, "Release", "at", 1, seq);
}

static inline void retire(Rig *rig, uint64_t buffer) {
        fake_signal(&rig->fake, FB_IFACE_PUBLICATION, "Retire", "at", 1, buffer);
}

static inline uint32_t lent(framebus_publisher *pub) {
        struct framebus_publisher_stats stats;

        framebus_publisher_get_stats(pub, &stats);
        return stats.lent;
}

static inline uint64_t copied(framebus_publisher *pub) {
        struct framebus_publisher_stats stats;

        framebus_publisher_get_stats(pub, &stats);
        return stats.copied;
}

static inline bool same_file(int a, int b) {
        struct stat x, y;

        return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether a frame's only memory is sealed, has @size bytes, and has @byte at @offset. */
static inline bool is_copy(const Frame *f, uint64_t size, uint64_t offset, unsigned char byte) {
        const char *why = "";
        uint64_t got_size = 0;
        unsigned char got;

        if (!CHECK_INT(f->n_fds, 1) || !CHECK_INT(memfd_judge_sealed(f->fds[0], &got_size, &why), 0))
                return false;
        CHECK_INT(frame_get_memory_kind(f), FB_MEMORY_SEALED);
        CHECK(!(f->meta.present & FRAME_META_BUFFER));
        CHECK_INT(got_size, size);
        CHECK_INT(pread(f->fds[0], &got, 1, (off_t)offset), 1);
        return CHECK_INT(got, byte);
}
