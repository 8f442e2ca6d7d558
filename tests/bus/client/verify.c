/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a careful receiver checks of a frame, and what a hostile one tries.
 *
 * Invariant: nothing is mapped that was not measured before.
 * It deliberately shares no code with the broker and the library, the seals' names included.
 */

#include "tests/bus/client/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "examples/crc32.h"
#include "interfaces/names.h"

#define SEALS      (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define SEALS_SIZE (F_SEAL_SHRINK | F_SEAL_GROW)

void problems_add(Problems *p, const char *word) {
        if (p->n < PROBLEMS_MAX)
                p->words[p->n++] = word;
}

static int memories_read(SeenFrame *f, sd_bus_message *m, Problems *problems) {
        int r, fd;

        r = sd_bus_message_enter_container(m, 'a', "h");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read_basic(m, 'h', &fd)) > 0)
                if (f->n_fds < FB_MEMORIES_MAX)
                        f->fds[f->n_fds++] = fd;
                else
                        problems_add(problems, "too many memories");
        if (r < 0)
                return r;
        if (f->n_fds == 0)
                problems_add(problems, "no memory");
        return sd_bus_message_exit_container(m);
}

static int planes_read(SeenFrame *f, sd_bus_message *m, Problems *problems) {
        SeenPlane p = {0};
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(uttu)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "(uttu)", &p.memory, &p.offset, &p.size, &p.stride)) > 0)
                if (f->n_planes < FB_PLANES_MAX)
                        f->planes[f->n_planes++] = p;
                else
                        problems_add(problems, "too many planes");
        if (r < 0)
                return r;
        if (f->n_planes == 0)
                problems_add(problems, "no planes");
        return sd_bus_message_exit_container(m);
}

static int buffer_read(SeenFrame *f, sd_bus_message *m) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                (void)sd_bus_message_read(m, "s", &key);
                r = strcmp(key, FB_META_BUFFER) == 0 ? sd_bus_message_read(m, "v", "t", &f->buffer)
                                                     : sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int seen_frame_read(SeenFrame *f, sd_bus_message *m, Problems *problems) {
        int r;

        *f = (SeenFrame){0};
        if (!sd_bus_message_has_signature(m, FB_SIGNATURE_FRAME))
                return -EBADMSG;
        r = sd_bus_message_read(m, "tttuu", &f->seq, &f->order, &f->pts_ns, &f->format, &f->flags);
        if (r < 0)
                return r;
        r = memories_read(f, m, problems);
        if (r < 0)
                return r;
        r = planes_read(f, m, problems);
        if (r < 0)
                return r;
        r = buffer_read(f, m);
        if (r < 0)
                return r;
        f->kind = (f->flags & FB_FRAME_MEMORY_MASK) >> FB_FRAME_MEMORY_SHIFT;
        f->message = sd_bus_message_ref(m);
        return 0;
}

static void dmabuf_check(SeenFrame *f, size_t i, Problems *problems) {
        char link[64], target[64] = "";
        off_t size = lseek(f->fds[i], 0, SEEK_END);
        struct stat st;

        snprintf(link, sizeof link, "/proc/self/fd/%d", f->fds[i]);
        if (readlink(link, target, sizeof target - 1) < 0 || strncmp(target, "/dmabuf:", 8) != 0 ||
            size <= 0 || fstat(f->fds[i], &st) < 0) {
                problems_add(problems, "not a dma-buf");
                return;
        }
        f->sizes[i] = size;
        f->inodes[i] = st.st_ino;
}

static void memory_check(SeenFrame *f, size_t i, Problems *problems) {
        struct statfs fs;
        struct stat st;
        int seals;

        if (!(fcntl(f->fds[i], F_GETFD) & FD_CLOEXEC))
                problems_add(problems, "not close-on-exec");
        if (f->kind == FB_MEMORY_DMABUF) {
                dmabuf_check(f, i, problems);
                return;
        }
        if (fstat(f->fds[i], &st) < 0 || !S_ISREG(st.st_mode)) {
                problems_add(problems, "not a file");
                return;
        }
        if (fstatfs(f->fds[i], &fs) < 0 || fs.f_type != TMPFS_MAGIC)
                problems_add(problems, "not on tmpfs");
        f->sizes[i] = st.st_size;
        seals = fcntl(f->fds[i], F_GET_SEALS);
        if (seals < 0) {
                problems_add(problems, "not a memfd");
                return;
        }
        f->seals[i] = seals;
        f->inodes[i] = st.st_ino;
        if (f->kind == FB_MEMORY_SEALED && (seals & SEALS) != SEALS)
                problems_add(problems, "not sealed");
        if (f->kind == FB_MEMORY_LEASED &&
            ((seals & SEALS_SIZE) != SEALS_SIZE || !(seals & (F_SEAL_FUTURE_WRITE | F_SEAL_WRITE))))
                problems_add(problems, "not sealed as leased memory is");
}

