/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loop is poll(2) over the library's descriptor, a timer and what the program adds. A program that fails
 * says why in its last words and hangs up; what becomes of the source is the broker's to decide.
 */
#include "sources/common/program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "sources/common/confine.h"
#include "sources/common/text.h"

#define DRAIN_NS           (2 * NSEC_PER_SEC)
#define LAST_WORDS_NS      (2 * NSEC_PER_SEC)    /* for the channel to open */
#define LAST_WORDS_REST_NS (100 * NSEC_PER_MSEC) /* for the message to leave */

static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {
        Program *p = userdata;

        p->wanted = *mode;
        p->want_start = true;
        p->want_stop = false;
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        Program *p = userdata;

        p->want_stop = true;
        p->want_start = false;
}

static void on_published(framebus_publisher *pub, const char *path, void *userdata) {
        Program *p = userdata;

        p->open = true;
        if (path)
                log_debug("published at %s", path);
}

static void on_refused(framebus_publisher *pub, uint64_t seq, const struct framebus_error *error,
                       void *userdata) {
        log_warning("the broker refused frame %llu: %s", (unsigned long long)seq,
                    error ? error->message : "?");
}

static void on_ended(framebus_publisher *pub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        Program *p = userdata;

        p->ended = p->done = true;
        /* no reply: the broker hung up while it was asked something, which is an end like any other */
        if (error && strcmp(error->name, "org.freedesktop.DBus.Error.NoReply") != 0) {
                log_error("cannot publish: %s (%s)", error->message, error->name);
                if (!p->state[0])
                        p->exit_code = PROGRAM_EXIT_FAILED;
        }
}

static void on_set_controls(framebus_publisher *pub, uint64_t cookie,
                            const struct framebus_control_value *values, size_t n, void *userdata) {
        Program *p = userdata;

        if (p->set_controls)
                p->set_controls(p, cookie, values, n);
}

static void on_get_controls(framebus_publisher *pub, uint64_t cookie, const char *const *ids, size_t n,
                            void *userdata) {
        Program *p = userdata;

        if (p->get_controls)
                p->get_controls(p, cookie, ids, n);
}

static void on_memories(framebus_publisher *pub, uint32_t mask, uint32_t n_buffers, void *userdata) {
        Program *p = userdata;

        p->memories = mask;
        p->n_buffers = n_buffers;
        p->want_memories = true;
}

static void on_released(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        Program *p = userdata;

        if (p->released)
                p->released(p, buffer);
}

static void on_retired(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        Program *p = userdata;

        if (p->retired)
                p->retired(p, buffer);
}

static void on_keyframe_wanted(framebus_publisher *pub, void *userdata) {
        Program *p = userdata;

        if (p->want_keyframe)
                p->want_keyframe(p);
}

static const struct framebus_publisher_events program_events = {
        .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION,
        .published = on_published,
        .start = on_start,
        .stop = on_stop,
        .refused = on_refused,
        .ended = on_ended,
        .set_controls = on_set_controls,
        .get_controls = on_get_controls,
        .memories = on_memories,
        .released = on_released,
        .retired = on_retired,
        .keyframe_wanted = on_keyframe_wanted,
};

/* Of a program that somebody runs by hand nobody knows what is around it. */
static void program_confine(void) {
        int r = confine();

        if (r < 0 && confine_is_available())
                log_warning("cannot give up what is not needed: %s", strerror(-r));
}

int program_open(Program *p, const ProgramOptions *o) {
        struct stat st;
        int r;

        *p = (Program){ .timer_fd = -1 };
        log_init(o->name, LOG_LEVEL_INFO);
        /* before anything else is opened, and might get that number */
        if (!o->publish && (fstat(PROGRAM_CHANNEL_FD, &st) < 0 || !S_ISSOCK(st.st_mode))) {
                log_error("file descriptor %d is no broker's channel; by hand, give --publish NAME",
                          PROGRAM_CHANNEL_FD);
                return PROGRAM_EXIT_USAGE;
        }
        if (!o->publish && !o->launches)
                program_confine();
        p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (p->timer_fd < 0) {
                log_error("cannot make a timer: %s", strerror(errno));
                return PROGRAM_EXIT_FAILED;
        }
        r = framebus_open(&p->fb, o->publish ? o->bus : "none");
        if (r < 0) {
                log_error("cannot connect to a broker: %s",
                          r == -ENOMEDIUM ? "no bus found; give --bus or set FRAMEBUS_ADDRESS"
                                          : strerror(-r));
                return PROGRAM_EXIT_FAILED;
        }
        return 0;
}

