/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebus-y4m: a recording, or what another program writes, as a source. One frame at a time: it is read,
 * waits for its time, goes out, and only then the next one is read, so a writer that is faster than the rate
 * is slowed down by its pipe and one that is slower shifts the time line. Nothing is skipped here; what the
 * broker has no room for is lost.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "interfaces/wire.h"
#include "sources/common/options.h"
#include "sources/common/program.h"
#include "sources/common/text.h"
#include "sources/common/ticker.h"
#include "sources/y4m/input.h"

typedef struct Player {
        Program program;
        ProgramOptions options;
        const char *path;
        bool loop, fast, pause;
        struct framebus_fraction rate;

        Input *input;
        Ticker ticker;
        bool header;     /* known, and told to the broker */
        bool watched;    /* between start and stop */
        bool frame;      /* input_get_frame() has not gone out yet */
        bool paced;      /* the ticker has begun */
        bool resumed;    /* the next frame does not follow the last that went out */
        bool pushed_any; /* a frame went out ever */
        bool end;        /* of the file */
} Player;

static struct framebus_mode player_get_mode(const Player *t) {
        const Y4mInfo *info = input_get_info(t->input);

        return (struct framebus_mode){
                .fourcc = info->fourcc,
                .width = info->width,
                .height = info->height,
                .rate = info->rate,
        };
}

static void player_start(Player *t, const struct framebus_mode *wanted) {
        struct framebus_mode mode = player_get_mode(t);
        int r;

        if (wanted->fourcc != mode.fourcc || wanted->width != mode.width || wanted->height != mode.height)
                log_warning("another mode was asked for than the file has; giving what it has");
        r = framebus_publisher_set_format(t->program.pub, &mode);
        if (r < 0) {
                program_fail(&t->program, "failed", PROGRAM_EXIT_FAILED,
                             "%s: the broker's library does not take the format: %s", t->path, strerror(-r));
                return;
        }
        (void)framebus_publisher_set_state(t->program.pub, "streaming", NULL);
        if (!t->watched) {
                t->watched = true;
                t->paced = t->paced && !input_is_regular(t->input) && !t->pause; /* time stood still */
                t->resumed = t->pushed_any;
        }
}

static void player_fail_input(Player *t, int error) {
        program_fail(&t->program, "failed", PROGRAM_EXIT_FAILED, "%s: %s", t->path,
                     error == -EBADMSG ? input_get_error(t->input) : strerror(-error));
}

/* Whether frames go on, to the broker or, unwatched, to nowhere. */
static bool player_is_running(const Player *t) {
        return t->header && (t->watched || (!input_is_regular(t->input) && !t->pause));
}

static bool player_wants_input(const Player *t) {
        return !t->end && !t->frame && (!t->header || player_is_running(t));
}

static void player_take_header(Player *t) {
        struct framebus_mode mode = player_get_mode(t);
        int r = program_publish(&t->program, &t->options, &mode, 1);

        t->header = true;
        if (r != 0) {
                t->program.exit_code = r;
                t->program.done = true;
        }
}

static void player_read(Player *t) {
        int r;

        do
                r = input_read(t->input);
        while (r == INPUT_MORE && input_get_poll_fd(t->input) < 0);
        switch (r) {
        case INPUT_MORE:
                break;
        case INPUT_HEADER:
                player_take_header(t);
                break;
        case INPUT_FRAME:
                t->frame = true;
                break;
        case INPUT_END:
                t->end = true;
                break;
        default:
                player_fail_input(t, r);
        }
}

static void player_push(Player *t, uint64_t pts_ns) {
        const Y4mInfo *info = input_get_info(t->input);
        struct framebus_push_info push = {
                .version = FRAMEBUS_PUSH_INFO_VERSION,
                .flags = FRAMEBUS_FRAME_KEYFRAME | (t->resumed ? FRAMEBUS_FRAME_DISCONTINUITY : 0),
                .pts_ns = pts_ns,
                .n_planes = info->n_planes,
        };

        memcpy(push.planes, info->planes, sizeof push.planes);
        if (program_push(&t->program, input_get_frame(t->input), info->frame_size, &push))
                t->resumed = false;
        t->pushed_any = true;
}

/* When the frame in hand is due. A frame that is late by more than its own time moves all the later ones. */
static uint64_t player_get_due_ns(Player *t, uint64_t now_ns) {
        if (t->fast)
                return now_ns;
        if (!t->paced || now_ns > ticker_get_due_ns(&t->ticker, t->ticker.next + 1)) {
                ticker_init(&t->ticker, now_ns, input_get_info(t->input)->rate);
                t->paced = true;
        }
        return ticker_get_due_ns(&t->ticker, t->ticker.next);
}

/* Without a rate to go by, the broker's room is what slows down. */
static bool player_has_room(Player *t) {
        struct framebus_publisher_stats stats;

        framebus_publisher_get_stats(t->program.pub, &stats);
        return stats.unreleased < FB_PUBLISHER_WINDOW;
}

static void player_play(Player *t) {
        uint64_t now_ns = clock_now_ns(), due_ns;

        program_set_timer(&t->program, UINT64_MAX);
        if (!t->frame || !player_is_running(t))
                return;
        due_ns = player_get_due_ns(t, now_ns);
        if (now_ns < due_ns) {
                program_set_timer(&t->program, due_ns);
                return;
        }
        if (t->watched && t->fast && !player_has_room(t))
                return; /* the broker's next message wakes us up */
        if (t->watched)
                player_push(t, due_ns);
        t->ticker.next++;
        t->frame = false;
}

