/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streaming from one device in one mode, by its single- or multi-planar interface. */
#pragma once

#include <stdbool.h>

#include "libframebus/framebus.h"
#include "sources/v4l2/device.h"
#include "sources/v4l2/formats.h"
#include "sources/v4l2/nal.h"
#include "sources/v4l2/payload.h"
#include "sources/v4l2/pool.h"

#define STREAM_MEMORIES_MAX BUFFER_MEMORIES_MAX

/* How frames are to travel. */
typedef struct StreamPlan {
        Way way;
        uint32_t n_lent; /* how many buffers receivers may hold */
} StreamPlan;

/* Over all runs. */
typedef struct StreamCounts {
        uint64_t lent;                   /* frames that nobody copied here */
        uint64_t starved, starved_bytes; /* that were copied as the driver needed its buffers */
} StreamCounts;

typedef struct Stream {
        const Device *device; /* NULL: not running */
        const PixelFormat *format;
        struct framebus_mode mode; /* as the device does it, which need not be all that was wished */
        struct framebus_plane planes[4];
        size_t n_planes;
        size_t size; /* bytes of a frame; 0: compressed */
        size_t sizes[STREAM_MEMORIES_MAX];   /* of these, in each memory */
        size_t lengths[STREAM_MEMORIES_MAX]; /* what the device wants each memory to have */
        uint32_t n_memories;
        uint32_t colorimetry[4]; /* as in a frame's meta; the colour space 0: not known */
        uint32_t field;          /* V4L2_FIELD_* */
        StreamPlan plan;
        Pool pool;
        bool wants_renewal; /* stream_renew() */
        bool streaming;
        bool has_sequence;
        uint32_t sequence; /* of the last buffer */
        NalSets sets;      /* of H.264 and HEVC */
        Times times;
        uint64_t last_id; /* Slot::id */
        StreamCounts counts;
} Stream;

typedef struct StreamPart {
        const void *data;
        size_t size;
} StreamPart;

typedef struct StreamFrame {
        uint32_t index; /* to be given back: stream_return() */
        /* put together they are the frame; more than there are memories: a keyframe that lacked something */
        StreamPart parts[STREAM_MEMORIES_MAX];
        size_t n_parts;
        size_t size;
        uint64_t pts_ns; /* CLOCK_MONOTONIC */
        uint32_t sequence;
        uint64_t n_lost; /* right before this one */
        uint32_t field;  /* V4L2_FIELD_*, never ANY */
        bool keyframe; /* decoding can begin with it */
        bool bad_time; /* the device's was of no use */
        Fault fault;   /* of a damaged one */
} StreamFrame;

/*
 * Sets the mode and starts. Streams begin with a zeroed struct; from then on it knows the time of the last
 * frame, and the counts, over all its runs.
 * @pixelformat  V4L2's, of @wanted
 * @ret_step     set on failure: what was being done, a constant string
 * Errors: -EPROTO: the device does another format or lines that are too short; else what the device failed
 * with. The stream is stopped then.
 */
int stream_start(Stream *s, const Device *d, uint32_t pixelformat, const struct framebus_mode *wanted,
                 const StreamPlan *plan, const char **ret_step);

/* Switches off and on again, with the same mode and buffers, and clears an error of the stream by that. On
 * failure it is as before, and of no use any more but to be stopped. */
int stream_restart(Stream *s);

/* The same with new buffers: those that there were are never written again. */
int stream_renew(Stream *s);

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

/* Gives a buffer to the device, or does with it what must be done if it is retired. */
int stream_give_back(Stream *s, Slot *slot);
