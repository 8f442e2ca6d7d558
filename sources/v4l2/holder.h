/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a device cannot be had: who has it, or who would be allowed to. For messages to people. */
#pragma once

#include <stddef.h>

/* "process 123 (cheese)", "process 1 (a), process 2 (b)", or "" if none is found. Looks at the open files of
 * every process that this one may look at, but itself; others may be hidden from it altogether. */
void holder_describe(const char *path, char *ret_text, size_t size);

/* What is missing to open @path: which group, or that none helps. */
void holder_describe_permission(const char *path, char *ret_text, size_t size);
