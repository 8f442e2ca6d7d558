/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes JSON, one object a line, so that streams can be read line by line. Commas come by themselves. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 8u

typedef struct Json {
        FILE *f;                         /* borrowed */
        unsigned depth;                  /* open objects and arrays */
        bool has_member[JSON_DEPTH_MAX]; /* of each: whether a comma is due */
} Json;

/* Begins a line: one object, open until json_end_line(). */
void json_begin_line(Json *j, FILE *f);

/* Ends the line and flushes it. Returns 0, or the negative errno of the write that failed. */
int json_end_line(Json *j);

/* @key is NULL inside an array. At most JSON_DEPTH_MAX levels, the line's own object included. */
void json_begin_object(Json *j, const char *key);
void json_end_object(Json *j);
void json_begin_array(Json *j, const char *key);
void json_end_array(Json *j);

/* @value NULL: null. Control characters are escaped; what is no UTF-8 becomes U+FFFD. */
void json_string(Json *j, const char *key, const char *value);
void json_uint(Json *j, const char *key, uint64_t value);
void json_int(Json *j, const char *key, int64_t value);
void json_bool(Json *j, const char *key, bool value);

/* With @decimals digits behind the point, whatever the locale; NaN and infinities: null. */
void json_real(Json *j, const char *key, double value, unsigned decimals);
