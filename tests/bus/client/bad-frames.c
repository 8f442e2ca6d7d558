/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pictures of fb-publisher, and everything that can be wrong with a frame.
 *
 * Invariant: a way to be wrong breaks exactly one rule, so that the error that comes back names it.
 * It deliberately makes memory by hand: the broker's own helper would refuse to make most of this.
 */

#include "tests/bus/client/bad-frames.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "examples/crc32.h"

#define SEALS     (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define FOURCC(s) ((uint32_t)(s)[0] | (uint32_t)(s)[1] << 8 | (uint32_t)(s)[2] << 16 | (uint32_t)(s)[3] << 24)
#define MANY      10000

int picture_init(Picture *p, uint32_t fourcc, uint32_t width, uint32_t height) {
        uint64_t luma = (uint64_t)width * height;
        uint32_t half_w = (width + 1) / 2, half_h = (height + 1) / 2;

        picture_done(p);
        *p = (Picture){.fourcc = fourcc, .width = width, .height = height, .n_planes = 1};
        p->planes[0] = (SeenPlane){.size = luma, .stride = fourcc == FOURCC("H264") ? 0 : width};
        if (fourcc == FOURCC("NV12")) {
                p->planes[1] = (SeenPlane){
                                .offset = luma, .size = 2ull * half_w * half_h, .stride = 2 * half_w};
                p->n_planes = 2;
        } else if (fourcc == FOURCC("YU12")) {
                for (size_t i = 1; i < 3; i++)
                        p->planes[i] = (SeenPlane){.offset = luma + (i - 1) * half_w * half_h,
                                                   .size = (uint64_t)half_w * half_h,
                                                   .stride = half_w};
                p->n_planes = 3;
        }
        p->size = p->planes[p->n_planes - 1].offset + p->planes[p->n_planes - 1].size;
        p->data = malloc(p->size < 8 ? 8 : p->size);
        return p->data ? 0 : -ENOMEM;
}

void picture_done(Picture *p) {
        free(p->data);
        p->data = NULL;
}

static void picture_draw(const Picture *p, uint64_t seq) {
        for (uint32_t y = 0; y < p->height; y++)
                memset(p->data + (uint64_t)y * p->width, (uint8_t)(y + seq * 3), p->width);
        if (p->n_planes > 1)
                memset(p->data + p->planes[1].offset, (uint8_t)(128 + seq % 64),
                       p->size - p->planes[1].offset);
        memcpy(p->data, &seq, p->size < 8 ? p->size : 8);
}

/* A memfd with @size bytes of the picture and @seals. */
static int memory_new(const Picture *p, uint64_t size, int seals, unsigned int extra_flags) {
        _cleanup_close_ int fd = memfd_create("fb-publisher", MFD_CLOEXEC | MFD_ALLOW_SEALING | extra_flags);

        if (fd < 0)
                return -errno;
        for (uint64_t done = 0; done < size;) {
                ssize_t n = write(fd, p->data + done, size - done);

                if (n <= 0)
                        return n < 0 ? -errno : -ENOSPC;
                done += n;
        }
        if (seals != 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)
                return -errno;
        return take_fd(fd);
}

int made_frame_new(MadeFrame *f, const Picture *p, uint64_t seq, uint32_t format) {
        int fd;

        picture_draw(p, seq);
        *f = (MadeFrame){.seq = seq, .pts_ns = clock_now_ns(), .format = format, .n_fds = 1};
        fd = memory_new(p, p->size, SEALS, 0);
        if (fd < 0)
                return fd;
        f->fds[0] = fd;
        f->n_planes = f->n_planes_sent = p->n_planes;
        memcpy(f->planes, p->planes, sizeof(f->planes));
        for (size_t i = 0; i < p->n_planes; i++)
                f->crcs[i] = crc32_of(p->data + p->planes[i].offset, p->planes[i].size);
        return 0;
}

static int swap_memory(MadeFrame *f, int fd_consume) {
        if (fd_consume < 0)
                return fd_consume;
        fb_close(f->fds[0]);
        f->fds[0] = fd_consume;
        return 0;
}

