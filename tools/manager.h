/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions to the broker's Manager1 that the library has no call for: plain D-Bus calls, on the bus that the
 * library found. */
#pragma once

#include <systemd/sd-bus.h>

#include "tools/client.h"

/*
 * Looks for the broker, and then calls @ask with a connection to its bus, once, from client_run(); the
 * connection is closed afterwards. What goes wrong before is told. @ask ends client_run() itself.
 */
void manager_ask(Client *c, void (*ask)(Client *c, sd_bus *bus, void *userdata), void *userdata);

/* Tells what a call failed with, and ends client_run(). */
void manager_fail(Client *c, int r, const sd_bus_error *error);
