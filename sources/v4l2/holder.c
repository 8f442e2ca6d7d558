/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel only says EBUSY. Who it is stands in /proc, for processes of one's own user. */
#include "sources/v4l2/holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define HOLDERS_MAX 4u

static void dir_closep(DIR **d) {
        if (*d)
                (void)closedir(*d);
}

/* Device nodes are the same by number: a container has its own inode for it. */
static bool stat_is_same(const struct stat *a, const struct stat *b) {
        if (S_ISCHR(a->st_mode) && S_ISCHR(b->st_mode))
                return a->st_rdev == b->st_rdev;
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* False as well if it must not be looked at. */
static bool process_has_open(int proc_fd, const char *pid, const struct stat *wanted) {
        _cleanup_(dir_closep) DIR *dir = NULL;
        struct dirent *e;
        char path[32];
        int fd;

        (void)snprintf(path, sizeof path, "%.16s/fd", pid);
        fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return false;
        dir = fdopendir(fd);
        if (!dir) {
                fb_close(fd);
                return false;
        }
        while ((e = readdir(dir))) {
                struct stat st;

                if (e->d_name[0] != '.' && fstatat(fd, e->d_name, &st, 0) >= 0 && stat_is_same(&st, wanted))
                        return true;
        }
        return false;
}

static void process_get_name(int proc_fd, const char *pid, char ret_name[static 17]) {
        _cleanup_close_ int fd = -1;
        char path[32];
        ssize_t n = 0;

        (void)snprintf(path, sizeof path, "%.16s/comm", pid);
        fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
                n = read(fd, ret_name, 16);
        ret_name[n > 0 ? n : 0] = 0;
        ret_name[strcspn(ret_name, "\n")] = 0;
}

static size_t append_holder(int proc_fd, const char *pid, char *text, size_t used, size_t size) {
        char name[17];
        int n;

        process_get_name(proc_fd, pid, name);
        n = snprintf(text + used, size - used, "%sprocess %.16s (%s)", used ? ", " : "", pid, name);
        return n < 0 || (size_t)n >= size - used ? used : used + (size_t)n;
}

void holder_describe(const char *path, char *ret_text, size_t size) {
        _cleanup_(dir_closep) DIR *proc = opendir("/proc");
        unsigned found = 0;
        struct dirent *e;
        struct stat st;
        size_t used = 0;

        ret_text[0] = 0;
        if (!proc || stat(path, &st) < 0)
                return;
        while (found < HOLDERS_MAX && (e = readdir(proc))) {
                if (e->d_name[0] < '1' || e->d_name[0] > '9' || atoi(e->d_name) == getpid() ||
                    !process_has_open(dirfd(proc), e->d_name, &st))
                        continue;
                used = append_holder(dirfd(proc), e->d_name, ret_text, used, size);
                found++;
        }
        ret_text[used] = 0;
}

void holder_describe_permission(const char *path, char *ret_text, size_t size) {
        struct group *g;
        struct stat st;

        if (stat(path, &st) < 0) {
                (void)snprintf(ret_text, size, "its folder may not be looked at");
                return;
        }
        if ((st.st_mode & 0060) != 0060 || st.st_gid == 0) {
                (void)snprintf(ret_text, size, "its mode is %04o, so no group would help",
                               st.st_mode & 07777);
                return;
        }
        g = getgrgid(st.st_gid);
        if (g)
                (void)snprintf(ret_text, size, "members of the group %s may", g->gr_name);
        else
                (void)snprintf(ret_text, size, "members of the group with number %u may",
                               (unsigned)st.st_gid);
}
