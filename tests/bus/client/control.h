/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines on stdin, in the event loop. */
#pragma once

#include <systemd/sd-event.h>

/* @words: the line cut at spaces, ending with NULL; they must be copied to be kept. */
typedef void (*control_handler)(char **words, void *userdata);

/* Reads stdin from now on. A stdin that cannot be polled (/dev/null) or that ends is left alone. Negative
 * errno. */
int control_start(sd_event *event, control_handler handler, void *userdata);
