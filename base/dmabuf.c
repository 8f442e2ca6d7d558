/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A dma-buf is known by its file system, which cannot be mounted: a link in /proc that begins with "/dmabuf:"
 * can be any file's. What may be done with it is in the descriptor alone; it cannot be opened again.
 */
#include "base/dmabuf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

bool dmabuf_is(int fd_borrow) {
        struct statfs fs;

        return fstatfs(fd_borrow, &fs) == 0 && fs.f_type == DMA_BUF_MAGIC;
}

int dmabuf_judge(int fd_borrow, uint64_t *ret_size, const char **ret_why) {
        int flags = fcntl(fd_borrow, F_GETFL);
        off_t size;

        if (flags < 0 || (flags & O_PATH) || !dmabuf_is(fd_borrow))
                return *ret_why = "the descriptor is not a dma-buf", FB_E_INVALID_MEMORY;
        if ((flags & O_ACCMODE) == O_WRONLY)
                return *ret_why = "the dma-buf cannot be read", FB_E_INVALID_MEMORY;
        size = lseek(fd_borrow, 0, SEEK_END);
        if (size < 0)
                return *ret_why = "the dma-buf has no size", FB_E_INVALID_MEMORY;
        *ret_size = (uint64_t)size;
        return 0;
}

int dmabuf_sync_read(int fd_borrow, bool begin) {
        struct dma_buf_sync sync = {
                .flags = DMA_BUF_SYNC_READ | (begin ? DMA_BUF_SYNC_START : DMA_BUF_SYNC_END),
        };
        int r;

        do
                r = ioctl(fd_borrow, DMA_BUF_IOCTL_SYNC, &sync);
        while (r < 0 && (errno == EINTR || errno == EAGAIN));
        return r < 0 ? -errno : 0;
}
