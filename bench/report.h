/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is printed at the end: medians over the repeats, and ratios to the relay of the same repeat. */
#pragma once

#include "bench/bench.h"

#define BENCH_SIZES_MAX   16
#define BENCH_REPEATS_MAX 100

typedef struct Cell {
        Result results[BENCH_REPEATS_MAX];
        bool measured[BENCH_REPEATS_MAX];
} Cell;

typedef struct Report {
        const Config *config;
        unsigned int repeats, viewers[BENCH_SIZES_MAX], n_viewers;
        Cell *cells;                          /* n_viewers x _WAY_MAX */
        double cold_ms[2][BENCH_REPEATS_MAX]; /* dbus-daemon, dbus-broker */
        unsigned int n_cold[2];
} Report;

Cell *report_cell(const Report *r, unsigned int viewers_index, Way w);

/* Sorts the numbers of the cold starts. */
void report_print_markdown(Report *r);
void report_print_json(Report *r);
