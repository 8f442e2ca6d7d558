/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See lend.h. A callback may push, forget or close: after one, no buffer is touched any more that was looked
 * up before it.
 *
 * Of a frame that went out in two kinds of memory the broker releases both at once, when nobody has either.
 * It refuses each by itself; so one refusal does not prove that nobody looks at the other, and the second, or
 * the release, is waited for.
 */
#include "libframebus/lend.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "libframebus/export.h"
#include "libframebus/memory.h"
#include "libframebus/publisher.h"

/* The table */

static LentBuffer *buffer_find(framebus_publisher *pub, uint64_t id) {
        for (size_t i = 0; id > 0 && i < FB_BUFFERS_MAX; i++)
                if (pub->lending.buffers[i].id == id)
                        return &pub->lending.buffers[i];
        return NULL;
}

static LentBuffer *buffer_find_free(framebus_publisher *pub) {
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                if (pub->lending.buffers[i].id == 0)
                        return &pub->lending.buffers[i];
        return NULL;
}

static LentBuffer *buffer_find_frame(framebus_publisher *pub, uint64_t seq) {
        for (size_t i = 0; seq > 0 && i < FB_BUFFERS_MAX; i++)
                if (pub->lending.buffers[i].lent && pub->lending.buffers[i].seq == seq)
                        return &pub->lending.buffers[i];
        return NULL;
}

static void buffer_drop(framebus_publisher *pub, LentBuffer *b) {
        for (size_t i = 0; i < FB_MEMORIES_MAX; i++)
                if (b->memories[i].map)
                        (void)munmap(b->memories[i].map, b->memories[i].map_size);
        if (b->lent)
                pub->stats.lent--;
        *b = (LentBuffer){};
}

void lending_clear(framebus_publisher *pub) {
        Lending *l = &pub->lending;

        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                buffer_drop(pub, &l->buffers[i]);
        memset(l->retired, 0, sizeof l->retired);
        l->due = sd_event_source_disable_unref(l->due);
        lending_stopped(pub);
}

static bool was_retired(Lending *l, uint64_t id) {
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                if (l->retired[i] == id)
                        return true;
        return false;
}

/* Coming back */

static void buffer_retire(framebus_publisher *pub, LentBuffer *b) {
        Lending *l = &pub->lending;
        uint64_t id = b->id;

        buffer_drop(pub, b);
        if (!was_retired(l, id)) {
                l->retired[l->next_retired] = id;
                l->next_retired = (l->next_retired + 1) % FB_BUFFERS_MAX;
        }
        publisher_tell_since(2, pub, retired, id);
}

static void buffer_come_back(framebus_publisher *pub, LentBuffer *b) {
        if (b->retired) {
                buffer_retire(pub, b);
                return;
        }
        b->lent = false;
        b->seq = 0;
        pub->stats.lent--;
        publisher_tell_since(2, pub, released, b->id);
}

static int on_due(sd_event_source *s, void *userdata) {
        framebus_publisher *pub = userdata;
        bool was_due[FB_BUFFERS_MAX];

        /* not those that are pushed again by a callback: theirs is the next time */
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                was_due[i] = pub->lending.buffers[i].lent && pub->lending.buffers[i].seq == 0;
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++) {
                LentBuffer *b = &pub->lending.buffers[i];

                if (was_due[i] && b->lent && b->seq == 0)
                        buffer_come_back(pub, b);
        }
        return 0;
}

void lending_released(framebus_publisher *pub, uint64_t seq) {
        LentBuffer *b = buffer_find_frame(pub, seq);

        if (b)
                buffer_come_back(pub, b);
}

void lending_on_retire(framebus_publisher *pub, sd_bus_message *m) {
        const uint64_t *ids;
        size_t n;

        if (codec_read_seqs(m, &ids, &n) != 0)
                return;
        for (size_t i = 0; i < n; i++) {
                LentBuffer *b = buffer_find(pub, ids[i]);

                if (b && b->lent)
                        b->retired = true;
                else if (b)
                        buffer_retire(pub, b);
        }
}

/* Going out */

