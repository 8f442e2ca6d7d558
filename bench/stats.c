/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers: what viewers record, and what becomes of it.
 *
 * Invariant: only its viewer writes a record. Percentiles are of all deliveries of all viewers of a cell,
 * exact.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/bench.h"

int shared_new(unsigned int n_records, const Config *c, Shared **ret) {
        uint32_t capacity = (uint32_t)((double)c->rate * (c->seconds + 1)) + 1000;
        size_t record_size = (sizeof(Record) + capacity * sizeof(uint32_t) + 63) & ~(size_t)63;
        Shared *s;

        s = mmap(NULL, sizeof(Shared) + n_records * record_size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (s == MAP_FAILED)
                return -errno;
        s->n_records = n_records;
        s->capacity = capacity;
        s->record_size = record_size;
        *ret = s;
        return 0;
}

Shared *shared_free(Shared *s) {
        if (s)
                munmap(s, sizeof(Shared) + s->n_records * s->record_size);
        return NULL;
}

Record *shared_get(Shared *s, unsigned int i) {
        return (Record *)(s->records + i * s->record_size);
}

void record_frame(Shared *s, Record *r, uint64_t pts_ns) {
        uint64_t latency = (clock_now_ns() - pts_ns) / 100;

        r->ready = 1;
        if (!s->recording)
                return;
        r->delivered++;
        if (r->n < s->capacity)
                r->latencies_100ns[r->n++] = latency > UINT32_MAX ? UINT32_MAX : latency;
}

static int compare_u32(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

/* All latencies of all viewers, sorted. */
static uint32_t *latencies_collect(Shared *s, size_t *ret_n) {
        uint32_t *all;
        size_t n = 0;

        for (uint32_t i = 0; i < s->n_records; i++)
                n += shared_get(s, i)->n;
        all = malloc((n + 1) * sizeof(*all));
        if (!all)
                return NULL;
        n = 0;
        for (uint32_t i = 0; i < s->n_records; i++) {
                Record *r = shared_get(s, i);

                for (uint32_t k = 0; k < r->n; k++)
                        all[n++] = r->latencies_100ns[k];
        }
        qsort(all, n, sizeof(*all), compare_u32);
        *ret_n = n;
        return all;
}

void result_make(Shared *s, const uint64_t cpu_ns[static _ROLE_MAX], Result *ret) {
        _cleanup_free_ uint32_t *all = NULL;
        uint64_t total_ns = 0;
        size_t n = 0;

        *ret = (Result){.frames = s->frames};
        for (uint32_t i = 0; i < s->n_records; i++) {
                ret->delivered += shared_get(s, i)->delivered;
                ret->lost += shared_get(s, i)->lost;
        }
        all = latencies_collect(s, &n);
        if (!all || n == 0 || s->frames == 0)
                return;
        for (unsigned int i = 0; i < _ROLE_MAX; i++)
                total_ns += cpu_ns[i];
        ret->p50_us = all[n / 2] / 10.0;
        ret->p99_us = all[n * 99 / 100] / 10.0;
        ret->cpu_us_per_delivery = (double)total_ns / 1000 / (double)ret->delivered;
        ret->middle_us_per_frame = (double)cpu_ns[ROLE_MIDDLE] / 1000 / (double)ret->frames;
        ret->bus_us_per_frame = (double)cpu_ns[ROLE_BUS] / 1000 / (double)ret->frames;
}

static int compare_double(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

double median(double *values, unsigned int n) {
        if (n == 0)
                return 0;
        qsort(values, n, sizeof(*values), compare_double);
        return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
