/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What leaves the shared library: marked here, and listed in framebus.sym. */
#pragma once

#define FB_PUBLIC __attribute__((visibility("default")))
