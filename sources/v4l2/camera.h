/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One device as a source: when it is opened, what becomes of its troubles, and what is told of them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sources/common/program.h"
#include "sources/v4l2/device.h"
#include "sources/v4l2/faults.h"
#include "sources/v4l2/input.h"
#include "sources/v4l2/modes.h"
#include "sources/v4l2/panel.h"
#include "sources/v4l2/lend.h"

/* Exit codes beyond those of program.h. */
enum {
        EXIT_NO_CAPTURE = 3,
        EXIT_ABSENT = 4,
        EXIT_BUSY = 5,
        EXIT_NO_PERMISSION = 6,
};

typedef enum CameraPhase {
        CAMERA_IDLE,      /* nobody watches; the device is closed */
        CAMERA_RUNNING,   /* the stream is on; due when frames are overdue */
        CAMERA_NO_SIGNAL, /* open, without a stream; due when the input is looked at again */
        CAMERA_WAITING,   /* closed; due for the next attempt */
} CameraPhase;

typedef struct Camera {
        Program program;
        ProgramOptions options;
        const char *path;
        const DeviceOps *ops;
        uint8_t edid[EDID_BLOCKS_MAX * EDID_BLOCK_SIZE];
        size_t edid_size; /* 0: none was given */
        bool found;       /* what is no camera is not worth a word to the broker */
        Device device;
        ModeTable table;
        Stream stream;
        Faults faults;
        Panel panel;

        CameraPhase phase;
        struct framebus_mode wanted; /* unless idle */
        uint64_t due_ns;             /* of the phase; UINT64_MAX: nothing is */
        uint64_t armed_ns;           /* what the timer is set to */
        uint64_t look_ns;            /* running: when the input is looked at; UINT64_MAX: it never tells */
        bool discontinuity;          /* the next frame does not follow the last */
        uint64_t starved_ns;         /* since when frames that could be lent are copied; 0: they are not */
        uint64_t gap_ns;             /* when the last frame before new buffers was made; 0: there is no gap */
        uint32_t ways;               /* 1u << Way: what the driver can do; 0: not known yet */
        uint32_t ways_proven;        /* those that gave frames */
        uint32_t ways_dropped;       /* those that never did */
        unsigned n_fruitless;        /* starts in a way that is not proven */
        int lend_error;              /* of giving a buffer back, for the loop */
        unsigned n_requeued;         /* of the stream's, those that are counted */
        uint64_t n_damaged;          /* frames since the last good one */
        unsigned n_tries;            /* attempts at the present trouble */
        uint64_t trouble_ns;         /* the last of them */
        char state[16], reason[256]; /* told last */
} Camera;

/* Asks the device what it is and can do, and leaves it closed. If that fails, the program is done. */
void camera_probe(Camera *c);

/* Does what the broker asks, until the program is done. Leaves the device closed. */
void camera_run(Camera *c);

/* From any phase but running. */
void camera_start(Camera *c);
/* Something that a new start may heal. @error: 0 if it only sends nothing. */
void camera_recover(Camera *c, int error, const char *step);

/* ---- camera-lend.c ---- */

/* Finds out how frames can travel and offers that, unless it is known. While the stream is off. */
void camera_probe_ways(Camera *c);
/* How they are to travel now. */
StreamPlan camera_plan(Camera *c);
/* Publishes a frame, and sees to its buffer. Negative errno: the stream is broken. */
int camera_push(Camera *c, const StreamFrame *f);
/* Does what has become necessary while running: another way, more buffers, new ones. */
void camera_follow_memories(Camera *c);
/* Stops the stream; the broker hears that its buffers are gone. */
void camera_stop_stream(Camera *c);
/* "lent=10 copied=3 …", over all runs. Always terminated. */
const char *camera_describe_copies(Camera *c, char *buffer, size_t size);

/* ---- camera-tell.c ---- */

/* Ends the program; the one place that says what an error of the device means for the source. */
void camera_fail(Camera *c, int error, const char *step);
/* An error that another attempt soon cannot heal, or that is for the broker to wait for. */
bool camera_error_is_final(int error);
/* Tells a state; one that was told last is not told again. */
void camera_tell(Camera *c, const char *state, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Counts a fault, and logs when it begins. */
void camera_count(Camera *c, Fault fault, uint64_t n);
/* Logs which are over. */
void camera_expire_faults(Camera *c);

/* ---- camera-controls.c ---- */

/* While the device is open: one that can be opened only once is left to its frames. Before publishing. */
void camera_open_controls(Camera *c);
/* The panel's descriptor has something. */
void camera_on_control_events(Camera *c, short revents);
