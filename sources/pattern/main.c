/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebus-pattern: a source that needs no device. Every tick of the rate is a number; a tick that came too
 * late is counted as lost, so that the number in the picture always equals pushed + lost.
 */
#include <drm_fourcc.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "sources/common/options.h"
#include "sources/common/program.h"
#include "sources/common/ticker.h"
#include "sources/pattern/knobs.h"
#include "sources/pattern/picture.h"
#include "sources/pattern/strip.h"

#define SIZE_MAX_PIXELS 8192u

static const struct framebus_fraction rate_min = { 1, 1 }, rate_max = { 240, 1 };

typedef struct Pattern {
        Program program;
        ProgramOptions options;
        struct framebus_mode preferred, mode;
        Picture *picture; /* NULL: nobody watches */
        Ticker ticker;
        uint64_t number; /* of the newest picture */
        uint64_t place;  /* of its box; as the number while nobody sets a control */
        Knobs knobs;
} Pattern;

static bool mode_is_possible(const struct framebus_mode *m) {
        return m->width >= STRIP_SIZE_MIN && m->width <= SIZE_MAX_PIXELS && m->width % 2 == 0 &&
               m->height >= STRIP_SIZE_MIN && m->height <= SIZE_MAX_PIXELS && m->height % 2 == 0 &&
               m->rate.num && m->rate.den && fraction_compare(m->rate, rate_min) >= 0 &&
               fraction_compare(m->rate, rate_max) <= 0;
}

/* All formats in the same sizes, the one that was asked for first. */
static size_t pattern_get_modes(const Pattern *t, struct framebus_mode ret_modes[static CANVAS_N_FORMATS]) {
        struct framebus_mode m = t->preferred;
        size_t n = 0;

        m.width_range = m.height_range = (struct framebus_range){ STRIP_SIZE_MIN, SIZE_MAX_PIXELS, 2 };
        m.rate_min = rate_min;
        m.rate_max = rate_max;
        ret_modes[n++] = m;
        for (size_t i = 0; i < CANVAS_N_FORMATS; i++)
                if (canvas_formats[i] != t->preferred.fourcc) {
                        ret_modes[n] = m;
                        ret_modes[n++].fourcc = canvas_formats[i];
                }
        return n;
}

static void pattern_start(Pattern *t, const struct framebus_mode *mode) {
        Picture *picture;
        char name[5];
        int r = mode_is_possible(mode) ? picture_new(mode->fourcc, mode->width, mode->height, &picture)
                                       : -EINVAL;

        if (r >= 0) {
                picture_free(t->picture);
                t->picture = picture;
                t->mode = *mode;
                r = framebus_publisher_set_format(t->program.pub, mode);
        }
        if (r < 0) {
                program_fail(&t->program, "failed", PROGRAM_EXIT_FAILED,
                             "cannot make %s %" PRIu32 "x%" PRIu32 " at %" PRIu32 "/%" PRIu32 ": %s",
                             framebus_fourcc_to_string(mode->fourcc, name), mode->width, mode->height,
                             mode->rate.num, mode->rate.den, strerror(-r));
                return;
        }
        (void)framebus_publisher_set_state(t->program.pub, "streaming", NULL);
        ticker_init(&t->ticker, clock_now_ns(), mode->rate);
        program_set_timer(&t->program, t->ticker.start_ns);
}

static void pattern_stop(Pattern *t) {
        t->picture = picture_free(t->picture);
        program_set_timer(&t->program, UINT64_MAX);
}

static uint64_t realtime_from_monotonic(uint64_t ns) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec - (clock_now_ns() - ns);
}

static void pattern_push(Pattern *t, uint64_t pts_ns) {
        const Canvas *c = picture_get_canvas(t->picture);
        struct framebus_push_info info = {
                .version = FRAMEBUS_PUSH_INFO_VERSION,
                .flags = FRAMEBUS_FRAME_KEYFRAME,
                .pts_ns = pts_ns,
                .has_device_sequence = true,
                .device_sequence = (uint32_t)t->number,
                .n_planes = c->n_planes,
        };

        memcpy(info.planes, c->planes, sizeof info.planes);
        (void)program_push(&t->program, picture_draw(t->picture, t->number, realtime_from_monotonic(pts_ns)),
                     c->size, &info);
}

static void pattern_tick(Pattern *t) {
        uint64_t missed, due_ns;

        if (!t->picture || ticker_take(&t->ticker, clock_now_ns(), &missed, &due_ns) == 0)
                return;
        if (missed > 0)
                framebus_publisher_add_lost(t->program.pub, missed);
        t->number += missed + 1;
        t->place += (missed + 1) * knobs_get_speed(&t->knobs);
        picture_set_box(t->picture, t->place, knobs_get_color(&t->knobs));
        pattern_push(t, due_ns);
        program_set_timer(&t->program, ticker_get_due_ns(&t->ticker, t->ticker.next));
}

