/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owning locals and how to hand them over. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Defines func##p() for _cleanup_(). func takes NULL. */
#define FB_DEFINE_CLEANUP(type, func)                                                                        \
        static inline void func##p(type *p) {                                                                \
                if (*p)                                                                                      \
                        func(*p);                                                                            \
        }

static inline void fb_freep(void *p) {
        free(*(void **)p);
}

static inline int fb_close(int fd) {
        if (fd >= 0)
                (void)close(fd);
        return -1;
}

static inline void fb_closep(int *fd) {
        fb_close(*fd);
}

#define _cleanup_free_  _cleanup_(fb_freep)
#define _cleanup_close_ _cleanup_(fb_closep)

/* Gives the value away and leaves nothing behind. */
#define take_ptr(p)                                                                                          \
        ({                                                                                                   \
                __typeof__(p) *_pp = &(p);                                                                   \
                __typeof__(p) _v = *_pp;                                                                     \
                *_pp = NULL;                                                                                 \
                _v;                                                                                          \
        })

#define take_fd(fd)                                                                                          \
        ({                                                                                                   \
                int *_fdp = &(fd);                                                                           \
                int _fd = *_fdp;                                                                             \
                *_fdp = -1;                                                                                  \
                _fd;                                                                                         \
        })

#define FB_ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define FB_MIN(a, b)     ((a) < (b) ? (a) : (b))
#define FB_MAX(a, b)     ((a) > (b) ? (a) : (b))

#define fb_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
