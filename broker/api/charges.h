/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What those who watch are charged for: one subscription each, perhaps a channel, and the bytes of their
 * window: window x the size of the source's frames, or what is in flight, if that is more. Bytes are charged
 * anew when the window, the mode or the frames change. What does not fit any more ends nobody: it may have so
 * much in flight as it can be charged for, and the rest is lost ("quota").
 */
#pragma once

#include "broker/access/quota.h"
#include "broker/api/source.h"

/* About what a frame in @mode has: exactly that where the layout is known. 0: no mode. */
uint64_t charges_get_mode_bytes(const Mode *mode);

/* Somebody who would watch @s in @mode, on the bus or with a @channel. 0, or a filled @ret_error, and then
 * nothing is charged. */
int charges_begin(QuotaCharge *c, const Source *s, uid_t uid, bool channel, uint32_t window, const Mode *mode,
                  sd_bus_error *ret_error);

/* Another window for @sub. 0, or a filled @ret_error. */
int charges_set_window(QuotaCharge *c, const Source *s, const Subscriber *sub, uint32_t window,
                       sd_bus_error *ret_error);

/* Whether @sub may have another frame in flight. */
bool charges_allow_frame(QuotaCharge *c, const Source *s, const Subscriber *sub);

/* Frames came back: what is not needed any more is given back. */
void charges_settle(QuotaCharge *c, const Source *s, const Subscriber *sub);

/* The frames of @s are in another mode, or will be. */
void charges_mode_changed(Source *s);

/* A frame that may be larger than those of its mode should be. */
void charges_frame_came(Source *s, const Frame *f);
