/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The list is in order of use, the last one first. A buffer whose number comes with another file, which no
 * broker lets happen, gets another mapping. */
#include "libframebus/maps.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/list.h"
#include "libframebus/memory.h"

/* A pool has come round long before, unless very many watch it; then each frame is mapped, as before. */
#define AGE_MAX   64u /* later uses of others */
#define COUNT_MAX 32u
#define BYTES_MAX ((uint64_t)256 << 20)

struct Map {
        Maps *maps;
        List link; // Maps::all
        unsigned int n_users;
        uint64_t used; /* Maps::n_uses then */
        uint64_t buffer;
        uint32_t memory;
        dev_t device;
        ino_t inode;
        void *data;
        size_t size;
};

struct Maps {
        List all; // Map::link
        size_t n;
        uint64_t size_bytes; /* of all */
        uint64_t n_uses;
        bool closed;
};

static void map_free(Map *m) {
        m->maps->n--;
        m->maps->size_bytes -= m->size;
        list_remove(&m->link);
        (void)munmap(m->data, m->size);
        free(m);
}

/* From the oldest one on. */
static void maps_trim(Maps *maps) {
        List *l = maps->all.prev;

        while (l != &maps->all) {
                Map *m = list_entry(l, Map, link);

                l = l->prev;
                if (m->n_users == 0 &&
                    (maps->n > COUNT_MAX || maps->size_bytes > BYTES_MAX || maps->n_uses - m->used > AGE_MAX))
                        map_free(m);
        }
}

static void maps_use(Maps *maps, Map *m) {
        m->used = ++maps->n_uses;
        m->n_users++;
        list_remove(&m->link);
        list_append(maps->all.next, &m->link); /* before the first */
        maps_trim(maps);
}

static int maps_new(Maps **ret) {
        Maps *maps = calloc(1, sizeof *maps);

        if (!maps)
                return -ENOMEM;
        list_init(&maps->all);
        *ret = maps;
        return 0;
}

static int maps_add(Maps *maps, uint64_t buffer, uint32_t memory, int fd, const struct stat *st, Map **ret) {
        Map *m = calloc(1, sizeof *m);
        int r;

        if (!m)
                return -ENOMEM;
        *m = (Map){ .maps = maps,
                    .buffer = buffer,
                    .memory = memory,
                    .device = st->st_dev,
                    .inode = st->st_ino,
                    .size = (size_t)st->st_size };
        r = memory_map(FRAMEBUS_MEMORY_LEASED, fd, m->size, &m->data);
        if (r < 0) {
                free(m);
                return r;
        }
        maps->n++;
        maps->size_bytes += m->size;
        *ret = m;
        return 0;
}

int maps_get(Maps **maps, uint64_t buffer, uint32_t memory, int fd_borrow, Map **ret) {
        struct stat st;
        Map *m;
        int r;

        if (fstat(fd_borrow, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size > SIZE_MAX)
                return -EOVERFLOW;
        r = *maps ? 0 : maps_new(maps);
        if (r < 0)
                return r;
        list_for_each(m, &(*maps)->all, link)
                if (m->buffer == buffer && m->memory == memory && m->device == st.st_dev &&
                    m->inode == st.st_ino && m->size == (size_t)st.st_size)
                        break;
        if (&m->link == &(*maps)->all)
                r = maps_add(*maps, buffer, memory, fd_borrow, &st, &m);
        if (r < 0)
                return r;
        maps_use(*maps, m);
        *ret = m;
        return 0;
}

const void *map_get_data(const Map *m, size_t *ret_size) {
        *ret_size = m->size;
        return m->data;
}

Map *map_put(Map *m) {
        Maps *maps;

        if (!m || --m->n_users > 0)
                return NULL;
        maps = m->maps;
        if (!maps->closed)
                return NULL;
        map_free(m);
        if (maps->n == 0)
                free(maps);
        return NULL;
}

Maps *maps_free(Maps *maps) {
        Map *m, *next;

        if (!maps)
                return NULL;
        maps->closed = true;
        list_for_each_safe(m, next, &maps->all, link)
                if (m->n_users == 0)
                        map_free(m);
        if (maps->n == 0)
                free(maps);
        return NULL;
}
