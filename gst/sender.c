/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See sender.h. A slot that is lent is in `lent` as well; both are emptied of it before its memory goes. The
 * book of slots has a lock of its own, as memory is freed under locks of GStreamer's.
 */
#include "gst/sender.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "gst/slot.h"

#define RETRY_MIN_NS (250 * NSEC_PER_MSEC)
#define RETRY_MAX_NS (2 * NSEC_PER_SEC)

struct Sender {
        gatomicrefcount n_refs;
        Worker *worker;

        GMutex lock;
        GCond changed;
        bool flushing, published_once, refused;
        char *message;

        gint wanted, keyframe_wanted, begun; /* atomic */

        GMutex slots_lock;
        GHashTable *slots; /* id to Slot, not owned */

        /* the worker's */
        framebus_publisher *pub;
        GHashTable *lent; /* id to GstBuffer */
        bool started;
        uint64_t retry_ns;
        struct framebus_mode mode;
        char *source, *description;
        bool replace, allow_replacement;
};

/* Slots */

static void buffer_free(void *p) {
        gst_buffer_unref(p);
}

void sender_add_slot(Sender *s, uint64_t id, Slot *slot) {
        uint64_t *key = g_new(uint64_t, 1);

        *key = id;
        g_mutex_lock(&s->slots_lock);
        g_hash_table_insert(s->slots, key, slot);
        g_mutex_unlock(&s->slots_lock);
}

typedef struct Forget {
        Sender *s;
        uint64_t id;
} Forget;

static void forget(framebus *fb, void *userdata) {
        Forget *f = userdata;

        if (f->s->pub)
                (void)framebus_publisher_forget(f->s->pub, f->id);
        sender_unref(f->s);
        g_free(f);
}

void sender_remove_slot(Sender *s, uint64_t id) {
        Forget *f = g_new(Forget, 1);

        g_mutex_lock(&s->slots_lock);
        g_hash_table_remove(s->slots, &id);
        g_mutex_unlock(&s->slots_lock);
        *f = (Forget){ sender_ref(s), id };
        if (!worker_post(s->worker, forget, f)) {
                sender_unref(s);
                g_free(f);
        }
}

static void retire_slot(Sender *s, uint64_t id) {
        Slot *slot;

        g_mutex_lock(&s->slots_lock);
        slot = g_hash_table_lookup(s->slots, &id);
        if (slot)
                slot_retire(slot);
        g_mutex_unlock(&s->slots_lock);
}

static void on_released(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        g_hash_table_remove(((Sender *)userdata)->lent, &buffer);
}

static void on_retired(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        Sender *s = userdata;

        retire_slot(s, buffer);
        g_hash_table_remove(s->lent, &buffer);
}

/* Receivers may go on looking at what was lent when the publisher ends. */
static void retire_lent(Sender *s) {
        GHashTableIter i;
        void *key;

        g_hash_table_iter_init(&i, s->lent);
        while (g_hash_table_iter_next(&i, &key, NULL))
                retire_slot(s, *(uint64_t *)key);
        g_hash_table_remove_all(s->lent);
}

/* The publisher */

static void publish(framebus *fb, void *userdata);

static void on_published(framebus_publisher *pub, const char *path, void *userdata) {
        Sender *s = userdata;

        s->retry_ns = RETRY_MIN_NS;
        g_mutex_lock(&s->lock);
        s->published_once = true;
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
}

static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {
        Sender *s = userdata;

        if (!s->started) {
                g_atomic_int_set(&s->begun, 1);
                g_atomic_int_set(&s->keyframe_wanted, 1);
        }
        s->started = framebus_publisher_set_format(pub, &s->mode) >= 0;
        g_atomic_int_set(&s->wanted, s->started);
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        Sender *s = userdata;

        s->started = false;
        g_atomic_int_set(&s->wanted, 0);
}

static void on_keyframe_wanted(framebus_publisher *pub, void *userdata) {
        g_atomic_int_set(&((Sender *)userdata)->keyframe_wanted, 1);
}

/* Closing within a callback would be no good: the timer does it. */
static void retry_later(Sender *s) {
        worker_set_timer(s->worker, clock_now_ns() + s->retry_ns, publish, s);
        s->retry_ns = MIN(s->retry_ns * 2, RETRY_MAX_NS);
}

static void on_ended(framebus_publisher *pub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        Sender *s = userdata;
        bool again;

        on_stop(pub, s);
        retire_lent(s);
        g_mutex_lock(&s->lock);
        again = s->published_once;
        s->refused = !again;
        g_free(s->message);
        s->message = g_strdup(error ? error->message : reason);
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
        if (again)
                retry_later(s);
}

static const struct framebus_publisher_events publisher_events = {
        .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION,
        .published = on_published,
        .start = on_start,
        .stop = on_stop,
        .ended = on_ended,
        .released = on_released,
        .retired = on_retired,
        .keyframe_wanted = on_keyframe_wanted,
};

static void publish(framebus *fb, void *userdata) {
        static const enum framebus_memory memories[] = { FRAMEBUS_MEMORY_LEASED };
        Sender *s = userdata;
        struct framebus_publish_options options = {
                .version = FRAMEBUS_PUBLISH_OPTIONS_VERSION,
                .description = s->description,
                .driver = "gstreamer",
                .modes = &s->mode,
                .n_modes = 1,
                .allow_replacement = s->allow_replacement,
                .replace = s->replace,
                .memories = memories,
                .n_memories = FB_ELEMENTSOF(memories),
        };
        struct framebus_error error = { .name = "" };
        int r;

        s->pub = framebus_publisher_close(s->pub);
        if (!fb || !s->source)
                return; /* when there is one */
        r = framebus_publish(fb, s->source, &options, &publisher_events, s, &s->pub);
        if (r < 0) {
                error.message = g_strerror(-r);
                on_ended(NULL, "refused", &error, s);
        }
}

