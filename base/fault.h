/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named fault points for tests, compiled out unless the build has -Dfault-points=true.
 *
 * FRAMEBUS_FAULT="name[=value][,name…]" arms them. fault_point("name") is the value (1 if none was given)
 * when armed, else 0.
 */
#pragma once

#ifdef FB_FAULT_POINTS
long fault_point(const char *name);
#else
#define fault_point(name) (0L)
#endif
