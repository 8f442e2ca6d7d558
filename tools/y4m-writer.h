/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes yuv4mpeg2 files: constant rate, planar YUV. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tools/output.h"
#include "tools/planar.h"

typedef struct Y4mWriter {
        Output *output;         /* borrowed */
        uint64_t n_frames;      /* written, or waiting in the output */
        uint64_t size_complete; /* bytes, up to the end of the last complete frame */
} Y4mWriter;

/* "420jpeg", "422p10", …; NULL: y4m has no name for it. */
const char *y4m_colorspace(Chroma chroma, unsigned depth);

/* Writes the header. Returns 0; -ENOTSUP: no name for it; -EINVAL: no rate; else as output_write(). */
int y4m_writer_start(Y4mWriter *w, const Planar *format, struct framebus_fraction rate);

/* Writes a frame @copies times. Returns 0 or as output_write(); after a failure other than -ENOBUFS the file
 * may end in the middle of a frame. */
int y4m_writer_frame(Y4mWriter *w, const Planar *picture, uint64_t copies);

/* How many frames the file should hold once the picture of @pts_ns is in it, counted from @first_pts_ns; at
 * least 1. */
uint64_t y4m_frames_due(uint64_t first_pts_ns, uint64_t pts_ns, struct framebus_fraction rate);
