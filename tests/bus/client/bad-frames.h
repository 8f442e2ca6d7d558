/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames as a publisher makes them: a right one, and one way to be wrong for each rule of the contract. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "tests/bus/client/verify.h"

#define MADE_FDS_MAX 20

typedef struct Picture {
        uint32_t fourcc, width, height;
        size_t n_planes;
        SeenPlane planes[FB_PLANES_MAX];
        uint64_t size;
        uint8_t *data; /* reused from frame to frame */
} Picture;

typedef struct MadeFrame {
        uint64_t seq, order, pts_ns;
        uint64_t buffer; /* 0: none */
        uint32_t format, flags;
        int fds[MADE_FDS_MAX]; /* owned */
        size_t n_fds, n_planes;
        SeenPlane planes[FB_PLANES_MAX];
        size_t n_planes_sent; /* the last one is repeated beyond n_planes */
        uint64_t crcs[FB_PLANES_MAX];
        bool meta_wrong_type, meta_fd, meta_large, wrong_signature;
} MadeFrame;

/* GREY (R8), NV12, I420 (YU12) or any other fourcc as one plane of width x height. Negative errno. */
int picture_init(Picture *p, uint32_t fourcc, uint32_t width, uint32_t height);
void picture_done(Picture *p);

/* A right frame: the picture of number @seq, whose first eight bytes are @seq, in a sealed memfd.
 * Negative errno. */
int made_frame_new(MadeFrame *f, const Picture *p, uint64_t seq, uint32_t format);

/* Breaks it. -EINVAL: no such way; -EOPNOTSUPP: this machine cannot. */
int made_frame_spoil(MadeFrame *f, const Picture *p, const char *how);

/* Prints the names of all ways, one a line. */
void made_frame_list_ways(void);

/* Appends the arguments of Frame. */
int made_frame_append(sd_bus_message *m, const MadeFrame *f);
void made_frame_done(MadeFrame *f);