static void on_opened(framebus *fb, void *userdata) {
        Sender *s = userdata;

        if (s->source)
                publish(fb, s);
}

static void on_closing(void *userdata) {
        Sender *s = userdata;

        s->pub = framebus_publisher_close(s->pub);
        worker_set_timer(s->worker, UINT64_MAX, NULL, NULL);
        on_stop(NULL, s);
        retire_lent(s);
}

static const WorkerHandler worker_handler = { .opened = on_opened, .closing = on_closing };

/* From outside */

int sender_new(const char *address, Sender **ret) {
        Sender *s = g_new0(Sender, 1);
        int r;

        g_atomic_ref_count_init(&s->n_refs);
        g_mutex_init(&s->lock);
        g_cond_init(&s->changed);
        g_mutex_init(&s->slots_lock);
        s->slots = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        s->lent = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, buffer_free);
        s->retry_ns = RETRY_MIN_NS;
        r = worker_new("framebussink", address, &worker_handler, s, &s->worker);
        if (r < 0) {
                sender_unref(s);
                return r;
        }
        *ret = s;
        return 0;
}

void sender_stop(Sender *s) {
        worker_stop(s->worker);
}

Sender *sender_ref(Sender *s) {
        g_atomic_ref_count_inc(&s->n_refs);
        return s;
}

Sender *sender_unref(Sender *s) {
        if (!s || !g_atomic_ref_count_dec(&s->n_refs))
                return NULL;
        worker_unref(s->worker);
        g_hash_table_unref(s->lent);
        g_hash_table_unref(s->slots);
        g_mutex_clear(&s->lock);
        g_mutex_clear(&s->slots_lock);
        g_cond_clear(&s->changed);
        g_free(s->message);
        g_free(s->source);
        g_free(s->description);
        g_free(s);
        return NULL;
}

typedef struct NewMode {
        Sender *s;
        const SenderOptions *options;
        const struct framebus_mode *mode;
} NewMode;

static void change_mode(framebus *fb, void *userdata) {
        const NewMode *n = userdata;
        Sender *s = n->s;

        s->mode = *n->mode;
        if (!s->source) {
                s->source = g_strdup(n->options->source);
                s->description = g_strdup(n->options->description);
                s->replace = n->options->replace;
                s->allow_replacement = n->options->allow_replacement;
                publish(fb, s);
                return;
        }
        if (!s->pub)
                return;
        (void)framebus_publisher_set_modes(s->pub, &s->mode, 1);
        if (s->started)
                (void)framebus_publisher_set_format(s->pub, &s->mode);
}

int sender_set_mode(Sender *s, const SenderOptions *options, const struct framebus_mode *mode) {
        NewMode n = { s, options, mode };
        int r;

        (void)worker_call(s->worker, change_mode, &n);
        g_mutex_lock(&s->lock);
        while (!s->published_once && !s->refused && !s->flushing)
                g_cond_wait(&s->changed, &s->lock);
        r = s->published_once ? 0 : s->refused ? -EIO : -ECANCELED;
        g_mutex_unlock(&s->lock);
        return r;
}

void sender_set_flushing(Sender *s, bool flushing) {
        g_mutex_lock(&s->lock);
        s->flushing = flushing;
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
}

char *sender_get_error(Sender *s) {
        char *message;

        g_mutex_lock(&s->lock);
        message = g_strdup(s->message ?: "");
        g_mutex_unlock(&s->lock);
        return message;
}

bool sender_is_wanted(Sender *s) {
        return g_atomic_int_get(&s->wanted);
}

bool sender_take_keyframe_wanted(Sender *s) {
        return g_atomic_int_compare_and_exchange(&s->keyframe_wanted, 1, 0);
}

bool sender_take_begun(Sender *s) {
        return g_atomic_int_compare_and_exchange(&s->begun, 1, 0);
}

typedef struct Push {
        Sender *s;
        GstBuffer *buffer;
        Slot *slot;
        const void *data;
        size_t size;
        struct framebus_push_info info;
        int result;
} Push;

static void push_slot(Push *p) {
        uint64_t *key;

        p->info.memory = FRAMEBUS_MEMORY_LEASED;
        p->info.buffer = p->slot->id;
        p->info.data[0] = p->slot->data;
        p->result = framebus_publisher_push_fds(p->s->pub, &p->slot->fd, 1, &p->info);
        if (p->result < 0)
                return;
        key = g_new(uint64_t, 1);
        *key = p->slot->id;
        g_hash_table_insert(p->s->lent, key, gst_buffer_ref(p->buffer));
}

static void push(framebus *fb, void *userdata) {
        Push *p = userdata;

        if (!p->s->pub || !p->s->started)
                p->result = -ENOLINK;
        else if (p->slot)
                push_slot(p);
        else
                p->result = framebus_publisher_push_data(p->s->pub, p->data, p->size, &p->info);
}

int sender_push(Sender *s, GstBuffer *buffer, Slot *slot, const void *data, size_t size,
                const struct framebus_push_info *info) {
        Push p = { s, buffer, slot, data, size, *info, -ENOLINK };

        (void)worker_call(s->worker, push, &p);
        return p.result;
}
