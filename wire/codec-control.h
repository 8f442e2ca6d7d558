/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Controls and their values to and from D-Bus messages; the same on all hops. Errors are negative errno (no
 * memory, or not the signature promised) or positive FB_E_*; then nothing is returned.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "wire/control.h"
#include "wire/vardict.h"

/* aa{sv}, values included. Reading: at most FB_CONTROLS_MAX, names different, texts at most FB_TEXT_MAX
 * bytes, everything as control_is_valid() has it; unknown keys and flags are ignored. Else
 * FB_E_INVALID_OPTION, with the key in @ret_error. */
int codec_append_controls(sd_bus_message *m, const ControlList *l);
int codec_read_controls(sd_bus_message *m, ControlList *ret, VardictError *ret_error);
/* The same for a client, whose broker may be a later one: controls of unknown types are left out. */
int codec_read_known_controls(sd_bus_message *m, ControlList *ret, VardictError *ret_error);

/* a{sv}. Reading: any integer type is a number; at most FB_CONTROLS_MAX, names different, texts at most
 * FB_TEXT_MAX bytes. Else FB_E_INVALID_VALUE, with the name in @ret_error. Values without a kind are left
 * out when appending. */
int codec_append_settings(sd_bus_message *m, const ControlSettings *s);
int codec_read_settings(sd_bus_message *m, ControlSettings *ret, VardictError *ret_error);
