/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Percentiles of a stream of values in fixed space: a ring of the newest ones. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SAMPLER_SIZE 256u

typedef struct Sampler {
        uint32_t values[SAMPLER_SIZE]; /* units of 1 µs, saturated */
        uint32_t n, next;
} Sampler;

/* Adds @value_ns nanoseconds; the oldest value of a full ring is forgotten. No allocation, no syscall. */
void sampler_add(Sampler *s, uint64_t value_ns);

/* The nearest-rank percentiles @percent (0 to 100, n of them) in nanoseconds, to 1 µs; all 0 if there is no
 * value. */
void sampler_percentiles(const Sampler *s, const double *percent, size_t n, uint64_t *ret_values_ns);
