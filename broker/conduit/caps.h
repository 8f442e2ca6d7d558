/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Modes in the words of GStreamer, as the interfaces of PulseVideo have them: a caps string stands for a
 * layout of the picture, too, which has no fields of its own. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/frame.h"
#include "wire/mode.h"

#define CAPS_MAX 192

/* Whether there are words for a format. */
bool caps_know(uint32_t fourcc);

/* The caps of frames in the fixed mode @m. FB_E_NOT_SUPPORTED: there are none, and @ret is as it was. */
int caps_from_mode(const Mode *m, char ret[static CAPS_MAX]);

/*
 * Where in its one memory the picture of @f lies, which is of mode @m. FB_E_NOT_SUPPORTED, with @ret_why: it
 * does not lie there in one piece, or not as the caps say that it does (lines at multiples of four bytes, one
 * plane right behind the other).
 */
int caps_locate(const Mode *m, const Frame *f, uint64_t *ret_offset, uint64_t *ret_size,
                const char **ret_why);
