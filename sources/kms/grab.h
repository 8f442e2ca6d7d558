/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of a framebuffer that another program shows: found, mapped and copied. */
#pragma once

#include <stdint.h>

#include "sources/kms/card.h"
#include "sources/kms/copyplan.h"

typedef enum GrabMethod {
        GRAB_ANY,   /* a dma-buf, else a dumb buffer */
        GRAB_PRIME, /* a dma-buf */
        GRAB_DUMB,  /* a dumb buffer */
} GrabMethod;

typedef struct Grab {
        int card_fd; /* borrowed */
        FramebufferInfo info;
        uint32_t handles[COPYPLAN_PLANES_MAX]; /* planes in one memory have the same; 0: none */
        struct {
                int dmabuf; /* -1: a dumb buffer's */
                void *start;
                size_t size;
        } maps[COPYPLAN_PLANES_MAX]; /* the first with a handle has its map */
} Grab;

#define GRAB_NULL { .card_fd = -1 }

/*
 * Finds out what @fb_id is.
 * Errors: -EPERM: the kernel says no more than its size, for want of CAP_SYS_ADMIN; -ENOENT: it is gone, as
 * what was flipped away may be; -ENOTTY: the kernel cannot say (before Linux 5.7).
 */
int grab_open(Grab *g, const Card *c, uint32_t fb_id);

/* The first plane that is in the same memory as @plane. */
size_t grab_get_owner(const Grab *g, size_t plane);

/* Maps what @plan needs. -ERANGE: the memory is smaller than that; else what no method could do. */
int grab_map(Grab *g, const CopyPlan *plan, GrabMethod method);

/* Waits until nothing draws into it any more, as far as the kernel knows, and copies. */
int grab_copy(const Grab *g, const CopyPlan *plan, uint8_t *to);

/* Unmaps and lets go of it. A closed one is left alone. */
void grab_close(Grab *g);
