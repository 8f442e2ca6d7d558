/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which bus to talk to. */
#pragma once

#include "libframebus/connection.h"

/* Opens the bus of @address (see framebus_open()), or begins to look for one. */
int search_start(framebus *fb, const char *address);
