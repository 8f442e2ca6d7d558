/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A state machine with one timer, which is due when the present state has lasted long enough: in IDLE when
 * the next start is, in CLOSING when nothing more is waited for. Invariants:
 * - handlers are called from a callback of the event loop, as the last thing that it does with the worker;
 * - `process` is a session's program that is not reaped yet; a system's program is only ever seen through its
 *   channel;
 * - at most one program runs: while the last one is ending (STOPPING), the next one is not started.
 *
 * It does not read the channel, and does not know what the program is for.
 */
#include "broker/publication/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "broker/publication/process.h"

#ifndef FB_LIBEXECDIR
#error "FB_LIBEXECDIR: the folder of the capture programs, from meson"
#endif

#define WORKER_BACKOFF_MIN_NS (100 * NSEC_PER_MSEC)
#define WORKER_BACKOFF_MAX_NS (10 * NSEC_PER_SEC)
#define WORKER_CLOSING_NS     (1 * NSEC_PER_SEC)

typedef enum WorkerState {
        WORKER_IDLE,     /* nothing runs; a start is due if wanted */
        WORKER_RUNNING,  /* connected() was called */
        WORKER_CLOSING,  /* hung up or exited, but not yet both: ended() is to come */
        WORKER_STOPPING, /* told or stopped, but not gone yet: nobody is told */
} WorkerState;

struct Worker {
        sd_event *event;
        const WorkerHandler *handler;
        void *userdata;

        char **argv; /* with the program's path; NULL for system */
        char *name;  /* of the program, for people */
        struct sockaddr_un address;
        char *request;

        WorkerState state;
        bool wanted;
        Process *process;
        char how[64]; /* it exited: in words */
        bool hung_up;
        sd_event_source *timer;
        uint64_t not_before_ns; /* of the next start */
        uint64_t backoff_ns;    /* after the next failure */
};

static void worker_set_state(Worker *w, WorkerState state) {
        static const unsigned char allowed[] = {
                [WORKER_IDLE] = 1 << WORKER_RUNNING,
                [WORKER_RUNNING] = 1 << WORKER_CLOSING | 1 << WORKER_STOPPING | 1 << WORKER_IDLE,
                [WORKER_CLOSING] = 1 << WORKER_IDLE | 1 << WORKER_STOPPING,
                [WORKER_STOPPING] = 1 << WORKER_IDLE,
        };

        assert(allowed[w->state] & 1 << state);
        w->state = state;
}

static int worker_set_timer(Worker *w, uint64_t due_ns) {
        int r;

        r = sd_event_source_set_time(w->timer, due_ns / NSEC_PER_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT);
        return r;
}

/* Nobody is told any more about the run, if there is one. */
static void worker_forget_run(Worker *w) {
        WorkerState state = w->process ? WORKER_STOPPING : WORKER_IDLE;

        w->how[0] = 0;
        w->hung_up = false;
        if (w->process)
                process_end(w->process);
        if (w->state != state)
                worker_set_state(w, state);
        (void)sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
}

/* If no timer can be had it is not wanted: else worker_start() would believe that a start is due. */
static void worker_await_start(Worker *w) {
        if (w->state == WORKER_IDLE && w->wanted && worker_set_timer(w, w->not_before_ns) < 0)
                w->wanted = false;
}

/* The attempt or the run is over. The handler may free the worker: nothing may come after. */
static void worker_fail(Worker *w, const char *reason) {
        worker_forget_run(w);
        w->not_before_ns = clock_now_ns() + w->backoff_ns;
        w->backoff_ns = FB_MIN(w->backoff_ns * 2, WORKER_BACKOFF_MAX_NS);
        worker_await_start(w);
        w->handler->ended(w, reason, w->wanted ? w->not_before_ns : UINT64_MAX, w->userdata);
}

static void worker_report_end(Worker *w) {
        _cleanup_free_ char *reason = NULL;
        int r;

        if (!w->argv)
                r = asprintf(&reason, "the capture program hung up; why is in the journal of "
                                      "framebus-capture@*.service");
        else if (w->how[0])
                r = asprintf(&reason, "%s %s", w->name, w->how);
        else
                r = asprintf(&reason, "%s closed its channel and goes on running", w->name);
        if (r < 0)
                reason = NULL;
        worker_fail(w, reason ?: "out of memory");
}

static void on_exited(Process *p, const char *how, void *userdata) {
        Worker *w = userdata;

        w->process = NULL;
        if (w->state == WORKER_STOPPING) {
                worker_set_state(w, WORKER_IDLE);
                return worker_await_start(w);
        }
        snprintf(w->how, sizeof w->how, "%s", how);
        if (w->hung_up || worker_set_timer(w, clock_now_ns() + WORKER_CLOSING_NS) < 0)
                return worker_report_end(w);
        worker_set_state(w, WORKER_CLOSING);
}

static int worker_spawn(Worker *w, int *ret_fd) {
        _cleanup_close_ int ours = -1, theirs = -1;
        int r;

        r = fd_socketpair(&ours, &theirs);
        if (r >= 0)
                r = process_spawn(w->event, (const char *const *)w->argv, theirs, on_exited, w, &w->process);
        if (r < 0)
                return r;
        *ret_fd = take_fd(ours);
        return 0;
}

/* An AF_UNIX stream is connected at once, or the listener's backlog is full (EAGAIN); its empty buffer takes
 * the line. */
static int worker_connect(Worker *w, int *ret_fd) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ssize_t n;

        if (fd < 0 || connect(fd, (const struct sockaddr *)&w->address, sizeof w->address) < 0)
                return -errno;
        n = send(fd, w->request, strlen(w->request), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        if ((size_t)n != strlen(w->request))
                return -EMSGSIZE;
        *ret_fd = take_fd(fd);
        return 0;
}

