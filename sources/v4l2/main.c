/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* framebus-v4l2: a camera or capture card. Options and lists; camera.c has the rest. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "sources/common/text.h"
#include "sources/v4l2/camera.h"

static void print_help(void) {
        printf("Usage: framebus-v4l2 [OPTION]... DEVICE\n"
               "Make a source of a V4L2 capture device, such as /dev/video0.\n\n"
               "  -p, --publish=NAME     publish as NAME (default: on the channel at file descriptor 3)\n"
               "  -b, --bus=ADDRESS      where to publish: system, session or a D-Bus address\n"
               "  -d, --description=TEXT what to call it for people (default: what the device calls itself)\n"
               "  -e, --edid=FILE        what the input says of itself (default: what the device has, if "
               "anything)\n"
               "  -f, --found            nobody named this device: tell the broker nothing if it is no "
               "camera\n"
               "  -m, --modes            only list what the device can do\n"
               "  -h, --help             show this\n"
               "      --version          show the version\n\n"
               "Exit status: 0 the broker closed the channel, 1 failure, 2 wrong usage,\n"
               "3 not a capture device, 4 it is not there or was unplugged, 5 busy, 6 no permission.\n");
}

static int fail_usage(const char *what, const char *value) {
        log_error("%s%s%s%s; see framebus-v4l2 --help", what, value ? ": '" : "", value ? value : "",
                  value ? "'" : "");
        return PROGRAM_EXIT_USAGE;
}

static int load_edid(Camera *c, const char *path) {
        uint8_t edid[EDID_BLOCKS_MAX * EDID_BLOCK_SIZE + 1];
        FILE *f = fopen(path, "re");
        size_t n;

        if (!f) {
                log_error("%s: %s", path, strerror(errno));
                return -errno;
        }
        n = fread(edid, 1, sizeof edid, f);
        (void)fclose(f);
        if (!edid_is_valid(edid, n)) {
                log_error("%s is no EDID: 1 to %u blocks of %u bytes with their checksums", path,
                          EDID_BLOCKS_MAX, EDID_BLOCK_SIZE);
                return -EINVAL;
        }
        memcpy(c->edid, edid, n);
        c->edid_size = n;
        return 0;
}

/* Returns -1 to go on, or an exit code. */
static int parse_options(Camera *c, int argc, char **argv, bool *ret_modes) {
        static const struct option options[] = {
                { "publish", required_argument, NULL, 'p' },
                { "bus", required_argument, NULL, 'b' },
                { "description", required_argument, NULL, 'd' },
                { "edid", required_argument, NULL, 'e' },
                { "found", no_argument, NULL, 'f' },
                { "modes", no_argument, NULL, 'm' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        int o;

        while ((o = getopt_long(argc, argv, "p:b:d:e:fmh", options, NULL)) >= 0)
                switch (o) {
                case 'p':
                        c->options.publish = optarg;
                        break;
                case 'b':
                        c->options.bus = optarg;
                        break;
                case 'd':
                        c->options.description = optarg;
                        break;
                case 'e':
                        if (load_edid(c, optarg) < 0)
                                return PROGRAM_EXIT_USAGE;
                        break;
                case 'f':
                        c->found = true;
                        break;
                case 'm':
                        *ret_modes = true;
                        break;
                case 'h':
                        print_help();
                        return PROGRAM_EXIT_OK;
                case 'V':
                        return program_print_version("framebus-v4l2");
                default:
                        return PROGRAM_EXIT_USAGE;
                }
        if (argc - optind != 1)
                return argc > optind ? fail_usage("more than one device", argv[optind + 1]) :
                                       fail_usage("no device given", NULL);
        c->path = argv[optind];
        return -1;
}

static void print_modes(const Camera *c) {
        char name[5];

        printf("%s (%s)\n", c->device.card, c->device.driver);
        for (size_t i = 0; i < c->table.n_modes; i++) {
                const struct framebus_mode *m = &c->table.modes[i];

                printf("%s %" PRIu32 "x%" PRIu32 " %" PRIu32 "/%" PRIu32,
                       framebus_fourcc_to_string(m->fourcc, name), m->width, m->height, m->rate.num,
                       m->rate.den);
                if (m->width_range.max)
                        printf(" (%" PRIu32 "-%" PRIu32 " x %" PRIu32 "-%" PRIu32 ")", m->width_range.min,
                               m->width_range.max, m->height_range.min, m->height_range.max);
                if (m->rate_max.num)
                        printf(" (%" PRIu32 "/%" PRIu32 " to %" PRIu32 "/%" PRIu32 ")", m->rate_min.num,
                               m->rate_min.den, m->rate_max.num, m->rate_max.den);
                printf("\n");
        }
        for (size_t i = 0; i < c->table.n_unknown; i++)
                printf("%s of V4L2 is not offered: %s\n",
                       framebus_fourcc_to_string(c->table.unknown[i], name),
                       pixel_format_why_not(c->table.unknown[i]));
        if (c->table.n_left_out)
                printf("%zu modes or more for which there is no room\n", c->table.n_left_out);
}

int main(int argc, char **argv) {
        static Camera c = {
                .options = { .name = "framebus-v4l2", .driver = "v4l2" },
                .ops = &device_ops_libv4l2,
                .device = DEVICE_NULL,
                .panel = { .device = DEVICE_NULL },
        };
        bool modes = false;
        int r;

        log_init(c.options.name, LOG_LEVEL_INFO);
        r = parse_options(&c, argc, argv, &modes);

        if (r >= 0)
                return r;
        if (modes) {
                camera_probe(&c);
                if (!c.program.done)
                        print_modes(&c);
                return c.program.exit_code;
        }
        r = program_open(&c.program, &c.options);
        if (r != 0)
                return r;
        camera_probe(&c);
        text_clean(c.device.card);
        if (!c.options.description && c.device.card[0])
                c.options.description = c.device.card;
        if (!c.program.done) {
                modes_log(&c.table, c.path);
                r = program_publish(&c.program, &c.options, c.table.modes, c.table.n_modes);
                if (r != 0)
                        c.program.exit_code = r;
                else
                        camera_run(&c);
        }
        return program_finish(&c.program, &c.options);
}