/* The last frame has its time, too, before the source is gone. */
static void player_end(Player *t) {
        uint64_t end_ns = t->paced ? ticker_get_due_ns(&t->ticker, t->ticker.next) : 0;

        end_ns = end_ns > clock_now_ns() + NSEC_PER_SEC ? clock_now_ns() + NSEC_PER_SEC : end_ns;
        while (t->watched && !t->program.done && clock_now_ns() < end_ns) {
                program_set_timer(&t->program, end_ns);
                program_wait(&t->program, NULL, 0);
        }
        program_drain(&t->program);
        t->program.done = true;
}

static void player_wait(Player *t) {
        struct pollfd fds[2] = {
                { .fd = player_wants_input(t) ? input_get_poll_fd(t->input) : -1, .events = POLLIN },
                /* before there is a publisher nobody else watches the channel */
                { .fd = t->header || t->options.publish ? -1 : PROGRAM_CHANNEL_FD, .events = POLLRDHUP },
        };

        if (player_wants_input(t) && fds[0].fd < 0)
                program_set_timer(&t->program, 0); /* a file is always ready: only look at the broker */
        program_wait(&t->program, fds, 2);
        if (fds[1].revents)
                t->program.done = true;
        if (!t->program.done && player_wants_input(t) && (input_get_poll_fd(t->input) < 0 || fds[0].revents))
                player_read(t);
}

static void player_run(Player *t) {
        Program *p = &t->program;

        while (!p->done) {
                player_wait(t);
                if (p->want_stop)
                        t->watched = false;
                if (p->want_start)
                        player_start(t, &p->wanted);
                p->want_stop = p->want_start = false;
                if (!p->done)
                        player_play(t);
                if (!p->done && t->end && !t->frame)
                        player_end(t);
        }
}

static void print_help(void) {
        printf("Usage: framebus-y4m [OPTION]... FILE|-\n"
               "Play a yuv4mpeg2 file, fifo or standard input, such as\n"
               "  ffmpeg -re -i CLIP -f yuv4mpegpipe - | framebus-y4m -p NAME -\n\n"
               "  -l, --loop             begin again at the end (files only)\n"
               "      --fast             do not wait for each frame's time\n"
               "      --pause            do not read while nobody watches (always so with files)\n"
               "  -r, --rate=N[/D]       frames a second, whatever the file says\n"
               "  -p, --publish=NAME     publish as NAME (default: on the channel at file descriptor 3)\n"
               "  -b, --bus=ADDRESS      where to publish: system, session or a D-Bus address\n"
               "  -d, --description=TEXT what to call it for people\n"
               "  -h, --help             show this\n"
               "      --version          show the version\n\n"
               "Exit status: 0 the recording is over or the broker closed the channel,\n"
               "1 failure or bad data, 2 wrong usage.\n");
}

static int fail_usage(const char *what, const char *value) {
        log_error("%s%s%s%s; see framebus-y4m --help", what, value ? ": '" : "", value ? value : "",
                  value ? "'" : "");
        return PROGRAM_EXIT_USAGE;
}

/* Returns -1 to go on, or an exit code. */
static int parse_options(Player *t, int argc, char **argv) {
        static const struct option options[] = {
                { "loop", no_argument, NULL, 'l' },
                { "fast", no_argument, NULL, 'F' },
                { "pause", no_argument, NULL, 'P' },
                { "rate", required_argument, NULL, 'r' },
                { "publish", required_argument, NULL, 'p' },
                { "bus", required_argument, NULL, 'b' },
                { "description", required_argument, NULL, 'd' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "lr:p:b:d:h", options, NULL)) >= 0)
                switch (c) {
                case 'l':
                        t->loop = true;
                        break;
                case 'F':
                        t->fast = true;
                        break;
                case 'P':
                        t->pause = true;
                        break;
                case 'r':
                        if (option_parse_rate(optarg, &t->rate) < 0)
                                return fail_usage("bad rate", optarg);
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
                        return program_print_version("framebus-y4m");
                default:
                        return PROGRAM_EXIT_USAGE;
                }
        if (argc - optind != 1)
                return argc > optind ? fail_usage("more than one file", argv[optind + 1])
                                     : fail_usage("no file given", NULL);
        t->path = argv[optind];
        return -1;
}

int main(int argc, char **argv) {
        Player t = {
                .options = { .name = "framebus-y4m", .driver = "y4m" },
        };
        char description[FB_TEXT_MAX];
        int r;

        log_init(t.options.name, LOG_LEVEL_INFO);
        r = parse_options(&t, argc, argv);

        if (r >= 0)
                return r;
        (void)snprintf(description, sizeof description, "%s",
                       strcmp(t.path, "-") == 0 ? "standard input" : t.path);
        text_clean(description);
        if (!t.options.description)
                t.options.description = description;
        r = program_open(&t.program, &t.options);
        if (r != 0)
                return r;
        r = input_open(t.path, t.loop, t.rate, &t.input);
        if (r < 0)
                program_fail(&t.program, "failed", r == -ESPIPE ? PROGRAM_EXIT_USAGE : PROGRAM_EXIT_FAILED,
                             "%s: %s", t.path, r == -ESPIPE ? "--loop needs a regular file" : strerror(-r));
        else
                player_run(&t);
        r = program_finish(&t.program, &t.options);
        input_close(t.input);
        return r;
}