static void worker_report_start_failure(Worker *w, int error) {
        _cleanup_free_ char *reason = NULL;
        const char *why =
                        w->argv || error != EAGAIN ? strerror(error) : "too many captures are being started";

        if (asprintf(&reason, "%s %s: %s", w->argv ? "cannot run" : "the capture socket",
                     w->argv ? w->name : w->address.sun_path, why) < 0)
                reason = NULL;
        worker_fail(w, reason ?: "out of memory");
}

static void worker_attempt(Worker *w) {
        int fd = -1, r;

        r = w->argv ? worker_spawn(w, &fd) : worker_connect(w, &fd);
        if (r < 0)
                return worker_report_start_failure(w, -r);
        worker_set_state(w, WORKER_RUNNING);
        w->handler->connected(w, fd, w->userdata);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Worker *w = userdata;

        if (w->state == WORKER_CLOSING)
                worker_report_end(w);
        else if (w->state == WORKER_IDLE && w->wanted)
                worker_attempt(w);
        return 0;
}

/* The name with its path; a program that is given with one stays as it is. */
static char *program_path(const char *program) {
        const char *folder = secure_getenv("FRAMEBUS_LIBEXECDIR");
        char *path;

        if (strchr(program, '/'))
                return strdup(program);
        return asprintf(&path, "%s/%s", folder && *folder ? folder : FB_LIBEXECDIR, program) < 0 ? NULL
                                                                                                 : path;
}

static int worker_copy_argv(Worker *w, const char *const *argv) {
        const char *slash;
        size_t n = 0;

        while (argv[n])
                n++;
        if (n == 0 || !argv[0][0])
                return -EINVAL;
        slash = strrchr(argv[0], '/');
        w->name = strdup(slash ? slash + 1 : argv[0]);
        w->argv = calloc(n + 1, sizeof *w->argv);
        if (!w->name || !w->argv)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                w->argv[i] = i == 0 ? program_path(argv[0]) : strdup(argv[i]);
                if (!w->argv[i])
                        return -ENOMEM;
        }
        return 0;
}

static int worker_copy_socket(Worker *w, const WorkerSpec *spec) {
        size_t n = strlen(spec->socket_path);

        if (n == 0 || n >= sizeof w->address.sun_path || !spec->request)
                return -EINVAL;
        w->address.sun_family = AF_UNIX;
        memcpy(w->address.sun_path, spec->socket_path, n);
        w->request = strdup(spec->request);
        return w->request ? 0 : -ENOMEM;
}

static int worker_copy_spec(Worker *w, const WorkerSpec *spec) {
        if (!spec->argv == !spec->socket_path)
                return -EINVAL;
        return spec->argv ? worker_copy_argv(w, spec->argv) : worker_copy_socket(w, spec);
}

static void worker_free_spec(Worker *w) {
        argv_free(w->argv);
        free(w->name);
        free(w->request);
}

int worker_new(sd_event *event, const WorkerSpec *spec, const WorkerHandler *handler, void *userdata,
               Worker **ret) {
        _cleanup_(worker_freep) Worker *w = NULL;
        int r;

        w = malloc(sizeof *w);
        if (!w)
                return -ENOMEM;
        *w = (Worker){
                .event = sd_event_ref(event),
                .handler = handler,
                .userdata = userdata,
                .backoff_ns = WORKER_BACKOFF_MIN_NS,
        };
        r = worker_copy_spec(w, spec);
        if (r < 0)
                return r;
        r = sd_event_add_time(event, &w->timer, CLOCK_MONOTONIC, 0, 1, on_timer, w);
        if (r >= 0)
                r = sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        (void)sd_event_source_set_description(w->timer, "worker");
        *ret = take_ptr(w);
        return 0;
}

Worker *worker_free(Worker *w) {
        if (!w)
                return NULL;
        process_abandon(w->process);
        sd_event_source_disable_unref(w->timer);
        worker_free_spec(w);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

int worker_change(Worker *w, const WorkerSpec *spec) {
        Worker fresh = { 0 };
        int r = worker_copy_spec(&fresh, spec);

        if (r < 0) {
                worker_free_spec(&fresh);
                return r;
        }
        worker_free_spec(w);
        w->name = fresh.name;
        w->argv = fresh.argv;
        w->request = fresh.request;
        w->address = fresh.address;
        w->backoff_ns = WORKER_BACKOFF_MIN_NS;
        w->not_before_ns = 0;
        worker_await_start(w);
        return 0;
}

int worker_start(Worker *w) {
        int r;

        if (w->wanted)
                return 0;
        if (w->state == WORKER_IDLE) {
                r = worker_set_timer(w, w->not_before_ns);
                if (r < 0)
                        return r;
        }
        w->wanted = true;
        return 0;
}

void worker_stop(Worker *w) {
        w->wanted = false;
        worker_forget_run(w);
}

void worker_channel_closed(Worker *w) {
        uint64_t due_ns = clock_now_ns();

        if (w->hung_up || (w->state != WORKER_RUNNING && w->state != WORKER_CLOSING))
                return;
        w->hung_up = true;
        if (w->process) {
                process_end(w->process);
                due_ns += WORKER_CLOSING_NS;
        }
        if (w->state == WORKER_RUNNING)
                worker_set_state(w, WORKER_CLOSING);
        (void)worker_set_timer(w, due_ns);
}

void worker_succeeded(Worker *w) {
        w->backoff_ns = WORKER_BACKOFF_MIN_NS;
}

bool worker_is_running(const Worker *w) {
        return w->state == WORKER_RUNNING || w->state == WORKER_CLOSING;
}
