/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebus-capture: what framebus-capture@.service runs for each connection of the system broker. It learns
 * from one line which source is wanted, and runs that source's capture program, which it outlives: when the
 * broker hangs up and the program does not notice, it ends the program. The broker has no say in what the
 * command is.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "sources/capture/catalogue.h"
#include "sources/capture/guard.h"
#include "sources/capture/request.h"
#include "sources/common/program.h"

#define REQUEST_DEADLINE_NS (10 * NSEC_PER_SEC)

typedef struct Launcher {
        Program program;
        ProgramOptions options;
        const char *confdir, *libexecdir;
} Launcher;

static const char *explain_line(int error) {
        switch (-error) {
        case ETIMEDOUT:
                return "said nothing for 10 s";
        case EMSGSIZE:
                return "said too long a line";
        case EPIPE:
                return "hung up before it said what it wants";
        case EINVAL:
                return "wants neither SOURCE nor DEVICE of a right form";
        default:
                return strerror(-error);
        }
}

static int read_request(Request *ret_request) {
        char line[REQUEST_LINE_MAX];
        int r = request_read_line(PROGRAM_CHANNEL_FD, clock_now_ns() + REQUEST_DEADLINE_NS, line);

        if (r >= 0)
                r = request_parse(line, ret_request);
        if (r >= 0)
                return 0;
        log_error("the broker %s", explain_line(r));
        return PROGRAM_EXIT_USAGE;
}

/* The program takes this process's place, with the channel at the same file descriptor. Returns if that
 * fails. */
static void launch(Launcher *l, char **argv) {
        _cleanup_free_ char *path = NULL;

        if (strchr(argv[0], '/'))
                path = strdup(argv[0]);
        else if (asprintf(&path, "%s/%s", l->libexecdir, argv[0]) < 0)
                path = NULL;
        if (!path)
                errno = ENOMEM;
        else
                (void)execv(path, argv);
        program_fail(&l->program, "failed", PROGRAM_EXIT_FAILED, "cannot run %s: %s", path ? path : argv[0],
                     strerror(errno));
}

static void launch_request(Launcher *l, Request *request) {
        _cleanup_(argv_freep) char **argv = NULL;
        _cleanup_free_ char *error = NULL;
        char device_program[] = "framebus-v4l2", found[] = "--found";
        int r;

        if (request->kind == REQUEST_DEVICE) {
                launch(l, (char *[]){ device_program, found, request->argument, NULL });
                return;
        }
        r = catalogue_find(l->confdir, request->argument, &argv, &error);
        if (r < 0)
                program_fail(&l->program, "failed", PROGRAM_EXIT_FAILED, "source %s: %s", request->argument,
                             error ? error : strerror(-r));
        else
                launch(l, argv);
}

static void print_help(void) {
        printf("Usage: framebus-capture [OPTION]...\n"
               "Run the capture program that the broker asks for on the socket at file descriptor 3.\n"
               "framebus-capture@.service runs it; there is no use for it by hand.\n\n"
               "      --config=DIR       where sources.d is (default: %s)\n"
               "      --libexec=DIR      where capture programs are (default: %s)\n"
               "  -h, --help             show this\n"
               "      --version          show the version\n\n"
               "Exit status: that of the capture program; 1 it could not be run, 2 wrong usage or request.\n",
               FB_SYSCONFDIR "/framebus", FB_LIBEXECDIR);
}

/* Returns -1 to go on, or an exit code. */
static int parse_options(Launcher *l, int argc, char **argv) {
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "libexec", required_argument, NULL, 'l' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        l->confdir = optarg;
                        break;
                case 'l':
                        l->libexecdir = optarg;
                        break;
                case 'h':
                        print_help();
                        return PROGRAM_EXIT_OK;
                case 'V':
                        return program_print_version("framebus-capture");
                default:
                        return PROGRAM_EXIT_USAGE;
                }
        if (optind == argc)
                return -1;
        log_error("unexpected argument: '%s'; see framebus-capture --help", argv[optind]);
        return PROGRAM_EXIT_USAGE;
}

int main(int argc, char **argv) {
        Launcher l = {
                .options = { .name = "framebus-capture", .launches = true },
                .confdir = FB_SYSCONFDIR "/framebus",
                .libexecdir = getenv("FRAMEBUS_LIBEXECDIR") ? getenv("FRAMEBUS_LIBEXECDIR") : FB_LIBEXECDIR,
        };
        bool child = false;
        Request request;
        int r;

        log_init(l.options.name, LOG_LEVEL_INFO);
        r = parse_options(&l, argc, argv);
        if (r >= 0)
                return r;
        /* the capture program is no socket-activated service */
        (void)unsetenv("LISTEN_FDS");
        (void)unsetenv("LISTEN_PID");
        (void)unsetenv("LISTEN_FDNAMES");
        r = read_request(&request);
        if (r != 0)
                return r;
        r = guard_fork(PROGRAM_CHANNEL_FD, GUARD_GRACE_NS, &child);
        if (r >= 0 && !child)
                return r;
        /* this is the child, or there is no guard: better than no program */
        r = program_open(&l.program, &l.options); /* its event loop does not survive a fork */
        if (r != 0)
                return r;
        launch_request(&l, &request);
        return program_finish(&l.program, &l.options);
}
