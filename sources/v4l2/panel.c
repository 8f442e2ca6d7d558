/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values go one control at a time when they are read, so that one that fails takes no other with it, and all
 * together when they are set, so that a device with a cluster of them (exposure and its automatic) sees them
 * at once.
 */
#include "sources/v4l2/panel.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sources/common/text.h"

#define EVENTS_MAX 512 /* at a time */

void panel_make_key(const char *name, char ret[static FB_NAME_MAX + 1]) {
        bool dash = false;
        size_t n = 0;

        for (; *name && n < FB_NAME_MAX - 4; name++) {
                unsigned char c = (unsigned char)*name;

                if (c < 0x80 && isalnum(c)) {
                        if (dash)
                                ret[n++] = '-';
                        dash = false;
                        ret[n++] = (char)tolower(c);
                } else
                        dash = n > 0;
        }
        ret[n] = '\0';
        if (n == 0)
                strcpy(ret, "control");
}

static ssize_t find(const Panel *p, const char *key) {
        for (size_t i = 0; i < p->n; i++)
                if (strcmp(p->knobs[i].key, key) == 0)
                        return (ssize_t)i;
        return -1;
}

static void make_unique(const Panel *p, char key[static FB_NAME_MAX + 1]) {
        size_t n = strlen(key);

        for (unsigned i = 2; find(p, key) >= 0; i++)
                snprintf(key + n, FB_NAME_MAX + 1 - n, "-%u", i);
}

/* ---- what there is ---- */

static const struct {
        uint32_t v4l2;
        enum framebus_control_type type;
} types[] = {
        { V4L2_CTRL_TYPE_INTEGER, FRAMEBUS_CONTROL_INTEGER },
        { V4L2_CTRL_TYPE_BOOLEAN, FRAMEBUS_CONTROL_BOOLEAN },
        { V4L2_CTRL_TYPE_MENU, FRAMEBUS_CONTROL_MENU },
        { V4L2_CTRL_TYPE_INTEGER_MENU, FRAMEBUS_CONTROL_INTEGER_MENU },
        { V4L2_CTRL_TYPE_BUTTON, FRAMEBUS_CONTROL_BUTTON },
        { V4L2_CTRL_TYPE_STRING, FRAMEBUS_CONTROL_STRING },
        { V4L2_CTRL_TYPE_BITMASK, FRAMEBUS_CONTROL_BITMASK },
        { V4L2_CTRL_TYPE_INTEGER64, FRAMEBUS_CONTROL_INTEGER64 },
};

static const struct {
        uint32_t v4l2, flag;
} flags[] = {
        { V4L2_CTRL_FLAG_READ_ONLY, FRAMEBUS_CONTROL_READ_ONLY },
        { V4L2_CTRL_FLAG_WRITE_ONLY, FRAMEBUS_CONTROL_WRITE_ONLY },
        { V4L2_CTRL_FLAG_INACTIVE, FRAMEBUS_CONTROL_INACTIVE },
        { V4L2_CTRL_FLAG_DISABLED, FRAMEBUS_CONTROL_DISABLED },
        { V4L2_CTRL_FLAG_GRABBED, FRAMEBUS_CONTROL_GRABBED },
        { V4L2_CTRL_FLAG_VOLATILE, FRAMEBUS_CONTROL_VOLATILE },
        { V4L2_CTRL_FLAG_UPDATE, FRAMEBUS_CONTROL_UPDATE },
        { V4L2_CTRL_FLAG_SLIDER, FRAMEBUS_CONTROL_SLIDER },
};

static bool take_type(const struct v4l2_query_ext_ctrl *q, struct framebus_control *c) {
        if (q->nr_of_dims > 0 || (q->type == V4L2_CTRL_TYPE_STRING && q->maximum > PANEL_TEXT_MAX))
                return false;
        for (size_t i = 0; i < FB_ELEMENTSOF(types); i++)
                if (types[i].v4l2 == q->type)
                        return c->type = types[i].type, true;
        return false;
}

static uint32_t flags_from_v4l2(uint32_t v4l2) {
        uint32_t f = 0;

        for (size_t i = 0; i < FB_ELEMENTSOF(flags); i++)
                if (v4l2 & flags[i].v4l2)
                        f |= flags[i].flag;
        return f;
}

