/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory-mapped streaming from one device in one mode, by its single- or multi-planar interface. */
#pragma once

#include <stdbool.h>

#include "libframebus/framebus.h"
#include "sources/v4l2/device.h"
#include "sources/v4l2/formats.h"
#include "sources/v4l2/payload.h"

#define STREAM_BUFFERS      4u
#define STREAM_MEMORIES_MAX 4u /* of one buffer */

typedef struct StreamMemory {
        void *start;
        size_t length;
} StreamMemory;

typedef struct Stream {
        const Device *device; /* NULL: not running */
        const PixelFormat *format;
        struct framebus_mode mode; /* as the device does it, which need not be all that was wished */
        struct framebus_plane planes[4];
        size_t n_planes;
        size_t size; /* bytes of a frame; 0: compressed */
        size_t sizes[STREAM_MEMORIES_MAX]; /* of these, in each memory */
        uint32_t n_memories;
        uint32_t colorimetry[4]; /* as in a frame's meta; the colour space 0: not known */
        uint32_t field;          /* V4L2_FIELD_* */
        StreamMemory buffers[STREAM_BUFFERS][STREAM_MEMORIES_MAX];
        uint32_t n_buffers;
        bool streaming;
        bool has_sequence;
        uint32_t sequence; /* of the last buffer */
        Times times;
        unsigned n_requeued; /* buffers that were taken at the second attempt only */
} Stream;

typedef struct StreamPart {
        const void *data;
        size_t size;
} StreamPart;

typedef struct StreamFrame {
        uint32_t index; /* to be given back: stream_return() */
        StreamPart parts[STREAM_MEMORIES_MAX]; /* put together they are the frame */
        size_t n_parts;
        size_t size;
        uint64_t pts_ns; /* CLOCK_MONOTONIC */
        uint32_t sequence;
        uint64_t n_lost; /* right before this one */
        uint32_t field;  /* V4L2_FIELD_*, never ANY */
        bool keyframe;
        bool bad_time; /* the device's was of no use */
        Fault fault;   /* of a damaged one */
} StreamFrame;

/*
 * Sets the mode and starts. Streams begin with a zeroed struct; from then on it knows the time of the last
 * frame over all its runs.
 * @pixelformat  V4L2's, of @wanted
 * @ret_step     set on failure: what was being done, a constant string
 * Errors: -EPROTO: the device does another format or lines that are too short; else what the device failed
 * with. The stream is stopped then.
 */
int stream_start(Stream *s, const Device *d, uint32_t pixelformat, const struct framebus_mode *wanted,
                 const char **ret_step);

/* Switches off and on again, with the same mode and buffers, and clears an error of the stream by that. On
 * failure it is as before, and of no use any more but to be stopped. */
int stream_restart(Stream *s);

/* Stops, unmaps and frees the buffers in the device. A stopped stream is left alone. */
void stream_stop(Stream *s);

enum {
        STREAM_NOTHING = 0, /* nothing is ready */
        STREAM_FRAME,       /* *ret_frame is complete */
        /* a buffer without a usable frame: only n_lost, which counts it, and fault are set */
        STREAM_DAMAGED,
};

/* Takes the next buffer. Returns STREAM_*; negative errno: the stream is broken. */
int stream_read(Stream *s, StreamFrame *ret_frame);

/* Gives the buffer of a frame back to the device. */
int stream_return(Stream *s, const StreamFrame *frame);
