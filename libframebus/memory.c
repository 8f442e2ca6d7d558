/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libframebus/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dmabuf.h"
#include "interfaces/wire.h"

_Static_assert((uint32_t)FRAMEBUS_MEMORY_SEALED == FB_MEMORY_SEALED &&
                               (uint32_t)FRAMEBUS_MEMORY_LEASED == FB_MEMORY_LEASED &&
                               (uint32_t)FRAMEBUS_MEMORY_DMABUF == FB_MEMORY_DMABUF,
               "kinds of memory have the same numbers on the wire");

int memory_read_kinds(const enum framebus_memory *kinds, size_t n, uint32_t *ret_mask) {
        uint32_t mask = 0;

        for (size_t i = 0; kinds && i < n; i++) {
                if ((uint32_t)kinds[i] >= FB_MEMORY_KINDS)
                        return -EINVAL;
                mask |= MEMORY_BIT(kinds[i]);
        }
        *ret_mask = mask;
        return 0;
}

int memory_get_size(enum framebus_memory kind, int fd_borrow, uint64_t *ret_size) {
        struct stat st;
        off_t size;

        if (kind == FRAMEBUS_MEMORY_DMABUF) /* whose st_size says nothing; it has no position to be moved */
                size = lseek(fd_borrow, 0, SEEK_END);
        else
                size = fstat(fd_borrow, &st) < 0 ? -1 : st.st_size;
        if (size < 0)
                return -errno;
        *ret_size = (uint64_t)size;
        return 0;
}

int memory_map(enum framebus_memory kind, int fd_borrow, size_t size, void **ret_data) {
        int flags = kind == FRAMEBUS_MEMORY_DMABUF ? MAP_SHARED : MAP_PRIVATE;
        void *p = mmap(NULL, size, PROT_READ, flags, fd_borrow, 0);

        if (p == MAP_FAILED)
                return -errno;
        *ret_data = p;
        return 0;
}

int memory_begin_read(enum framebus_memory kind, int fd_borrow) {
        return kind == FRAMEBUS_MEMORY_DMABUF ? dmabuf_sync_read(fd_borrow, true) : 0;
}

void memory_end_read(enum framebus_memory kind, int fd_borrow) {
        if (kind == FRAMEBUS_MEMORY_DMABUF)
                (void)dmabuf_sync_read(fd_borrow, false);
}
