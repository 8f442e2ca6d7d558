/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values on command lines. All parse the whole string or nothing: -EINVAL. */
#pragma once

#include <stdint.h>

#include "libframebus/framebus.h"

/* A decimal number without sign. */
int option_parse_u32(const char *s, uint32_t *ret_value);

/* "WIDTHxHEIGHT" */
int option_parse_size(const char *s, uint32_t *ret_width, uint32_t *ret_height);

/* "N" or "N/D", or "N:D", neither 0, in lowest terms */
int option_parse_rate(const char *s, struct framebus_fraction *ret_rate);

/* Less than 0, 0 or more as @a is smaller than, equal to or larger than @b; denominators must not be 0. */
int fraction_compare(struct framebus_fraction a, struct framebus_fraction b);

/* In lowest terms. */
struct framebus_fraction fraction_reduce(struct framebus_fraction f);
