/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables and JSON.
 *
 * Ratios are made within a repeat, where both cells saw the same machine, and their median is taken: a
 * ratio of medians would compare different minutes.
 */

#include "bench/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"

typedef enum Measure {
        MEASURE_P50,
        MEASURE_P99,
        MEASURE_CPU,
        MEASURE_MIDDLE,
        _MEASURE_MAX,
} Measure;

static const char *const measure_keys[] = {"p50_us", "p99_us", "cpu_us_per_delivery", "middle_us_per_frame"};

Cell *report_cell(const Report *r, unsigned int viewers_index, Way w) {
        return &r->cells[viewers_index * _WAY_MAX + w];
}

static double result_get(const Result *r, Measure m) {
        const double values[] = {r->p50_us, r->p99_us, r->cpu_us_per_delivery, r->middle_us_per_frame};

        return values[m];
}

static double cell_median(const Report *r, const Cell *c, Measure m) {
        double values[BENCH_REPEATS_MAX];
        unsigned int n = 0;

        for (unsigned int i = 0; i < r->repeats; i++)
                if (c->measured[i])
                        values[n++] = result_get(&c->results[i], m);
        return median(values, n);
}

/* 0: not to be told. */
static double cell_ratio(const Report *r, const Cell *c, const Cell *base, Measure m) {
        double values[BENCH_REPEATS_MAX];
        unsigned int n = 0;

        for (unsigned int i = 0; i < r->repeats; i++)
                if (c->measured[i] && base->measured[i] && result_get(&base->results[i], m) > 0)
                        values[n++] = result_get(&c->results[i], m) / result_get(&base->results[i], m);
        return median(values, n);
}

static bool cell_exists(const Report *r, const Cell *c) {
        for (unsigned int i = 0; i < r->repeats; i++)
                if (c->measured[i])
                        return true;
        return false;
}

static void cell_sum(const Report *r, const Cell *c, uint64_t *ret_delivered, uint64_t *ret_lost) {
        *ret_delivered = *ret_lost = 0;
        for (unsigned int i = 0; i < r->repeats; i++)
                if (c->measured[i]) {
                        *ret_delivered += c->results[i].delivered;
                        *ret_lost += c->results[i].lost;
                }
}

/* Targets */

typedef struct Target {
        const char *what;
        double value, limit;
} Target;

static double ratio_at(const Report *r, unsigned int viewers, Way w, Way base, Measure m) {
        for (unsigned int i = 0; i < r->n_viewers; i++)
                if (r->viewers[i] == viewers)
                        return cell_ratio(r, report_cell(r, i, w), report_cell(r, i, base), m);
        return 0;
}

static unsigned int targets_make(Report *r, Target ret[static 8]) {
        const Target all[] = {
                        {"peer, 1 viewer: p50 / relay", ratio_at(r, 1, WAY_PEER, WAY_RELAY, MEASURE_P50), 2},
                        {"peer, 1 viewer: p99 / relay", ratio_at(r, 1, WAY_PEER, WAY_RELAY, MEASURE_P99), 3},
                        {"peer, 64 viewers: broker's CPU a frame / relay's",
                         ratio_at(r, 64, WAY_PEER, WAY_RELAY, MEASURE_MIDDLE), 1.5},
                        {"bus-daemon, 1 viewer: p50 / daemon-bare",
                         ratio_at(r, 1, WAY_BUS_DAEMON, WAY_DAEMON_BARE, MEASURE_P50), 1.3},
                        {"bus-broker, 1 viewer: p50 / broker-bare",
                         ratio_at(r, 1, WAY_BUS_BROKER, WAY_BROKER_BARE, MEASURE_P50), 1.3},
                        {"cold start, dbus-daemon, ms", median(r->cold_ms[0], r->n_cold[0]), 150},
                        {"cold start, dbus-broker, ms", median(r->cold_ms[1], r->n_cold[1]), 150},
        };
        unsigned int n = 0;

        for (size_t i = 0; i < FB_ELEMENTSOF(all); i++)
                if (all[i].value > 0)
                        ret[n++] = all[i];
        return n;
}

/* Markdown */

