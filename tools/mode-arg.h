/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers, rates and modes as people write them on a command line, and as they are shown to them. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

/* A whole number without sign, in decimal, from @min to @max. Returns 0; -EINVAL: none; -ERANGE: outside. */
int uint_parse(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* "10", "2.5": seconds, to the nanosecond; more than 0 and less than ten years. Returns 0, -EINVAL or
 * -ERANGE. */
int seconds_parse(const char *s, uint64_t *ret_ns);

/* "30", "30000/1001", "29.97": frames a second, at least a little more than 0. 0, -EINVAL, -ERANGE. */
int rate_parse(const char *s, struct framebus_fraction *ret);

/*
 * FOURCC,WxH,RATE: any part may be missing, and commas in front of what is there may be left out as the parts
 * look different: "NV12,1280x720,30", "1280x720", "YUYV,,30000/1001", "30". A fourcc is 1 to 4 characters as
 * `show` prints them, or a name that other programs use for it: I420, YUY2, MJPEG, GREY; "-BE" behind it
 * means swapped bytes; or it is its number: 0x3231564e;
 * a modifier other than linear stands behind a colon: NV12:0x0400000000000001. Parts that are missing are 0:
 * any. Returns 0;
 * -EINVAL: not a mode, with @ret_why, a constant string.
 */
int mode_parse(const char *s, struct framebus_mode *ret, const char **ret_why);

/* The fourcc without blanks at its end, and "-BE" if its bytes are swapped. */
#define FOURCC_STRING_MAX 8
const char *fourcc_format(uint32_t fourcc, char ret[static FOURCC_STRING_MAX]);

/* "30", "30000/1001"; "any" for 0. */
#define RATE_STRING_MAX 32
const char *rate_format(struct framebus_fraction rate, char ret[static RATE_STRING_MAX]);

/* As mode_parse() takes it, ranges behind it in brackets: "NV12,640x480,30 (16-1920x16-1080 by 2x2, 1-60
 * fps)"; "-" for a mode without a fourcc. */
#define MODE_ARG_MAX 224
const char *mode_format(const struct framebus_mode *mode, char ret[static MODE_ARG_MAX]);
