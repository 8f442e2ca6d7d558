/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a JPEG picture is searched from behind, since devices pad; what lies between markers before the
 * first scan (an embedded small picture has an end of its own) is stepped over by the segments' lengths. In
 * the scans themselves the end marker cannot occur.
 */
#include "sources/v4l2/payload.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sources/v4l2/nal.h"

#define EARLY_NS NSEC_PER_SEC           /* a sensor may have begun before the stream was asked for */
#define AHEAD_NS (100 * NSEC_PER_MSEC)  /* drivers that compute a time may be a little ahead */

static bool format_is_jpeg(const PixelFormat *f) {
        return f->v4l2 == V4L2_PIX_FMT_MJPEG || f->v4l2 == V4L2_PIX_FMT_JPEG;
}

/* Where the first scan begins; 0: there is none. */
static size_t jpeg_find_scan(const uint8_t *d, size_t size) {
        size_t i = 2;

        while (i + 4 <= size && d[i] == 0xff) {
                if (d[i + 1] == 0xff) /* fill */
                        i++;
                else if (d[i + 1] == 0xda)
                        return i + 2;
                else if (d[i + 1] == 0x01 || (d[i + 1] >= 0xd0 && d[i + 1] <= 0xd7))
                        i += 2;
                else
                        i += 2 + (size_t)(d[i + 2] << 8 | d[i + 3]);
        }
        return 0;
}

/* Also of several pictures in one buffer (the two fields of an interlaced frame): the last must have its
 * end. */
static bool jpeg_is_whole(const uint8_t *d, size_t size) {
        size_t scan;

        if (size < 4 || d[0] != 0xff || d[1] != 0xd8)
                return false;
        scan = jpeg_find_scan(d, size);
        if (scan == 0)
                return false;
        for (size_t i = size - 1; i > scan; i--)
                if (d[i - 1] == 0xff && (d[i] == 0xd9 || d[i] == 0xd8))
                        return d[i] == 0xd9;
        return false;
}

Fault payload_judge(const PixelFormat *f, const void *data, size_t used, size_t length, size_t needed) {
        if (used == 0)
                return FAULT_EMPTY;
        if (used > length)
                return FAULT_OVERRUN;
        if (used < needed)
                return FAULT_SHORT;
        if (format_is_jpeg(f) && !jpeg_is_whole(data, used))
                return FAULT_TRUNCATED;
        return FAULT_NONE;
}

bool payload_is_keyframe(const PixelFormat *f, uint32_t buffer_flags, const void *data, size_t size) {
        const uint32_t kinds = V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME;

        if (!pixel_format_is_compressed(f))
                return false;
        if (format_is_jpeg(f))
                return true;
        if (buffer_flags & kinds)
                return buffer_flags & V4L2_BUF_FLAG_KEYFRAME;
        return nal_is_stream(f->v4l2) && nal_is_intra(f->v4l2, data, size);
}

uint64_t times_judge(Times *t, const struct v4l2_buffer *b, uint64_t now_ns, bool *ret_bad) {
        uint64_t ns = (uint64_t)b->timestamp.tv_sec * NSEC_PER_SEC +
                      (uint64_t)b->timestamp.tv_usec * NSEC_PER_USEC;
        bool bad = (b->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) != V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;

        bad |= b->timestamp.tv_sec < 0 || b->timestamp.tv_sec > INT32_MAX || ns == 0;
        bad |= ns > now_ns + AHEAD_NS || ns + EARLY_NS < t->begun_ns || ns < t->last_ns;
        if (bad || ns > now_ns)
                ns = FB_MAX(now_ns, t->last_ns);
        t->last_ns = ns;
        *ret_bad = bad;
        return ns;
}
