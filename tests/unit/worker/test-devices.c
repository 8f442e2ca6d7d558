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

static void on_vanished(const char *path, void *userdata) {
        sprintf(seen + strlen(seen), "-%s;", strrchr(path, '/') + 1);
        free_at_once = devices_free(free_at_once);
}

static const DevicesHandler handler = { on_appeared, on_vanished };

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
        CHECK_STR(told(event), "-video1;+video7=video7;");
        drop("video7");
        drop("other");
        CHECK_STR(told(event), "-video7;");
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
        CHECK_STR(told(event), "-video3;+video4=video4;+video5=video5;");
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
