/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whoever passes a descriptor may still hold it: only what the kernel enforces (the seals) is believed. */
#include "wire/import.h"

#include "base/dmabuf.h"
#include "base/error.h"
#include "base/memfd.h"

static int judge_memory(uint32_t kind, int fd, uint64_t *ret_size, const char **ret_why) {
        switch (kind) {
        case FB_MEMORY_SEALED:
                return memfd_judge_sealed(fd, ret_size, ret_why);
        case FB_MEMORY_LEASED:
                return memfd_judge_leased(fd, ret_size, ret_why);
        default:
                return dmabuf_judge(fd, ret_size, ret_why);
        }
}

static int judge_kind(const Frame *f, uint32_t kind, uint32_t kinds, const char **ret_why) {
        if (kind >= FB_MEMORY_KINDS || !(kinds & (1u << kind)))
                return *ret_why = kinds == 1u << FB_MEMORY_SEALED ? "only sealed memory is taken" :
                                                                    "memory of a kind that was not agreed on",
                       FB_E_NOT_SEALED;
        if (kind != FB_MEMORY_SEALED && (!(f->meta.present & FRAME_META_BUFFER) || f->meta.buffer == 0))
                return *ret_why = "meta: leased memory and dma-bufs have a buffer id that is not 0",
                       FB_E_INVALID_FRAME;
        if (kind != FB_MEMORY_DMABUF && (f->flags & FB_FRAME_VOLATILE))
                return *ret_why = "only a dma-buf may change while it is held", FB_E_INVALID_FRAME;
        return 0;
}

/* A receiver has room for as many descriptors as the format has planes; more may cost it its connection. */
static int judge_use(const Frame *f, const char **ret_why) {
        uint32_t used = 0;

        for (uint32_t i = 0; i < f->n_planes; i++)
                used |= 1u << f->planes[i].memory;
        return used == (1u << f->n_fds) - 1 ? 0
                                            : (*ret_why = "a memory that no plane is in", FB_E_INVALID_FRAME);
}

int import_judge_frame(Frame *f, const Mode *mode, uint32_t kinds, const char **ret_why) {
        uint64_t sizes[FB_MEMORIES_MAX];
        uint64_t modifier = f->meta.present & FRAME_META_MODIFIER ? f->meta.modifier : mode->modifier;
        uint32_t kind = frame_get_memory_kind(f);

        fb_try(judge_kind(f, kind, kinds, ret_why));
        f->bytes = 0;
        for (uint32_t i = 0; i < f->n_fds; i++) {
                fb_try(judge_memory(kind, f->fds[i], &sizes[i], ret_why));
                if (__builtin_add_overflow(f->bytes, sizes[i], &f->bytes))
                        return *ret_why = "memories that are larger than can be", FB_E_INVALID_MEMORY;
        }
        fb_try(format_judge_planes(mode->fourcc, modifier, mode->width, mode->height, f->planes, f->n_planes,
                                   sizes, f->n_fds, ret_why));
        return judge_use(f, ret_why);
}
