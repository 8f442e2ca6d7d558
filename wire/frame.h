/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One video frame: numbers, planes and borrowed file descriptors.
 *
 * Reference-counted. The descriptors belong to the frame's home (mostly the message that they came in); the
 * last unref calls the home's give_back, which frees the memory or tells the publisher. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "interfaces/wire.h"
#include "wire/format.h"

enum {
        FRAME_META_DEVICE_SEQUENCE = 1u << 0,
        FRAME_META_BUFFER = 1u << 1,
        FRAME_META_MODIFIER = 1u << 2,
        FRAME_META_CROP = 1u << 3,
        FRAME_META_TRANSFORM = 1u << 4,
        FRAME_META_COLORIMETRY = 1u << 5,
        FRAME_META_FIELD = 1u << 6,
};

typedef struct FrameMeta {
        uint32_t present; /* FRAME_META_* */
        uint32_t device_sequence;
        uint64_t buffer;
        uint64_t modifier;
        uint32_t crop[4];
        uint32_t transform;
        uint32_t colorimetry[4];
        uint32_t field;
} FrameMeta;

typedef struct Frame Frame;

typedef struct FrameHome {
        /* The last reference is gone: take the descriptors back and free @f's storage with free(). */
        void (*give_back)(Frame *f, void *userdata);
} FrameHome;

struct Frame {
        unsigned int n_refs;
        const FrameHome *home;
        void *home_userdata;

        uint64_t seq, order, pts_ns;
        uint32_t format; /* id as announced by FormatChanged */
        uint32_t flags;
        uint32_t n_fds, n_planes;
        int fds[FB_MEMORIES_MAX]; /* borrowed from the home */
        Plane planes[FB_PLANES_MAX];
        uint64_t bytes; /* of all its memories, where they were judged (import.h) */
        FrameMeta meta;

        /* The same picture in sealed memory, for those who need it; a reference, or NULL. */
        Frame *sealed;
        /* Which of its publisher's buffers it lies in, as one bit; 0: sealed memory. */
        uint64_t slot;

        /* The message that serves all receivers on channels, made at the first; dies with the frame. */
        void *encoded;
        void (*encoded_free)(void *encoded);
};

/* A zeroed frame with one reference; NULL: no memory. */
Frame *frame_new(const FrameHome *home, void *home_userdata);
Frame *frame_ref(Frame *f);
Frame *frame_unref(Frame *f); /* takes NULL, returns NULL */

static inline uint32_t frame_get_memory_kind(const Frame *f) {
        return (f->flags & FB_FRAME_MEMORY_MASK) >> FB_FRAME_MEMORY_SHIFT;
}
