/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/memfd.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define SEALS_SIZE  (F_SEAL_SHRINK | F_SEAL_GROW)
#define SEALS_FINAL (SEALS_SIZE | F_SEAL_WRITE | F_SEAL_SEAL)
#define SEALS_POOL  (SEALS_SIZE | F_SEAL_FUTURE_WRITE)

int memfd_new(const char *name) {
        static unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL;
        int fd = memfd_create(name, flags);

        if (fd < 0 && errno == EINVAL && (flags & MFD_NOEXEC_SEAL)) { /* before Linux 6.3 */
                flags &= ~MFD_NOEXEC_SEAL;
                fd = memfd_create(name, flags);
        }
        return fd < 0 ? -errno : fd;
}

int memfd_append(int fd, const void *data, size_t size) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = write(fd, (const char *)data + done, size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                done += (size_t)n;
        }
        return 0;
}

int memfd_new_sealed(const char *name, const void *data, size_t size) {
        _cleanup_close_ int fd = -1;
        int r;

        if (size > SSIZE_MAX)
                return -EMSGSIZE;
        fd = memfd_new(name);
        if (fd < 0)
                return fd;
        r = memfd_append(fd, data, size);
        if (r >= 0)
                r = memfd_seal(fd);
        return r < 0 ? r : take_fd(fd);
}

int memfd_seal(int fd) {
        return fcntl(fd, F_ADD_SEALS, SEALS_FINAL) < 0 ? -errno : 0;
}

int memfd_seal_pool(int fd) {
        return fcntl(fd, F_ADD_SEALS, SEALS_POOL) < 0 ? -errno : 0;
}

int memfd_new_page(const char *name, size_t size, void **ret_map) {
        _cleanup_close_ int fd = memfd_new(name);
        void *p;

        if (fd < 0)
                return fd;
        if (ftruncate(fd, (off_t)size) < 0)
                return -errno;
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        if (fcntl(fd, F_ADD_SEALS, SEALS_POOL | F_SEAL_SEAL) < 0) {
                int r = -errno;

                munmap(p, size);
                return r;
        }
        *ret_map = p;
        return take_fd(fd);
}

/* Whether it is a memfd at all; its seals and size. */
static int judge_memfd(int fd, int *ret_seals, uint64_t *ret_size, const char **ret_why) {
        struct statfs fs;
        struct stat st;
        int seals = fcntl(fd, F_GET_SEALS);

        /* hugetlbfs knows seals as well, but faults there can fail for lack of huge pages */
        if (seals < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
                return *ret_why = "the descriptor is not a memfd", FB_E_INVALID_MEMORY;
        if (fstat(fd, &st) < 0 || st.st_size < 0)
                return *ret_why = "the memfd has no size", FB_E_INVALID_MEMORY;
        *ret_seals = seals;
        *ret_size = (uint64_t)st.st_size;
        return 0;
}

int memfd_judge_sealed(int fd_borrow, uint64_t *ret_size, const char **ret_why) {
        uint64_t size;
        int seals;

        fb_try(judge_memfd(fd_borrow, &seals, &size, ret_why));
        if ((seals & SEALS_FINAL) != SEALS_FINAL)
                return *ret_why = "the memfd lacks a seal: SHRINK, GROW, WRITE and SEAL are needed",
                       FB_E_NOT_SEALED;
        *ret_size = size;
        return 0;
}

int memfd_judge_leased(int fd_borrow, uint64_t *ret_size, const char **ret_why) {
        uint64_t size;
        int seals;

        fb_try(judge_memfd(fd_borrow, &seals, &size, ret_why));
        if ((seals & SEALS_SIZE) != SEALS_SIZE || !(seals & (F_SEAL_FUTURE_WRITE | F_SEAL_WRITE)))
                return *ret_why = "the memfd lacks a seal: SHRINK, GROW, and FUTURE_WRITE or WRITE are "
                                  "needed",
                       FB_E_NOT_SEALED;
        *ret_size = size;
        return 0;
}
