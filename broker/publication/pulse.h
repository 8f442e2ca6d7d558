/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether the program at the other end of a channel is alive: it is asked by Ping, which every D-Bus library
 * answers by itself, now and then, and has to answer until it is asked the next time. One that waits in an
 * ioctl for ever does not.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct Pulse Pulse;

/* It did not answer. Once. May free the pulse. */
typedef void (*pulse_silent_handler)(void *userdata);

/*
 * @bus        of the channel, which has to be open; referenced
 * @period_ns  between two questions
 * Negative errno: it is not asked.
 */
int pulse_new(sd_event *event, sd_bus *bus, uint64_t period_ns, pulse_silent_handler silent, void *userdata,
              Pulse **ret);

/* Takes NULL and returns NULL. */
Pulse *pulse_free(Pulse *p);