static void row_print(const Report *r, unsigned int i, Way w) {
        const Cell *c = report_cell(r, i, w), *base = report_cell(r, i, WAY_RELAY);
        uint64_t delivered, lost;

        if (!cell_exists(r, c))
                return;
        cell_sum(r, c, &delivered, &lost);
        printf("| %u | %s ", r->viewers[i], way_to_string(w));
        for (Measure m = 0; m < _MEASURE_MAX; m++)
                printf("| %.0f (%.2f) ", cell_median(r, c, m), cell_ratio(r, c, base, m));
        printf("| %" PRIu64 " of %" PRIu64 " |\n", lost, delivered + lost);
}

void report_print_markdown(Report *r) {
        const Config *c = r->config;
        struct utsname host;
        Target targets[8];
        unsigned int n;

        (void)uname(&host);
        printf("NV12 %" PRIu64 "x%" PRIu64 ", %" PRIu64
               " Hz, %g s a cell, medians of %u interleaved repeats, each viewer "
               "a process;\nLinux %s, %ld processors. In brackets: ratio to the relay with as many viewers, "
               "in the same "
               "repeat.\n\n",
               c->width, c->height, c->rate, c->seconds, r->repeats, host.release,
               sysconf(_SC_NPROCESSORS_ONLN));
        puts("| viewers | way | latency p50, µs | p99, µs | CPU a delivery, µs | CPU in the middle a frame, "
             "µs | lost |\n"
             "|---|---|---|---|---|---|---|");
        for (unsigned int i = 0; i < r->n_viewers; i++)
                for (Way w = 0; w < _WAY_MAX; w++)
                        row_print(r, i, w);
        puts("\nLatency is from capture, before the frame's memory is made, to the viewer's callback. CPU a "
             "delivery is user "
             "and\nsystem time of all processes, the bus's included; in the middle stands the broker, the "
             "relay, or, in "
             "fan-out, the\nsource. On the bus each viewer takes its window and one more of 60 descriptors: "
             "at 30 "
             "viewers each has a\nwindow of 1, and there are no more.\nThe ways:\n");
        for (Way w = 0; w < _WAY_MAX; w++)
                printf("- %s: %s\n", way_to_string(w), way_describe(w));
        n = targets_make(r, targets);
        if (n > 0)
                puts("\n| target | measured | at most | |\n|---|---|---|---|");
        for (unsigned int i = 0; i < n; i++)
                printf("| %s | %.2f | %g | %s |\n", targets[i].what, targets[i].value, targets[i].limit,
                       targets[i].value <= targets[i].limit ? "met" : "missed");
}

/* JSON */

static void cell_print_json(const Report *r, unsigned int i, Way w, bool *first) {
        const Cell *c = report_cell(r, i, w), *base = report_cell(r, i, WAY_RELAY);
        uint64_t delivered, lost;

        if (!cell_exists(r, c))
                return;
        cell_sum(r, c, &delivered, &lost);
        printf("%s\n    {\"viewers\": %u, \"way\": \"%s\"", *first ? "" : ",", r->viewers[i],
               way_to_string(w));
        for (Measure m = 0; m < _MEASURE_MAX; m++)
                printf(", \"%s\": %.1f, \"%s_ratio\": %.3f", measure_keys[m], cell_median(r, c, m),
                       measure_keys[m], cell_ratio(r, c, base, m));
        printf(", \"delivered\": %" PRIu64 ", \"lost\": %" PRIu64 "}", delivered, lost);
        *first = false;
}

void report_print_json(Report *r) {
        const Config *c = r->config;
        bool first = true;
        Target targets[8];
        unsigned int n;

        printf("{\"format\": \"NV12\", \"width\": %" PRIu64 ", \"height\": %" PRIu64 ", \"rate\": %" PRIu64
               ", \"seconds\": %g, \"repeats\": %u,\n  \"cells\": [",
               c->width, c->height, c->rate, c->seconds, r->repeats);
        for (unsigned int i = 0; i < r->n_viewers; i++)
                for (Way w = 0; w < _WAY_MAX; w++)
                        cell_print_json(r, i, w, &first);
        printf("\n  ],\n  \"targets\": [");
        n = targets_make(r, targets);
        for (unsigned int i = 0; i < n; i++)
                printf("%s\n    {\"what\": \"%s\", \"measured\": %.3f, \"at_most\": %g, \"met\": %s}",
                       i ? "," : "", targets[i].what, targets[i].value, targets[i].limit,
                       targets[i].value <= targets[i].limit ? "true" : "false");
        printf("\n  ]\n}\n");
}
