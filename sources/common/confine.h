/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a capture program gives up for good before it touches a device: a driver, a library's plugin or a file
 * that goes wrong in it cannot reach further than its own source. */
#pragma once

#include <stdbool.h>

/* Whether it was built in (libseccomp). */
bool confine_is_available(void);

/*
 * From here on this process and its threads run no other program, open no socket but AF_UNIX ones, signal and
 * look into no other process, and call none of the kernel's rarely used doors (mounts, namespaces, modules,
 * keys, bpf, io_uring, …): such calls fail, with EAFNOSUPPORT for a socket and EPERM for all else. No new
 * privileges. Negative errno: it is not confined, or only in part; nothing that worked before stops working.
 * Call it while there is one thread.
 */
int confine(void);