static void take_numbers(struct framebus_control *c, int64_t min, int64_t max, uint64_t step,
                         int64_t standard) {
        bool plain = c->type == FRAMEBUS_CONTROL_BOOLEAN || c->type == FRAMEBUS_CONTROL_BUTTON;

        c->min = plain ? 0 : min;
        c->max = plain ? 1 : max;
        c->step = plain ? 1 : (int64_t)FB_MIN(step, (uint64_t)INT64_MAX);
        c->default_value = standard;
        if (c->type == FRAMEBUS_CONTROL_BUTTON || c->type == FRAMEBUS_CONTROL_STRING)
                c->default_value = 0;
}

/* The items of a menu that the device has; there are holes. */
static bool take_items(Panel *p, const struct v4l2_query_ext_ctrl *q, struct framebus_control *c,
                       PanelKnob *k) {
        if (q->minimum < 0 || q->maximum < q->minimum || q->maximum - q->minimum >= FB_CONTROL_ITEMS_MAX)
                return false;
        k->items = calloc((size_t)(q->maximum - q->minimum) + 1, sizeof *k->items);
        k->item_names = calloc((size_t)(q->maximum - q->minimum) + 1, sizeof *k->item_names);
        if (!k->items || !k->item_names)
                return false;
        for (int64_t i = q->minimum; i <= q->maximum; i++) {
                struct v4l2_querymenu m = { .id = q->id, .index = (uint32_t)i };
                char *name = k->item_names[c->n_items];

                if (device_ioctl(&p->device, VIDIOC_QUERYMENU, &m) < 0)
                        continue;
                if (q->type == V4L2_CTRL_TYPE_INTEGER_MENU)
                        snprintf(name, 33, "%" PRId64, (int64_t)m.value);
                else
                        snprintf(name, 33, "%.32s", (const char *)m.name);
                text_clean(name);
                k->items[c->n_items++] = (struct framebus_control_item){ i, name };
        }
        c->items = k->items;
        return c->n_items > 0;
}

static void free_knob(PanelKnob *k) {
        free(k->text);
        free(k->items);
        free(k->item_names);
        *k = (PanelKnob){ 0 };
}

static void leave_out(Panel *p, const struct v4l2_query_ext_ctrl *q) {
        size_t n = strlen(p->left_out);

        p->n_left_out++;
        if (n + 40 < sizeof p->left_out)
                snprintf(p->left_out + n, sizeof p->left_out - n, "%s%.32s", n ? ", " : "", q->name);
        text_clean(p->left_out);
}

static bool take_control(Panel *p, const struct v4l2_query_ext_ctrl *q, const char *group) {
        struct framebus_control *c = &p->controls[p->n];
        PanelKnob *k = &p->knobs[p->n];

        *c = (struct framebus_control){ .flags = flags_from_v4l2(q->flags) };
        *k = (PanelKnob){ .id = q->id, .type = q->type };
        if (!take_type(q, c))
                return false;
        snprintf(k->name, sizeof k->name, "%.32s", q->name);
        snprintf(k->group, sizeof k->group, "%s", group);
        text_clean(k->name);
        text_clean(k->group);
        panel_make_key(k->name, k->key);
        make_unique(p, k->key);
        c->id = k->key;
        c->name = k->name;
        c->group = k->group[0] ? k->group : NULL;
        take_numbers(c, q->minimum, q->maximum, q->step, q->default_value);
        if (c->type == FRAMEBUS_CONTROL_STRING && !(k->text = calloc(1, PANEL_TEXT_MAX + 1)))
                return false;
        if (c->type == FRAMEBUS_CONTROL_MENU || c->type == FRAMEBUS_CONTROL_INTEGER_MENU)
                return take_items(p, q, c, k);
        return c->type == FRAMEBUS_CONTROL_BITMASK || c->min <= c->max;
}

/* ---- values ---- */

