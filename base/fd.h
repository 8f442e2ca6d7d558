/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File descriptors: duplicates, socket pairs, limits. The name says who owns: _borrow_, _dup_, _consume_. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A close-on-exec duplicate of @fd_borrow, at 3 or above; negative errno. */
int fd_dup_cloexec(int fd_borrow);

/* Makes @fd_borrow non-blocking. The flag belongs to the open file description: whoever holds it can take it
 * off. */
int fd_set_nonblocking(int fd_borrow);

/* A connected pair of AF_UNIX streams, close-on-exec. The first is non-blocking, the second, for somebody
 * else, is not. */
int fd_socketpair(int *ret_ours, int *ret_theirs);

/* Judges a socket that a client of @uid passed in: FB_E_INVALID_SOCKET unless it is a connected AF_UNIX
 * stream whose SO_PEERCRED uid is @uid. */
int fd_judge_client_socket(int fd_borrow, uid_t uid, const char **ret_why);

/* Bytes of send buffer occupied by messages that the peer has not read, 0 when it has read everything. */
int fd_get_unread(int fd_borrow, int *ret_bytes);

/* Raises the soft RLIMIT_NOFILE to @wanted, at most to the hard limit. Returns the soft limit in force. */
uint64_t fd_raise_limit(uint64_t wanted);

/* Back to the soft limit that was in force before it was raised first, for a child to inherit. Returns the
 * one that was in force until now: for fd_raise_limit(). 0: it was never raised. */
uint64_t fd_lower_limit(void);
