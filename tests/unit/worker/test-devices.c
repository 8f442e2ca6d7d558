/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "broker/publication/device-names.h"
#include "broker/publication/devices.h"

static char root[64], folder[80]; /* a machine's, and its /dev */
static char seen[4096];
static bool with_aliases;
static Devices *free_at_once;

static void on_appeared(const char *path, const char *name, const char *const *aliases, void *userdata) {
        sprintf(seen + strlen(seen), "+%s=%s", strrchr(path, '/') + 1, name);
        for (; with_aliases && *aliases; aliases++)
                sprintf(seen + strlen(seen), " %s", *aliases);
        strcat(seen, ";");
        CHECK_INT(strncmp(path, folder, strlen(folder)), 0);
        CHECK(userdata == seen);
        free_at_once = devices_free(free_at_once);
}

static void on_vanished(const char *path, const char *name, void *userdata) {
        sprintf(seen + strlen(seen), "-%s=%s;", strrchr(path, '/') + 1, name);
        free_at_once = devices_free(free_at_once);
}

static const DevicesHandler handler = { on_appeared, on_vanished };

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...) {
        char command[2048], all[2304];
        va_list ap;

        va_start(ap, format);
        vsnprintf(command, sizeof command, format, ap);
        va_end(ap);
        snprintf(all, sizeof all, "set -e; cd %s; %s", root, command);
        CHECK_INT(system(all), 0);
}

