/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a signal with one descriptor costs on a bus, without Framebus: the source, one bare hop to a process
 * that sends a directed signal to each viewer by sd-bus, and viewers that receive by sd-bus. No flow
 * control, no checks.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench/bench.h"

#define NAME_MAX_BYTES 32

typedef struct Viewer {
        Shared *shared;
        Record *record;
} Viewer;

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Viewer *v = userdata;
        uint64_t pts_ns;
        int fd;

        if (!sd_bus_message_is_signal(m, "org.framebus.Bench", "Frame"))
                return 0;
        if (sd_bus_message_read(m, "th", &pts_ns, &fd) > 0)
                record_frame(v->shared, v->record, pts_ns);
        return 1;
}

static _Noreturn void run_viewer(Shared *s, Record *record, const char *address, int names) {
        Viewer v = {.shared = s, .record = record};
        char name[NAME_MAX_BYTES] = "";
        const char *unique;
        sd_bus *bus;
        int r;

        r = bus_connect(address, &bus);
        if (r >= 0)
                r = sd_bus_get_unique_name(bus, &unique);
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, on_message, &v);
        if (r >= 0) {
                strncpy(name, unique, sizeof(name) - 1);
                r = write(names, name, sizeof(name)) == sizeof(name) ? 0 : -EPIPE;
        }
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        _exit(1);
}

static int signal_send(sd_bus *bus, const char *destination, uint64_t pts_ns, int fd) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_signal(bus, &m, "/org/framebus/bench", "org.framebus.Bench", "Frame");
        if (r >= 0)
                r = sd_bus_message_set_destination(m, destination);
        if (r >= 0)
                r = sd_bus_message_append(m, "th", pts_ns, fd);
        return r < 0 ? r : sd_bus_send(bus, m, NULL);
}

static _Noreturn void run_sender(const char *address, int in, char (*names)[NAME_MAX_BYTES], unsigned int n) {
        uint64_t pts_ns;
        sd_bus *bus;
        int r, fd;

        r = bus_connect(address, &bus);
        while (r >= 0 && (fd = relay_receive(in, &pts_ns)) >= 0) {
                for (unsigned int i = 0; r >= 0 && i < n; i++)
                        r = signal_send(bus, names[i], pts_ns, fd);
                if (r >= 0)
                        r = sd_bus_flush(bus);
                close(fd);
        }
        _exit(1);
}

static int viewers_start(Group *g, Shared *s, const char *address, unsigned int n,
                         char (*ret_names)[NAME_MAX_BYTES]) {
        int names[2], r = 0;

        if (pipe(names) < 0)
                return -errno;
        for (unsigned int i = 0; i < n && r >= 0; i++) {
                pid_t pid = group_fork(g, ROLE_VIEWER);

                if (pid == 0) {
                        close(names[0]);
                        run_viewer(s, shared_get(s, i), address, names[1]);
                }
                r = pid < 0 ? pid : 0;
        }
        close(names[1]);
        for (unsigned int i = 0; i < n && r >= 0; i++)
                if (read(names[0], ret_names[i], NAME_MAX_BYTES) != NAME_MAX_BYTES)
                        r = -EPIPE;
        close(names[0]);
        return r;
}

int bus_bare_start(Group *g, Shared *s, const Config *c, const char *address, unsigned int viewers) {
        char names[BENCH_VIEWERS_MAX][NAME_MAX_BYTES];
        int pair[2], r;
        pid_t pid;

        r = viewers_start(g, s, address, viewers, names);
        if (r < 0)
                return r;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        pid = group_fork(g, ROLE_MIDDLE);
        if (pid == 0) {
                close(pair[0]);
                run_sender(address, pair[1], names, viewers);
        }
        close(pair[1]);
        if (pid > 0) {
                pid = group_fork(g, ROLE_SOURCE);
                if (pid == 0)
                        relay_run_source(s, c, &pair[0], 1);
        }
        close(pair[0]);
        return pid < 0 ? pid : 0;
}
