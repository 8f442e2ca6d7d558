/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What plugin.c registers, and words that the elements share. */
#pragma once

#include <gst/base/gstbasesink.h>
#include <gst/base/gstpushsrc.h>

#define MODES_MAX 256u /* wishes in one request */

G_DECLARE_FINAL_TYPE(FramebusSrc, framebus_src, FRAMEBUS, SRC, GstPushSrc)
G_DECLARE_FINAL_TYPE(FramebusProvider, framebus_provider, FRAMEBUS, PROVIDER, GstDeviceProvider)
G_DECLARE_FINAL_TYPE(FramebusSink, framebus_sink, FRAMEBUS, SINK, GstBaseSink)
