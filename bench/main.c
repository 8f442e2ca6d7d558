/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebus-bench: latency and CPU time of framebusd's ways for frames to leave, beside bare ones, in one
 * run.
 *
 * Cells are interleaved: each repeat measures all of them once, so that what else the machine does hits all
 * alike. Exit status: 0; 1 a cell failed; 2 bad arguments; 130 interrupted.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "bench/report.h"


volatile sig_atomic_t interrupted;

static const char usage[] = "framebus-bench [OPTIONS]\n"
                            "  --repeats=N            how often each cell is measured (default 5)\n"
                            "  --seconds=S            how long (default 3)\n"
                            "  --rate=HZ              frames a second (default 60)\n"
                            "  --size=WxH             of an NV12 picture (default 640x480)\n"
                            "  --subscribers=N,…      up to 64 (default 1,4,16,64); the bus takes 30: "
                            "measured, too, if there are more\n"
                            "  --ways=W,…             of relay, fan-out, peer, daemon-bare, broker-bare, "
                            "bus-daemon, bus-broker\n"
                            "  --cold=N               cold starts (default: as --repeats)\n"
                            "  --json, --markdown     what to print (default: markdown)\n"
                            "  --framebusd=PATH, --pattern=PATH, --bus-controller=PATH  the programs "
                            "(default: of this build)\n"
                            "  --help                 show this text\n";

typedef struct Bench {
        Config config;
        Report report;
        bool json, ways[_WAY_MAX], failed;
        unsigned int cold;
} Bench;

static void on_signal(int sig) {
        interrupted = 1;
}

static int compare_unsigned(const void *a, const void *b) {
        unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

        return (x > y) - (x < y);
}

static int viewers_add(Report *r, unsigned int n) {
        for (unsigned int i = 0; i < r->n_viewers; i++)
                if (r->viewers[i] == n)
                        return 0;
        if (n < 1 || n > BENCH_VIEWERS_MAX || r->n_viewers == BENCH_SIZES_MAX)
                return -EINVAL;
        r->viewers[r->n_viewers++] = n;
        return 0;
}

static int viewers_parse(Report *r, const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        char *state = NULL;

        r->n_viewers = 0;
        for (char *p = strtok_r(copy, ",", &state); p; p = strtok_r(NULL, ",", &state))
                if (viewers_add(r, strtoul(p, NULL, 10)) < 0)
                        return -EINVAL;
        return r->n_viewers > 0 ? 0 : -EINVAL;
}

static int ways_parse(Bench *b, const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        char *state = NULL;
        Way w;

        memset(b->ways, 0, sizeof(b->ways));
        for (char *p = strtok_r(copy, ",", &state); p; p = strtok_r(NULL, ",", &state)) {
                for (w = 0; w < _WAY_MAX && strcmp(p, way_to_string(w)) != 0; w++)
                        ;
                if (w == _WAY_MAX)
                        return -EINVAL;
                b->ways[w] = true;
        }
        return 0;
}

enum {
        ARG_REPEATS = 0x100,
        ARG_SECONDS,
        ARG_RATE,
        ARG_SIZE,
        ARG_SUBSCRIBERS,
        ARG_WAYS,
        ARG_COLD,
        ARG_JSON,
        ARG_MARKDOWN,
        ARG_FRAMEBUSD,
        ARG_PATTERN,
        ARG_BUS_CONTROLLER,
        ARG_HELP,
};

static int value_set(Bench *b, int arg, const char *value) {
        Config *c = &b->config;

        switch (arg) {
        case ARG_REPEATS:
                b->report.repeats = strtoul(value, NULL, 10);
                return b->report.repeats >= 1 && b->report.repeats <= BENCH_REPEATS_MAX ? 0 : -EINVAL;
        case ARG_SECONDS:
                c->seconds = strtod(value, NULL);
                return c->seconds > 0 && c->seconds <= 3600 ? 0 : -EINVAL;
        case ARG_RATE:
                c->rate = strtoul(value, NULL, 10);
                return c->rate >= 1 && c->rate <= 10000 ? 0 : -EINVAL;
        case ARG_SIZE:
                if (sscanf(value, "%lux%lu", &c->width, &c->height) != 2)
                        return -EINVAL;
                return c->width % 2 == 0 && c->height % 2 == 0 && c->width * c->height > 0 ? 0 : -EINVAL;
        case ARG_SUBSCRIBERS:
                return viewers_parse(&b->report, value);
        case ARG_WAYS:
                return ways_parse(b, value);
        case ARG_COLD:
                b->cold = strtoul(value, NULL, 10);
                return b->cold <= BENCH_REPEATS_MAX ? 0 : -EINVAL;
        case ARG_JSON:
                b->json = true;
                return 0;
        case ARG_MARKDOWN:
                b->json = false;
                return 0;
        case ARG_FRAMEBUSD:
                c->framebusd = value;
                return 0;
        case ARG_PATTERN:
                c->pattern = value;
                return 0;
        case ARG_BUS_CONTROLLER:
                c->bus_controller = value;
                return 0;
        default:
                return -EINVAL;
        }
}

