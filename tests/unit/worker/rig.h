/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A worker with an owner that behaves as the broker does: it takes the channel, reads it, closes it at
 * hang-up, and writes down what it is told.
 */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/publication/worker.h"

typedef enum RigAction {
        RIG_NOTHING,
        RIG_STOP,
        RIG_FREE,
        RIG_STOP_AND_START,
        RIG_SUCCEED,
        RIG_SLEEP, /* until all has happened */
} RigAction;

typedef struct Rig {
        sd_event *event;
        Worker *worker;
        int fd;
        sd_event_source *io;
        char read[4096];  /* out of the channel, of all runs */
        char reason[256]; /* the last */
        unsigned n_connected, n_ended;
        uint64_t connected_ns, ended_ns, retry_ns; /* retry: from now on */
        RigAction on_connected, on_ended;
} Rig;

static inline void rig_close(Rig *rig) {
        rig->io = sd_event_source_disable_unref(rig->io);
        rig->fd = fb_close(rig->fd);
}

static inline int rig_on_io(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        Rig *rig = userdata;
        size_t have = strlen(rig->read);
        ssize_t n = recv(fd, rig->read + have, sizeof rig->read - 1 - have, MSG_DONTWAIT);

        if (n > 0) {
                rig->read[have + (size_t)n] = 0;
                return 0;
        }
        if (n < 0 && errno == EAGAIN)
                return 0;
        rig_close(rig);
        worker_channel_closed(rig->worker);
        CHECK(worker_is_running(rig->worker));
        return 0;
}

static inline void rig_act(Rig *rig, RigAction action) {
        if (action == RIG_STOP || action == RIG_STOP_AND_START || action == RIG_FREE)
                rig_close(rig);
        if (action == RIG_STOP || action == RIG_STOP_AND_START)
                worker_stop(rig->worker);
        if (action == RIG_STOP_AND_START)
                CHECK_INT(worker_start(rig->worker), 0);
        if (action == RIG_FREE)
                rig->worker = worker_free(rig->worker);
        if (action == RIG_SLEEP)
                usleep(200000);
        if (action == RIG_SUCCEED)
                worker_succeeded(rig->worker);
}

static inline void rig_on_connected(Worker *w, int fd_consume, void *userdata) {
        Rig *rig = userdata;

        CHECK(w == rig->worker);
        CHECK_INT(rig->fd, -1);
        rig_close(rig);
        rig->fd = fd_consume;
        rig->n_connected++;
        rig->connected_ns = clock_now_ns();
        CHECK(worker_is_running(w));
        CHECK(sd_event_add_io(rig->event, &rig->io, fd_consume, EPOLLIN, rig_on_io, rig) >= 0);
        CHECK(sd_event_source_set_priority(rig->io, 10) >= 0); /* after the news of the process */
        rig_act(rig, rig->on_connected);
}

static inline void rig_on_ended(Worker *w, const char *reason, uint64_t retry_ns, void *userdata) {
        Rig *rig = userdata;

        CHECK(w == rig->worker);
        CHECK(!worker_is_running(w));
        rig_close(rig);
        snprintf(rig->reason, sizeof rig->reason, "%s", reason);
        rig->n_ended++;
        rig->ended_ns = clock_now_ns();
        rig->retry_ns = retry_ns == UINT64_MAX ? retry_ns : retry_ns - rig->ended_ns;
        rig_act(rig, rig->on_ended);
}

static const WorkerHandler rig_handler = {rig_on_connected, rig_on_ended};

static inline void rig_begin(Rig *rig, const WorkerSpec *spec) {
        *rig = (Rig){ .fd = -1 };
        REQUIRE_INT(sd_event_new(&rig->event) < 0, 0);
        REQUIRE_INT(worker_new(rig->event, spec, &rig_handler, rig, &rig->worker), 0);
}

static inline void rig_begin_argv(Rig *rig, const char *const *argv) {
        rig_begin(rig, &(WorkerSpec){ .argv = argv });
}

#define rig_begin_shell(rig, script) rig_begin_argv(rig, (const char *[]){"/bin/sh", "-c", script, NULL})

static inline void rig_end(Rig *rig) {
        rig_close(rig);
        rig->worker = worker_free(rig->worker);
        rig->event = sd_event_unref(rig->event);
}

/* Runs the loop until @counter is @n, or for 10 s; false then. */
static inline bool rig_wait(Rig *rig, const unsigned *counter, unsigned n) {
        uint64_t end_ns = clock_now_ns() + 10 * NSEC_PER_SEC;

        while (*counter < n && clock_now_ns() < end_ns)
                if (sd_event_run(rig->event, 100000) < 0)
                        return false;
        return *counter >= n;
}

static inline void rig_run_ms(Rig *rig, uint64_t ms) {
        uint64_t end_ns = clock_now_ns() + ms * NSEC_PER_MSEC, now_ns;

        while ((now_ns = clock_now_ns()) < end_ns)
                if (sd_event_run(rig->event, (end_ns - now_ns) / 1000 + 1) < 0)
                        return;
}
