/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Invariant: a slot is mapped until it ends. It deliberately shares no code with libframebus. */
#include "tests/bus/client/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEALS_POOL  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)
#define SEALS_FINAL (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static int slot_make(Pool *p, PoolSlot *s, uint64_t size) {
        int fd = memfd_create("fb-publisher-pool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        void *data;

        if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
                return -errno;
        data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED || fcntl(fd, F_ADD_SEALS, SEALS_POOL) < 0)
                return -errno;
        *s = (PoolSlot){.id = ++p->last_id, .size = size, .data = data, .fd = fd};
        p->n_made++;
        return 0;
}

static void slot_free(PoolSlot *s) {
        if (s->data)
                munmap(s->data, s->size);
        if (s->id)
                close(s->fd);
        *s = (PoolSlot){0};
}

/* What whoever left has mapped stays as it is, for ever. */
static int slot_end(PoolSlot *s) {
        int r;

        munmap(s->data, s->size);
        s->data = NULL;
        r = fcntl(s->fd, F_ADD_SEALS, SEALS_FINAL) < 0 ? -errno : 0;
        slot_free(s);
        return r;
}

static size_t count_usable(const Pool *p) {
        size_t n = 0;

        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                n += p->slots[i].id && !p->slots[i].retired;
        return n;
}

int pool_get(Pool *p, uint64_t size, size_t n_max, PoolSlot **ret) {
        PoolSlot *unused = NULL;

        for (size_t i = 0; i < FB_BUFFERS_MAX; i++) {
                PoolSlot *s = &p->slots[i];

                if (s->id && !s->seq && s->size == size) {
                        *ret = s;
                        return 0;
                }
                if (!s->id)
                        unused = s;
        }
        if (!unused || count_usable(p) >= n_max)
                return -EAGAIN;
        *ret = unused;
        return slot_make(p, unused, size);
}

bool pool_has_room(const Pool *p, size_t n_max) {
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                if (p->slots[i].id && !p->slots[i].seq)
                        return true;
        return count_usable(p) < n_max;
}

int pool_released(Pool *p, uint64_t seq) {
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                if (p->slots[i].id && p->slots[i].seq == seq) {
                        p->slots[i].seq = 0;
                        return p->slots[i].retired ? slot_end(&p->slots[i]) : 0;
                }
        return 0;
}

int pool_retire(Pool *p, uint64_t id) {
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++) {
                PoolSlot *s = &p->slots[i];

                if (s->id != id || s->retired)
                        continue;
                p->n_retired++;
                s->retired = true;
                return s->seq ? 0 : slot_end(s);
        }
        return -ENOENT;
}

size_t pool_forget(Pool *p, uint64_t ret_ids[static FB_BUFFERS_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                if (p->slots[i].id && !p->slots[i].seq) {
                        ret_ids[n++] = p->slots[i].id;
                        slot_free(&p->slots[i]);
                }
        return n;
}

size_t pool_count(const Pool *p, bool lent) {
        size_t n = 0;

        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                n += p->slots[i].id && (p->slots[i].seq || !lent);
        return n;
}

void pool_done(Pool *p) {
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                slot_free(&p->slots[i]);
}
