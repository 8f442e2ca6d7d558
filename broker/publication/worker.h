/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts and watches the capture program of one source. On the session bus it is our child with one end of a
 * socket pair as file descriptor 3; on the system bus somebody else starts it (framebus-capture.socket) when
 * we connect.
 *
 * The owner says what it wants: worker_start(), worker_stop(). While a program is wanted and none runs, one
 * is started as soon as the back-off allows: at once the first time, then 100 ms after a failure, doubling to
 * 10 s, until worker_succeeded(). A program that ends is a failure, whatever its status.
 *
 * Handlers run from the event loop only, never inside a function of this header, and may call each of these
 * functions, worker_free() included. Nothing here blocks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct Worker Worker;

typedef struct WorkerHandler {
        /* The program was started (session) or reached (system): @fd_consume is the broker's end of its
         * channel, a connected AF_UNIX stream, non-blocking and close-on-exec, which the receiver owns. */
        void (*connected)(Worker *w, int fd_consume, void *userdata);

        /*
         * It could not be started, or it ended, once for each attempt and each run; not for one that
         * worker_stop() ended. Comes after the channel hung up and the exit status is known, at most 1 s
         * after the first of the two: what the program said last has been read by then.
         *
         * @reason    in words: "framebus-pattern exited with status 1", "framebus-v4l2 was killed by signal
         *            SEGV", "cannot run framebus-v4l2: No such file or directory", "the capture socket
         *            /run/framebus/capture: Connection refused"; valid during the call
         * @retry_ns  when it is started again, CLOCK_MONOTONIC, later if it is not gone by then; UINT64_MAX:
         *            never by itself
         */
        void (*ended)(Worker *w, const char *reason, uint64_t retry_ns, void *userdata);
} WorkerHandler;

/* Either @argv or @socket_path and @request. Copied. */
typedef struct WorkerSpec {
        const char *const *
                        argv; /* session: program and arguments, NULL-terminated; a program without a slash is
                                    looked for in $FRAMEBUS_LIBEXECDIR, else in this build's libexec folder */
        const char *socket_path; /* system: connect here … */
        const char *request;     /* … and say this first: "SOURCE name\n" or "DEVICE /dev/video0\n" */
} WorkerSpec;

/*
 * @event     referenced; SIGCHLD must be blocked for a session's worker, see process.h
 * @handler   not copied; must outlive the worker
 * Starts nothing. -EINVAL: not exactly one of the two ways, a path that is too long for a socket, no program;
 * -ENOMEM.
 */
int worker_new(sd_event *event, const WorkerSpec *spec, const WorkerHandler *handler, void *userdata,
               Worker **ret);

/* From the next start on it is another program, or another argument; if one is wanted and none runs that
 * start is due at once. Errors as worker_new(), and nothing is changed. */
int worker_change(Worker *w, const WorkerSpec *spec);

/* No handler runs any more. A running program, whose channel the owner has closed or closes now, gets 2 s to
 * end by itself, then SIGTERM, after 5 s SIGKILL, from the event loop; if that ends earlier, nothing is
 * waited for. Takes NULL and returns NULL. */
Worker *worker_free(Worker *w);
static inline void worker_freep(Worker **w) {
        worker_free(*w);
}

/* Wanted from now on. No effect if it is already. If the program of before is still ending, the new one is
 * started when that is gone: it may hold the device. Negative errno if not even a timer can be had. */
int worker_start(Worker *w);

/* Not wanted from now on: not started again; the owner closes the channel, and the program is ended as by
 * worker_free(). No handler runs until the next worker_start(). */
void worker_stop(Worker *w);

/* The owner saw the channel hang up, or closed it because of what came out of it: the program is ended and
 * `ended` follows. No effect if nothing runs. */
void worker_channel_closed(Worker *w);

/* It works, i.e. the first frame is there: the next failure is retried after 100 ms again. */
void worker_succeeded(Worker *w);

/* Between `connected` and `ended` or worker_stop(). */
bool worker_is_running(const Worker *w);
