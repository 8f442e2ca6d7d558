/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches a source with plain sd-bus: Subscribe, then each frame is a signal with a sealed memfd in it.
 * Shows whom to believe, what to check before mapping, and how credit is given back.
 * Run: 01-subscribe-sdbus [--system] [--frames N] SOURCE
 * Prints a line a frame: seq pts format WxH and the CRC-32 of each plane. Status 0 after N frames.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>

#include "crc32.h"

#define _cleanup_(f) __attribute__((cleanup(f)))
#define IFACE   "org.framebus.Subscription1"
#define SEALS   (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

struct viewer {
        const char *broker, *path; /* the broker's unique name, and our subscription there */
        union { uint32_t code; char text[5]; } fourcc; /* four characters, the first one lowest */
        uint32_t width, height;
        unsigned long frames_left;
};

static void read_format(struct viewer *v, sd_bus_message *m) {
        const char *key;

        sd_bus_message_read(m, "tu", NULL, NULL);
        sd_bus_message_enter_container(m, 'a', "{sv}");
        for (; sd_bus_message_enter_container(m, 'e', "sv") > 0; sd_bus_message_exit_container(m)) {
                sd_bus_message_read(m, "s", &key);
                if (strcmp(key, "width") == 0 || strcmp(key, "height") == 0)
                        sd_bus_message_read(m, "v", "u", key[0] == 'w' ? &v->width : &v->height);
                else if (strcmp(key, "fourcc") == 0)
                        sd_bus_message_read(m, "v", "u", &v->fourcc.code);
                else
                        sd_bus_message_skip(m, "v"); /* unknown keys are to be ignored */
        }
        v->fourcc.text[strcspn(v->fourcc.text, " ")] = '\0';
}

/* With these seals nobody can change or cut the file any more: a plane inside of it is safe to map. */
static bool print_plane(int fd, uint64_t offset, uint64_t size) {
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;
        uint8_t *data;

        if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || size > (uint64_t)st.st_size ||
            offset > (uint64_t)st.st_size - size)
                return false;
        data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
                return false;
        printf(" %08x", crc32_of(data + offset, size));
        munmap(data, st.st_size);
        return true;
}

static void read_frame(struct viewer *v, sd_bus_message *m) {
        uint64_t seq, pts_ns, offset, size;
        uint32_t memory, n_fds = 0;
        int fds[4]; /* of the message: to keep one for longer, duplicate it or keep the message */

        sd_bus_message_read(m, "tttuu", &seq, NULL, &pts_ns, NULL, NULL);
        printf("%" PRIu64 " %" PRIu64 " %s %ux%u", seq, pts_ns, v->fourcc.text, v->width, v->height);
        sd_bus_message_enter_container(m, 'a', "h");
        while (n_fds < 4 && sd_bus_message_read(m, "h", &fds[n_fds]) > 0)
                n_fds++;
        sd_bus_message_exit_container(m);
        sd_bus_message_enter_container(m, 'a', "(uttu)");
        while (sd_bus_message_read(m, "(uttu)", &memory, &offset, &size, NULL) > 0)
                if (memory >= n_fds || !print_plane(fds[memory], offset, size))
                        printf(" bad");
        puts("");
        /* We are done with it. Without this no more than a window of frames would come. */
        sd_bus_call_method_async(sd_bus_message_get_bus(m), NULL, v->broker, v->path, IFACE, "Release",
                                 NULL, NULL, "at", 1, seq);
        v->frames_left--;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *member = sd_bus_message_get_member(m), *reason;
        struct viewer *v = userdata;
        uint64_t count;

        /* Anybody on the bus could send us such signals: only those of who answered count. */
        if (!sd_bus_message_is_signal(m, IFACE, NULL) || strcmp(sd_bus_message_get_sender(m), v->broker))
                return 0;
        if (strcmp(member, "Frame") == 0 && v->frames_left > 0)
                read_frame(v, m);
        else if (strcmp(member, "FormatChanged") == 0)
                read_format(v, m);
        else if (strcmp(member, "Lost") == 0 && sd_bus_message_read(m, "ts", &count, &reason) > 0)
                warnx("lost %" PRIu64 ": %s", count, reason);
        else if (strcmp(member, "Ended") == 0 && sd_bus_message_read(m, "ts", NULL, &reason) > 0)
                errx(1, "ended: %s", reason);
        return 0;
}

static int on_broker_gone(sd_bus_track *track, void *userdata) {
        errx(1, "the broker is gone");
}

static int check(int r, const sd_bus_error *error) {
        if (r < 0)
                errx(1, "%s", error && error->message ? error->message : strerror(-r));
        return r;
}

int main(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *resolved = NULL, *reply = NULL;
        _cleanup_(sd_bus_track_unrefp) sd_bus_track *track = NULL;
        struct viewer v = { .frames_left = 100 };
        sd_bus_error e = SD_BUS_ERROR_NULL;
        int i = 1;

        setlinebuf(stdout);
        for (; i < argc - 1; i++)
                if (strcmp(argv[i], "--system") == 0)
                        check(sd_bus_open_system(&bus), NULL);
                else if (strcmp(argv[i], "--frames") == 0)
                        v.frames_left = strtoul(argv[++i], NULL, 10);
        if (i != argc - 1)
                errx(2, "usage: [--system] [--frames N] SOURCE");
        check(bus ? 0 : sd_bus_open_user(&bus), NULL);
        /* The first call starts the broker if it does not run. */
        check(sd_bus_call_method(bus, "org.framebus", "/org/framebus", "org.framebus.Manager1", "Resolve", &e,
                                 &resolved, "s", argv[i]), &e);
        check(sd_bus_message_read(resolved, "o", &v.path), NULL);
        check(sd_bus_call_method(bus, "org.framebus", v.path, "org.framebus.Source1", "Subscribe", &e, &reply,
                                 "a{sv}", 1, "window", "u", 4), &e);
        check(sd_bus_message_read(reply, "o", &v.path), NULL);
        v.broker = sd_bus_message_get_sender(reply);
        /* Not a match: sd-bus would keep from it what came before AddMatch was answered. */
        check(sd_bus_add_filter(bus, NULL, on_message, &v), NULL);
        check(sd_bus_track_new(bus, &track, on_broker_gone, NULL), NULL);
        check(sd_bus_track_add_name(track, v.broker), NULL);
        while (v.frames_left > 0)
                if (check(sd_bus_process(bus, NULL), NULL) == 0)
                        check(sd_bus_wait(bus, UINT64_MAX), NULL);
        return 0;
}
