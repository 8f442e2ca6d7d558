/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the broker and the log are told of a device: changes, and never each frame. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "sources/v4l2/camera.h"
#include "sources/v4l2/holder.h"

void camera_fail(Camera *c, int error, const char *step) {
        Program *p = &c->program;
        char text[200];

        switch (-error) {
        case ENODEV:
        case ENXIO:
        case ENOENT:
                program_fail(p, "absent", EXIT_ABSENT, "%s is not there: unplugged, or not plugged in yet",
                             c->path);
                break;
        case EBUSY:
                holder_describe(c->path, text, sizeof text);
                program_fail(p, "failed", EXIT_BUSY, "%s is busy: in use by %s", c->path,
                             text[0] ? text : "another user's process");
                break;
        case EACCES:
        case EPERM:
                holder_describe_permission(c->path, text, sizeof text);
                program_fail(p, "failed", EXIT_NO_PERMISSION, "no permission to use %s: %s", c->path, text);
                break;
        case ENOSPC:
                program_fail(p, "failed", PROGRAM_EXIT_FAILED,
                             "%s: %s: not enough USB bandwidth; use a smaller mode or another port", c->path,
                             step);
                break;
        case ENOTTY:
                program_fail(p, "failed", EXIT_NO_CAPTURE, "%s is not a V4L2 device", c->path);
                break;
        case EPROTO:
                program_fail(p, "failed", PROGRAM_EXIT_FAILED,
                             "%s: %s: the device does not do what it says it can", c->path, step);
                break;
        default:
                program_fail(p, "failed", PROGRAM_EXIT_FAILED, "%s: %s: %s", c->path, step, strerror(-error));
        }
}

bool camera_error_is_final(int error) {
        static const int final[] = { ENODEV, ENXIO, ENOENT, EBUSY, EACCES, EPERM, ENOSPC, ENOTTY, EPROTO };

        for (size_t i = 0; i < FB_ELEMENTSOF(final); i++)
                if (error == -final[i])
                        return true;
        return false;
}

void camera_tell(Camera *c, const char *state, const char *format, ...) {
        char reason[sizeof c->reason];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(reason, sizeof reason, format, ap);
        va_end(ap);
        if (strcmp(c->state, state) == 0 && strcmp(c->reason, reason) == 0)
                return;
        (void)snprintf(c->state, sizeof c->state, "%s", state);
        memcpy(c->reason, reason, sizeof reason);
        (void)framebus_publisher_set_state(c->program.pub, c->state, c->reason);
}

/* Skipped frames are told as lost anyway, and on a busy machine there is always one. */
void camera_count(Camera *c, Fault fault, uint64_t n) {
        if (!faults_add(&c->faults, fault, n, clock_now_ns()))
                return;
        log_print(fault == FAULT_SKIPPED ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "%s: %s", c->path,
                  fault_get_words(fault));
}

void camera_expire_faults(Camera *c) {
        uint32_t over = faults_expire(&c->faults, clock_now_ns()) & ~(1u << FAULT_SKIPPED);
        char counts[256];

        for (unsigned i = 0; i < _FAULT_MAX; i++)
                if (over & 1u << i)
                        log_info("%s: over: %s (so far: %s)", c->path, fault_get_words(i),
                                 faults_describe(&c->faults, counts, sizeof counts));
}
