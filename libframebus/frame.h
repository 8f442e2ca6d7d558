/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A frame in the hands of the program. */
#pragma once

#include "libframebus/subscription.h"
#include "wire/frame.h"

/* A handle with one reference on @frame (checked, in the subscription's format); NULL: no memory. */
framebus_frame *held_frame_new(framebus_subscription *sub, Frame *frame);

/* The frames of @sub that are still referenced stay as they are, but belong to nobody. */
void held_frames_disown(framebus_subscription *sub);
