/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See receiver.h. What is below "In the worker's thread" runs there, alone; what both threads look at is
 * under the lock. The wishes are kept, as a connection that was lost and opened again has forgotten them.
 */
#include "gst/receiver.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

#define KINDS_MAX 3u

enum { UNASKED, ASKING, ATTACHED, ENDED };

struct Receiver {
        Worker *worker;

        GMutex lock;
        GCond changed;
        bool flushing, running;
        GQueue frames; /* of ReceiverFrame */
        int state, error;
        char *message;
        struct framebus_mode mode;
        ReceiverStats stats;
        bool listed;
        struct framebus_mode *modes; /* of the source that was asked about last */
        size_t n_modes;

        /* the worker's; written by the other thread only while it is waited for */
        framebus_subscription *sub;
        Imports *imports;
        char *source;
        struct framebus_subscribe_options options;
        struct framebus_mode *wishes;
        enum framebus_memory memories[KINDS_MAX];
        uint64_t lost;
        char reason[32];
        bool attached;
        bool found;
};

static void frame_free(void *p) {
        ReceiverFrame *f = p;

        gst_clear_buffer(&f->buffer);
        g_free(f);
}

static void receiver_clear_frames(Receiver *r) {
        ReceiverFrame *f;

        while ((f = g_queue_pop_head(&r->frames)))
                frame_free(f);
}

static int errno_of(const struct framebus_error *error) {
        const char *name = error ? error->name : "";

        if (strcmp(name, "org.framebus.Error.NoSuchSource") == 0 ||
            strcmp(name, "org.freedesktop.DBus.Error.ServiceUnknown") == 0)
                return -ENOENT;
        if (strcmp(name, "org.framebus.Error.NoCommonMode") == 0 ||
            strcmp(name, "org.framebus.Error.NoCommonMemory") == 0)
                return -ENOTSUP;
        return strcmp(name, "org.freedesktop.DBus.Error.AccessDenied") == 0 ? -EACCES : -EIO;
}

/* In the worker's thread: the subscription */

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        Receiver *r = userdata;

        r->imports = imports_free(r->imports); /* numbers of buffers begin anew */
        r->attached = true;
        g_mutex_lock(&r->lock);
        r->state = ATTACHED;
        r->mode = granted->mode;
        r->stats.attached++;
        g_cond_broadcast(&r->changed);
        g_mutex_unlock(&r->lock);
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        Receiver *r = userdata;

        r->lost += count;
        g_strlcpy(r->reason, reason, sizeof r->reason);
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        Receiver *r = userdata;
        ReceiverFrame *f = g_new0(ReceiverFrame, 1);

        if (picture_import(r->worker, &r->imports, frame, &f->buffer, &f->look) < 0) {
                on_lost(sub, 1, "incomplete", r);
                g_free(f);
                return;
        }
        f->lost = r->lost;
        memcpy(f->reason, r->reason, sizeof f->reason);
        f->replayed = framebus_frame_get_flags(frame) & FRAMEBUS_FRAME_REPLAYED;
        f->attached = r->attached;
        r->lost = 0;
        r->attached = false;
        g_mutex_lock(&r->lock);
        if (!r->running)
                receiver_clear_frames(r);
        g_queue_push_tail(&r->frames, f);
        r->stats.delivered++;
        r->stats.lost += f->lost;
        g_cond_broadcast(&r->changed);
        g_mutex_unlock(&r->lock);
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        Receiver *r = userdata;

        g_mutex_lock(&r->lock);
        r->state = ENDED;
        r->error = strcmp(reason, "mode") == 0 ? -EAGAIN : errno_of(error);
        g_free(r->message);
        r->message = error ? g_strdup(error->message) : g_strdup_printf("The subscription ended: %s", reason);
        g_cond_broadcast(&r->changed);
        g_mutex_unlock(&r->lock);
}

static const struct framebus_subscription_events subscription_events = {
        .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
        .attached = on_attached,
        .frame = on_frame,
        .lost = on_lost,
        .ended = on_ended,
};

static void receiver_forget(Receiver *r) {
        r->sub = NULL;
        r->imports = imports_free(r->imports);
        r->lost = 0;
        g_mutex_lock(&r->lock);
        receiver_clear_frames(r);
        g_mutex_unlock(&r->lock);
}

