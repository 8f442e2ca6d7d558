/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebus-v4l2: a camera or capture card. The device is opened to ask what it can do, closed, and opened
 * again while somebody watches, so that an idle source keeps no other program from it. A trouble of the
 * stream that the device survives is healed by starting it again; all else ends the program, and the broker
 * decides when to try again.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sources/common/program.h"
#include "sources/common/text.h"
#include "sources/v4l2/holder.h"
#include "sources/v4l2/modes.h"
#include "sources/v4l2/stream.h"

enum {
        EXIT_NO_CAPTURE = 3,
        EXIT_ABSENT = 4,
        EXIT_BUSY = 5,
        EXIT_NO_PERMISSION = 6,
};

#define NO_SIGNAL_NS    (2 * NSEC_PER_SEC)
#define RESTARTS_MAX    3u
#define RESTARTS_FOR_NS (10 * NSEC_PER_SEC)
#define FRAMES_A_TURN   4 /* then the broker gets its turn */

typedef struct Camera {
        Program program;
        ProgramOptions options;
        const char *path;
        const DeviceOps *ops;
        Device device;
        ModeTable table;
        Stream stream;
        struct framebus_mode wanted;
        bool no_signal;      /* told so */
        bool discontinuity;  /* the next frame does not follow the last */
        uint64_t last_ns;    /* when a frame came, or the stream began */
        uint64_t trouble_ns; /* the first of the restarts that are being counted */
        unsigned n_restarts;
} Camera;

/* The one place that says what an error of the device means for the source. */
static void camera_fail(Camera *c, int error, const char *step) {
        char text[200];

        switch (-error) {
        case ENODEV:
        case ENXIO:
        case ENOENT:
                program_fail(&c->program, "absent", EXIT_ABSENT,
                             "%s is not there: unplugged, or not plugged in yet", c->path);
                break;
        case EBUSY:
                holder_describe(c->path, text, sizeof text);
                program_fail(&c->program, "failed", EXIT_BUSY, "%s is busy: in use by %s", c->path,
                             text[0] ? text : "another user's process");
                break;
        case EACCES:
        case EPERM:
                holder_describe_permission(c->path, text, sizeof text);
                program_fail(&c->program, "failed", EXIT_NO_PERMISSION, "no permission to use %s: %s",
                             c->path, text);
                break;
        case ENOSPC:
                program_fail(&c->program, "failed", PROGRAM_EXIT_FAILED,
                             "%s: %s: not enough USB bandwidth; use a smaller mode or another port", c->path,
                             step);
                break;
        case ENOTTY:
                program_fail(&c->program, "failed", EXIT_NO_CAPTURE, "%s is not a V4L2 device", c->path);
                break;
        case EPROTO:
                program_fail(&c->program, "failed", PROGRAM_EXIT_FAILED,
                             "%s: %s: the device does not do what it says it can", c->path, step);
                break;
        default:
                program_fail(&c->program, "failed", PROGRAM_EXIT_FAILED, "%s: %s: %s", c->path, step,
                             strerror(-error));
        }
}

/* What the device can do. Leaves it closed. */
static void camera_probe(Camera *c) {
        const char *why = "";
        int r = device_open(&c->device, c->ops, c->path);

        if (r < 0) {
                camera_fail(c, r, "opening");
                return;
        }
        r = device_judge(&c->device, &why);
        if (r < 0)
                program_fail(&c->program, "failed", EXIT_NO_CAPTURE, "%s is %s", c->path, why);
        else {
                r = modes_enumerate(&c->device, &c->table);
                if (r == -ENODATA)
                        program_fail(&c->program, "failed", EXIT_NO_CAPTURE,
                                     "%s has no pixel format that can be named", c->path);
                else if (r < 0)
                        camera_fail(c, r, "asking for its modes");
        }
        device_close(&c->device);
}

static void camera_stop(Camera *c) {
        stream_stop(&c->stream);
        device_close(&c->device);
        program_set_timer(&c->program, UINT64_MAX);
}

static void camera_start(Camera *c, const struct framebus_mode *wanted) {
        uint32_t pixelformat = modes_get_pixelformat(&c->table, wanted->fourcc);
        const char *step = "opening";
        int r = device_open(&c->device, c->ops, c->path);

        if (r >= 0 && !pixelformat) {
                step = "choosing a pixel format";
                r = -EINVAL;
        }
        if (r >= 0)
                r = stream_start(&c->stream, &c->device, pixelformat, wanted, &step);
        if (r >= 0) {
                step = "telling the format";
                r = framebus_publisher_set_format(c->program.pub, &c->stream.mode);
        }
        if (r < 0) {
                camera_fail(c, r, step);
                camera_stop(c);
                return;
        }
        c->wanted = *wanted;
        c->no_signal = false;
        c->last_ns = clock_now_ns();
        program_set_timer(&c->program, c->last_ns + NO_SIGNAL_NS);
        (void)framebus_publisher_set_state(c->program.pub, "streaming", NULL);
}

static bool mode_is_equal(const struct framebus_mode *a, const struct framebus_mode *b) {
        return a->fourcc == b->fourcc && a->width == b->width && a->height == b->height &&
               a->rate.num == b->rate.num && a->rate.den == b->rate.den;
}

static void camera_change(Camera *c, const struct framebus_mode *wanted) {
        if (c->stream.device && mode_is_equal(&c->wanted, wanted))
                return;
        if (c->stream.device) {
                camera_stop(c);
                c->discontinuity = true;
        }
        camera_start(c, wanted);
}

