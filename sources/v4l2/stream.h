/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory-mapped streaming from one device in one mode. */
#pragma once

#include <stdbool.h>

#include "libframebus/framebus.h"
#include "sources/v4l2/device.h"
#include "sources/v4l2/formats.h"

#define STREAM_BUFFERS 4u

typedef struct Stream {
        const Device *device; /* NULL: not running */
        const PixelFormat *format;
        struct framebus_mode mode; /* as the device does it, which need not be all that was wished */
        struct framebus_plane planes[4];
        size_t n_planes;
        size_t size; /* bytes of a frame; 0: compressed */
        struct {
                void *start;
                size_t length;
        } buffers[STREAM_BUFFERS];
        uint32_t n_buffers;
        bool streaming;
        bool has_sequence;
        uint32_t sequence; /* of the last buffer */
} Stream;

typedef struct StreamFrame {
        uint32_t index; /* to be given back: stream_return() */
        const void *data;
        size_t size;
        uint64_t pts_ns; /* CLOCK_MONOTONIC */
        uint32_t sequence;
        uint64_t n_lost; /* right before this one */
        bool keyframe;
} StreamFrame;

/*
 * Sets the mode and starts.
 * @pixelformat  V4L2's, of @wanted
 * @ret_step     set on failure: what was being done, a constant string
 * Errors: -EPROTO: the device does another format or lines that are too short; else what the device failed
 * with. The stream is stopped then.
 */
int stream_start(Stream *s, const Device *d, uint32_t pixelformat, const struct framebus_mode *wanted,
                 const char **ret_step);

/* Stops, unmaps and frees the buffers in the device. A stopped stream is left alone. */
void stream_stop(Stream *s);

enum {
        STREAM_NOTHING = 0, /* nothing is ready */
        STREAM_FRAME,       /* *ret_frame is complete */
        STREAM_DAMAGED,     /* a buffer without a usable frame: only n_lost, which counts it, is set */
};

/* Takes the next buffer. Returns STREAM_*; negative errno: the stream is broken. */
int stream_read(Stream *s, StreamFrame *ret_frame);

/* Gives the buffer of a frame back to the device. */
int stream_return(Stream *s, const StreamFrame *frame);
