/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads a Frame message by hand and tries what must fail. Independent of wire/ and of libframebus, to
 * find their faults. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "interfaces/wire.h"

#define PROBLEMS_MAX 8

/* Words for what is wrong; static strings. */
typedef struct Problems {
        const char *words[PROBLEMS_MAX];
        size_t n;
} Problems;

void problems_add(Problems *p, const char *word);

typedef struct SeenPlane {
        uint32_t memory, stride;
        uint64_t offset, size;
} SeenPlane;

typedef struct SeenFrame {
        sd_bus_message *message; /* a reference: keeps the descriptors */
        uint64_t seq, order, pts_ns;
        uint64_t buffer; /* 0: none */
        uint32_t format, flags, kind;
        size_t n_fds, n_planes;
        int fds[FB_MEMORIES_MAX]; /* borrowed from the message */
        uint64_t sizes[FB_MEMORIES_MAX];
        uint32_t seals[FB_MEMORIES_MAX];
        uint64_t inodes[FB_MEMORIES_MAX];
        SeenPlane planes[FB_PLANES_MAX];
        uint64_t crcs[FB_PLANES_MAX]; /* after seen_frame_checksum() */
} SeenFrame;

/* Takes a reference on @m. -EBADMSG: not a Frame at all; what is merely wrong in it goes to @problems. */
int seen_frame_read(SeenFrame *f, sd_bus_message *m, Problems *problems);

/* Kind, seals and sizes of each memory, and that each plane lies inside. Fills sizes and seals. */
void seen_frame_check(SeenFrame *f, Problems *problems);

/* Tries to change the memory in every way there is; each attempt must fail. Only after a check without
 * problems. */
void seen_frame_attack(const SeenFrame *f, Problems *problems);

/* Maps each memory, read-only and private, and sums each plane into crcs. Negative errno. */
int seen_frame_checksum(SeenFrame *f);

/* Appends the planes' bytes to a file. Negative errno. */
int seen_frame_save(const SeenFrame *f, const char *path);

void seen_frame_done(SeenFrame *f);