/* The stream broke. The device may be gone; if not, a fresh start heals many of them, but not for ever. */
static void camera_restart(Camera *c, int error) {
        struct framebus_mode wanted = c->wanted;
        uint64_t now_ns = clock_now_ns();

        if (error == -ENODEV || error == -ENXIO || device_is_gone(&c->device)) {
                camera_fail(c, -ENODEV, "");
                return;
        }
        if (now_ns > c->trouble_ns + RESTARTS_FOR_NS) {
                c->trouble_ns = now_ns;
                c->n_restarts = 0;
        }
        if (++c->n_restarts > RESTARTS_MAX) {
                camera_fail(c, error, "reading frames");
                return;
        }
        log_warning("%s: the stream broke (%s); starting it again", c->path, strerror(-error));
        camera_stop(c);
        c->discontinuity = true;
        camera_start(c, &wanted);
}

static void camera_push(Camera *c, const StreamFrame *f) {
        struct framebus_push_info info = {
                .version = FRAMEBUS_PUSH_INFO_VERSION,
                .flags = (f->keyframe ? FRAMEBUS_FRAME_KEYFRAME : 0) |
                         (c->discontinuity ? FRAMEBUS_FRAME_DISCONTINUITY : 0),
                .pts_ns = f->pts_ns,
                .has_device_sequence = true,
                .device_sequence = f->sequence,
                .n_planes = c->stream.n_planes ? c->stream.n_planes : 1,
        };

        memcpy(info.planes, c->stream.planes, sizeof info.planes);
        if (!c->stream.n_planes)
                info.planes[0] = (struct framebus_plane){ .size = f->size };
        if (program_push(&c->program, f->data, f->size, &info))
                c->discontinuity = false;
}

static void camera_note_signal(Camera *c) {
        c->last_ns = clock_now_ns();
        program_set_timer(&c->program, c->last_ns + NO_SIGNAL_NS);
        if (c->no_signal)
                (void)framebus_publisher_set_state(c->program.pub, "streaming", NULL);
        c->no_signal = false;
}

/* One buffer. Returns STREAM_* or what broke the stream. */
static int camera_take(Camera *c) {
        StreamFrame f;
        int r = stream_read(&c->stream, &f);

        if (r <= 0)
                return r;
        camera_note_signal(c);
        if (f.n_lost > 0)
                framebus_publisher_add_lost(c->program.pub, f.n_lost);
        if (r == STREAM_DAMAGED)
                return r;
        camera_push(c, &f);
        r = stream_return(&c->stream, &f);
        return r < 0 ? r : STREAM_FRAME;
}

static void camera_on_ready(Camera *c, short revents) {
        int r = STREAM_FRAME;

        for (int i = 0; i < FRAMES_A_TURN && r > 0; i++)
                r = camera_take(c);
        /* a hang-up or error with nothing to read would come again and again */
        if (r == STREAM_NOTHING && (revents & (POLLERR | POLLHUP | POLLNVAL)))
                r = revents & POLLHUP ? -ENODEV : -EIO;
        if (r < 0)
                camera_restart(c, r);
}

static void camera_check_signal(Camera *c) {
        if (!c->stream.device || c->no_signal || clock_now_ns() < c->last_ns + NO_SIGNAL_NS)
                return;
        log_warning("%s: no frame for %u s", c->path, (unsigned)(NO_SIGNAL_NS / NSEC_PER_SEC));
        (void)framebus_publisher_set_state(c->program.pub, "no-signal", "the device sends no frames");
        c->no_signal = true;
        program_set_timer(&c->program, UINT64_MAX);
}

static void camera_run(Camera *c) {
        Program *p = &c->program;

        while (!p->done) {
                struct pollfd fd = { .fd = c->stream.device ? c->device.fd : -1, .events = POLLIN };

                program_wait(p, &fd, 1);
                if (p->want_stop)
                        camera_stop(c);
                if (p->want_start)
                        camera_change(c, &p->wanted);
                else if (fd.revents && c->stream.device && !p->done)
                        camera_on_ready(c, fd.revents);
                p->want_stop = p->want_start = false;
                if (!p->done)
                        camera_check_signal(c);
        }
        camera_stop(c);
}

static void print_help(void) {
        printf("Usage: framebus-v4l2 [OPTION]... DEVICE\n"
               "Make a source of a V4L2 capture device, such as /dev/video0.\n\n"
               "  -p, --publish=NAME     publish as NAME (default: on the channel at file descriptor 3)\n"
               "  -b, --bus=ADDRESS      where to publish: system, session or a D-Bus address\n"
               "  -d, --description=TEXT what to call it for people (default: what the device calls itself)\n"
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

/* Returns -1 to go on, or an exit code. */
static int parse_options(Camera *c, int argc, char **argv, bool *ret_modes) {
        static const struct option options[] = {
                { "publish", required_argument, NULL, 'p' },
                { "bus", required_argument, NULL, 'b' },
                { "description", required_argument, NULL, 'd' },
                { "modes", no_argument, NULL, 'm' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        int o;

        while ((o = getopt_long(argc, argv, "p:b:d:mh", options, NULL)) >= 0)
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
        if (c->table.n_unknown)
                printf("%zu formats that DRM has no name for\n", c->table.n_unknown);
}

int main(int argc, char **argv) {
        static Camera c = {
                .options = { .name = "framebus-v4l2", .driver = "v4l2" },
                .ops = &device_ops_libv4l2,
                .device = DEVICE_NULL,
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
                r = program_publish(&c.program, &c.options, c.table.modes, c.table.n_modes);
                if (r != 0)
                        c.program.exit_code = r;
                else
                        camera_run(&c);
        }
        return program_finish(&c.program, &c.options);
}
