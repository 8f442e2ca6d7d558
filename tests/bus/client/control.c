/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands for a running test program.
 *
 * There is one stdin, so there is one state. The end of stdin deliberately means nothing: programs that run
 * in the background have none.
 */

#include "tests/bus/client/control.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WORDS_MAX 34

static struct {
        control_handler handler;
        void *userdata;
        char line[4096];
        size_t n;
} control;

static void line_run(char *line) {
        char *words[WORDS_MAX + 1] = {NULL}, *state = NULL;
        size_t n = 0;

        for (char *w = strtok_r(line, " \t\r", &state); w && n < WORDS_MAX;
             w = strtok_r(NULL, " \t\r", &state))
                words[n++] = w;
        if (n > 0)
                control.handler(words, control.userdata);
}

static int on_stdin(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        char *end;
        ssize_t n;

        n = read(fd, control.line + control.n, sizeof(control.line) - 1 - control.n);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return 0;
        }
        control.n += n;
        while ((end = memchr(control.line, '\n', control.n))) {
                size_t used = end + 1 - control.line;

                *end = '\0';
                line_run(control.line);
                control.n -= used;
                memmove(control.line, end + 1, control.n);
        }
        if (control.n == sizeof(control.line) - 1)
                control.n = 0;
        return 0;
}

int control_start(sd_event *event, control_handler handler, void *userdata) {
        int r;

        control.handler = handler;
        control.userdata = userdata;
        r = sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_stdin, NULL);
        return r == -EPERM || r == -EBADF ? 0 : r;
}