static void subscribe(framebus *fb, void *userdata) {
        Receiver *r = userdata;
        struct framebus_error error = { "", "not connected", 0 };
        int k = -ENOTCONN;

        framebus_subscription_close(r->sub);
        receiver_forget(r);
        if (fb)
                k = framebus_subscribe(fb, r->source, &r->options, &subscription_events, r, &r->sub);
        if (k == -ENOTCONN) /* it is subscribed when the connection opens again */
                return;
        if (k < 0) {
                error.message = g_strerror(-k);
                on_ended(NULL, "refused", &error, r);
        }
}

static void on_opened(framebus *fb, void *userdata) {
        Receiver *r = userdata;
        bool wanted;

        g_mutex_lock(&r->lock);
        wanted = r->state == ASKING || r->state == ATTACHED;
        g_mutex_unlock(&r->lock);
        if (wanted)
                subscribe(fb, r);
}

static void on_closing(void *userdata) {
        Receiver *r = userdata;

        r->sub = framebus_subscription_close(r->sub);
        receiver_forget(r);
}

static const WorkerHandler worker_handler = { .opened = on_opened, .closing = on_closing };

/* In the worker's thread: modes. A source's are not known before somebody asked for one. */

static void listed(Receiver *r, int error, const char *message) {
        g_mutex_lock(&r->lock);
        r->listed = true;
        r->error = error;
        g_free(r->message);
        r->message = g_strdup(message);
        g_cond_broadcast(&r->changed);
        g_mutex_unlock(&r->lock);
}

static bool source_has_name(const struct framebus_source_info *info, const char *name) {
        return strcmp(info->name, name) == 0 || g_strv_contains(info->aliases, name);
}

static void on_listed(framebus *fb, const struct framebus_source_info *info,
                      const struct framebus_error *error, void *userdata) {
        Receiver *r = userdata;

        if (error)
                listed(r, errno_of(error), error->message);
        else if (!info)
                listed(r, r->found ? 0 : -ENOENT, "There is no source of that name");
        else if (source_has_name(info, r->source)) {
                r->found = true;
                g_mutex_lock(&r->lock);
                g_free(r->modes);
                r->modes = g_memdup2(info->modes, info->n_modes * sizeof *info->modes);
                r->n_modes = info->n_modes;
                g_mutex_unlock(&r->lock);
        }
}

static void on_negotiated(framebus *fb, const struct framebus_granted *granted,
                          const struct framebus_error *error, void *userdata) {
        Receiver *r = userdata;

        if (error) /* subscribing will say the same, or not */
                listed(r, errno_of(error), error->message);
        else if (framebus_list(fb, on_listed, r) < 0)
                listed(r, -EIO, "The sources cannot be listed");
}

static void ask_modes(framebus *fb, void *userdata) {
        Receiver *r = userdata;

        if (!fb)
                listed(r, -EIO, "There is no connection");
        else if (framebus_negotiate(fb, r->source, NULL, on_negotiated, r) < 0)
                listed(r, -EIO, "Modes cannot be asked for");
}

/* From outside */

int receiver_new(const char *address, Receiver **ret) {
        Receiver *r = g_new0(Receiver, 1);
        int k;

        g_mutex_init(&r->lock);
        g_cond_init(&r->changed);
        r->running = true;
        k = worker_new("framebussrc", address, &worker_handler, r, &r->worker);
        if (k < 0) {
                receiver_free(r);
                return k;
        }
        *ret = r;
        return 0;
}

Receiver *receiver_free(Receiver *r) {
        if (!r)
                return NULL;
        worker_stop(r->worker);
        worker_unref(r->worker);
        receiver_clear_frames(r);
        g_mutex_clear(&r->lock);
        g_cond_clear(&r->changed);
        g_free(r->message);
        g_free(r->modes);
        g_free(r->source);
        g_free(r->wishes);
        g_free(r);
        return NULL;
}

typedef struct Request {
        Receiver *r;
        const char *source;
        const struct framebus_subscribe_options *options; /* NULL: only asks */
        WorkerFunc func;
} Request;

