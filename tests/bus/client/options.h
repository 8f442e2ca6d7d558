/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Vardicts from the command line: right ones and, for tests, wrong ones. Nothing is checked against the
 * contract. */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

#define OPTIONS_MAX 32

typedef struct Options {
        const char *texts[OPTIONS_MAX]; /* "key=type:value", borrowed */
        size_t n;
        const char *modes[OPTIONS_MAX]; /* "FOURCC[:WxH[@N/D]]", borrowed */
        size_t n_modes;
} Options;

/* Adds one; -E2BIG. */
int options_add(Options *o, const char *text);
int options_add_mode(Options *o, const char *text);

/* Appends the a{sv}. Types: any basic one; "as" (a,b,c); "(uu)" and other structs of u (1/2 or 1,2,…);
 * "au"; "t" hex. -EINVAL: what does not parse. */
int options_append(sd_bus_message *m, const Options *o);

/* Appends one mode as a{sv}, or all as aa{sv}. */
int options_append_mode(sd_bus_message *m, const char *mode);
int options_append_modes(sd_bus_message *m, const Options *o);
