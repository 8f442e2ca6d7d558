/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a driver can do with a frame's memory: tried, and not concluded from its name. */
#pragma once

#include "sources/v4l2/pool.h"

/*
 * Tries with one buffer, in the format that is set.
 * @ret_ways  bits, 1u << Way: WAY_COPY always
 * Errors: -EBUSY: another program streams from it, so that nothing can be tried; else what the device failed
 * with. What it merely refuses is no error.
 */
int probe_ways(const Device *d, uint32_t *ret_ways);
