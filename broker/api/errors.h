/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one map from the broker's FB_E_* to D-Bus errors. */
#pragma once

#include <systemd/sd-bus.h>

#include "broker/access/quota.h"

/*
 * Fills @ret_error for @r: an FB_E_*'s D-Bus name with the message @format, or what sd-bus makes of a
 * negative errno. Returns what a method handler may return.
 */
int api_error(sd_bus_error *ret_error, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for what somebody has too much of, with what all have. */
int api_refuse(sd_bus_error *ret_error, const QuotaRefusal *why);
