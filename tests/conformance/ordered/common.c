/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <drm_fourcc.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ordered.h"

#define WIDTH  16u
#define HEIGHT 16u

/* Sources */

static void on_published(framebus_publisher *pub, const char *path, void *userdata) {
        ((Source *)userdata)->published = true;
}

static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {
        if (framebus_publisher_set_format(pub, mode) < 0)
                errx(1, "set_format");
        ((Source *)userdata)->started = true;
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        ((Source *)userdata)->started = false;
}

static void on_publisher_ended(framebus_publisher *pub, const char *reason,
                               const struct framebus_error *error, void *userdata) {
        errx(1, "publisher: %s: %s", reason, error ? error->message : "");
}

void source_publish(framebus *fb, const char *name, Source *s) {
        static const struct framebus_publisher_events events = { .version = 0,
                                                                 .published = on_published,
                                                                 .start = on_start,
                                                                 .stop = on_stop,
                                                                 .ended = on_publisher_ended };
        const struct framebus_mode mode = {
                .fourcc = DRM_FORMAT_R8, .width = WIDTH, .height = HEIGHT, .rate = { 1000, 1 }
        };
        const struct framebus_publish_options options = { .version = 0, .modes = &mode, .n_modes = 1 };

        if (framebus_publish(fb, name, &options, &events, s, &s->pub) < 0)
                errx(1, "publish");
        run_until(fb, &s->published);
}

void source_push(framebus *fb, Source *s) {
        static const char data[WIDTH * HEIGHT];
        int r;

        run_until(fb, &s->started);
        if (framebus_process(fb) < 0) /* what was released */
                errx(1, "the bus is gone");
        while ((r = framebus_publisher_push_data(s->pub, data, sizeof data, NULL)) == -EAGAIN)
                (void)wait_both(fb, -1, 100);
        if (r < 0)
                errx(1, "push: %d", r);
}

/* Processes */

/* Whoever waits for a child that failed would wait for ever. */
static void on_child(int signal, siginfo_t *info, void *context) {
        if (info->si_code != CLD_EXITED || info->si_status != 0)
                _exit(1);
}

pid_t process_start(void (*run)(void *userdata), void *userdata) {
        const struct sigaction action = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART };
        pid_t pid;

        (void)sigaction(SIGCHLD, &action, NULL);
        pid = fork();
        if (pid < 0)
                err(1, "fork");
        if (pid > 0)
                return pid;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(userdata);
        exit(0);
}

bool process_wait(pid_t pid) {
        int status;

        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void byte_write(int fd) {
        if (write(fd, "", 1) != 1)
                errx(1, "nobody is there any more");
}

void byte_read(int fd) {
        char byte;

        if (read(fd, &byte, 1) != 1)
                errx(1, "nobody is there any more");
}

framebus *open_broker(void) {
        framebus *fb;
        int r = framebus_open(&fb, NULL);

        if (r < 0)
                errx(1, "framebus_open: %d", r);
        return fb;
}

void run_until(framebus *fb, const bool *condition) {
        while (!*condition)
                if (framebus_run_once(fb, UINT64_MAX) < 0)
                        errx(1, "the bus is gone");
}

framebus_subscription *subscribe(framebus *fb, const char *source, const Settings *s,
                                 const struct framebus_subscription_events *events, void *userdata) {
        const struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                                                            .transport = s->transport,
                                                            .window = s->window,
                                                            .no_replay = true,
                                                            .order = s->order };
        framebus_subscription *sub;

        if (framebus_subscribe(fb, source, &options, events, userdata, &sub) < 0)
                errx(1, "subscribe");
        return sub;
}

bool wait_both(framebus *fb, int fd, int timeout_ms) {
        struct pollfd p[] = { { .fd = framebus_get_fd(fb), .events = POLLIN },
                              { .fd = fd, .events = POLLIN } };
        bool due = framebus_get_timeout(fb) == 0;

        if (poll(p, 2, due ? 0 : timeout_ms) < 0 && errno != EINTR)
                err(1, "poll");
        if (fd < 0 && framebus_process(fb) < 0)
                errx(1, "the bus is gone");
        return p[1].revents;
}
