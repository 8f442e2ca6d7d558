/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <err.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ordered.h"

static uint64_t number(const char *text) {
        char *end;
        uint64_t value = strtoull(text, &end, 10);

        if (!*text || *end)
                errx(2, "%s: a number", text);
        return value;
}

static bool second_of(const char *word, const char *first, const char *second) {
        if (strcmp(word, first) != 0 && strcmp(word, second) != 0)
                errx(2, "%s: %s or %s", word, first, second);
        return strcmp(word, second) == 0;
}

static void set_option(Settings *s, int option, const char *value) {
        switch (option) {
        case 't':
                s->transport = second_of(value, "peer", "bus") ? FRAMEBUS_TRANSPORT_BUS
                                                               : FRAMEBUS_TRANSPORT_PEER;
                break;
        case 'o':
                s->order = second_of(value, "fifo", "causal") ? FRAMEBUS_ORDER_CAUSAL : FRAMEBUS_ORDER_FIFO;
                break;
        case 'a':
                s->by_bus = second_of(value, "socket", "bus");
                break;
        case '1':
                s->c_first = second_of(value, "b", "c");
                break;
        case 'B':
                s->no_barrier = true;
                break;
        case 'n':
                s->frames = number(value);
                break;
        case 'k':
                s->ahead = number(value);
                break;
        case 'z':
                s->nap_us = number(value);
                break;
        case 'w':
                s->window = (uint32_t)number(value);
                break;
        case 's':
                s->source = value;
                break;
        default:
                exit(2);
        }
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "transport", required_argument, NULL, 't' }, { "order", required_argument, NULL, 'o' },
                { "act", required_argument, NULL, 'a' },       { "first", required_argument, NULL, '1' },
                { "no-barrier", no_argument, NULL, 'B' },      { "frames", required_argument, NULL, 'n' },
                { "ahead", required_argument, NULL, 'k' },     { "nap", required_argument, NULL, 'z' },
                { "source", required_argument, NULL, 's' },    { "window", required_argument, NULL, 'w' },
                { 0 },
        };
        static const struct {
                const char *name;
                int (*run)(const Settings *s);
        } verbs[] = { { "triangle", triangle }, { "total", total }, { "watch", watch } };
        Settings s = { .order = FRAMEBUS_ORDER_CAUSAL, .frames = 100, .ahead = 1, .window = 16 };
        int option;

        signal(SIGPIPE, SIG_IGN);
        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
                set_option(&s, option, optarg);
        for (size_t i = 0; optind < argc && i < sizeof verbs / sizeof *verbs; i++)
                if (strcmp(argv[optind], verbs[i].name) == 0)
                        return verbs[i].run(&s);
        errx(2, "usage: ordered [OPTION…] triangle|total|watch");
}