static int spoil_fd(MadeFrame *f, const Picture *p, const char *how) {
        char path[64];
        int pair[2];

        if (strcmp(how, "pipe") == 0) {
                if (pipe2(pair, O_CLOEXEC) < 0)
                        return -errno;
                fb_close(pair[1]);
                return swap_memory(f, pair[0]);
        }
        if (strcmp(how, "socket") == 0)
                return swap_memory(f, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (strcmp(how, "dev-null") == 0)
                return swap_memory(f, open("/dev/null", O_RDWR | O_CLOEXEC));
        if (strcmp(how, "file") == 0)
                return swap_memory(f, open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fds[0]);
        return swap_memory(f, open(path, O_PATH | O_CLOEXEC));
}

static int spoil_hugetlb(MadeFrame *f, const Picture *p, const char *how) {
        _cleanup_close_ int fd = memfd_create("fb-publisher", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

        if (fd < 0 || ftruncate(fd, 64 << 20) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
                return -EOPNOTSUPP;
        return swap_memory(f, take_fd(fd));
}

static int spoil_seals(MadeFrame *f, const Picture *p, const char *how) {
        static const struct {
                const char *how;
                int seals;
        } table[] = {
                        {"unsealed", 0},
                        {"partly-sealed", F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL},
                        {"no-shrink-seal", SEALS & ~F_SEAL_SHRINK},
                        {"no-grow-seal", SEALS & ~F_SEAL_GROW},
                        {"no-seal-seal", SEALS & ~F_SEAL_SEAL},
                        {"future-write", (SEALS & ~F_SEAL_WRITE) | F_SEAL_FUTURE_WRITE},
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++)
                if (strcmp(table[i].how, how) == 0)
                        return swap_memory(f, memory_new(p, p->size, table[i].seals, 0));
        return swap_memory(f, memory_new(p, strcmp(how, "empty") == 0 ? 0 : p->size / 2, SEALS, 0));
}

static int spoil_planes(MadeFrame *f, const Picture *p, const char *how) {
        SeenPlane *last = &f->planes[f->n_planes - 1];

        if (strcmp(how, "plane-past-end") == 0)
                last->size += 1;
        else if (strcmp(how, "plane-overflow") == 0)
                last->offset = UINT64_MAX - last->size / 2;
        else if (strcmp(how, "plane-empty") == 0)
                last->size = 0;
        else if (strcmp(how, "plane-small") == 0)
                last->size -= 1;
        else if (strcmp(how, "stride-short") == 0)
                last->stride /= 2;
        else if (strcmp(how, "stride-huge") == 0)
                last->stride = UINT32_MAX;
        else if (strcmp(how, "bad-index") == 0)
                last->memory = 7;
        else if (strcmp(how, "many-planes") == 0)
                f->n_planes_sent = MANY;
        else if (strcmp(how, "one-plane-more") == 0)
                f->n_planes_sent = f->n_planes + 1;
        else
                f->n_planes_sent = 0;
        return 0;
}

static int spoil_memories(MadeFrame *f, const Picture *p, const char *how) {
        size_t n = strcmp(how, "many-memories") == 0 ? 16 : 5;

        if (strcmp(how, "no-memory") == 0) {
                f->fds[0] = fb_close(f->fds[0]);
                f->n_fds = 0;
                return 0;
        }
        for (; f->n_fds < n; f->n_fds++) {
                f->fds[f->n_fds] = fcntl(f->fds[0], F_DUPFD_CLOEXEC, 3);
                if (f->fds[f->n_fds] < 0)
                        return -errno;
        }
        return 0;
}

static int spoil_numbers(MadeFrame *f, const Picture *p, const char *how) {
        if (strcmp(how, "seq-backwards") == 0)
                f->seq = f->seq > 2 ? f->seq - 2 : 0;
        else if (strcmp(how, "seq-zero") == 0)
                f->seq = 0;
        else if (strcmp(how, "order-set") == 0)
                f->order = 1;
        else if (strcmp(how, "bad-format") == 0)
                f->format += 1000;
        else if (strcmp(how, "bad-flags") == 0)
                f->flags |= 1u << 20;
        else if (strcmp(how, "replayed-flag") == 0)
                f->flags |= FB_FRAME_REPLAYED;
        else if (strcmp(how, "leased-flag") == 0)
                f->flags |= FB_MEMORY_LEASED << FB_FRAME_MEMORY_SHIFT;
        else if (strcmp(how, "meta-type") == 0)
                f->meta_wrong_type = true;
        else if (strcmp(how, "meta-fd") == 0)
                f->meta_fd = true;
        else if (strcmp(how, "meta-large") == 0)
                f->meta_large = true;
        else
                f->wrong_signature = true;
        return 0;
}

static const struct {
        const char *how;
        int (*spoil)(MadeFrame *f, const Picture *p, const char *how);
} ways[] = {
                {"unsealed", spoil_seals},
                {"partly-sealed", spoil_seals},
                {"no-shrink-seal", spoil_seals},
                {"no-grow-seal", spoil_seals},
                {"no-seal-seal", spoil_seals},
                {"future-write", spoil_seals},
                {"short", spoil_seals},
                {"empty", spoil_seals},
                {"pipe", spoil_fd},
                {"socket", spoil_fd},
                {"dev-null", spoil_fd},
                {"file", spoil_fd},
                {"o-path", spoil_fd},
                {"hugetlb", spoil_hugetlb},
                {"plane-past-end", spoil_planes},
                {"plane-overflow", spoil_planes},
                {"plane-empty", spoil_planes},
                {"plane-small", spoil_planes},
                {"stride-short", spoil_planes},
                {"stride-huge", spoil_planes},
                {"bad-index", spoil_planes},
                {"many-planes", spoil_planes},
                {"one-plane-more", spoil_planes},
                {"no-planes", spoil_planes},
                {"no-memory", spoil_memories},
                {"five-memories", spoil_memories},
                {"many-memories", spoil_memories},
                {"seq-backwards", spoil_numbers},
                {"seq-zero", spoil_numbers},
                {"order-set", spoil_numbers},
                {"bad-format", spoil_numbers},
                {"bad-flags", spoil_numbers},
                {"replayed-flag", spoil_numbers},
                {"leased-flag", spoil_numbers},
                {"meta-type", spoil_numbers},
                {"meta-fd", spoil_numbers},
                {"meta-large", spoil_numbers},
                {"wrong-signature", spoil_numbers},
};

int made_frame_spoil(MadeFrame *f, const Picture *p, const char *how) {
        for (size_t i = 0; i < FB_ELEMENTSOF(ways); i++)
                if (strcmp(ways[i].how, how) == 0)
                        return ways[i].spoil(f, p, how);
        return -EINVAL;
}

void made_frame_list_ways(void) {
        for (size_t i = 0; i < FB_ELEMENTSOF(ways); i++)
                puts(ways[i].how);
}

static int meta_append(sd_bus_message *m, const MadeFrame *f) {
        static const char large[2048] = {[0 ... 2046] = 'x'};
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = f->meta_wrong_type ? sd_bus_message_append(m, "{sv}", FB_META_DEVICE_SEQUENCE, "s", "one")
                                       : sd_bus_message_append(m, "{sv}", FB_META_DEVICE_SEQUENCE, "u",
                                                               (uint32_t)f->seq);
        if (r >= 0 && f->buffer)
                r = sd_bus_message_append(m, "{sv}", FB_META_BUFFER, "t", f->buffer);
        if (r >= 0 && f->meta_fd)
                r = sd_bus_message_append(m, "{sv}", "smuggled", "h", 0);
        if (r >= 0 && f->meta_large)
                r = sd_bus_message_append(m, "{sv}", "padding", "s", large);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int made_frame_append(sd_bus_message *m, const MadeFrame *f) {
        int r;

        if (f->wrong_signature)
                return sd_bus_message_append(m, "tttuus", f->seq, f->order, f->pts_ns, f->format, f->flags,
                                             "frame");
        r = sd_bus_message_append(m, "tttuu", f->seq, f->order, f->pts_ns, f->format, f->flags);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "h");
        for (size_t i = 0; r >= 0 && i < f->n_fds; i++)
                r = sd_bus_message_append_basic(m, 'h', &f->fds[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(uttu)");
        for (size_t i = 0; r >= 0 && i < f->n_planes_sent; i++) {
                const SeenPlane *p = &f->planes[i < f->n_planes ? i : f->n_planes - 1];

                r = sd_bus_message_append(m, "(uttu)", p->memory, p->offset, p->size, p->stride);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : meta_append(m, f);
}

void made_frame_done(MadeFrame *f) {
        for (size_t i = 0; i < f->n_fds; i++)
                fb_close(f->fds[i]);
        f->n_fds = 0;
}
