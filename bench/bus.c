/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Private buses with a framebusd on them, in folders of their own under /tmp.
 *
 * Invariant: nothing of the machine's own buses, configuration and sources is used.
 */

#include <errno.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/bench.h"
#include "interfaces/names.h"

#define BUS_CONFIG                                                                                           \
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"               \
        " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"                                \
        "<busconfig><type>session</type><listen>%s</listen><auth>EXTERNAL</auth>\n"                          \
        "<servicedir>%s/services</servicedir>\n"                                                             \
        "<policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\n"                   \
        "<allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>\n"

static int file_write(const char *dir, const char *name, const char *text) {
        char path[128];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        f = fopen(path, "we");
        if (!f || fputs(text, f) < 0 || fclose(f) != 0)
                return -errno;
        return 0;
}

static int subdir_make(const char *dir, const char *name) {
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int command_make(Bus *b, const Config *c, char *ret, size_t size) {
        int n = snprintf(ret, size, "%s --session --config=%s/config --log-level=warning", c->framebusd,
                         b->dir);

        return n < (int)size ? 0 : -ENAMETOOLONG;
}

static int folder_fill(Bus *b, const Config *c, const char *command) {
        struct passwd *pw = getpwuid(geteuid());
        char text[1024];
        int r;

        r = subdir_make(b->dir, "services");
        if (r >= 0)
                r = subdir_make(b->dir, "config");
        if (r >= 0)
                r = subdir_make(b->dir, "config/sources.d");
        if (r >= 0) {
                snprintf(text, sizeof(text), "[Source]\nExec=%s --size %ux%u --rate %u\n", c->pattern,
                         (unsigned int)c->width, (unsigned int)c->height, (unsigned int)c->rate);
                r = file_write(b->dir, "config/sources.d/pattern.conf", text);
        }
        if (r >= 0) {
                snprintf(text, sizeof(text), BUS_CONFIG, b->address, b->dir);
                r = file_write(b->dir, "bus.conf", text);
        }
        if (r >= 0 && command) {
                snprintf(text, sizeof(text), "[D-BUS Service]\nName=%s\nExec=%s\nUser=%s\n", FB_BUS_NAME,
                         command, pw ? pw->pw_name : "root");
                r = file_write(b->dir, "services/" FB_BUS_NAME ".service", text);
        }
        return r;
}

/* The first line that it prints says that it is ready. */
static int line_wait(int fd_consume, char *ret, size_t size) {
        _cleanup_close_ int fd = fd_consume;
        size_t n = 0;

        while (n < size - 1) {
                if (read(fd, ret + n, 1) != 1)
                        return -EPIPE;
                if (ret[n++] == '\n')
                        break;
        }
        ret[n] = '\0';
        return 0;
}

static int daemon_start(Bus *b, Group *g) {
        char config[128], line[256];
        char *argv[] = {(char *)"dbus-daemon",
                        config,
                        (char *)"--nofork",
                        (char *)"--nopidfile",
                        (char *)"--nosyslog",
                        (char *)"--print-address=1",
                        NULL};
        int r, fd;

        snprintf(config, sizeof(config), "--config-file=%s/bus.conf", b->dir);
        r = group_spawn(g, ROLE_BUS, argv, NULL, &fd);
        return r < 0 ? r : line_wait(fd, line, sizeof(line));
}

static int broker_start(Bus *b, Group *g, const Config *c, const char *command) {
        char path[128], activate[600], line[64];
        char *argv[] = {(char *)c->bus_controller,
                        (char *)"--address",
                        path,
                        command ? (char *)"--activate" : NULL,
                        activate,
                        NULL};
        int r, fd, pid;

        if (!c->bus_controller || access(c->bus_controller, X_OK) < 0)
                return -EOPNOTSUPP;
        snprintf(path, sizeof(path), "%s/bus", b->dir);
        snprintf(activate, sizeof(activate), "%s=%s", FB_BUS_NAME, command ?: "");
        r = group_spawn(g, ROLE_BUS, argv, NULL, &fd);
        if (r >= 0)
                r = line_wait(fd, line, sizeof(line));
        if (r < 0 || sscanf(line, "READY %d", &pid) != 1)
                return -EOPNOTSUPP;
        group_add(g, ROLE_BUS, pid);
        return 0;
}

int bus_start(Bus *b, Group *g, const Config *c, bool broker, bool activatable) {
        char command[512];
        int r;

        *b = (Bus){0};
        strcpy(b->dir, "/tmp/framebus-bench-XXXXXX");
        if (!mkdtemp(b->dir)) {
                b->dir[0] = '\0';
                return -errno;
        }
        snprintf(b->address, sizeof(b->address), "unix:path=%s/bus", b->dir);
        r = command_make(b, c, command, sizeof(command));
        if (r >= 0)
                r = folder_fill(b, c, activatable ? command : NULL);
        if (r < 0)
                return r;
        return broker ? broker_start(b, g, c, activatable ? command : NULL) : daemon_start(b, g);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

void bus_stop(Bus *b) {
        if (b->dir[0])
                (void)nftw(b->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        b->dir[0] = '\0';
}

int bus_connect(const char *address, sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = take_ptr(bus);
        return 0;
}

/* Asks until it is answered, every 5 ms, for 10 s. */
static int ask_until(const char *address, const char *destination, const char *path, const char *interface,
                     const char *method, const char *argument) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = bus_connect(address, &bus);
        if (r < 0)
                return r;
        for (unsigned int i = 0; i < 2000; i++) {
                r = sd_bus_call_method(bus, destination, path, interface, method, NULL, NULL, "s", argument);
                if (r >= 0)
                        return 0;
                nanosleep(&(struct timespec){.tv_nsec = 5 * NSEC_PER_MSEC}, NULL);
        }
        return r;
}

int bus_wait_for_source(const char *address, const char *name) {
        return ask_until(address, FB_BUS_NAME, FB_PATH_MANAGER, FB_IFACE_MANAGER, "Resolve", name);
}

int bus_start_framebusd(Bus *b, Group *g, const Config *c) {
        char config[128], variable[160];
        char *argv[] = {(char *)c->framebusd, (char *)"--session", config, (char *)"--log-level=warning",
                        NULL};
        const char *env[] = {variable, NULL};
        int r;

        snprintf(config, sizeof(config), "--config=%s/config", b->dir);
        snprintf(variable, sizeof(variable), "DBUS_SESSION_BUS_ADDRESS=%s", b->address);
        r = group_spawn(g, ROLE_MIDDLE, argv, env, NULL);
        if (r < 0)
                return r;
        return ask_until(b->address, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                         "GetNameOwner", FB_BUS_NAME);
}
