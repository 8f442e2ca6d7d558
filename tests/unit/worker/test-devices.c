/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "broker/publication/devices.h"

static char folder[] = "/tmp/fb-devices-XXXXXX";
static char seen[4096];
static Devices *free_at_once;

static void on_appeared(const char *path, const char *name, void *userdata) {
        sprintf(seen + strlen(seen), "+%s=%s;", strrchr(path, '/') + 1, name);
        CHECK_INT(strncmp(path, folder, strlen(folder)), 0);
        CHECK(userdata == seen);
        free_at_once = devices_free(free_at_once);
}

static void on_vanished(const char *path, const char *name, void *userdata) {
        sprintf(seen + strlen(seen), "-%s=%s;", strrchr(path, '/') + 1, name);
        free_at_once = devices_free(free_at_once);
}

/* What is in the file is the identity: a serial number, and behind a comma the place. */
static void identify(const char *sysname, bool by_place, char ret_id[static DEVICE_ID_MAX]) {
        char path[64], text[32] = "", *comma;
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", folder, sysname);
        f = fopen(path, "re");
        if (f) {
                CHECK(fgets(text, sizeof text, f) || !text[0]);
                fclose(f);
        }
        comma = strchr(text, ',');
        if (comma)
                *comma++ = 0;
        strcpy(ret_id, by_place ? comma ?: "" : text);
}

static const DevicesHandler handler = { on_appeared, on_vanished, identify };

static void plug(const char *name, const char *id) {
        char path[64], path2[64];
        FILE *f;

        snprintf(path, sizeof path, "%s/new", folder);
        snprintf(path2, sizeof path2, "%s/%s", folder, name);
        f = fopen(path, "we");
        fputs(id, f);
        fclose(f);
        CHECK_INT(rename(path, path2), 0);
}

static void touch(const char *name) {
        char path[64];

        snprintf(path, sizeof path, "%s/%s", folder, name);
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void drop(const char *name) {
        char path[64];

        snprintf(path, sizeof path, "%s/%s", folder, name);
        CHECK_INT(unlink(path), 0);
}

/* What is told until nothing more happens. */
static const char *told(sd_event *event) {
        seen[0] = 0;
        while (sd_event_run(event, 50000) > 0)
                ;
        return seen;
}

static sd_event *begin(void) {
        sd_event *event;

        strcpy(folder, "/tmp/fb-devices-XXXXXX");
        CHECK(mkdtemp(folder));
        CHECK(sd_event_new(&event) >= 0);
        return event;
}

TEST(devices_tells_what_is_there_by_number) {
        sd_event *event = begin();
        Devices *d;

        touch("video10");
        touch("video2");
        touch("video0");
        touch("video");
        touch("video01");
        touch("video1x");
        touch("vide1");
        touch("video12345");
        seen[0] = 0;
        CHECK_INT(devices_new(event, folder, &handler, seen, &d), 0);
        CHECK_STR(seen, ""); /* not from inside */
        CHECK_STR(told(event), "+video0=video0;+video2=video2;+video10=video10;");
        devices_free(d);
        sd_event_unref(event);
        CHECK_INT(system("rm -r /tmp/fb-devices-*"), 0);
}

TEST(devices_tells_changes) {
        char path[64], path2[64];
        sd_event *event = begin();
        Devices *d;

        CHECK_INT(devices_new(event, folder, &handler, seen, &d), 0);
        CHECK_STR(told(event), "");
        touch("video1");
        touch("other");
        CHECK_STR(told(event), "+video1=video1;");
        snprintf(path, sizeof path, "%s/video1", folder);
        chmod(path, 0666);
        CHECK_STR(told(event), "+video1=video1;");
        snprintf(path2, sizeof path2, "%s/video7", folder);
        rename(path, path2);
        CHECK_STR(told(event), "-video1=video1;+video7=video7;");
        drop("video7");
        drop("other");
        CHECK_STR(told(event), "-video7=video7;");
        devices_free(d);
        sd_event_unref(event);
        rmdir(folder);
}

TEST(devices_keeps_names) {
        static const struct {
                const char *what, *node, *id, *told; /* no id: unplugged */
        } rows[] = {
                { "the first", "video0", "A", "+video0=video0;" },
                { "another", "video1", "B", "+video1=video1;" },
                { "one unplugged", "video0", NULL, "-video0=video0;" },
                { "comes back as another node", "video5", "A", "+video5=video0;" },
                { "a third has its old node", "video0", "C", "+video0=video0.2;" },
                { "unplugged", "video5", NULL, "-video5=video0;" },
                { "unplugged as well", "video0", NULL, "-video0=video0.2;" },
                { "a fourth does not get the name", "video0", "D", "+video0=video0.3;" },
                { "the third again", "video2", "C", "+video2=video0.2;" },
                { "the first again", "video3", "A", "+video3=video0;" },
                { "the same serial number", "video6", "A,port6", "+video6=video6;" },
                { "and again", "video7", "A,port7", "+video7=video7;" },
                { "by its place", "video7", NULL, "-video7=video7;" },
                { "by its place", "video8", "A,port7", "+video8=video7;" },
                { "both gone", "video6", NULL, "-video6=video6;" },
                { "both gone", "video8", NULL, "-video8=video7;" },
                { "not the last, but the right one", "video8", "A,port6", "+video8=video6;" },
                { "nothing known", "video9", "", "+video9=video9;" },
                { "nothing known", "video9", NULL, "-video9=video9;" },
                { "so it is its node", "video10", "", "+video10=video10;" },
                { "any other as well", "video9", "E", "+video9=video9;" },
        };
        sd_event *event = begin();
        Devices *d;

        CHECK_INT(devices_new(event, folder, &handler, seen, &d), 0);
        told(event);
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("%s", rows[i].what);
                if (rows[i].id)
                        plug(rows[i].node, rows[i].id);
                else
                        drop(rows[i].node);
                CHECK_STR(told(event), rows[i].told);
        }
        devices_free(d);
        sd_event_unref(event);
        CHECK_INT(system("rm -r /tmp/fb-devices-*"), 0);
}