static int program_make_publisher(Program *p, const ProgramOptions *o, const struct framebus_mode *modes,
                                  size_t n_modes) {
        struct framebus_publish_options options = {
                .version = FRAMEBUS_PUBLISH_OPTIONS_VERSION,
                .description = o->description,
                .driver = o->driver,
                .modes = modes,
                .n_modes = n_modes,
                .memories = p->lendable,
                .n_memories = p->n_lendable,
        };

        if (o->publish)
                return framebus_publish(p->fb, o->publish, &options, &program_events, p, &p->pub);
        return framebus_publisher_new_from_fd(p->fb, PROGRAM_CHANNEL_FD, &options, &program_events, p,
                                              &p->pub);
}

int program_publish(Program *p, const ProgramOptions *o, const struct framebus_mode *modes, size_t n_modes) {
        int r = program_make_publisher(p, o, modes, n_modes);

        if (r >= 0)
                r = framebus_publisher_set_controls(p->pub, p->controls, p->n_controls);
        if (r >= 0)
                return 0;
        if (o->publish && r == -EINVAL)
                log_error("'%s' is not a name for a source", o->publish);
        else
                log_error("cannot publish: %s", strerror(-r));
        return PROGRAM_EXIT_FAILED;
}

void program_set_timer(Program *p, uint64_t due_ns) {
        struct itimerspec its = { 0 };

        if (due_ns == 0)
                due_ns = 1; /* 0 would disarm it */
        if (due_ns != UINT64_MAX)
                its.it_value = (struct timespec){ .tv_sec = (time_t)(due_ns / NSEC_PER_SEC),
                                                  .tv_nsec = (long)(due_ns % NSEC_PER_SEC) };
        (void)timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

static struct timespec *program_get_timeout(Program *p, struct timespec *ret) {
        uint64_t due = framebus_get_timeout(p->fb), now, wait;

        if (due == UINT64_MAX)
                return NULL;
        now = clock_now_ns();
        wait = due > now ? due - now : 0;
        *ret = (struct timespec){ .tv_sec = (time_t)(wait / NSEC_PER_SEC),
                                  .tv_nsec = (long)(wait % NSEC_PER_SEC) };
        return ret;
}

void program_wait(Program *p, struct pollfd *more, nfds_t n_more) {
        struct pollfd fds[6] = {
                { .fd = framebus_get_fd(p->fb), .events = (short)framebus_get_events(p->fb) },
                { .fd = p->timer_fd, .events = POLLIN },
        };
        struct timespec timeout;
        uint64_t ignored;
        int r;

        for (nfds_t i = 0; i < n_more; i++)
                fds[2 + i] = more[i];
        r = ppoll(fds, 2 + n_more, program_get_timeout(p, &timeout), NULL);
        for (nfds_t i = 0; i < n_more; i++)
                more[i].revents = r > 0 ? fds[2 + i].revents : 0;
        if (r > 0 && fds[1].revents)
                (void)!read(p->timer_fd, &ignored, sizeof ignored);
        do
                r = framebus_process(p->fb);
        while (r > 0 && !p->ended);
        if (r < 0 && !p->ended) {
                log_error("the connection to the broker is lost: %s", strerror(-r));
                p->ended = p->done = true;
                p->exit_code = p->state[0] ? p->exit_code : PROGRAM_EXIT_FAILED;
        }
}

/* Whether it went out; counts and logs if not. */
static bool program_pushed(Program *p, int r) {
        if (r < 0 && r != -EAGAIN) /* that one the library has counted */
                framebus_publisher_add_lost(p->pub, 1);
        if (r < 0 && r != p->push_error)
                log_warning("frames are lost: %s",
                            r == -EAGAIN ? "the broker has too many that it has not taken yet"
                                         : strerror(-r));
        if (r < 0)
                p->push_error = r;
        return r >= 0;
}

bool program_push(Program *p, const void *data, size_t size, const struct framebus_push_info *info) {
        return program_pushed(p, framebus_publisher_push_data(p->pub, data, size, info));
}

bool program_push_parts(Program *p, const ProgramPart *parts, size_t n_parts,
                        const struct framebus_push_info *info) {
        framebus_buffer *buffer;
        size_t size = 0;
        char *at;
        int r;

        if (n_parts == 1)
                return program_push(p, parts[0].data, parts[0].size, info);
        for (size_t i = 0; i < n_parts; i++)
                size += parts[i].size;
        r = framebus_publisher_acquire(p->pub, size, &buffer);
        if (r < 0)
                return program_pushed(p, r);
        at = framebus_buffer_get_data(buffer);
        for (size_t i = 0; i < n_parts; i++) {
                memcpy(at, parts[i].data, parts[i].size);
                at += parts[i].size;
        }
        p->put_together++;
        p->put_together_bytes += size;
        return program_pushed(p, framebus_publisher_push(p->pub, buffer, info));
}

bool program_push_buffer(Program *p, framebus_buffer *buffer_consume, const struct framebus_push_info *info) {
        return program_pushed(p, framebus_publisher_push(p->pub, buffer_consume, info));
}

bool program_lend(Program *p, const int *fds, size_t n_fds, const struct framebus_push_info *info) {
        return program_pushed(p, framebus_publisher_push_fds(p->pub, fds, n_fds, info));
}

void program_fail(Program *p, const char *state, int exit_code, const char *format, ...) {
        va_list ap;

        if (p->reason[0])
                return;
        va_start(ap, format);
        (void)vsnprintf(p->reason, sizeof p->reason, format, ap);
        va_end(ap);
        text_clean(p->reason);
        log_print(state[0] ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "%s", p->reason);
        (void)snprintf(p->state, sizeof p->state, "%s", state);
        p->done = true;
        p->exit_code = exit_code;
}

void program_drain(Program *p) {
        uint64_t end_ns = clock_now_ns() + DRAIN_NS;
        struct framebus_publisher_stats stats;

        for (program_set_timer(p, end_ns); p->pub && !p->ended && clock_now_ns() < end_ns;
             program_wait(p, NULL, 0)) {
                framebus_publisher_get_stats(p->pub, &stats);
                if (stats.unreleased == 0)
                        break;
        }
}

/* Lets the library work until @until becomes true, the channel is gone or the time is over. */
static void program_settle(Program *p, const bool *until, uint64_t end_ns) {
        program_set_timer(p, end_ns);
        while (!*until && !p->ended && clock_now_ns() < end_ns)
                program_wait(p, NULL, 0);
}

static void program_say_last_words(Program *p, const ProgramOptions *o) {
        const bool never = false;
        int r = 0;

        if (!p->pub && !o->publish)
                r = program_make_publisher(p, o, NULL, 0);
        if (r < 0 || !p->pub) /* by hand there is nobody to be told who has not read the message */
                return;
        program_settle(p, &p->open, clock_now_ns() + LAST_WORDS_NS);
        if (!p->ended)
                r = framebus_publisher_set_state(p->pub, p->state, p->reason);
        if (r < 0)
                log_warning("cannot tell the broker: %s", strerror(-r));
        else /* the socket may have been full */
                program_settle(p, &never, clock_now_ns() + LAST_WORDS_REST_NS);
}

int program_finish(Program *p, const ProgramOptions *o) {
        if (p->state[0] && p->fb && !p->ended)
                program_say_last_words(p, o);
        p->pub = framebus_publisher_close(p->pub);
        p->fb = framebus_close(p->fb);
        p->timer_fd = fb_close(p->timer_fd);
        return p->exit_code;
}

int program_print_version(const char *name) {
        printf("%s %s\n", name, FB_VERSION);
        return PROGRAM_EXIT_OK;
}