int lending_get(framebus_publisher *pub, const struct framebus_push_info *info, const int *fds, size_t n_fds,
                LentBuffer **ret_buffer) {
        LentBuffer *b = buffer_find(pub, info->buffer);
        int r;

        if (b) {
                *ret_buffer = b;
                return b->lent ? -EBUSY : 0;
        }
        if (info->buffer == 0)
                return -EINVAL;
        b = buffer_find_free(pub);
        if (!b)
                return -ENOBUFS;
        for (size_t i = 0; i < n_fds; i++) {
                r = memory_get_size(info->memory, fds[i], &b->memories[i].size);
                if (r < 0)
                        return r;
        }
        b->id = info->buffer;
        b->retired = was_retired(&pub->lending, b->id);
        *ret_buffer = b;
        return 0;
}

void lending_put(framebus_publisher *pub, LentBuffer *b) {
        if (!b->lent && !b->known)
                buffer_drop(pub, b);
}

int lending_lend(framebus_publisher *pub, LentBuffer *b, uint64_t seq) {
        Lending *l = &pub->lending;
        int r = 0;

        if (seq == 0 && !l->due)
                r = sd_event_add_defer(pub->fb->event, &l->due, on_due, pub);
        else if (seq == 0)
                r = sd_event_source_set_enabled(l->due, SD_EVENT_ONESHOT);
        if (r < 0)
                return r;
        b->lent = true;
        b->seq = seq;
        b->known |= seq > 0;
        pub->stats.lent++;
        return 0;
}

FB_PUBLIC int framebus_publisher_forget(framebus_publisher *pub, uint64_t buffer) {
        _cleanup_message_ sd_bus_message *m = NULL;
        LentBuffer *b = buffer_find(pub, buffer);
        bool known = b && b->known;
        int r;

        if (b)
                buffer_drop(pub, b);
        if (!known)
                return 0;
        r = publisher_new_call(pub, "Forget", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "at", 1, buffer);
        return r < 0 ? r : publisher_send(pub, m);
}

FB_PUBLIC int framebus_publisher_want_buffer(framebus_publisher *pub) {
        _cleanup_message_ sd_bus_message *m = NULL;
        uint32_t n = 0;
        int r;

        if (pub->ended)
                return -ENOLINK;
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                n += pub->lending.buffers[i].lent && pub->lending.buffers[i].seq > 0;
        if (n == 0)
                return 0;
        r = publisher_new_call(pub, "WantBuffer", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "u", n);
        return r < 0 ? r : publisher_send(pub, m);
}

/* What is offered and needed */

int lending_describe(framebus_publisher *pub) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r = publisher_new_call(pub, "Describe", &m);

        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", FB_KEY_MEMORY);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "as");
        if (r >= 0)
                r = codec_append_memories(m, pub->lending.offered);
        for (unsigned int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : publisher_send(pub, m);
}

bool lending_started(framebus_publisher *pub, const Start *start) {
        Lending *l = &pub->lending;
        uint32_t sealed = MEMORY_BIT(FRAMEBUS_MEMORY_SEALED);
        uint32_t wanted = start->memories & (sealed | l->offered) ?: sealed;
        bool same_mode = pub->started && mode_equal(&l->mode, &start->mode);
        bool news = l->wanted != wanted || l->n_buffers != start->n_buffers;

        l->mode = start->mode;
        l->wanted = wanted;
        l->n_buffers = start->n_buffers;
        if (news || !pub->started)
                publisher_tell_since(2, pub, memories, wanted, start->n_buffers);
        return !same_mode || !news;
}

void lending_stopped(framebus_publisher *pub) {
        pub->lending.wanted = 0;
        pub->lending.n_buffers = 0;
}

int lending_offer(framebus_publisher *pub, const enum framebus_memory *memories, size_t n_memories) {
        uint32_t mask;
        int r = memory_read_kinds(memories, n_memories, &mask);

        if (r >= 0)
                pub->lending.offered = mask & ~MEMORY_BIT(FRAMEBUS_MEMORY_SEALED);
        return r;
}

FB_PUBLIC int framebus_publisher_set_memories(framebus_publisher *pub, const enum framebus_memory *memories,
                                              size_t n_memories) {
        int r;

        if (pub->ended)
                return -ENOLINK;
        r = lending_offer(pub, memories, n_memories);
        if (r < 0 || !pub->channel || !channel_is_open(pub->channel))
                return r; /* said when it opens */
        return lending_describe(pub);
}
