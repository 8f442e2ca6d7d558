/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A publisher of a stream-fixture.h source that lends memory by the rules, with the broker's real book, and a
 * witness of what its receivers may still look at. Checked always: a buffer that is filled is with nobody,
 * also not with who left or was suspended; each frame that is lent comes back once; a buffer is retired once,
 * and nothing is known of it when it has come back.
 */
#pragma once

#include "broker/publication/buffers.h"
#include "tests/unit/stream-fixture.h"

#define POOL_SINKS 4
#define POOL_IDS   4096 /* more than one run makes */

typedef enum PoolState {
        POOL_NONE,
        POOL_FREE,
        POOL_LENT,
        POOL_LENT_RETIRED, /* ends when it comes back */
        POOL_CROSSING,     /* retired, while a frame is being made in it */
        POOL_ENDED,
} PoolState;

typedef struct PoolBuffer {
        PoolState state;
        uint32_t kind;
        uint64_t seq, public_id, slot;
} PoolBuffer;

typedef struct Pool {
        Source *source;
        Buffers *buffers;
        PoolBuffer list[POOL_IDS]; /* by the publisher's id */
        uint64_t last_id, seq;
        unsigned n_lent, n_retired;
        uint64_t retired_slots; /* where a buffer was retired that is lent still */
        const Sink *sinks;
        /* id of the buffer that frame seq % 256 of a sink lies in; 0: sealed */
        uint64_t sent[POOL_SINKS][256];
        bool gone[POOL_IDS]; /* leased, and known to somebody who left */
        bool known[POOL_SINKS][POOL_IDS];
} Pool;

static uint64_t pool_find_public(const Pool *p, uint64_t public_id) {
        for (uint64_t id = p->last_id; id > 0; id--)
                if (p->list[id].public_id == public_id)
                        return id;
        return 0;
}

static void pool_returned(uint64_t seq, void *userdata) {
        Pool *p = userdata;

        for (uint64_t id = 1; id <= p->last_id; id++) {
                PoolBuffer *b = &p->list[id];

                if (b->seq != seq || (b->state != POOL_LENT && b->state != POOL_LENT_RETIRED))
                        continue;
                if (b->state == POOL_LENT_RETIRED)
                        p->retired_slots &= ~b->slot;
                b->state = b->state == POOL_LENT ? POOL_FREE : POOL_ENDED;
                p->n_lent--;
                return;
        }
        test_check(false, __FILE__, __LINE__, "frame %llu came back, and was not lent",
                   (unsigned long long)seq);
}

static void pool_renewed(uint64_t slot, void *userdata) {
        stream_renew_slots(&((Pool *)userdata)->source->stream, slot);
}

static const BuffersHandler pool_handler = { pool_returned, pool_renewed };

static void pool_on_retire(void *userdata, uint64_t slots) {
        uint64_t ids[FB_BUFFERS_MAX];
        Pool *p = userdata;
        size_t n = buffers_retire(p->buffers, slots, false, ids);

        p->n_retired += n;
        for (size_t i = 0; i < n; i++) {
                PoolBuffer *b = &p->list[ids[i]];

                CHECK(b->state == POOL_FREE || b->state == POOL_LENT);
                if (b->state == POOL_LENT) {
                        b->state = POOL_LENT_RETIRED;
                        p->retired_slots |= b->slot;
                } else {
                        b->state = ids[i] % 3 == 0 ? POOL_CROSSING : POOL_ENDED;
                }
        }
}

static void pool_on_sent(void *userdata, Sink *k, const Frame *f, bool replayed) {
        Pool *p = userdata;
        size_t i = (size_t)(k - p->sinks);
        uint64_t id = f->slot ? pool_find_public(p, f->meta.buffer) : 0;

        CHECK((f->slot == 0) == (frame_get_memory_kind(f) == FB_MEMORY_SEALED));
        if (replayed)
                CHECK_INT(f->slot & p->retired_slots, 0);
        p->sent[i][f->seq % 256] = id;
        if (id != 0) {
                CHECK(p->list[id].state == POOL_LENT || p->list[id].state == POOL_LENT_RETIRED);
                p->known[i][id] = p->list[id].kind == FB_MEMORY_LEASED;
        }
}

static const SourceHooks pool_hooks = { pool_on_retire, pool_on_sent };

