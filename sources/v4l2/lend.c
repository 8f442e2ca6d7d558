/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/v4l2/lend.h"

bool lend_judge(const Stream *s, const StreamFrame *f, bool *ret_starved) {
        const Pool *p = &s->pool;
        bool can = p->way != WAY_COPY && !p->slots[f->index].retired && f->n_parts == s->n_memories;

        *ret_starved = can && pool_count(p, SLOT_QUEUED) < p->reserve;
        return can && !*ret_starved;
}

void lend_count_starved(Stream *s, const StreamFrame *f) {
        s->counts.starved++;
        s->counts.starved_bytes += f->size;
}

static size_t get_skipped(const Slot *slot, const StreamFrame *f, uint32_t memory) {
        return (size_t)((const char *)f->parts[memory].data - (const char *)slot->memories[memory].start);
}

void lend_describe(Stream *s, const StreamFrame *f, Loan *ret) {
        Slot *slot = &s->pool.slots[f->index];

        if (!slot->id)
                slot->id = ++s->last_id;
        *ret = (Loan){ .buffer = slot->id, .n = s->n_memories, .n_planes = s->n_planes };
        for (uint32_t k = 0; k < s->n_memories; k++) {
                ret->fds[k] = slot->memories[k].fd;
                ret->data[k] = slot->memories[k].start;
        }
        for (uint32_t i = 0; i < s->n_planes; i++) {
                uint32_t memory = s->n_memories > 1 ? i : 0;

                ret->planes[i] = s->planes[i];
                ret->planes[i].memory = memory;
                ret->planes[i].offset = get_skipped(slot, f, memory) +
                                        (s->n_memories > 1 ? 0 : s->planes[i].offset);
        }
        if (s->n_planes == 0) {
                ret->n_planes = 1;
                ret->planes[0] = (struct framebus_plane){ .offset = get_skipped(slot, f, 0),
                                                          .size = f->size };
        }
}

void lend_begin(Stream *s, const StreamFrame *f) {
        s->pool.slots[f->index].place = SLOT_LENT;
        s->counts.lent++;
}

int lend_end(Stream *s, uint64_t buffer) {
        Slot *slot = s->device ? pool_find(&s->pool, buffer) : NULL;

        if (!slot || slot->place != SLOT_LENT)
                return 0;
        return stream_give_back(s, slot);
}

int lend_retire(Stream *s, uint64_t buffer) {
        Slot *slot = s->device ? pool_find(&s->pool, buffer) : NULL;

        if (!slot || slot->retired)
                return 0;
        slot->retired = true;
        if (slot->place == SLOT_LENT)
                return stream_give_back(s, slot);
        if (s->pool.way == WAY_EXPORT) /* nothing can be taken back from the driver but all */
                s->wants_renewal = true;
        return 0;
}

int lend_grow(Stream *s, uint32_t n_lent) {
        s->plan.n_lent = n_lent;
        return s->plan.way == WAY_COPY ? 0 : pool_grow(&s->pool, n_lent);
}

size_t lend_list(const Stream *s, uint64_t ret_buffers[POOL_SLOTS_MAX]) {
        const Pool *p = &s->pool;
        size_t n = 0;

        for (uint32_t i = 0; i < p->n_slots; i++)
                if (p->slots[i].id && !p->slots[i].retired)
                        ret_buffers[n++] = p->slots[i].id;
        return n;
}
