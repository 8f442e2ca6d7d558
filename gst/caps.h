/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GStreamer's words for Framebus's modes, and the other way. Pure. */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "libframebus/framebus.h"

/* All that caps_from_modes() can say, without sizes: for pad templates. The caller's. */
GstCaps *caps_template(void);

/* What @modes allow, the best first; of a mode with ranges what is preferred, then the ranges. Formats that
 * GStreamer has no word for are left out. The caller's, maybe empty. */
GstCaps *caps_from_modes(const struct framebus_mode *modes, size_t n_modes);

/* Wishes, or offers, that @caps stand for: at most @max. 0: none, or @caps are ANY. */
size_t caps_to_modes(const GstCaps *caps, struct framebus_mode *ret_modes, size_t max);

/* Whether there is raw video's format in it (false: GST_VIDEO_FORMAT_UNKNOWN, e.g. compressed). */
GstVideoFormat caps_format_from_fourcc(uint32_t fourcc);

/* Whether frames of it may build on others. */
bool caps_fourcc_has_deltas(uint32_t fourcc);

/* Adds what frames say of themselves: numbers as of framebus_frame_get_colorimetry() (NULL: not known) and
 * framebus_frame_get_field(). @caps are writable, and of one raw format. */
void caps_set_picture(GstCaps *caps, const uint32_t *colorimetry, uint32_t field);

/* What @info says, in these numbers. false: nothing. */
bool caps_get_colorimetry(const GstVideoInfo *info, uint32_t ret_colorimetry[4]);
