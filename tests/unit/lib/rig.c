/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fake.h"

static const char daemon_config[] =
                "<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>"
                "<policy context='default'><allow send_destination='*' eavesdrop='true'/><allow "
                "eavesdrop='true'/>"
                "<allow own='*'/></policy></busconfig>";

static void daemon_exec(const char *config, int address_fd) {
        char config_option[80], address_option[32];

        prctl(PR_SET_PDEATHSIG, SIGTERM);
        snprintf(config_option, sizeof config_option, "--config-file=%s", config);
        snprintf(address_option, sizeof address_option, "--print-address=%d", address_fd);
        if (dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO) <
            0) /* it complains about its limits */
                _exit(127);
        execlp("dbus-daemon", "dbus-daemon", config_option, "--nofork", address_option, NULL);
        _exit(127);
}

static bool daemon_start(Rig *rig) {
        int pair[2];
        ssize_t n;
        int fd;

        strcpy(rig->config, "/tmp/framebus-test-XXXXXX");
        fd = mkostemp(rig->config, O_CLOEXEC);
        if (fd < 0 || write(fd, daemon_config, sizeof daemon_config - 1) < 0 || close(fd) < 0 ||
            pipe(pair) < 0)
                return false;
        rig->daemon = fork();
        if (rig->daemon == 0) {
                close(pair[0]);
                daemon_exec(rig->config, pair[1]);
        }
        close(pair[1]);
        n = read(pair[0], rig->address, sizeof rig->address - 1);
        close(pair[0]);
        if (n <= 0)
                return false;
        rig->address[n] = '\0';
        rig->address[strcspn(rig->address, "\n")] = '\0';
        return true;
}

static void daemon_stop(Rig *rig) {
        if (rig->daemon > 0) {
                kill(rig->daemon, SIGTERM);
                waitpid(rig->daemon, NULL, 0);
        }
        unlink(rig->config);
}

bool rig_start(Rig *rig) {
        *rig = (Rig){};
        return daemon_start(rig) && fake_start(&rig->fake, rig->address) &&
               framebus_open(&rig->fb, rig->address) >= 0;
}

void rig_stop(Rig *rig) {
        for (size_t i = 0; i < rig->n_held; i++)
                framebus_frame_unref(rig->held[i]);
        framebus_close(rig->fb);
        fake_stop(&rig->fake);
        sd_event_unref(rig->fake.event);
        daemon_stop(rig);
}

bool rig_turn(Rig *rig, int timeout_ms) {
        uint64_t timeout = rig->fb ? framebus_get_timeout(rig->fb) : UINT64_MAX;
        bool event_ready = sd_event_prepare(rig->fake.event) > 0;
        struct pollfd p[] = {
                { .fd = sd_event_get_fd(rig->fake.event), .events = POLLIN },
                { .fd = rig->fb ? framebus_get_fd(rig->fb) : -1, .events = POLLIN },
        };
        bool moved = poll(p, 2, timeout == 0 || event_ready ? 0 : timeout_ms) > 0 || timeout == 0 ||
                     event_ready;

        if (event_ready || sd_event_wait(rig->fake.event, 0) > 0)
                sd_event_dispatch(rig->fake.event);
        if (rig->fb)
                rig->process_result = framebus_process(rig->fb);
        return moved;
}

void rig_settle(Rig *rig) {
        while (rig_turn(rig, 20))
                ;
}

/* What a subscription is told, in words */

void rig_log(Rig *rig, const char *format, ...) {
        size_t n = strlen(rig->log);
        va_list ap;

        va_start(ap, format);
        vsnprintf(rig->log + n, sizeof rig->log - n, format, ap);
        va_end(ap);
}

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        rig_log(userdata, "attached ");
}

static void on_format(framebus_subscription *sub, uint32_t format, const struct framebus_mode *mode,
                      void *userdata) {
        rig_log(userdata, "format:%u:%ux%u ", format, mode->width, mode->height);
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        Rig *rig = userdata;

        rig_log(rig, "frame:%llu ", (unsigned long long)framebus_frame_get_seq(frame));
        if (rig->hold && rig->n_held < FB_ELEMENTSOF(rig->held))
                rig->held[rig->n_held++] = framebus_frame_ref(frame);
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        rig_log(userdata, "lost:%llu:%s ", (unsigned long long)count, reason);
}

static void on_suspended(framebus_subscription *sub, const char *reason, void *userdata) {
        rig_log(userdata, "suspended:%s ", reason);
}

static void on_resumed(framebus_subscription *sub, void *userdata) {
        rig_log(userdata, "resumed ");
}

static void on_disconnected(framebus_subscription *sub, uint64_t retry_ns, void *userdata) {
        Rig *rig = userdata;

        rig_log(rig, "disconnected ");
        if (rig->n_retries < FB_ELEMENTSOF(rig->retries))
                rig->retries[rig->n_retries++] = retry_ns;
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        rig_log(userdata, "ended:%s:%s ", reason, error ? error->name : "-");
}

const struct framebus_subscription_events rig_events = {
        .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
        .attached = on_attached,
        .format = on_format,
        .frame = on_frame,
        .lost = on_lost,
        .suspended = on_suspended,
        .resumed = on_resumed,
        .disconnected = on_disconnected,
        .ended = on_ended,
};
