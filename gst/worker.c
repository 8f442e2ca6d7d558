/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See worker.h. Jobs and frames to be given back wait in two queues under one lock; an eventfd wakes the
 * thread. After the end frames are given back under the same lock: what they still share is only other
 * frames'.
 */
#include "gst/worker.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define REOPEN_NS NSEC_PER_SEC

typedef struct Job {
        WorkerFunc func;
        void *userdata;
        bool *done; /* NULL: nobody waits */
} Job;

struct Worker {
        gatomicrefcount n_refs;
        GThread *thread;
        char *address;
        const WorkerHandler *handler;
        void *userdata;
        int wake_fd;

        GMutex lock;
        GCond changed;
        GQueue jobs, frames; /* of Job, of framebus_frame */
        bool stopping, stopped, opened_once;
        int error;

        /* the thread's own */
        framebus *fb;
        uint64_t reopen_ns, timer_ns;
        WorkerFunc timer_func;
        void *timer_userdata;
};

/* The connection */

static void worker_close(Worker *w) {
        if (!w->fb)
                return;
        w->handler->closing(w->userdata);
        w->fb = framebus_close(w->fb);
}

static int worker_open(Worker *w) {
        int r = framebus_open(&w->fb, w->address);

        w->reopen_ns = r < 0 ? clock_now_ns() + REOPEN_NS : UINT64_MAX;
        if (r >= 0)
                w->handler->opened(w->fb, w->userdata);
        return r;
}

/* The thread */

static void run_jobs(Worker *w) {
        Job *job;
        bool *done;

        g_mutex_lock(&w->lock);
        while ((job = g_queue_pop_head(&w->jobs))) {
                g_mutex_unlock(&w->lock);
                job->func(w->fb, job->userdata);
                done = job->done;
                g_free(job);
                g_mutex_lock(&w->lock);
                if (done) {
                        *done = true;
                        g_cond_broadcast(&w->changed);
                }
        }
        g_mutex_unlock(&w->lock);
}

static void give_back_frames(Worker *w) {
        framebus_frame *frame;

        g_mutex_lock(&w->lock);
        while ((frame = g_queue_pop_head(&w->frames))) {
                g_mutex_unlock(&w->lock);
                framebus_frame_unref(frame);
                g_mutex_lock(&w->lock);
        }
        g_mutex_unlock(&w->lock);
}

static void run_timer(Worker *w) {
        if (clock_now_ns() < w->timer_ns)
                return;
        w->timer_ns = UINT64_MAX;
        w->timer_func(w->fb, w->timer_userdata);
}

static void run_connection(Worker *w) {
        int r = 1;

        if (!w->fb && clock_now_ns() >= w->reopen_ns)
                (void)worker_open(w);
        if (!w->fb)
                return;
        while (r > 0)
                r = framebus_process(w->fb);
        if (r != -ENOTCONN)
                return;
        worker_close(w);
        w->reopen_ns = clock_now_ns() + REOPEN_NS;
}

static void wait_for_events(Worker *w) {
        uint64_t due_ns = FB_MIN(w->timer_ns, w->fb ? framebus_get_timeout(w->fb) : w->reopen_ns), value,
                 now_ns;
        struct pollfd p[2] = { { .fd = w->wake_fd, .events = POLLIN }, { .fd = -1 } };
        struct timespec ts, *timeout = NULL;

        if (w->fb) {
                p[1].fd = framebus_get_fd(w->fb);
                p[1].events = (short)framebus_get_events(w->fb);
        }
        if (due_ns != UINT64_MAX) {
                now_ns = clock_now_ns();
                due_ns = due_ns > now_ns ? due_ns - now_ns : 0;
                ts = (struct timespec){ (time_t)(due_ns / NSEC_PER_SEC), (long)(due_ns % NSEC_PER_SEC) };
                timeout = &ts;
        }
        (void)ppoll(p, 2, timeout, NULL);
        if (p[0].revents && read(w->wake_fd, &value, sizeof value) < 0 && errno != EAGAIN)
                g_warn_if_reached();
}

static bool worker_is_stopping(Worker *w) {
        bool stopping;

        g_mutex_lock(&w->lock);
        stopping = w->stopping;
        g_mutex_unlock(&w->lock);
        return stopping;
}

