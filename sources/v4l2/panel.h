/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device's controls. They have a descriptor of their own, open as long as the program runs: what is set
 * goes to the device whether it streams or not, and changes that others make are heard of. A device that lets
 * itself be opened only once has no controls here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interfaces/wire.h"
#include "libframebus/framebus.h"
#include "sources/v4l2/device.h"

#define PANEL_TEXT_MAX FB_TEXT_MAX

/* What belongs to the control with the same index. */
typedef struct PanelKnob {
        uint32_t id, type; /* V4L2_CID_*, V4L2_CTRL_TYPE_* */
        char key[FB_NAME_MAX + 1], name[33], group[33];
        char *text;        /* of a string: PANEL_TEXT_MAX + 1 bytes */
        struct framebus_control_item *items;
        char (*item_names)[33];
        bool changed;
} PanelKnob;

typedef struct Panel {
        Device device;
        struct framebus_control controls[FB_CONTROLS_MAX]; /* as libframebus wants them, values included */
        PanelKnob knobs[FB_CONTROLS_MAX];
        size_t n;
        size_t n_left_out;  /* compound and other controls that are no single value */
        char left_out[128]; /* the names of some */
} Panel;

/* Zeroed before. Negative errno: there are none to be had, and it is closed. */
int panel_open(Panel *p, const DeviceOps *ops, const char *path);
/* Also of one that is closed. */
void panel_close(Panel *p);

/*
 * Sets all, or none if the device can tell beforehand; then their values are read anew in any case.
 * Negative errno, with the control that failed in @ret_failed, NULL if the device does not say which.
 * -ENOENT: there is no such control.
 */
int panel_set(Panel *p, const struct framebus_control_value *values, size_t n, const char **ret_failed);

/* Reads the values of these anew. As panel_set(). */
int panel_read(Panel *p, const char *const *ids, size_t n, const char **ret_failed);

/* Has an encoder make a keyframe next. -ENOENT: the device cannot be asked for that. */
int panel_force_keyframe(Panel *p);

/* The present value of a control, in @ret. False: there is none. Its text is valid until the next call of
 * anything here. */
bool panel_get(const Panel *p, const char *id, struct framebus_control_value *ret);

/*
 * Takes the events that wait. @ret has the controls with other values, room for FB_CONTROLS_MAX; @ret_n their
 * number. Returns whether the controls themselves are different: flags or ranges.
 */
bool panel_take_events(Panel *p, struct framebus_control_value *ret, size_t *ret_n);

/* The key of a device's name: "Exposure Time, Absolute" is "exposure-time-absolute", as v4l2-ctl has it but
 * for the underscores. */
void panel_make_key(const char *name, char ret[static FB_NAME_MAX + 1]);
