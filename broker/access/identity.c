/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See identity.h. The reads below are of the kernel's own files, with one exception: a sandbox's
 * .flatpak-info, which is looked for only in processes of the broker's own user, as whoever made the file
 * system there could have it answer slowly.
 */
#include "broker/access/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-login.h>

#include "base/fd.h"

#define FLATPAK_INFO     ".flatpak-info"
#define FLATPAK_INFO_MAX 65536u

void subject_clear(Subject *s) {
        free(s->gids);
        free(s->unit);
        free(s->cgroup);
        free(s->app);
        free(s->endpoint);
        *s = (Subject){};
}

Identity *identity_ref(Identity *i) {
        i->n_refs++;
        return i;
}

Identity *identity_unref(Identity *i) {
        if (!i || --i->n_refs > 0)
                return NULL;
        subject_clear(&i->subject);
        free(i);
        return NULL;
}

/* ---- what the driver says ---- */

typedef struct Credentials {
        uint32_t uid, pid;
        int process; /* pidfd, -1: none */
        const uint32_t *gids; /* of the message */
        size_t n_gids;
        bool gids_known;
} Credentials;

static int read_gids(sd_bus_message *m, Credentials *c) {
        size_t size;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, "au");

        if (r >= 0)
                r = sd_bus_message_read_array(m, 'u', (const void **)&c->gids, &size);
        if (r < 0)
                return r;
        c->n_gids = size / sizeof *c->gids;
        c->gids_known = true;
        return sd_bus_message_exit_container(m);
}

/* Others are skipped. */
static int read_credential(sd_bus_message *m, Credentials *c) {
        const char *key;
        int r = sd_bus_message_read(m, "s", &key);

        if (r < 0)
                return r;
        if (strcmp(key, "UnixUserID") == 0)
                return sd_bus_message_read(m, "v", "u", &c->uid);
        if (strcmp(key, "ProcessID") == 0)
                return sd_bus_message_read(m, "v", "u", &c->pid);
        if (strcmp(key, "ProcessFD") == 0)
                return sd_bus_message_read(m, "v", "h", &c->process);
        if (strcmp(key, "UnixGroupIDs") == 0)
                return read_gids(m, c);
        return sd_bus_message_skip(m, "v");
}

static int read_credentials(sd_bus_message *m, Credentials *c) {
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                r = read_credential(m, c);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : c->uid == UINT32_MAX ? -ENODATA : 0;
}

/* ---- what the kernel says ---- */

/* 0: none, 1: here it is. */
static int found(int r, char **s) {
        if (r >= 0)
                return 1;
        *s = NULL;
        return r == -ENODATA || r == -ENXIO ? 0 : r;
}

static void read_unit(Subject *s, pid_t pid, bool system) {
        int unit, cgroup;

        unit = system ? sd_pid_get_unit(pid, &s->unit) : sd_pid_get_user_unit(pid, &s->unit);
        unit = found(unit, &s->unit);
        cgroup = found(sd_pid_get_cgroup(pid, &s->cgroup), &s->cgroup);
        s->unit_known = unit >= 0 && cgroup >= 0;
}

/* "name=" in [Application] */
static char *find_name(char *text) {
        bool inside = false;
        char *save = NULL;

        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (line[0] == '[')
                        inside = strcmp(line, "[Application]") == 0;
                else if (inside && strncmp(line, "name=", 5) == 0 && line[5])
                        return strdup(line + 5);
        }
        return NULL;
}

/* A file that is there and says nothing useful: it is in a sandbox, and not known in which. */
static void read_info(Subject *s, int fd) {
        _cleanup_free_ char *text = malloc(FLATPAK_INFO_MAX + 1);
        struct stat st;
        ssize_t n;

        if (!text || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return;
        n = read(fd, text, FLATPAK_INFO_MAX);
        if (n <= 0)
                return;
        text[n] = 0;
        s->app = find_name(text);
        s->app_known = s->app != NULL;
}

static void read_app(Subject *s, int process_folder) {
        _cleanup_close_ int root = -1, fd = -1;

        if (s->uid != geteuid())
                return;
        root = openat(process_folder, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return;
        fd = openat(root, FLATPAK_INFO, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        if (fd >= 0)
                read_info(s, fd);
        else if (errno == ENOENT)
                s->app_known = true;
}

/* Whether what was read was of the process that the driver meant. */
static bool was_it(int process_folder, int pidfd, uid_t uid) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };
        struct stat st;

        if (pidfd >= 0)
                return poll(&p, 1, 0) == 0;
        /* a folder of a process that has ended is empty */
        return fstat(process_folder, &st) >= 0 && st.st_uid == uid &&
               faccessat(process_folder, "stat", F_OK, 0) >= 0;
}

static void forget(Subject *s) {
        free(take_ptr(s->unit));
        free(take_ptr(s->cgroup));
        free(take_ptr(s->app));
        s->unit_known = s->app_known = false;
}

static void look_at_process(Identity *i, int pidfd, bool system) {
        _cleanup_close_ int folder = -1;
        char path[32];

        if (i->pid <= 0)
                return;
        snprintf(path, sizeof path, "/proc/%d", (int)i->pid);
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return;
        read_unit(&i->subject, i->pid, system);
        read_app(&i->subject, folder);
        if (!was_it(folder, pidfd, i->subject.uid))
                forget(&i->subject);
}

int identity_new(sd_bus_message *m, bool system, Identity **ret) {
        Credentials c = { .uid = UINT32_MAX, .process = -1 };
        _cleanup_(identity_unrefp) Identity *i = NULL;
        int r = read_credentials(m, &c);

        if (r < 0)
                return r;
        i = calloc(1, sizeof *i);
        if (!i)
                return -ENOMEM;
        i->n_refs = 1;
        i->pid = (pid_t)c.pid;
        i->subject.uid = c.uid;
        i->subject.gids_known = c.gids_known;
        if (c.n_gids > 0) {
                i->subject.gids = calloc(c.n_gids, sizeof *i->subject.gids);
                if (!i->subject.gids)
                        return -ENOMEM;
                memcpy(i->subject.gids, c.gids, c.n_gids * sizeof *i->subject.gids);
                i->subject.n_gids = c.n_gids;
        }
        look_at_process(i, c.process, system);
        *ret = take_ptr(i);
        return 0;
}
