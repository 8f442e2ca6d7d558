/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A second channel of a subscription, for another process. */
#pragma once

#include "libframebus/subscription.h"

/* The attachment is over: no answer comes any more. Runs no callback. */
void share_forget(framebus_subscription *sub);

/* Tells who waits for a share that this was so. */
void share_tell_forgotten(framebus_subscription *sub);