void seen_frame_check(SeenFrame *f, Problems *problems) {
        if (f->kind > FB_MEMORY_DMABUF)
                problems_add(problems, "memory of an unknown kind");
        if ((f->kind == FB_MEMORY_SEALED) != (f->buffer == 0))
                problems_add(problems, "a buffer's number that is missing, or too much");
        if (f->flags & FB_FRAME_PAIRED)
                problems_add(problems, "flagged as a pair");
        for (size_t i = 0; i < f->n_fds; i++)
                memory_check(f, i, problems);
        for (size_t i = 0; i < f->n_planes; i++) {
                const SeenPlane *p = &f->planes[i];
                uint64_t end;

                if (p->memory >= f->n_fds)
                        problems_add(problems, "plane names no memory");
                else if (p->size == 0 || __builtin_add_overflow(p->offset, p->size, &end) ||
                         end > f->sizes[p->memory])
                        problems_add(problems, "plane outside of its memory");
        }
}

static void file_attack(uint32_t kind, int fd, uint64_t size, Problems *problems) {
        if (pwrite(fd, "x", 1, 0) >= 0 || errno != EPERM)
                problems_add(problems, "pwrite did not fail with EPERM");
        if (ftruncate(fd, 0) >= 0 || errno != EPERM)
                problems_add(problems, "shrinking did not fail with EPERM");
        if (ftruncate(fd, (off_t)size + 4096) >= 0 || errno != EPERM)
                problems_add(problems, "growing did not fail with EPERM");
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) >= 0)
                problems_add(problems, "punching a hole succeeded");
        if (kind == FB_MEMORY_SEALED && fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) >= 0)
                problems_add(problems, "adding a seal succeeded");
}

static void memory_attack(uint32_t kind, int fd, uint64_t size, Problems *problems) {
        void *p;

        if (kind != FB_MEMORY_DMABUF)
                file_attack(kind, fd, size, problems);
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
                problems_add(problems, "a writable shared mapping succeeded");
                munmap(p, size);
        }
}

void seen_frame_attack(const SeenFrame *f, Problems *problems) {
        for (size_t i = 0; i < f->n_fds; i++)
                memory_attack(f->kind, f->fds[i], f->sizes[i], problems);
}

/* Not every device maps privately; of a memfd, a shared mapping could keep its owner from sealing it. */
static uint8_t *memory_map(const SeenFrame *f, size_t i) {
        return mmap(NULL, f->sizes[i], PROT_READ, f->kind == FB_MEMORY_DMABUF ? MAP_SHARED : MAP_PRIVATE,
                    f->fds[i], 0);
}

int seen_frame_checksum(SeenFrame *f) {
        for (size_t i = 0; i < f->n_fds; i++) {
                uint8_t *data = memory_map(f, i);

                if (data == MAP_FAILED)
                        return -errno;
                for (size_t k = 0; k < f->n_planes; k++)
                        if (f->planes[k].memory == i)
                                f->crcs[k] = crc32_of(data + f->planes[k].offset, f->planes[k].size);
                munmap(data, f->sizes[i]);
        }
        return 0;
}

int seen_frame_save(const SeenFrame *f, const char *path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), r = fd < 0 ? -errno : 0;

        for (size_t i = 0; i < f->n_planes && r >= 0; i++) {
                const SeenPlane *p = &f->planes[i];
                uint8_t *data = memory_map(f, p->memory);

                if (data == MAP_FAILED)
                        r = -errno;
                else if (write(fd, data + p->offset, p->size) != (ssize_t)p->size)
                        r = -EIO;
                if (data != MAP_FAILED)
                        munmap(data, f->sizes[p->memory]);
        }
        if (fd >= 0)
                close(fd);
        return r;
}

void seen_frame_done(SeenFrame *f) {
        sd_bus_message_unref(f->message);
        f->message = NULL;
}
