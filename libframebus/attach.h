/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a subscription finds its source, attaches, loses it and comes back. */
#pragma once

#include "libframebus/subscription.h"

/* Begins when the bus is there. */
void attach_begin(framebus_subscription *sub);

/* Opens the channel at @fd_consume. Negative errno: that is closed, and nothing else changed. */
int attach_open(framebus_subscription *sub, int fd_consume);

/* Everything there is to an attachment is there: tells `attached`. */
void attach_done(framebus_subscription *sub);

/* Attaching failed with @error: tried again, or told by `ended`. */
void attach_failed(framebus_subscription *sub, const struct framebus_error *error);

/* Lost: forgets the attachment, tells `disconnected` and tries again after the back-off. */
void attach_retry(framebus_subscription *sub);

/* Over: forgets the attachment and tells `ended`. */
void attach_end(framebus_subscription *sub, const char *reason, const struct framebus_error *error);

/* Forgets attachment, calls and timers, and tells the broker where it would not notice. No callback runs. */
void attach_forget(framebus_subscription *sub);
