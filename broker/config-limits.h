/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The broker's limits, in framebus.conf of the first folder that has it:
 *
 *     [Limits]
 *     WindowBytes=2G       for all users together; see framebusd(8) for all of them
 *
 * Numbers are decimal; bytes may have K, M, G or T behind them, powers of 1024.
 */
#pragma once

#include "broker/access/quota.h"

/*
 * Puts what is said there over what is in @limits. A file that cannot be used changes nothing at all; a
 * symbolic link to /dev/null says nothing.
 *
 * @folders    paths, the most important first; @n of them
 * @ret_error  set on success: NULL, or "FILE:LINE: why"; owned by the caller: free()
 * Returns 0 or -ENOMEM.
 */
int config_load_limits(const char *const *folders, size_t n, QuotaLimits *limits, char **ret_error);
