/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One JSON object a line on stdout, for test programs. Not nested beyond what is here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/* {"event": "@event"; flushed by json_end(), which also says when: "t" is CLOCK_MONOTONIC in nanoseconds. */
void json_begin(const char *event);
void json_end(void);

void json_string(const char *key, const char *value); /* NULL: null */
void json_u64(const char *key, uint64_t value);
void json_i64(const char *key, int64_t value);
void json_bool(const char *key, bool value);
void json_u64_array(const char *key, const uint64_t *values, size_t n);
void json_string_array(const char *key, const char *const *values, size_t n);

/* The next complete value of a D-Bus message: dictionaries with string keys as objects, structs and other
 * arrays as arrays, variants as their content, descriptors as null. Negative errno. */
int json_message(const char *key, sd_bus_message *m);