static void on_set_controls(Program *p, uint64_t cookie, const struct framebus_control_value *values,
                            size_t n) {
        knobs_set(&fb_container_of(p, Pattern, program)->knobs, values, n);
        (void)framebus_publisher_answer_controls(p->pub, cookie, values, n, NULL, NULL);
}

static void print_help(void) {
        printf("Usage: framebus-pattern [OPTION]...\n"
               "Make a moving test picture with a number and the time in it.\n\n"
               "  -s, --size=WxH         preferred size, even, %ux%u to %ux%u (default: 640x480)\n"
               "  -r, --rate=N[/D]       preferred frames a second, 1 to 240 (default: 30)\n"
               "  -f, --format=FORMAT    preferred format: NV12, I420, YUYV or RGB (default: NV12)\n"
               "  -p, --publish=NAME     publish as NAME (default: on the channel at file descriptor 3)\n"
               "  -b, --bus=ADDRESS      where to publish: system, session or a D-Bus address\n"
               "  -d, --description=TEXT what to call it for people\n"
               "  -h, --help             show this\n"
               "      --version          show the version\n\n"
               "Exit status: 0 the broker closed the channel, 1 failure, 2 wrong usage.\n",
               STRIP_SIZE_MIN, STRIP_SIZE_MIN, SIZE_MAX_PIXELS, SIZE_MAX_PIXELS);
}

static int fail_usage(const char *what, const char *value) {
        log_error("%s: '%s'; see framebus-pattern --help", what, value);
        return PROGRAM_EXIT_USAGE;
}

/* Returns -1 to go on, or an exit code. */
static int parse_options(Pattern *t, int argc, char **argv) {
        static const struct option options[] = {
                { "size", required_argument, NULL, 's' },
                { "rate", required_argument, NULL, 'r' },
                { "format", required_argument, NULL, 'f' },
                { "publish", required_argument, NULL, 'p' },
                { "bus", required_argument, NULL, 'b' },
                { "description", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        struct framebus_mode *m = &t->preferred;
        int c;

        while ((c = getopt_long(argc, argv, "s:r:f:p:b:d:h", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        if (option_parse_size(optarg, &m->width, &m->height) < 0 || !mode_is_possible(m))
                                return fail_usage("bad size", optarg);
                        break;
                case 'r':
                        if (option_parse_rate(optarg, &m->rate) < 0 || !mode_is_possible(m))
                                return fail_usage("bad rate", optarg);
                        break;
                case 'f':
                        m->fourcc = canvas_fourcc_from_name(optarg);
                        if (!m->fourcc)
                                return fail_usage("bad format", optarg);
                        break;
                case 'p':
                        t->options.publish = optarg;
                        break;
                case 'b':
                        t->options.bus = optarg;
                        break;
                case 'd':
                        t->options.description = optarg;
                        break;
                case 'h':
                        print_help();
                        return PROGRAM_EXIT_OK;
                case 'V':
                        return program_print_version("framebus-pattern");
                default:
                        return PROGRAM_EXIT_USAGE;
                }
        return optind < argc ? fail_usage("unexpected argument", argv[optind]) : -1;
}

static void pattern_run(Pattern *t) {
        Program *p = &t->program;

        while (!p->done) {
                program_wait(p, NULL, 0);
                if (p->want_stop)
                        pattern_stop(t);
                if (p->want_start)
                        pattern_start(t, &p->wanted);
                p->want_stop = p->want_start = false;
                if (!p->done)
                        pattern_tick(t);
        }
}

int main(int argc, char **argv) {
        Pattern t = {
                .options = { .name = "framebus-pattern", .description = "Test picture", .driver = "pattern" },
                .preferred = { .fourcc = DRM_FORMAT_NV12, .width = 640, .height = 480, .rate = { 30, 1 } },
        };
        struct framebus_mode modes[CANVAS_N_FORMATS];
        int r;

        log_init(t.options.name, LOG_LEVEL_INFO);
        r = parse_options(&t, argc, argv);

        if (r >= 0)
                return r;
        r = program_open(&t.program, &t.options);
        if (r != 0)
                return r;
        knobs_init(&t.knobs);
        t.program.controls = t.knobs.controls;
        t.program.n_controls = KNOBS_N;
        t.program.set_controls = on_set_controls;
        r = program_publish(&t.program, &t.options, modes, pattern_get_modes(&t, modes));
        if (r != 0)
                t.program.exit_code = r;
        else
                pattern_run(&t);
        picture_free(t.picture);
        return program_finish(&t.program, &t.options);
}
