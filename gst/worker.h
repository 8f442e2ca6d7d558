/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread that calls libframebus. The library has no threads and no locks, GStreamer has many threads: so
 * each element has one connection, and whatever concerns it is done here. When the bus goes away the
 * connection is opened again, with back-off.
 */
#pragma once

#include <gst/gst.h>

#include "libframebus/framebus.h"

typedef struct Worker Worker;

/* All run in the thread. */
typedef struct WorkerHandler {
        /* There is a (new) connection. */
        void (*opened)(framebus *fb, void *userdata);
        /* It is about to be closed: what belongs to it goes with it, frames but for those that are held. */
        void (*closing)(void *userdata);
} WorkerHandler;

typedef void (*WorkerFunc)(framebus *fb, void *userdata);

/* Starts it, and opens the connection; @address as of framebus_open(). What @handler does may come before
 * this returns. Negative errno: what framebus_open() said. @ret has one reference. */
int worker_new(const char *name, const char *address, const WorkerHandler *handler, void *userdata,
               Worker **ret);

/* Closes the connection and ends the thread; no call of @handler or a job afterwards. Frames can still be
 * given back. Not from the thread. NULL is ignored. */
void worker_stop(Worker *w);

/* The last reference: not while the thread runs. Both take NULL. */
Worker *worker_ref(Worker *w);
Worker *worker_unref(Worker *w);

/* Has the thread call @func with the connection, or NULL while there is none; worker_call() waits for it, and
 * must not be called from the thread. @return false: it was stopped; @func did not run. */
bool worker_post(Worker *w, WorkerFunc func, void *userdata);
bool worker_call(Worker *w, WorkerFunc func, void *userdata);

/* @func runs once at @due_ns (CLOCK_MONOTONIC), in the place of what was set before; UINT64_MAX: never. From
 * the thread only. */
void worker_set_timer(Worker *w, uint64_t due_ns, WorkerFunc func, void *userdata);

/* framebus_frame_unref() from any thread, at any time, also after worker_stop(). */
void worker_release_consume(Worker *w, framebus_frame *frame);