static inline void pool_init(Pool *p, Source *source, const Sink *sinks) {
        *p = (Pool){ .source = source, .sinks = sinks };
        p->buffers = buffers_new(&pool_handler, p);
        source->hooks = &pool_hooks;
        source->userdata = p;
}

/* A new publisher: what the old one lent is its own, and comes back to nobody. */
static inline void pool_restart(Pool *p) {
        p->buffers = buffers_free(p->buffers);
        for (uint64_t id = 1; id <= p->last_id; id++)
                p->list[id].state = POOL_ENDED;
        p->n_lent = 0;
        p->retired_slots = 0;
        p->buffers = buffers_new(&pool_handler, p);
}

static inline void pool_deinit(Pool *p) {
        CHECK_INT(p->n_lent, 0);
        p->buffers = buffers_free(p->buffers);
}

/* Sink @i is gone, with all that it was sent. */
static inline void pool_sink_gone(Pool *p, size_t i) {
        for (uint64_t id = 1; id <= p->last_id; id++) {
                p->gone[id] |= p->known[i][id];
                p->known[i][id] = false;
        }
        memset(p->sent[i], 0, sizeof p->sent[i]);
}

/* A sink has in flight what it has not released, whether or not the broker counts on that. */
static bool pool_is_held(const Pool *p, uint64_t id) {
        for (size_t i = 0; i < POOL_SINKS; i++) {
                const Window *w = &p->sinks[i].sub.window;

                for (uint32_t k = 0; p->sinks[i].source && k < w->n; k++)
                        if (p->sent[i][w->entries[(w->head + k) % FB_WINDOW_MAX].seq % 256] == id)
                                return true;
        }
        return false;
}

/* A buffer that may be filled; 0: as many as may be are lent. */
static uint64_t pool_get(Pool *p, uint32_t kind) {
        uint64_t id;

        for (id = 1; id <= p->last_id; id++)
                if ((p->list[id].state == POOL_FREE || p->list[id].state == POOL_CROSSING) &&
                    p->list[id].kind == kind)
                        break;
        if (id > p->last_id) {
                if (buffers_get_n(p->buffers) == FB_BUFFERS_MAX || p->last_id == POOL_IDS - 1)
                        return 0;
                p->list[++p->last_id] = (PoolBuffer){ .state = POOL_FREE, .kind = kind };
        }
        CHECK(!pool_is_held(p, id));
        CHECK(p->list[id].state == POOL_CROSSING || !p->gone[id]);
        return id;
}

/* The next frame in memory of @kind, or NULL. */
static inline Frame *pool_lend(Pool *p, uint32_t kind) {
        uint64_t id = pool_get(p, kind);
        Frame made = { .seq = ++p->seq,
                       .pts_ns = p->source->now,
                       .flags = kind << FB_FRAME_MEMORY_SHIFT,
                       .n_planes = 1,
                       .meta = { .present = FRAME_META_BUFFER, .buffer = id } };
        PoolBuffer *b = &p->list[id];
        const char *why;
        Frame *f;

        if (id == 0)
                return NULL;
        test_check(buffers_lend(p->buffers, &made, &f, &why) == 0, __FILE__, __LINE__,
                   "buffer %llu is refused", (unsigned long long)id);
        b->state = b->state == POOL_CROSSING ? POOL_LENT_RETIRED : POOL_LENT;
        b->seq = p->seq;
        b->public_id = f->meta.buffer;
        b->slot = f->slot;
        p->n_lent++;
        return f;
}

/* The book knows what is free or lent, and nothing else. */
static inline void pool_check(const Pool *p) {
        size_t n = 0;

        for (uint64_t id = 1; id <= p->last_id; id++)
                n += p->list[id].public_id != 0 && p->list[id].state >= POOL_FREE &&
                     p->list[id].state <= POOL_LENT_RETIRED;
        CHECK_INT(buffers_get_n(p->buffers), n);
}

/* Frees one that is not lent. */
static inline void pool_forget(Pool *p) {
        for (uint64_t id = 1; id <= p->last_id; id++)
                if (p->list[id].state == POOL_FREE) {
                        buffers_forget(p->buffers, &id, 1);
                        p->list[id].state = POOL_ENDED;
                        return;
                }
}