static int arguments_parse(Bench *b, int argc, char **argv) {
        static const struct option options[] = {
                        {"repeats", required_argument, NULL, ARG_REPEATS},
                        {"seconds", required_argument, NULL, ARG_SECONDS},
                        {"rate", required_argument, NULL, ARG_RATE},
                        {"size", required_argument, NULL, ARG_SIZE},
                        {"subscribers", required_argument, NULL, ARG_SUBSCRIBERS},
                        {"ways", required_argument, NULL, ARG_WAYS},
                        {"cold", required_argument, NULL, ARG_COLD},
                        {"json", no_argument, NULL, ARG_JSON},
                        {"markdown", no_argument, NULL, ARG_MARKDOWN},
                        {"framebusd", required_argument, NULL, ARG_FRAMEBUSD},
                        {"pattern", required_argument, NULL, ARG_PATTERN},
                        {"bus-controller", required_argument, NULL, ARG_BUS_CONTROLLER},
                        {"help", no_argument, NULL, ARG_HELP},
                        {0},
        };
        int arg;

        while ((arg = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (arg == ARG_HELP) {
                        fputs(usage, stdout);
                        exit(0);
                }
                if (value_set(b, arg, optarg) < 0) {
                        fprintf(stderr, "framebus-bench: %s: not understood or out of range\n",
                                argv[optind - 1]);
                        return -EINVAL;
                }
        }
        return optind == argc ? 0 : -EINVAL;
}

/* The bus is measured up to BUS_VIEWERS_MAX, everything else at the numbers that were asked for. */
static bool is_wanted(const Bench *b, Way w, unsigned int viewers, bool only_for_bus) {
        bool bus = w >= WAY_DAEMON_BARE;

        if (!b->ways[w] || (bus && viewers > BUS_VIEWERS_MAX))
                return false;
        return !only_for_bus || bus || w == WAY_RELAY;
}

static void cell_run(Bench *b, unsigned int repeat, unsigned int i, Way w) {
        Cell *cell = report_cell(&b->report, i, w);
        unsigned int viewers = b->report.viewers[i];
        Result *result = &cell->results[repeat];
        int r;

        r = measure(&b->config, w, viewers, result);
        cell->measured[repeat] = r >= 0;
        if (r == -EOPNOTSUPP) {
                fprintf(stderr, "%s: not available here\n", way_to_string(w));
                b->ways[w] = false;
        } else if (r < 0 && r != -EINTR) {
                fprintf(stderr, "%s with %u viewers: %s\n", way_to_string(w), viewers, strerror(-r));
                b->failed = true;
        } else if (r >= 0)
                fprintf(stderr, "%u/%u %2u viewers %-11s p50 %6.0f  p99 %6.0f  CPU %5.1f µs\n", repeat + 1,
                        b->report.repeats, viewers, way_to_string(w), result->p50_us, result->p99_us,
                        result->cpu_us_per_delivery);
}

static void cold_run(Bench *b, bool broker) {
        Report *report = &b->report;
        double ms;
        int r;

        if (!b->ways[WAY_PEER] || (broker && !b->ways[WAY_BUS_BROKER]))
                return;
        r = measure_cold_start(&b->config, broker, &ms);
        if (r >= 0)
                report->cold_ms[broker][report->n_cold[broker]++] = ms;
        else if (r != -EINTR && r != -EOPNOTSUPP) {
                fprintf(stderr, "cold start, dbus-%s: %s\n", broker ? "broker" : "daemon", strerror(-r));
                b->failed = true;
        }
}

static void run(Bench *b, bool bus_size_added) {
        Report *r = &b->report;

        for (unsigned int repeat = 0; repeat < r->repeats && !interrupted; repeat++)
                for (unsigned int i = 0; i < r->n_viewers; i++)
                        for (Way w = 0; w < _WAY_MAX && !interrupted; w++)
                                if (is_wanted(b, w, r->viewers[i],
                                              bus_size_added && r->viewers[i] == BUS_VIEWERS_MAX))
                                        cell_run(b, repeat, i, w);
        for (unsigned int i = 0; i < b->cold && !interrupted; i++) {
                cold_run(b, false);
                cold_run(b, true);
        }
}

/* Adds BUS_VIEWERS_MAX if there is more, for the bus. */
static bool bus_size_add(Report *r) {
        unsigned int n = r->n_viewers;

        for (unsigned int i = 0; i < n; i++)
                if (r->viewers[i] > BUS_VIEWERS_MAX)
                        (void)viewers_add(r, BUS_VIEWERS_MAX);
        qsort(r->viewers, r->n_viewers, sizeof(r->viewers[0]), compare_unsigned);
        return r->n_viewers > n;
}

int main(int argc, char **argv) {
        Bench b = {.config = {.rate = 60,
                              .width = 640,
                              .height = 480,
                              .seconds = 3,
                              .framebusd = BENCH_BUILD "/broker/framebusd",
                              .pattern = BENCH_BUILD "/sources/framebus-pattern",
                              .bus_controller = BENCH_BUILD "/tests/harness/bus-controller"},
                   .report = {.repeats = 5, .viewers = {1, 4, 16, 64}, .n_viewers = 4},
                   .cold = UINT32_MAX};
        struct sigaction action = {.sa_handler = on_signal};
        bool added;

        memset(b.ways, true, sizeof(b.ways));
        b.report.config = &b.config;
        if (arguments_parse(&b, argc, argv) < 0) {
                fputs(usage, stderr);
                return 2;
        }
        if (b.cold == UINT32_MAX)
                b.cold = b.report.repeats;
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        signal(SIGPIPE, SIG_IGN);
        (void)fd_raise_limit(4096);

        added = bus_size_add(&b.report);
        b.report.cells = calloc(b.report.n_viewers * _WAY_MAX, sizeof(Cell));
        if (!b.report.cells)
                return 1;
        run(&b, added);
        if (!interrupted)
                (b.json ? report_print_json : report_print_markdown)(&b.report);
        free(b.report.cells);
        return interrupted ? 130 : b.failed;
}