static int read_value(Panel *p, size_t i) {
        struct framebus_control *c = &p->controls[i];
        struct v4l2_ext_control v = { .id = p->knobs[i].id };
        struct v4l2_ext_controls all = { .count = 1, .controls = &v };
        char text[PANEL_TEXT_MAX + 1] = "";
        int64_t number;
        int r;

        if (c->type == FRAMEBUS_CONTROL_BUTTON ||
            c->flags & (FRAMEBUS_CONTROL_WRITE_ONLY | FRAMEBUS_CONTROL_DISABLED))
                return 0;
        if (c->type == FRAMEBUS_CONTROL_STRING) {
                v.size = (uint32_t)c->max + 1;
                v.string = text;
        }
        r = device_ioctl(&p->device, VIDIOC_G_EXT_CTRLS, &all);
        if (r < 0)
                return r;
        number = c->type == FRAMEBUS_CONTROL_INTEGER64 ? v.value64 :
                 c->type == FRAMEBUS_CONTROL_BITMASK   ? (int64_t)(uint32_t)v.value :
                 c->type == FRAMEBUS_CONTROL_BOOLEAN   ? v.value != 0 :
                                                         v.value;
        text[PANEL_TEXT_MAX] = '\0';
        text_clean(text);
        if (c->type == FRAMEBUS_CONTROL_STRING) {
                p->knobs[i].changed = !c->has_value || strcmp(text, p->knobs[i].text) != 0;
                strcpy(p->knobs[i].text, text);
                c->text = p->knobs[i].text;
        } else {
                p->knobs[i].changed = !c->has_value || number != c->value;
                c->value = number;
        }
        c->has_value = true;
        return 0;
}

static void fill(const Panel *p, size_t i, const struct framebus_control_value *value,
                 struct v4l2_ext_control *ret) {
        *ret = (struct v4l2_ext_control){ .id = p->knobs[i].id };
        if (p->controls[i].type == FRAMEBUS_CONTROL_STRING) {
                ret->string = (char *)(value->text ?: "");
                ret->size = (uint32_t)p->controls[i].max + 1;
        } else if (p->controls[i].type == FRAMEBUS_CONTROL_INTEGER64)
                ret->value64 = value->value;
        else
                ret->value = (int32_t)value->value;
}

/* @error_idx is the number of controls if the device does not say which. */
static int set_all(Panel *p, unsigned long request, struct v4l2_ext_control *list, size_t n,
                   size_t *ret_index) {
        struct v4l2_ext_controls all = { .count = (uint32_t)n, .controls = list };
        int r = device_ioctl(&p->device, request, &all);

        *ret_index = all.error_idx;
        return r;
}

int panel_set(Panel *p, const struct framebus_control_value *values, size_t n, const char **ret_failed) {
        struct v4l2_ext_control list[FB_CONTROLS_SET_MAX];
        char texts[FB_CONTROLS_SET_MAX][PANEL_TEXT_MAX + 1]; /* drivers may write to what they are given */
        size_t index = n;
        int r;

        *ret_failed = NULL;
        for (size_t i = 0; i < n && i < FB_CONTROLS_SET_MAX; i++) {
                struct framebus_control_value v = values[i];
                ssize_t k = find(p, v.id);

                if (k < 0)
                        return *ret_failed = v.id, -ENOENT;
                snprintf(texts[i], sizeof texts[i], "%s", v.text ?: "");
                v.text = texts[i];
                fill(p, (size_t)k, &v, &list[i]);
        }
        r = set_all(p, VIDIOC_TRY_EXT_CTRLS, list, n, &index);
        if (r >= 0)
                r = set_all(p, VIDIOC_S_EXT_CTRLS, list, n, &index);
        if (r < 0 && index < n)
                *ret_failed = values[index].id;
        for (size_t i = 0; i < n; i++)
                (void)read_value(p, (size_t)find(p, values[i].id));
        return r;
}

int panel_read(Panel *p, const char *const *ids, size_t n, const char **ret_failed) {
        for (size_t i = 0; i < n; i++) {
                ssize_t k = find(p, ids[i]);
                int r = k < 0 ? -ENOENT : read_value(p, (size_t)k);

                if (r < 0)
                        return *ret_failed = ids[i], r;
        }
        return 0;
}

