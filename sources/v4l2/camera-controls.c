/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the device's controls and the broker. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "sources/v4l2/camera.h"

static void answer(Camera *c, uint64_t cookie, const struct framebus_control_value *values, size_t n, int r,
                   const char *failed) {
        const char *why = r == -EBUSY    ? "it cannot be set while the device is in use"
                          : r == -ERANGE ? "the device takes no such value"
                                         : strerror(-r);

        r = framebus_publisher_answer_controls(c->program.pub, cookie, values, n, failed, r < 0 ? why : NULL);
        if (r < 0)
                log_debug("%s: cannot answer about controls: %s", c->path, strerror(-r));
}

static void on_set(Program *p, uint64_t cookie, const struct framebus_control_value *values, size_t n) {
        Camera *c = fb_container_of(p, Camera, program);
        struct framebus_control_value now[FB_CONTROLS_SET_MAX];
        const char *failed = NULL;
        size_t n_now = 0;
        int r = -ENODEV;

        n = FB_MIN(n, FB_ELEMENTSOF(now));
        if (c->panel.device.fd >= 0)
                r = panel_set(&c->panel, values, n, &failed);
        for (size_t i = 0; i < n; i++)
                n_now += panel_get(&c->panel, values[i].id, &now[n_now]);
        answer(c, cookie, now, n_now, r, failed);
}

static void on_get(Program *p, uint64_t cookie, const char *const *ids, size_t n) {
        Camera *c = fb_container_of(p, Camera, program);
        struct framebus_control_value now[FB_CONTROLS_MAX];
        const char *failed = NULL;
        size_t n_now = 0;
        int r = -ENODEV;

        n = FB_MIN(n, FB_ELEMENTSOF(now));
        if (c->panel.device.fd >= 0)
                r = panel_read(&c->panel, ids, n, &failed);
        for (size_t i = 0; i < n; i++)
                n_now += panel_get(&c->panel, ids[i], &now[n_now]);
        answer(c, cookie, now, n_now, r, failed);
}

static void on_want_keyframe(Program *p) {
        Camera *c = fb_container_of(p, Camera, program);
        int r = panel_force_keyframe(&c->panel);

        if (r < 0 && r != -ENOENT)
                log_debug("%s: cannot ask for a keyframe: %s", c->path, strerror(-r));
}

void camera_open_controls(Camera *c) {
        int r = panel_open(&c->panel, c->ops, c->path);

        if (r < 0)
                log_debug("%s: nothing can be set: %s", c->path, strerror(-r));
        if (c->panel.n_left_out)
                log_debug("%s: %zu controls are left out, as they are no single value: %s", c->path,
                          c->panel.n_left_out, c->panel.left_out);
        c->program.controls = c->panel.controls;
        c->program.n_controls = c->panel.n;
        c->program.set_controls = on_set;
        c->program.get_controls = on_get;
        c->program.want_keyframe = on_want_keyframe;
}

void camera_on_control_events(Camera *c, short revents) {
        struct framebus_control_value changed[FB_CONTROLS_MAX];
        size_t n;

        if (panel_take_events(&c->panel, changed, &n))
                (void)framebus_publisher_set_controls(c->program.pub, c->panel.controls, c->panel.n);
        else if (n > 0)
                (void)framebus_publisher_controls_changed(c->program.pub, changed, n);
        if (revents & (POLLERR | POLLHUP | POLLNVAL)) /* the device is gone, which its stream will tell */
                panel_close(&c->panel);
}
