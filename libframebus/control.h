/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between struct framebus_control, which programs see, and the Control of the wire. Pure. */
#pragma once

#include "libframebus/framebus.h"
#include "wire/control.h"

/* Arrays whose texts point into @l; the caller frees the one pointer. NULL: no memory. */
struct framebus_control *controls_to_public(const ControlList *l);
struct framebus_control_value *control_values_to_public(const ControlSettings *s);

/* Copies. -EINVAL: what no broker takes: see framebus_publisher_set_controls(); -ENOMEM. */
int controls_from_public(const struct framebus_control *controls, size_t n, ControlList *ret);
int control_values_from_public(const struct framebus_control_value *values, size_t n, ControlSettings *ret);