int panel_force_keyframe(Panel *p) {
        struct v4l2_ext_control c = { .id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, .value = 1 };
        size_t index;

        for (size_t i = 0; i < p->n; i++)
                if (p->knobs[i].id == c.id)
                        return set_all(p, VIDIOC_S_EXT_CTRLS, &c, 1, &index);
        return -ENOENT;
}

bool panel_get(const Panel *p, const char *id, struct framebus_control_value *ret) {
        ssize_t k = find(p, id);

        if (k < 0 || !p->controls[k].has_value)
                return false;
        *ret = (struct framebus_control_value){ .id = p->controls[k].id,
                                                .text = p->controls[k].text,
                                                .value = p->controls[k].value };
        return true;
}

/* ---- opening ---- */

/* With feedback: what one control does to others when we set it is told as well. */
static void subscribe(Panel *p, size_t i) {
        struct v4l2_event_subscription s = { .type = V4L2_EVENT_CTRL,
                                             .id = p->knobs[i].id,
                                             .flags = V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK };

        (void)device_ioctl(&p->device, VIDIOC_SUBSCRIBE_EVENT, &s);
}

static void enumerate(Panel *p) {
        const uint32_t next = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;
        struct v4l2_query_ext_ctrl q = { .id = next };
        char group[33] = "";
        uint32_t last = 0;

        while (p->n < FB_CONTROLS_MAX && device_ioctl(&p->device, VIDIOC_QUERY_EXT_CTRL, &q) >= 0 &&
               q.id > last) {
                last = q.id;
                if (q.type == V4L2_CTRL_TYPE_CTRL_CLASS) {
                        snprintf(group, sizeof group, "%.32s", q.name);
                } else if (!take_control(p, &q, group)) {
                        free_knob(&p->knobs[p->n]);
                        leave_out(p, &q);
                } else {
                        (void)read_value(p, p->n);
                        p->knobs[p->n].changed = false;
                        subscribe(p, p->n++);
                }
                q = (struct v4l2_query_ext_ctrl){ .id = last | next };
        }
}

int panel_open(Panel *p, const DeviceOps *ops, const char *path) {
        int r = device_open(&p->device, ops, path);

        if (r >= 0)
                enumerate(p);
        return r;
}

void panel_close(Panel *p) {
        for (size_t i = 0; i < p->n; i++)
                free_knob(&p->knobs[i]);
        p->n = 0;
        device_close(&p->device);
}

/* ---- changes ---- */

/* Returns whether the control is another one now. */
static bool take_event(Panel *p, const struct v4l2_event *e) {
        const struct v4l2_event_ctrl *ctrl = &e->u.ctrl;
        struct framebus_control before, *c;
        size_t i = 0;

        while (i < p->n && p->knobs[i].id != e->id)
                i++;
        if (i == p->n)
                return false;
        c = &p->controls[i];
        before = *c;
        c->flags = flags_from_v4l2(ctrl->flags);
        if ((ctrl->changes & V4L2_EVENT_CTRL_CH_RANGE) && c->n_items == 0 &&
            (c->type != FRAMEBUS_CONTROL_STRING || ctrl->maximum <= (int32_t)PANEL_TEXT_MAX))
                take_numbers(c, ctrl->minimum, ctrl->maximum, (uint32_t)ctrl->step, ctrl->default_value);
        if (ctrl->changes & V4L2_EVENT_CTRL_CH_VALUE)
                (void)read_value(p, i);
        return c->flags != before.flags || c->min != before.min || c->max != before.max ||
               c->step != before.step || c->default_value != before.default_value;
}

bool panel_take_events(Panel *p, struct framebus_control_value *ret, size_t *ret_n) {
        bool different = false;

        for (int i = 0; i < EVENTS_MAX; i++) {
                struct v4l2_event e = { 0 };

                if (device_ioctl(&p->device, VIDIOC_DQEVENT, &e) < 0)
                        break;
                if (e.type == V4L2_EVENT_CTRL)
                        different |= take_event(p, &e);
        }
        *ret_n = 0;
        for (size_t i = 0; i < p->n; i++) {
                if (p->knobs[i].changed && panel_get(p, p->knobs[i].key, &ret[*ret_n]))
                        (*ret_n)++;
                p->knobs[i].changed = false;
        }
        return different;
}
