/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches over a capture program from outside. The broker may not signal processes of another user, and a
 * program that hangs in an ioctl does not see that the broker hung up: so its parent does, and ends it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How long the program has to end by itself after the hang-up, and again after SIGTERM. */
#define GUARD_GRACE_NS (2 * NSEC_PER_SEC)

/*
 * Forks. In the child, which leads a process group of its own: 0. In the parent, when the child has ended:
 * its exit status, or 128 + the signal that ended it; never before. SIGTERM and SIGINT are passed on to the
 * child's group. @channel_fd is not read; the broker sees the hang-up when both processes have ended.
 *
 * Sets *@ret_child to whether this is the child. Returns negative errno, in the parent only, if there is
 * none.
 */
int guard_fork(int channel_fd, uint64_t grace_ns, bool *ret_child);
