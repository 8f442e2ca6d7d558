/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames as buffers, without a copy. */
#pragma once

#include <gst/video/video.h>

#include "gst/worker.h"

/* What caps say of a frame, copied out of it. */
typedef struct Look {
        struct framebus_mode mode;
        bool has_colorimetry;
        uint32_t colorimetry[4];
        uint32_t field;
} Look;

bool look_equal(const Look *a, const Look *b);
GstCaps *look_to_caps(const Look *look);

/* Memories of buffers that frames come in again and again; NULL is an empty one. Of one attachment. */
typedef struct Imports Imports;
Imports *imports_free(Imports *imports);

/*
 * A buffer of the frame's memories; the frame is released when the last of them is gone, wherever that is.
 * From the thread of @worker. Raw pictures have a GstVideoMeta. The presentation time is the capture time on
 * CLOCK_MONOTONIC, for the caller to convert. Negative errno: no descriptors.
 */
int picture_import(Worker *worker, Imports **imports, framebus_frame *frame, GstBuffer **ret_buffer,
                   Look *ret_look);

/* Whether the picture lies in memory as @info says, so that one may look at it without GstVideoMeta. */
bool picture_is_plain(GstBuffer *buffer, const GstVideoInfo *info);

/* A copy that does. NULL: it could not be mapped. */
GstBuffer *picture_copy_plain(GstBuffer *buffer, const GstVideoInfo *info);
