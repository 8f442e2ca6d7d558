/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A handle keeps the memory, so that it may be taken off the screen and destroyed while it is copied. What is
 * drawn into it meanwhile is for the caller to find out. Nothing is kept from one frame to the next: numbers
 * of framebuffers are used again.
 */
#include "sources/kms/grab.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "base/cleanup.h"

FB_DEFINE_CLEANUP(drmModeFB2 *, drmModeFreeFB2)

static int get_errno(void) {
        return errno ? -errno : -EIO;
}

int grab_open(Grab *g, const Card *c, uint32_t fb_id) {
        _cleanup_(drmModeFreeFB2p) drmModeFB2 *fb = drmModeGetFB2(c->fd, fb_id);

        if (!fb)
                return errno == EINVAL || errno == ENOTTY ? -ENOTTY : get_errno();
        if (!fb->handles[0])
                return -EPERM;
        *g = (Grab){
                .card_fd = c->fd,
                .info = {
                        .fourcc = fb->pixel_format,
                        .has_modifier = fb->flags & DRM_MODE_FB_MODIFIERS,
                        .modifier = fb->modifier,
                        .width = fb->width,
                        .height = fb->height,
                },
        };
        memcpy(g->handles, fb->handles, sizeof g->handles);
        memcpy(g->info.pitches, fb->pitches, sizeof g->info.pitches);
        memcpy(g->info.offsets, fb->offsets, sizeof g->info.offsets);
        for (size_t i = 0; i < COPYPLAN_PLANES_MAX; i++)
                g->maps[i].dmabuf = -1;
        return 0;
}

size_t grab_get_owner(const Grab *g, size_t plane) {
        for (size_t i = 0; i < plane; i++)
                if (g->handles[i] == g->handles[plane])
                        return i;
        return plane;
}

static int map_prime(Grab *g, size_t i, uint64_t size) {
        _cleanup_close_ int fd = -1;
        off_t have;
        void *p;

        if (drmPrimeHandleToFD(g->card_fd, g->handles[i], DRM_CLOEXEC, &fd) < 0)
                return get_errno();
        have = lseek(fd, 0, SEEK_END);
        if (have >= 0 && (uint64_t)have < size)
                return -ERANGE;
        p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return get_errno();
        g->maps[i].start = p;
        g->maps[i].size = size;
        g->maps[i].dmabuf = take_fd(fd);
        return 0;
}

/* mmap() itself refuses what is longer than the buffer. */
static int map_dumb(Grab *g, size_t i, uint64_t size) {
        uint64_t offset;
        void *p;

        if (drmModeMapDumbBuffer(g->card_fd, g->handles[i], &offset) < 0)
                return get_errno();
        p = mmap(NULL, size, PROT_READ, MAP_SHARED, g->card_fd, (off_t)offset);
        if (p == MAP_FAILED)
                return get_errno();
        g->maps[i].start = p;
        g->maps[i].size = size;
        return 0;
}

static int grab_map_one(Grab *g, size_t i, uint64_t size, GrabMethod method) {
        int r = -ENOTSUP;

        if (method != GRAB_DUMB)
                r = map_prime(g, i, size);
        if (r < 0 && r != -ERANGE && method != GRAB_PRIME) {
                int k = map_dumb(g, i, size);

                r = k >= 0 || method == GRAB_DUMB ? k : r;
        }
        return r;
}

int grab_map(Grab *g, const CopyPlan *plan, GrabMethod method) {
        for (size_t i = 0; i < plan->n_planes; i++) {
                uint64_t size = 0;
                int r;

                if (!g->handles[i])
                        return -ERANGE;
                if (grab_get_owner(g, i) != i)
                        continue;
                for (size_t k = i; k < plan->n_planes; k++)
                        if (g->handles[k] == g->handles[i])
                                size = FB_MAX(size, plan->from[k].end);
                r = grab_map_one(g, i, size, method);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Drivers without caches to look after need not have it. */
static int grab_sync(const Grab *g, size_t n_planes, uint64_t flags) {
        struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_READ };

        for (size_t i = 0; i < n_planes; i++) {
                int r;

                if (g->maps[i].dmabuf < 0)
                        continue;
                do
                        r = ioctl(g->maps[i].dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
                while (r < 0 && (errno == EINTR || errno == EAGAIN));
                if (r < 0 && errno != ENOTTY)
                        return get_errno();
        }
        return 0;
}

int grab_copy(const Grab *g, const CopyPlan *plan, uint8_t *to) {
        const uint8_t *maps[COPYPLAN_PLANES_MAX] = { 0 };
        int r = grab_sync(g, plan->n_planes, DMA_BUF_SYNC_START);

        if (r < 0)
                return r;
        for (size_t i = 0; i < plan->n_planes; i++)
                maps[i] = g->maps[grab_get_owner(g, i)].start;
        copyplan_run(plan, maps, to);
        return grab_sync(g, plan->n_planes, DMA_BUF_SYNC_END);
}

void grab_close(Grab *g) {
        if (g->card_fd < 0)
                return;
        for (size_t i = 0; i < COPYPLAN_PLANES_MAX; i++) {
                if (g->maps[i].start)
                        (void)munmap(g->maps[i].start, g->maps[i].size);
                fb_close(g->maps[i].dmabuf);
                if (g->handles[i] && grab_get_owner(g, i) == i)
                        (void)drmCloseBufferHandle(g->card_fd, g->handles[i]);
        }
        *g = (Grab)GRAB_NULL;
}
