/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Judges the memories of a frame that came from somebody else, before anybody maps or forwards them. */
#pragma once

#include "wire/frame.h"
#include "wire/mode.h"

/*
 * Checks kind, seals (by mask) and size of each memory of @f and that its planes lie inside and suit @mode.
 * @kinds: a mask of the kinds that are expected of who sent it (1u << FB_MEMORY_*).
 * What is not sealed has a buffer id in its meta; what is no dma-buf is not FB_FRAME_VOLATILE.
 * Returns 0, FB_E_INVALID_MEMORY, FB_E_NOT_SEALED (a seal is missing, or another kind was expected) or
 * FB_E_INVALID_FRAME, with @ret_why for people.
 */
int import_judge_frame(Frame *f, const Mode *mode, uint32_t kinds, const char **ret_why);
