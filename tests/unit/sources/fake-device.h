/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A V4L2 device that exists in this process only, with what it can do and its faults in the variable `fake`.
 */
#pragma once

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sources/v4l2/device.h"

typedef struct FakeFormat {
        uint32_t pixelformat, flags;
} FakeFormat;

/* What one DQBUF gives. */
typedef struct FakeBuffer {
        uint32_t sequence, bytesused, flags;
        uint64_t pts_ns;
        uint32_t field;
        uint32_t bytesused_more[3]; /* of the other memories */
} FakeBuffer;

typedef struct Fake {
        uint32_t capabilities, device_caps;
        const FakeFormat *formats;
        size_t n_formats;
        enum { SIZES_DISCRETE, SIZES_STEPWISE, SIZES_NONE } sizes;
        unsigned n_sizes; /* (320 << i) x (180 << i) */
        enum { RATES_DISCRETE, RATES_STEPWISE, RATES_NONE } rates;
        unsigned n_rates; /* 60, 30, 20, 15, … */
        uint32_t bytesperline, width_given; /* what S_FMT makes of it; 0: as wished */
        uint32_t pixelformat_given;
        struct v4l2_fract interval; /* as set; 0/0: the device does not know rates */
        unsigned n_memories; /* of a buffer; the multi-planar interface if device_caps say so */
        uint32_t field_given;
        uint32_t colorimetry[4];

        bool has_input;
        uint32_t input_capabilities, input_status;
        struct v4l2_dv_timings found_timings, timings; /* at the input, and as set */
        int found_error;                               /* of asking for them */
        v4l2_std_id found_std, std;
        uint8_t edid[512];
        uint32_t n_edid_blocks;
        int edid_error; /* of asking for it */
        unsigned n_set_timings, n_set_std, n_set_edid, n_subscribed;
        uint32_t subscribed_id;
        uint32_t events[4]; /* types */
        unsigned n_events, next_event;

        unsigned long fail_request; /* this ioctl … */
        int fail_errno;             /* … fails so … */
        int fail_times;             /* … so many times */

        FakeBuffer queue[16];
        size_t n_queue, next;

        unsigned n_open, n_mapped, n_requested, n_queued, n_streamon, n_streamoff;
        uint32_t pixelformat, width, height;
        char memory[16][65536];
} Fake;

extern Fake fake;
extern const DeviceOps fake_ops;

/* A 640x480 webcam at 25 frames a second, closed, without formats and faults. */
void fake_reset(void);

/* The next @times calls of ioctl @request fail with @error. */
void fake_fail(unsigned long request, int error, int times);
