/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a connected sd_bus from an event loop, without sd_bus_attach_event(): that one has every connection
 * looked at (events, timeout) in every iteration of the loop, and dispatches one message an iteration, so
 * that n clients cost n^2. A pump costs nothing until its socket is ready, and then takes what is there,
 * within bounds.
 *
 * A message is taken when the whole of it is there, and until then lies in the socket, with its descriptors,
 * on its sender's account; but a short one without descriptors is kept here if it takes long to come. One
 * that is announced as longer than FB_MESSAGE_MAX is not taken at all.
 *
 * For a connection that is authenticated and makes no method calls of its own: nothing here waits for
 * time-outs.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Pump Pump;

/*
 * @bus     referenced; not attached to an event loop, and nothing of a message read yet
 * @foreign somebody else may have kept a name of this very end, and read from it at any moment: no message
 *          is left in the socket once it was judged
 * @failed  the connection cannot go on, nothing is done with it any more: -EMSGSIZE: a message is too long;
 * else what came is no D-Bus, or sd-bus says why. Hang-up is told by sd-bus itself, as Disconnected.
 * Handlers of messages, and @failed, may free the pump.
 */
int pump_new(sd_event *event, sd_bus *bus, bool foreign, int64_t priority,
             void (*failed)(int error, void *userdata), void *userdata, Pump **ret);
Pump *pump_free(Pump *p);

/* Something was sent from outside of the pump's own handlers: what did not fit goes out when there is
 * room. */
void pump_sent(Pump *p);
