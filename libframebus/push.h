/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pushing a frame has in common, between push.c (memory that the library makes) and push-fds.c (memory
 * of the program). */
#pragma once

#include "libframebus/publisher.h"
#include "wire/frame.h"

#define MEMFD_NAME "framebus"

/* Whether @info (may be NULL) makes sense for a frame of @n_fds memories of @kind. -EINVAL */
int push_check_info(const struct framebus_push_info *info, size_t n_fds, enum framebus_memory kind);

/* Whether frames are wanted. -ENOLINK */
int push_check_started(framebus_publisher *pub);

/* Whether there is room. -EAGAIN: the frame was counted as dropped. */
int push_check_room(framebus_publisher *pub);

/* Everything of @f but the descriptors. @size: of each memory, UINT64_MAX if not known; of the first, if
 * @info has no planes. -EINVAL */
int push_describe(framebus_publisher *pub, const struct framebus_push_info *info, uint64_t size, Frame *f);

/* Sends a frame; -ETOOMANYREFS: this user has too many descriptors in flight. Counts nothing. */
int push_transmit(framebus_publisher *pub, const Frame *f);

/* The frame with the next number was sent, or was not for lack of room (-EAGAIN). */
void push_count(framebus_publisher *pub);
int push_drop(framebus_publisher *pub);

/* All of it for a frame in sealed memory. */
int push_send(framebus_publisher *pub, Frame *f);
