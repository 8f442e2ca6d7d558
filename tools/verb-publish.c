/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl publish: a y4m file, a fifo or standard input as a source.
 *
 * The capture program framebus-y4m does all of it, in this process: its messages and its exit status are the answer. It
 * is looked for beside this program (a build folder), then where it is installed.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
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
        try_beside("framebus-y4m", argv);
        try_beside("../sources/framebus-y4m", argv);
        (void)execv(FRAMEBUS_LIBEXECDIR "/framebus-y4m", argv);
        (void)execvp("framebus-y4m", argv);
        client_message("cannot run framebus-y4m: %s. It comes with framebusctl and belongs into %s", strerror(errno),
                       FRAMEBUS_LIBEXECDIR);
        return STATUS_FAILED;
}

int verb_publish(const Options *o, char **args) {
        const char *argv[ARGUMENTS_MAX] = { "framebus-y4m", "--publish", args[0] };
        size_t n = 3;

        if (o->address) {
                argv[n++] = "--bus";
                argv[n++] = o->address;
        }
        if (o->description) {
                argv[n++] = "--description";
                argv[n++] = o->description;
        }
        if (o->loop)
                argv[n++] = "--loop";
        argv[n++] = args[1] ? args[1] : "-";
        return publish_exec((char **)argv);
}