static void take_request(framebus *fb, void *userdata) {
        Request *q = userdata;
        Receiver *r = q->r;

        g_free(r->source);
        r->source = g_strdup(q->source);
        r->found = false;
        if (q->options) {
                g_free(r->wishes);
                r->wishes = g_memdup2(q->options->modes, q->options->n_modes * sizeof *q->options->modes);
                r->options = *q->options;
                r->options.modes = r->wishes;
                r->options.n_memories = MIN(q->options->n_memories, KINDS_MAX);
                memcpy(r->memories, q->options->memories, r->options.n_memories * sizeof r->memories[0]);
                r->options.memories = r->memories;
        }
        q->func(fb, r);
}

int receiver_get_modes(Receiver *r, const char *source, struct framebus_mode **ret_modes,
                       size_t *ret_n_modes) {
        Request request = { r, source, NULL, ask_modes };
        int k;

        g_mutex_lock(&r->lock);
        r->listed = false;
        g_mutex_unlock(&r->lock);
        (void)worker_call(r->worker, take_request, &request);
        g_mutex_lock(&r->lock);
        while (!r->listed && !r->flushing)
                g_cond_wait(&r->changed, &r->lock);
        k = r->flushing ? -ECANCELED : r->error;
        if (k == 0) {
                *ret_modes = g_steal_pointer(&r->modes);
                *ret_n_modes = r->n_modes;
        }
        g_mutex_unlock(&r->lock);
        return k;
}

int receiver_subscribe(Receiver *r, const char *source, const struct framebus_subscribe_options *options,
                       struct framebus_mode *ret_mode) {
        Request request = { r, source, options, subscribe };
        int k;

        g_mutex_lock(&r->lock);
        r->state = ASKING;
        g_mutex_unlock(&r->lock);
        (void)worker_call(r->worker, take_request, &request);
        g_mutex_lock(&r->lock);
        while (r->state == ASKING && !r->flushing)
                g_cond_wait(&r->changed, &r->lock);
        k = r->flushing ? -ECANCELED : r->state == ATTACHED ? 0 : r->error;
        *ret_mode = r->mode;
        g_mutex_unlock(&r->lock);
        return k;
}

int receiver_pop(Receiver *r, ReceiverFrame *ret) {
        ReceiverFrame *f;
        int k = 0;

        g_mutex_lock(&r->lock);
        while (g_queue_is_empty(&r->frames) && r->state != ENDED && !r->flushing)
                g_cond_wait(&r->changed, &r->lock);
        f = r->flushing ? NULL : g_queue_pop_head(&r->frames);
        if (!f)
                k = r->flushing ? -ECANCELED : r->error == -EAGAIN ? -EAGAIN : -ENODATA;
        g_mutex_unlock(&r->lock);
        if (f) {
                *ret = *f;
                g_free(f);
        }
        return k;
}

void receiver_set_flushing(Receiver *r, bool flushing) {
        g_mutex_lock(&r->lock);
        r->flushing = flushing;
        g_cond_broadcast(&r->changed);
        g_mutex_unlock(&r->lock);
}

void receiver_set_running(Receiver *r, bool running) {
        g_mutex_lock(&r->lock);
        r->running = running;
        while (!running && r->frames.length > 1)
                frame_free(g_queue_pop_head(&r->frames));
        g_mutex_unlock(&r->lock);
}

int receiver_sleep(Receiver *r, uint64_t ns) {
        gint64 until = g_get_monotonic_time() + (gint64)(ns / 1000);
        bool flushing;

        g_mutex_lock(&r->lock);
        while (!r->flushing && g_cond_wait_until(&r->changed, &r->lock, until))
                ;
        flushing = r->flushing;
        g_mutex_unlock(&r->lock);
        return flushing ? -ECANCELED : 0;
}

char *receiver_get_error(Receiver *r) {
        char *message;

        g_mutex_lock(&r->lock);
        message = g_strdup(r->message ?: "");
        g_mutex_unlock(&r->lock);
        return message;
}

void receiver_get_stats(Receiver *r, ReceiverStats *ret) {
        g_mutex_lock(&r->lock);
        *ret = r->stats;
        g_mutex_unlock(&r->lock);
}
