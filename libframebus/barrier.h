/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus connection for programs, and how they wait for what was committed. */
#pragma once

#include "libframebus/connection.h"

/* Runs what was waited for, at the end of a turn. */
void barriers_finish(framebus *fb);

/* Without callbacks; calls of the program, too. */
void barriers_free(Ordering *o);
