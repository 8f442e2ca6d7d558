/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whoever passes a descriptor may still hold it: only what the kernel enforces (the seals) is believed. */
#include "wire/import.h"

#include "base/error.h"
#include "base/memfd.h"

int import_judge_frame(const Frame *f, const Mode *mode, const char **ret_why) {
        uint64_t sizes[FB_MEMORIES_MAX];
        uint64_t modifier = f->meta.present & FRAME_META_MODIFIER ? f->meta.modifier : mode->modifier;

        if (frame_get_memory_kind(f) != FB_MEMORY_SEALED)
                return *ret_why = "only sealed memory is taken", FB_E_NOT_SEALED;
        for (uint32_t i = 0; i < f->n_fds; i++)
                fb_try(memfd_judge_sealed(f->fds[i], &sizes[i], ret_why));
        return format_judge_planes(mode->fourcc, modifier, mode->width, mode->height, f->planes, f->n_planes,
                                   sizes, f->n_fds, ret_why);
}