static void *worker_run(void *userdata) {
        Worker *w = userdata;
        int r = worker_open(w);

        g_mutex_lock(&w->lock);
        w->opened_once = true;
        w->error = r;
        g_cond_broadcast(&w->changed);
        g_mutex_unlock(&w->lock);
        while (r >= 0 && !worker_is_stopping(w)) {
                run_jobs(w);
                give_back_frames(w);
                run_timer(w);
                run_connection(w);
                wait_for_events(w);
        }
        run_jobs(w);
        worker_close(w);
        g_mutex_lock(&w->lock);
        w->stopped = true;
        g_mutex_unlock(&w->lock);
        run_jobs(w); /* those of in between: nobody is to wait for ever */
        give_back_frames(w);
        return NULL;
}

/* From outside */

static void worker_wake(Worker *w) {
        uint64_t one = 1;

        if (write(w->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
                g_warn_if_reached();
}

int worker_new(const char *name, const char *address, const WorkerHandler *handler, void *userdata,
               Worker **ret) {
        Worker *w = g_new0(Worker, 1);
        int r;

        g_atomic_ref_count_init(&w->n_refs);
        g_mutex_init(&w->lock);
        g_cond_init(&w->changed);
        w->address = g_strdup(address);
        w->handler = handler;
        w->userdata = userdata;
        w->timer_ns = UINT64_MAX;
        w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->wake_fd < 0) {
                r = -errno;
                worker_unref(w);
                return r;
        }
        w->thread = g_thread_new(name, worker_run, w);
        g_mutex_lock(&w->lock);
        while (!w->opened_once)
                g_cond_wait(&w->changed, &w->lock);
        r = w->error;
        g_mutex_unlock(&w->lock);
        if (r < 0) {
                worker_stop(w);
                worker_unref(w);
                return r;
        }
        *ret = w;
        return 0;
}

void worker_stop(Worker *w) {
        if (!w || !w->thread)
                return;
        g_mutex_lock(&w->lock);
        w->stopping = true;
        g_mutex_unlock(&w->lock);
        worker_wake(w);
        g_thread_join(w->thread);
        w->thread = NULL;
}

Worker *worker_ref(Worker *w) {
        if (w)
                g_atomic_ref_count_inc(&w->n_refs);
        return w;
}

Worker *worker_unref(Worker *w) {
        if (!w || !g_atomic_ref_count_dec(&w->n_refs))
                return NULL;
        fb_close(w->wake_fd);
        g_mutex_clear(&w->lock);
        g_cond_clear(&w->changed);
        g_free(w->address);
        g_free(w);
        return NULL;
}

static bool worker_add_job(Worker *w, WorkerFunc func, void *userdata, bool *done) {
        Job *job;

        if (w->stopped || w->stopping)
                return false;
        job = g_new(Job, 1);
        *job = (Job){ func, userdata, done };
        g_queue_push_tail(&w->jobs, job);
        worker_wake(w);
        return true;
}

bool worker_post(Worker *w, WorkerFunc func, void *userdata) {
        bool added;

        g_mutex_lock(&w->lock);
        added = worker_add_job(w, func, userdata, NULL);
        g_mutex_unlock(&w->lock);
        return added;
}

bool worker_call(Worker *w, WorkerFunc func, void *userdata) {
        bool done = false, added;

        g_mutex_lock(&w->lock);
        added = worker_add_job(w, func, userdata, &done);
        while (added && !done)
                g_cond_wait(&w->changed, &w->lock);
        g_mutex_unlock(&w->lock);
        return added;
}

void worker_set_timer(Worker *w, uint64_t due_ns, WorkerFunc func, void *userdata) {
        w->timer_ns = due_ns;
        w->timer_func = func;
        w->timer_userdata = userdata;
}

void worker_release_consume(Worker *w, framebus_frame *frame) {
        g_mutex_lock(&w->lock);
        if (w->stopped)
                framebus_frame_unref(frame);
        else {
                g_queue_push_tail(&w->frames, frame);
                worker_wake(w);
        }
        g_mutex_unlock(&w->lock);
}
