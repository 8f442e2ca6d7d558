/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Adding is on the frame path and costs a store; sorting is left to who asks. */
#include "base/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void sampler_add(Sampler *s, uint64_t value_ns) {
        uint64_t us = value_ns / NSEC_PER_USEC;

        s->values[s->next] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
        s->next = (s->next + 1) % SAMPLER_SIZE;
        if (s->n < SAMPLER_SIZE)
                s->n++;
}

static int compare_u32(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

void sampler_percentiles(const Sampler *s, const double *percent, size_t n, uint64_t *ret_values_ns) {
        uint32_t sorted[SAMPLER_SIZE];

        memcpy(sorted, s->values, s->n * sizeof *sorted);
        qsort(sorted, s->n, sizeof *sorted, compare_u32);
        for (size_t i = 0; i < n; i++) {
                double rank = percent[i] / 100.0 * s->n;
                uint32_t k = (uint32_t)rank;

                if (k < rank)
                        k++;
                k = k == 0 ? 0 : k - 1;
                ret_values_ns[i] = s->n == 0 ? 0 : sorted[k < s->n ? k : s->n - 1] * NSEC_PER_USEC;
        }
}
