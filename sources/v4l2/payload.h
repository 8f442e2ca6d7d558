/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether what a device delivered is a whole frame, and when it was made. Pure. */
#pragma once

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sources/v4l2/faults.h"
#include "sources/v4l2/formats.h"

/*
 * One memory of a buffer.
 * @used    bytes, as the driver says
 * @length  bytes there are
 * @needed  bytes of a whole picture; 0: compressed
 * The format's own marks are looked at only in compressed ones. FAULT_NONE: whole.
 */
Fault payload_judge(const PixelFormat *f, const void *data, size_t used, size_t length, size_t needed);

/* Whether decoding can begin at this compressed frame: the driver's flag, or what the stream itself says
 * where the driver sets none of its flags. Never told of raw pictures. */
bool payload_is_keyframe(const PixelFormat *f, uint32_t buffer_flags, const void *data, size_t size);

typedef struct Times {
        uint64_t begun_ns; /* when the stream was started */
        uint64_t last_ns;  /* of the last frame, also of the run before */
} Times;

/*
 * The capture time of a buffer. The device's, if it is CLOCK_MONOTONIC, after the start, not in the future
 * and not before the last; else @now_ns, and *@ret_bad is set.
 */
uint64_t times_judge(Times *t, const struct v4l2_buffer *b, uint64_t now_ns, bool *ret_bad);