static void touch(const char *name) {
        char path[128];

        snprintf(path, sizeof path, "%s/%s", folder, name);
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* A camera with a serial number, or none (""), in a USB socket. */
static void plug(const char *name, const char *serial, const char *port) {
        shell("usb=sys/devices/pci0000:00/0000:00:14.0/usb1/1-%s; node=$usb/1-%s:1.0/video4linux/%s;"
              "rm -rf $usb; mkdir -p $node sys/class/video4linux;"
              "ln -s ../x/usb $usb/subsystem; ln -s ../x/usb $usb/1-%s:1.0/subsystem;"
              "ln -s x/video4linux $node/subsystem;"
              "ln -sfT ../x/pci sys/devices/pci0000:00/0000:00:14.0/subsystem;"
              "[ -z '%s' ] || echo '%s' > $usb/serial; echo 'Acme  Corp.' > $usb/manufacturer;"
              "echo 'Cam/2 ' > $usb/product; echo 81:0 > $node/dev; echo 0 > $node/index; echo Cam > "
              "$node/name;"
              "ln -sfT ../../../$node sys/class/video4linux/%s",
              port, port, name, port, serial, serial, name);
        touch(name);
}

static void drop(const char *name) {
        char path[128];

        snprintf(path, sizeof path, "%s/%s", folder, name);
        CHECK_INT(unlink(path), 0);
        snprintf(path, sizeof path, "%s/sys/class/video4linux/%s", root, name);
        (void)unlink(path);
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

        strcpy(root, "/tmp/fb-devices-XXXXXX");
        CHECK(mkdtemp(root));
        snprintf(folder, sizeof folder, "%s/dev", root);
        CHECK_INT(mkdir(folder, 0755), 0);
        CHECK(sd_event_new(&event) >= 0);
        return event;
}

static void end(sd_event *event) {
        sd_event_unref(event);
        shell("rm -r %s", root);
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
        CHECK_INT(devices_new(event, root, NULL, &handler, seen, &d), 0);
        CHECK_STR(seen, ""); /* not from inside */
        CHECK_STR(told(event), "+video0=video0;+video2=video2;+video10=video10;");
        devices_free(d);
        end(event);
}

TEST(devices_tells_changes) {
        char path[128], path2[128];
        sd_event *event = begin();
        Devices *d;

        CHECK_INT(devices_new(event, root, NULL, &handler, seen, &d), 0);
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
        end(event);
}

typedef struct Step {
        const char *what, *node, *serial, *port, *told; /* no port: unplugged; an empty one: nothing known */
} Step;

static void take_steps(sd_event *event, const Step *steps, size_t n) {
        for (size_t i = 0; i < n; i++) {
                ROW("%s", steps[i].what);
                if (!steps[i].port)
                        drop(steps[i].node);
                else if (steps[i].port[0])
                        plug(steps[i].node, steps[i].serial, steps[i].port);
                else
                        touch(steps[i].node);
                CHECK_STR(told(event), steps[i].told);
        }
        test_row[0] = 0;
}

TEST(devices_keeps_names) {
        static const Step steps[] = {
                { "the first", "video0", "A", "1", "+video0=video0;" },
                { "another", "video1", "B", "2", "+video1=video1;" },
                { "one unplugged", "video0", NULL, NULL, "-video0=video0;" },
                { "comes back as another node, elsewhere", "video5", "A", "3", "+video5=video0;" },
                { "a third has its old node and place", "video0", "C", "1", "+video0=video0.2;" },
                { "unplugged", "video5", NULL, NULL, "-video5=video0;" },
                { "unplugged as well", "video0", NULL, NULL, "-video0=video0.2;" },
                { "a fourth does not get the name", "video0", "D", "4", "+video0=video0.3;" },
                { "the third again", "video2", "C", "1", "+video2=video0.2;" },
                { "the first again", "video3", "A", "3", "+video3=video0;" },
                { "the same serial number", "video6", "A", "6", "+video6=video6;" },
                { "and again", "video7", "A", "7", "+video7=video7;" },
                { "unplugged", "video7", NULL, NULL, "-video7=video7;" },
                { "by its place", "video8", "A", "7", "+video8=video7;" },
                { "both gone", "video6", NULL, NULL, "-video6=video6;" },
                { "both gone", "video8", NULL, NULL, "-video8=video7;" },
                { "not the last, but the right one", "video8", "A", "6", "+video8=video6;" },
                { "which of them it is nobody can tell", "video9", "A", "9", "+video9=video9;" },
                { "no serial number", "video10", "", "10", "+video10=video10;" },
                { "unplugged", "video10", NULL, NULL, "-video10=video10;" },
                { "by its place", "video11", "", "10", "+video11=video10;" },
                { "nothing known", "video12", "", "", "+video12=video12;" },
                { "nothing known", "video12", NULL, NULL, "-video12=video12;" },
                { "so it is its node", "video13", "", "", "+video13=video13;" },
                { "any other as well", "video12", "E", "12", "+video12=video12;" },
        };
        sd_event *event = begin();
        Devices *d;

        CHECK_INT(devices_new(event, root, NULL, &handler, seen, &d), 0);
        told(event);
        take_steps(event, steps, FB_ELEMENTSOF(steps));
        devices_free(d);
        end(event);
}

/* Brokers come and go, cameras are plugged in anew and get other numbers. */
TEST(devices_keeps_names_from_start_to_start) {
        static const Step first[] = {
                { "the first", "video0", "A", "1", "+video0=video0;" },
                { "another", "video1", "B", "2", "+video1=video1;" },
                { "cheap ones", "video2", "0", "3", "+video2=video2;" },
                { "cheap ones", "video3", "0", "4", "+video3=video3;" },
                { "gone before the end", "video4", "C", "5", "+video4=video4;" },
                { "gone before the end", "video4", NULL, NULL, "-video4=video4;" },
        };
        char memory[80], before[4096], after[4096];
        sd_event *event = begin();
        Devices *d;

        snprintf(memory, sizeof memory, "%s/memory", root);
        CHECK_INT(devices_new(event, root, memory, &handler, seen, &d), 0);
        told(event);
        take_steps(event, first, FB_ELEMENTSOF(first));
        devices_free(d);

        shell("rm -r dev/* sys");
        plug("video0", "B", "2");
        plug("video1", "C", "7");
        plug("video2", "0", "4");
        plug("video3", "A", "1");
        plug("video4", "0", "3");
        plug("video5", "D", "8");
        CHECK_INT(devices_new(event, root, memory, &handler, seen, &d), 0);
        CHECK_STR(told(event), "+video0=video1;+video1=video4;+video2=video3;+video3=video0;+video4=video2;"
                               "+video5=video5;");
        devices_free(d);

        /* one that is neither file nor sense is as none */
        shell("printf 'video7\\tx\\nvideo1\\t\\t\\t\\n../x\\ta\\tb\\tc\\nvideo0\\tB/\\t\\t\\n' > memory;"
              "head -c 9000 /dev/zero >> memory");
        CHECK_INT(devices_new(event, root, memory, &handler, seen, &d), 0);
        snprintf(before, sizeof before, "%s", told(event));
        devices_free(d);
        CHECK_INT(devices_new(event, root, "/nonexistent/memory", &handler, seen, &d), 0);
        snprintf(after, sizeof after, "%s", told(event));
        devices_free(d);
        CHECK_STR(before, after);
        CHECK(strstr(after, "+video0=video0;"));
        end(event);
}

TEST(devices_have_names_that_stay) {
        sd_event *event = begin();
        Devices *d;

        with_aliases = true;
        plug("video0", "8C3F 2DAF", "1.4");
        plug("video1", "", "2");
        touch("video2");
        CHECK_INT(devices_new(event, root, NULL, &handler, seen, &d), 0);
        CHECK_STR(told(event), "+video0=video0 usb-Acme_Corp._Cam_2_8C3F_2DAF-video-index0 "
                               "pci-0000:00:14.0-usb-0:1.4:1.0-video-index0;"
                               "+video1=video1 pci-0000:00:14.0-usb-0:2:1.0-video-index0;+video2=video2;");
        /* udev has looked at it, and says it in its own words */
        shell("mkdir -p run/udev/data; printf 'E:ID_BUS=usb\\nE:ID_SERIAL=Acme_Cam\\nE:ID_SERIAL_SHORT=8C\\n"
              "E:ID_PATH=pci-0000:00:14.0-usb-0:1.4:1.0\\n' > run/udev/data/c81:0; chmod 644 dev/video0");
        CHECK_STR(told(event), "+video0=video0 usb-Acme_Corp._Cam_2_8C3F_2DAF-video-index0 "
                               "usb-Acme_Cam-video-index0 pci-0000:00:14.0-usb-0:1.4:1.0-video-index0;");
        /* a model is no serial number */
        shell("sed -i /SHORT/d run/udev/data/c81:0; chmod 600 dev/video0");
        CHECK(!strstr(told(event), "Acme_Cam-"));
        with_aliases = false;
        devices_free(d);
        end(event);
}

/* A long way of bridges and hubs, as embedded machines have it, and one without any. */
TEST(devices_places) {
        static const char *const way =
                        "sys/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0"
                        "/usb1/1-1/1-1.2/1-1.2:1.0/video4linux/video0";
        sd_event *event = begin();
        Devices *d;

        with_aliases = true;
        shell("mkdir -p %s sys/class/video4linux; ln -s ../../../%s sys/class/video4linux/video0;"
              "cd sys/devices/platform/scb; ln -s x/platform subsystem; cd fd500000.pcie; ln -s x/platform "
              "subsystem;"
              "cd pci0000:00/0000:00:00.0; ln -s x/pci subsystem; cd 0000:01:00.0; ln -s x/pci subsystem;"
              "cd usb1; ln -s x/usb subsystem; cd 1-1; ln -s x/usb subsystem; cd 1-1.2; ln -s x/usb "
              "subsystem;"
              "cd 1-1.2:1.0; ln -s x/usb subsystem",
              way, way);
        shell("mkdir -p sys/devices/platform/vivid.0/video4linux/video1 "
              "sys/devices/virtual/video4linux/video2;"
              "ln -s x/platform sys/devices/platform/vivid.0/subsystem; echo 3 > "
              "sys/devices/platform/vivid.0/video4linux/video1/index;"
              "ln -s ../../devices/platform/vivid.0/video4linux/video1 sys/class/video4linux/video1;"
              "ln -s ../../devices/virtual/video4linux/video2 sys/class/video4linux/video2");
        touch("video0");
        touch("video1");
        touch("video2");
        CHECK_INT(devices_new(event, root, NULL, &handler, seen, &d), 0);
        CHECK_STR(told(event),
                  "+video0=video0 platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0-video-index0;"
                  "+video1=video1 platform-vivid.0-video-index3;+video2=video2;");
        with_aliases = false;
        devices_free(d);
        end(event);
}

/* Thousands of them: what is remembered is bounded, and forgotten names are free again. */
TEST(devices_forgets) {
        DeviceId id = { .place = "" };
        char expected[32];
        DeviceNames names;

        CHECK_INT(device_names_init(&names, NULL), 0);
        for (unsigned i = 0; i < DEVICE_NAMES_GONE_MAX + 2; i++) {
                DeviceName *n;

                snprintf(id.serial, sizeof id.serial, "usb-%u", i);
                n = device_names_take(&names, 0, &id);
                REQUIRE(n);
                if (i == 0 || i > DEVICE_NAMES_GONE_MAX) /* the first is forgotten */
                        strcpy(expected, "video0");
                else
                        snprintf(expected, sizeof expected, "video0.%u", i + 1);
                CHECK_STR(n->name, expected);
                device_names_put_back(&names, n);
        }
        device_names_deinit(&names);
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
        CHECK_INT(devices_new(event, root, NULL, &handler, seen, &d), 0);
        told(event);
        for (int i = 0; i <= n / 2; i++) { /* never told: names of no device */
                touch("x");
                drop("x");
        }
        drop("video3");
        touch("video5");
        CHECK_STR(told(event), "-video3=video3;+video4=video4;+video5=video5;");
        devices_free(d);
        end(event);
}

TEST(devices_can_be_freed_by_its_handlers) {
        sd_event *event = begin();

        touch("video0");
        touch("video1");
        CHECK_INT(devices_new(event, root, NULL, &handler, seen, &free_at_once), 0);
        CHECK_STR(told(event), "+video0=video0;");
        CHECK(!free_at_once);
        drop("video1");
        CHECK_STR(told(event), "");
        end(event);
}

TEST(devices_needs_a_folder) {
        sd_event *event = begin();
        Devices *d = NULL;

        CHECK_INT(devices_new(event, "/nonexistent", NULL, &handler, seen, &d), -ENOENT);
        shell("rmdir dev; touch dev");
        CHECK_INT(devices_new(event, root, NULL, &handler, seen, &d), -ENOTDIR);
        CHECK(!d);
        CHECK(!devices_free(NULL));
        end(event);
}

TEST_MAIN
