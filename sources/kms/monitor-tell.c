/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the broker and the log are told of a screen: changes, and never each frame. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xf86drm.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "sources/kms/monitor.h"

void monitor_fail(Monitor *m, int error, const char *path, const char *step) {
        Program *p = &m->program;

        switch (-error) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
                program_fail(p, "absent", EXIT_ABSENT, "%s is not there: unplugged, or without a driver",
                             path);
                break;
        case EACCES:
                program_fail(p, "failed", EXIT_NO_PERMISSION,
                             "no permission to open %s: its group, mostly 'video', may", path);
                break;
        case EPERM:
                program_fail(p, "failed", EXIT_NO_PERMISSION,
                             "no permission to read the screens of %s: it takes CAP_SYS_ADMIN, and "
                             "framebus-kms(1) says how to give it",
                             path);
                break;
        case ENOTTY:
                program_fail(p, "failed", EXIT_NO_SCREENS, "%s drives no screens", path);
                break;
        default:
                program_fail(p, "failed", PROGRAM_EXIT_FAILED, "%s: %s: %s", path, step, strerror(-error));
        }
}

void monitor_tell(Monitor *m, const char *state, const char *reason) {
        if (strcmp(m->state, state) == 0 && strcmp(m->reason, reason) == 0)
                return;
        (void)snprintf(m->state, sizeof m->state, "%s", state);
        (void)snprintf(m->reason, sizeof m->reason, "%s", reason);
        log_info("%s%s%s", state, reason[0] ? ": " : "", reason);
        (void)framebus_publisher_set_state(m->program.pub, m->state, m->reason);
}

void monitor_describe_refusal(const FramebufferInfo *fb, int error, char *ret_reason, size_t size) {
        _cleanup_free_ char *name = NULL;
        char format[5];

        framebus_fourcc_to_string(fb->fourcc, format);
        switch (-error) {
        case ENOTSUP:
                name = drmGetFormatModifierName(fb->modifier);
                (void)snprintf(ret_reason, size,
                               "the framebuffer (%s) is tiled, with modifier 0x%016llx (%s): only "
                               "linear ones can be copied",
                               format, (unsigned long long)fb->modifier, name ?: "no name");
                break;
        case ENOSYS:
                (void)snprintf(ret_reason, size, "the framebuffer has the format %s, which is not known here",
                               format);
                break;
        case EINVAL:
        case EOVERFLOW:
        case ERANGE:
                (void)snprintf(ret_reason, size, "the framebuffer (%s, %ux%u) contradicts itself", format,
                               fb->width, fb->height);
                break;
        default:
                (void)snprintf(ret_reason, size, "the framebuffer (%s, %ux%u) cannot be read: %s", format,
                               fb->width, fb->height, strerror(-error));
        }
}
