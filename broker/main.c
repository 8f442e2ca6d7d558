/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* framebusd: the broker. Options only; see framebusd(8). */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "broker/broker.h"

#define IDLE_DEFAULT_S   10
#define ANSWER_DEFAULT_S 20

enum { EXIT_USAGE = 2 };

static void print_help(void) {
        printf("framebusd [OPTIONS]\n"
               "\n"
               "The Framebus broker: lets many programs watch one camera. Usually started by D-Bus "
               "activation.\n"
               "\n"
               "  --session               serve the session bus (default, unless activated on the system "
               "bus)\n"
               "  --system                serve the system bus\n"
               "  --replace               take over from a broker that runs\n"
               "  --queue                 wait until a broker that runs has gone\n"
               "  --config=DIR            read DIR/sources.d instead of the usual folders\n"
               "  --idle-timeout=SECONDS  leave the bus after so long without work (default %d; 0: never)\n"
               "  --answer-timeout=SECONDS  end a capture program that does not answer for so long (default "
               "%d;\n"
               "                          0: never)\n"
               "  --log-level=LEVEL       error, warning, notice, info (default) or debug\n"
               "  --help                  show this text\n"
               "  --version               show the version\n",
               IDLE_DEFAULT_S, ANSWER_DEFAULT_S);
}

/* 0: never. */
static int parse_seconds(const char *option, const char *s, uint64_t *ret_ns) {
        char *end;
        double v = strtod(s, &end);

        if (end == s || *end || !isfinite(v) || v < 0 || v > 1e9) {
                fprintf(stderr, "framebusd: --%s: '%s' is not a number of seconds\n", option, s);
                return -EINVAL;
        }
        *ret_ns = v == 0 ? UINT64_MAX : (uint64_t)(v * (double)NSEC_PER_SEC);
        return 0;
}

/* 0: go on; 1: done; negative: bad option, said. */
static int parse_options(int argc, char **argv, BrokerOptions *o) {
        static const struct option options[] = {
                        {"session", no_argument, NULL, 's'},
                        {"system", no_argument, NULL, 'S'},
                        {"replace", no_argument, NULL, 'r'},
                        {"queue", no_argument, NULL, 'q'},
                        {"config", required_argument, NULL, 'c'},
                        {"idle-timeout", required_argument, NULL, 'i'},
                        {"answer-timeout", required_argument, NULL, 'a'},
                        {"log-level", required_argument, NULL, 'l'},
                        {"help", no_argument, NULL, 'h'},
                        {"version", no_argument, NULL, 'v'},
                        {0},
        };
        int c, level;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 's':
                case 'S':
                        o->system = c == 'S';
                        break;
                case 'r':
                        o->replace = true;
                        break;
                case 'q':
                        o->queue = true;
                        break;
                case 'c':
                        o->config = optarg;
                        break;
                case 'i':
                        if (parse_seconds("idle-timeout", optarg, &o->idle_ns) < 0)
                                return -EINVAL;
                        break;
                case 'a':
                        if (parse_seconds("answer-timeout", optarg, &o->program_period_ns) < 0)
                                return -EINVAL;
                        break;
                case 'l':
                        level = log_level_from_string(optarg);
                        if (level >= 0) {
                                log_init("framebusd", level);
                                break;
                        }
                        fprintf(stderr, "framebusd: --log-level: '%s' is not a level\n", optarg);
                        return -EINVAL;
                case 'h':
                        return print_help(), 1;
                case 'v':
                        return printf("framebusd %s\n", FB_VERSION), 1;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "framebusd: '%s': no arguments are taken\n", argv[optind]);
                return -EINVAL;
        }
        return 0;
}

int main(int argc, char **argv) {
        const char *starter = getenv("DBUS_STARTER_BUS_TYPE");
        BrokerOptions o = { .system = starter && strcmp(starter, "system") == 0,
                            .idle_ns = IDLE_DEFAULT_S * NSEC_PER_SEC,
                            .program_period_ns = ANSWER_DEFAULT_S * NSEC_PER_SEC };
        int r;

        log_init("framebusd", LOG_LEVEL_INFO);
        r = parse_options(argc, argv, &o);
        if (r != 0)
                return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
        return broker_run(&o);
}
