/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Committed on the bus: one broadcast a frame, at a path that the broker names (granted "commits") and may
 * change (CommitsMoved).
 */
#pragma once

#include "libframebus/subscription.h"

/* Subscribed: makes the match for the path that was granted, and tells the broker; then order_settle().
 * Negative errno: it could not be asked for. */
int commits_begin(framebus_subscription *sub);

/* CommitsMoved. */
void commits_move(framebus_subscription *sub, sd_bus_message *m);

/* A broadcast of Committed by @fb's bus. False: it is something else. */
bool commits_take(framebus *fb, sd_bus_message *m);
