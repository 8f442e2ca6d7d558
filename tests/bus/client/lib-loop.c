/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/bus/client/lib-loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define WORDS_MAX 8

static volatile sig_atomic_t terminated;

static void on_signal(int sig) {
        terminated = 1;
}

static void read_commands(LibLoop *loop, bool *open) {
        static char text[4096];
        static size_t n;
        ssize_t got = read(STDIN_FILENO, text + n, sizeof(text) - 1 - n);
        char *end;

        if (got <= 0) {
                *open = false;
                return;
        }
        n += (size_t)got;
        text[n] = '\0';
        while ((end = strchr(text, '\n'))) {
                char *words[WORDS_MAX + 1] = {0}, *state = NULL;

                *end = '\0';
                words[0] = strtok_r(text, " ", &state);
                for (size_t i = 1; words[i - 1] && i < WORDS_MAX; i++)
                        words[i] = strtok_r(NULL, " ", &state);
                if (words[0] && strcmp(words[0], "quit") == 0)
                        loop->quit = true;
                else if (words[0])
                        loop->command(words, loop->userdata);
                n -= (size_t)(end + 1 - text);
                memmove(text, end + 1, n + 1);
        }
}

static int get_timeout_ms(const LibLoop *loop) {
        uint64_t now_ns = clock_now_ns(), at_ns = framebus_get_timeout(loop->fb);

        at_ns = loop->due_ns < at_ns ? loop->due_ns : at_ns;
        if (at_ns == UINT64_MAX)
                return -1;
        return at_ns <= now_ns ? 0 : (int)((at_ns - now_ns) / NSEC_PER_MSEC + 1);
}

int lib_loop_run(LibLoop *loop) {
        struct sigaction action = {.sa_handler = on_signal};
        bool open = true;
        int r = 0;

        sigaction(SIGTERM, &action, NULL);
        while (!loop->quit && !terminated && r >= 0) {
                struct pollfd fds[] = {
                        { .fd = framebus_get_fd(loop->fb), .events = (short)framebus_get_events(loop->fb) },
                        { .fd = open ? STDIN_FILENO : -1, .events = POLLIN },
                };

                if (poll(fds, FB_ELEMENTSOF(fds), get_timeout_ms(loop)) < 0 && errno != EINTR)
                        return -errno;
                while ((r = framebus_process(loop->fb)) > 0)
                        ;
                if (fds[1].revents)
                        read_commands(loop, &open);
                loop->work(loop->userdata);
        }
        return r < 0 ? r : 0;
}

void stamp_write(void *data, size_t n_words, uint64_t stamp) {
        volatile uint64_t *words = data;

        for (size_t i = 0; i < n_words; i++)
                words[i] = stamp;
}

uint64_t stamp_read(const void *data, size_t n_words) {
        const volatile uint64_t *words = data;
        uint64_t stamp = words[0];

        for (size_t i = 1; i < n_words; i++)
                if (words[i] != stamp)
                        return 0;
        return stamp;
}