/* Thousands of them: what is remembered is bounded, and forgotten names are free again. */
TEST(devices_forgets) {
        sd_event *event = begin();
        char id[16], expected[64];
        Devices *d;

        CHECK_INT(devices_new(event, folder, &handler, seen, &d), 0);
        told(event);
        for (int i = 0; i < 66; i++) {
                snprintf(id, sizeof id, "N%d", i);
                plug("video0", id);
                if (i == 0)
                        strcpy(expected, "+video0=video0;");
                else if (i < 65)
                        snprintf(expected, sizeof expected, "+video0=video0.%d;", i + 1);
                else /* the first is forgotten */
                        strcpy(expected, "+video0=video0;");
                CHECK_STR(told(event), expected);
                drop("video0");
                told(event);
        }
        devices_free(d);
        sd_event_unref(event);
        rmdir(folder);
}

TEST(devices_resyncs_after_an_overflow) {
        sd_event *event = begin();
        Devices *d;
        int n = 0;
        FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");

        CHECK(f && fscanf(f, "%d", &n) == 1);
        fclose(f);
        touch("video3");
        touch("video4");
        CHECK_INT(devices_new(event, folder, &handler, seen, &d), 0);
        told(event);
        for (int i = 0; i <= n / 2; i++) { /* never told: names of no device */
                touch("x");
                drop("x");
        }
        drop("video3");
        touch("video5");
        CHECK_STR(told(event), "-video3=video3;+video4=video4;+video5=video5;");
        devices_free(d);
        sd_event_unref(event);
        drop("video4");
        drop("video5");
        rmdir(folder);
}

TEST(devices_can_be_freed_by_its_handlers) {
        sd_event *event = begin();

        touch("video0");
        touch("video1");
        CHECK_INT(devices_new(event, folder, &handler, seen, &free_at_once), 0);
        CHECK_STR(told(event), "+video0=video0;");
        CHECK(!free_at_once);
        drop("video1");
        CHECK_STR(told(event), "");
        sd_event_unref(event);
        drop("video0");
        rmdir(folder);
}

TEST(devices_needs_a_folder) {
        sd_event *event = begin();
        Devices *d = NULL;

        touch("file");
        CHECK_INT(devices_new(event, "/nonexistent", &handler, seen, &d), -ENOENT);
        CHECK_INT(devices_new(event, "/proc/self/status", &handler, seen, &d), -ENOTDIR);
        CHECK(!d);
        CHECK(!devices_free(NULL));
        sd_event_unref(event);
        drop("file");
        rmdir(folder);
}

TEST_MAIN
