/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How sources, modes and grants are shown, to people and as JSON. */
#pragma once

#include <stdio.h>

#include "libframebus/framebus.h"
#include "tools/json.h"

/* An object with fourcc, modifier, width, height, rate [num, den], and the ranges that there are; null for
 * fourcc 0. */
void show_mode_json(Json *j, const char *key, const struct framebus_mode *mode);

/* The members of an open object. */
void show_source_json(Json *j, const struct framebus_source_info *info);
void show_granted_json(Json *j, const struct framebus_granted *granted);

/* "NV12,640x480,30, window 4, drop newest, memory sealed" without a newline. */
void show_granted(FILE *f, const struct framebus_granted *granted);
