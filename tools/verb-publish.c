/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl publish: a y4m file, a fifo or standard input as a source.
 *
 * Once it is clear that there is a broker and that the name is free, the capture program framebus-y4m takes
 * over this process: its messages and its exit status are the answer. It is looked for beside this program (a
 * build folder), then where it is installed.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tools/client.h"
#include "tools/verbs.h"

#define ARGUMENTS_MAX 16u

static void try_beside(const char *relative, char **argv) {
        char self[PATH_MAX], *slash;
        _cleanup_free_ char *path = NULL;
        ssize_t n;

        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n <= 0)
                return;
        self[n] = 0;
        slash = strrchr(self, '/');
        if (slash)
                *slash = 0;
        if (asprintf(&path, "%s/%s", self, relative) > 0)
                (void)execv(path, argv); /* returns if it is not there */
}

static int publish_exec(char **argv) {
        signal(SIGPIPE, SIG_DFL); /* the one disposition that a new program inherits */
        try_beside("framebus-y4m", argv);
        try_beside("../sources/framebus-y4m", argv);
        (void)execv(FRAMEBUS_LIBEXECDIR "/framebus-y4m", argv);
        (void)execvp("framebus-y4m", argv);
        client_message("cannot run framebus-y4m: %s. It comes with framebusctl and belongs into %s",
                       strerror(errno), FRAMEBUS_LIBEXECDIR);
        return STATUS_FAILED;
}

static int publish_run(const Options *o, char **args, const char *address) {
        const char *argv[ARGUMENTS_MAX] = { "framebus-y4m", "--publish", args[0], "--bus", address };
        size_t n = 5;

        if (o->description) {
                argv[n++] = "--description";
                argv[n++] = o->description;
        }
        if (o->rate) {
                argv[n++] = "--rate";
                argv[n++] = o->rate;
        }
        if (o->loop)
                argv[n++] = "--loop";
        if (o->fast)
                argv[n++] = "--fast";
        if (o->pause)
                argv[n++] = "--pause";
        argv[n++] = "--";
        argv[n++] = args[1] ? args[1] : "-";
        return publish_exec((char **)argv);
}

/* A name that is taken is told before anything is read. Who takes it in the meantime is framebus-y4m's to
 * tell. */
static void on_source(framebus *fb, const struct framebus_source_info *info,
                      const struct framebus_error *error, void *userdata) {
        Client *c = userdata;

        if (error)
                client_fail(c, error);
        else if (!info)
                client_finish(c, STATUS_OK);
        else if (strcmp(info->name, c->source) == 0 && !c->done) {
                client_message("there is a source called %s already (%s): publish under another name",
                               info->name, info->driver);
                client_finish(c, STATUS_REFUSED);
        }
}

int verb_publish(const Options *o, char **args) {
        _cleanup_(client_close) Client c = {};
        _cleanup_free_ char *address = NULL;
        int r;

        if (!args[1] && isatty(STDIN_FILENO)) {
                client_message("standard input is a terminal: pipe y4m into it (ffmpeg -re -i CLIP -f "
                               "yuv4mpegpipe -), or name a file");
                return STATUS_USAGE;
        }
        r = client_open(&c, o, args[0]);
        if (r != STATUS_OK)
                return r;
        client_wait_for(&c, "an answer of the broker", 30 * NSEC_PER_SEC);
        r = framebus_list(c.fb, on_source, &c);
        if (r < 0)
                client_fail_errno(&c, r, "cannot ask the broker");
        r = client_run(&c);
        if (r != STATUS_OK)
                return r;

        address = strdup(framebus_get_address(c.fb) ?: "session");
        if (!address) {
                client_message("no memory");
                return STATUS_FAILED;
        }
        client_close(&c);
        return publish_run(o, args, address);
}
