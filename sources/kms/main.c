/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* framebus-kms: what a screen shows. Options and lists; monitor.c has the rest. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "sources/common/options.h"
#include "sources/kms/monitor.h"

static void print_help(void) {
        printf("Usage: framebus-kms [OPTION]... [DEVICE]\n"
               "Make a source of what a screen shows. DEVICE is such as /dev/dri/card0; by default all are "
               "looked at.\n\n"
               "  -c, --connector=NAME   the screen at this connector, such as HDMI-A-1 (default: the first "
               "that is on)\n"
               "      --crtc=ID          what this CRTC shows, whatever it is connected to\n"
               "  -i, --in-place=RATE    frames a second while no other framebuffer is shown, for programs "
               "that draw\n"
               "                         into the one that is; 0: none (default: 5)\n"
               "      --map=HOW          how memory is read: prime, dumb or any (default: any)\n"
               "  -l, --list             only list the screens\n"
               "  -p, --publish=NAME     publish as NAME (default: on the channel at file descriptor 3)\n"
               "  -b, --bus=ADDRESS      where to publish: system, session or a D-Bus address\n"
               "  -d, --description=TEXT what to call it for people (default: Screen and the connector)\n"
               "  -h, --help             show this\n"
               "      --version          show the version\n\n"
               "Exit status: 0 the broker closed the channel, 1 failure, 2 wrong usage,\n"
               "3 the device drives no screens, 4 it is not there or was unplugged, 6 no permission.\n");
}

static int fail_usage(const char *what, const char *value) {
        log_error("%s: '%s'; see framebus-kms --help", what, value);
        return PROGRAM_EXIT_USAGE;
}

static bool parse_method(const char *s, GrabMethod *ret) {
        static const char *const names[] = {
                [GRAB_ANY] = "any", [GRAB_PRIME] = "prime", [GRAB_DUMB] = "dumb"
        };

        for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
                if (strcmp(s, names[i]) == 0) {
                        *ret = (GrabMethod)i;
                        return true;
                }
        return false;
}

static bool parse_in_place(const char *s, struct framebus_fraction *ret) {
        if (strcmp(s, "0") == 0) {
                *ret = (struct framebus_fraction){ 0 };
                return true;
        }
        return option_parse_rate(s, ret) >= 0;
}

/* Returns -1 to go on, or an exit code. */
static int parse_option(Monitor *m, int o, bool *ret_list) {
        switch (o) {
        case 'c':
                m->wish.connector = optarg;
                return -1;
        case 'C':
                if (option_parse_u32(optarg, &m->wish.crtc_id) < 0 || !m->wish.crtc_id)
                        return fail_usage("bad CRTC", optarg);
                return -1;
        case 'i':
                return parse_in_place(optarg, &m->in_place) ? -1 : fail_usage("bad rate", optarg);
        case 'M':
                return parse_method(optarg, &m->method) ? -1 : fail_usage("no way to read memory", optarg);
        case 'l':
                *ret_list = true;
                return -1;
        case 'p':
                m->options.publish = optarg;
                return -1;
        case 'b':
                m->options.bus = optarg;
                return -1;
        case 'd':
                m->options.description = optarg;
                return -1;
        case 'h':
                print_help();
                return PROGRAM_EXIT_OK;
        case 'V':
                return program_print_version("framebus-kms");
        default:
                return PROGRAM_EXIT_USAGE;
        }
}

static int parse_options(Monitor *m, int argc, char **argv, bool *ret_list) {
        static const struct option options[] = {
                { "connector", required_argument, NULL, 'c' },
                { "crtc", required_argument, NULL, 'C' },
                { "in-place", required_argument, NULL, 'i' },
                { "map", required_argument, NULL, 'M' },
                { "list", no_argument, NULL, 'l' },
                { "publish", required_argument, NULL, 'p' },
                { "bus", required_argument, NULL, 'b' },
                { "description", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        int o, r;

        while ((o = getopt_long(argc, argv, "c:i:lp:b:d:h", options, NULL)) >= 0) {
                r = parse_option(m, o, ret_list);
                if (r >= 0)
                        return r;
        }
        if (argc - optind > 1)
                return fail_usage("more than one device", argv[optind + 1]);
        m->path = argc > optind ? argv[optind] : NULL;
        return -1;
}

static void print_screen(const Monitor *m, const Screen *s) {
        printf("%s %s", m->cards[s->card].path, s->name);
        if (!s->connected)
                printf(" disconnected\n");
        else if (!s->active)
                printf(" off\n");
        else
                printf(" crtc %" PRIu32 " %" PRIu32 "x%" PRIu32 " %" PRIu32 "/%" PRIu32 "%s\n", s->crtc_id,
                       s->width, s->height, s->rate.num, s->rate.den, s->fb_id ? "" : " no framebuffer");
}

static int print_screens(Monitor *m) {
        Screen screens[SCREENS_MAX];
        size_t n;

        if (monitor_list(m, screens, &n) >= 0)
                for (size_t i = 0; i < n; i++)
                        if (screens[i].connector_id || screens[i].active)
                                print_screen(m, &screens[i]);
        monitor_close(m);
        return m->program.exit_code;
}

int main(int argc, char **argv) {
        static Monitor m = {
                .options = { .name = "framebus-kms", .driver = "kms" },
                .in_place = { 5, 1 },
        };
        bool list = false;
        int r;

        log_init(m.options.name, LOG_LEVEL_INFO);
        for (unsigned i = 0; i < CARDS_MAX; i++)
                m.cards[i] = (Card)CARD_NULL;
        r = parse_options(&m, argc, argv, &list);
        if (r >= 0)
                return r;
        if (list)
                return print_screens(&m);
        r = program_open(&m.program, &m.options);
        if (r != 0)
                return r;
        monitor_probe(&m);
        monitor_offer_memory(&m);
        if (!m.options.description && m.description[0])
                m.options.description = m.description;
        if (!m.program.done) {
                r = program_publish(&m.program, &m.options, &m.offer, 1);
                if (r != 0)
                        m.program.exit_code = r;
                else
                        monitor_run(&m);
        }
        return program_finish(&m.program, &m.options);
}
