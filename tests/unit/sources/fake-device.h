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

#define FAKE_CHUNK  65536u /* bytes of a memory */
#define FAKE_CHUNKS 128u

typedef struct FakeFormat {
        uint32_t pixelformat, flags;
} FakeFormat;

/* What one DQBUF gives. */
typedef struct FakeBuffer {
        uint32_t sequence, bytesused, flags;
        uint64_t pts_ns;
        uint32_t field;
        uint32_t bytesused_more[3]; /* of the other memories */
        uint32_t data_offset;
} FakeBuffer;

typedef struct FakeSlot {
        bool queued;
        uintptr_t address[4]; /* as QBUF said, and what was there then */
        void *pinned[4];
} FakeSlot;

typedef struct Fake {
        uint32_t capabilities, device_caps;
        const FakeFormat *formats;
        size_t n_formats;
        enum { SIZES_DISCRETE, SIZES_STEPWISE, SIZES_CONTINUOUS, SIZES_LADDER, SIZES_NONE } sizes;
        unsigned n_sizes; /* (320 << i) x (180 << i); of a ladder (320 + 160 i) x (180 + 90 i) */
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

        FakeBuffer queue[64];
        size_t n_queue, next;
        bool draws; /* fills a buffer's memories with its sequence number + 1 */

        uint32_t buffer_capabilities; /* V4L2_BUF_CAP_* */
        bool can_export, can_create;
        int pointer_error;      /* of QBUF, for memory that is not its own */
        unsigned n_buffers_max; /* 0: as many as wished */
        int n_buffers_min;      /* that it says it needs; 0: it does not say */
        uint32_t memory_type;
        FakeSlot slots[64];
        uint32_t order[64]; /* of what is queued */

        unsigned n_open, n_mapped, n_requested, n_queued, n_streamon, n_streamoff, n_exported;
        uint32_t pixelformat, width, height;
        char (*memory)[FAKE_CHUNK]; /* of its own */
        int chunk_fds[FAKE_CHUNKS]; /* 0: closed */
} Fake;

extern Fake fake;
extern const DeviceOps fake_ops;

/* A 640x480 webcam at 25 frames a second, closed, without formats and faults. */
void fake_reset(void);

/* The next @times calls of ioctl @request fail with @error. */
void fake_fail(unsigned long request, int error, int times);

/* ---- fake-buffers.c ---- */

bool fake_is_multiplanar(void);
void fake_reset_memory(void);
int fake_ioctl_stream(unsigned long request_code, void *a);
int fake_mmap(int fd, size_t length, int64_t offset, void **ret_start);
int fake_munmap(void *start, size_t length);
