/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libframebus/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/wire.h"

_Static_assert((int)FRAMEBUS_CONTROL_INTEGER64 == (int)CONTROL_INTEGER64, "the types are the same");
_Static_assert(FRAMEBUS_CONTROL_SLIDER == CONTROL_SLIDER, "the flags are the same");

static void control_to_public(const Control *c, struct framebus_control *ret,
                              struct framebus_control_item *items) {
        for (size_t i = 0; i < c->n_items; i++)
                items[i] = (struct framebus_control_item){ c->items[i].value, c->items[i].name };
        *ret = (struct framebus_control){ .id = c->id,
                                          .name = c->name,
                                          .group = c->group,
                                          .type = (enum framebus_control_type)c->type,
                                          .flags = c->flags,
                                          .min = c->min,
                                          .max = c->max,
                                          .step = c->step,
                                          .default_value = c->standard,
                                          .items = c->n_items ? items : NULL,
                                          .n_items = c->n_items,
                                          .has_value = c->value.kind != CONTROL_VALUE_NONE,
                                          .value = c->value.number,
                                          .text = c->value.text };
}

struct framebus_control *controls_to_public(const ControlList *l) {
        size_t n_items = 0;
        struct framebus_control_item *items;
        struct framebus_control *controls;

        for (size_t i = 0; i < l->n; i++)
                n_items += l->controls[i].n_items;
        controls = calloc(1, (l->n + 1) * sizeof *controls + n_items * sizeof *items);
        if (!controls)
                return NULL;
        items = (struct framebus_control_item *)(controls + l->n + 1);
        for (size_t i = 0; i < l->n; i++) {
                control_to_public(&l->controls[i], &controls[i], items);
                items += l->controls[i].n_items;
        }
        return controls;
}

struct framebus_control_value *control_values_to_public(const ControlSettings *s) {
        struct framebus_control_value *values = calloc(s->n + 1, sizeof *values);

        for (size_t i = 0; values && i < s->n; i++)
                values[i] = (struct framebus_control_value){ .id = s->settings[i].id,
                                                             .text = s->settings[i].value.text,
                                                             .value = s->settings[i].value.number };
        return values;
}

static int copy_text(const char *text, char **ret) {
        if (!text)
                return 0;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int copy_items(const struct framebus_control *public, Control *c) {
        if (public->n_items == 0)
                return 0;
        if (public->n_items > FB_CONTROL_ITEMS_MAX)
                return -EINVAL;
        c->items = calloc(public->n_items, sizeof *c->items);
        if (!c->items)
                return -ENOMEM;
        for (; c->n_items < public->n_items; c->n_items++) {
                const struct framebus_control_item *item = &public->items[c->n_items];

                if (!item->name || strlen(item->name) > FB_TEXT_MAX)
                        return -EINVAL;
                c->items[c->n_items] = (ControlItem){ item->value, strdup(item->name) };
                if (!c->items[c->n_items].name)
                        return -ENOMEM;
        }
        return 0;
}

static int copy_value(const struct framebus_control *public, Control *c) {
        ControlValue v = { .kind = public->text ? CONTROL_VALUE_TEXT : CONTROL_VALUE_NUMBER,
                           .number = public->text ? 0 : public->value,
                           .text = (char *)public->text };

        if (!public->has_value)
                return 0;
        if (control_fit_kind(c, &v) != 0 || (v.text && strlen(v.text) > FB_TEXT_MAX))
                return -EINVAL;
        return control_value_copy(&c->value, &v);
}

/* Into @c, which the caller clears in any case. */
static int control_from_public(const struct framebus_control *public, Control *c) {
        bool plain = public->type == FRAMEBUS_CONTROL_BOOLEAN || public->type == FRAMEBUS_CONTROL_BUTTON;
        int r;

        *c = (Control){ .type = (ControlType)public->type,
                        .flags = public->flags,
                        .min = plain ? 0 : public->min,
                        .max = plain ? 1 : public->max,
                        .step = plain ? 1 : public->step,
                        .standard = public->default_value };
        if (public->reserved[0] || public->reserved[1] || public->flags >= 1u << CONTROL_FLAGS_N)
                return -EINVAL;
        r = copy_text(public->id, &c->id);
        if (r >= 0)
                r = copy_text(public->name, &c->name);
        if (r >= 0)
                r = copy_text(public->group, &c->group);
        if (r >= 0)
                r = copy_items(public, c);
        if (r < 0)
                return r;
        return control_is_valid(c) ? copy_value(public, c) : -EINVAL;
}

int controls_from_public(const struct framebus_control *controls, size_t n, ControlList *ret) {
        _cleanup_(control_list_clear) ControlList l = {};

        if (n > FB_CONTROLS_MAX)
                return -EINVAL;
        l.controls = calloc(n + 1, sizeof *l.controls);
        if (!l.controls)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = control_from_public(&controls[i], &l.controls[i]);

                if (r >= 0 && control_list_find(&l, l.controls[i].id))
                        r = -EINVAL;
                l.n++;
                if (r < 0)
                        return r;
        }
        *ret = l;
        l = (ControlList){};
        return 0;
}

int control_values_from_public(const struct framebus_control_value *values, size_t n, ControlSettings *ret) {
        _cleanup_(control_settings_clear) ControlSettings s = {};

        if (n > FB_CONTROLS_MAX)
                return -EINVAL;
        s.settings = calloc(n + 1, sizeof *s.settings);
        if (!s.settings)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++, s.n++) {
                const struct framebus_control_value *v = &values[i];
                ControlValue value = { .kind = v->text ? CONTROL_VALUE_TEXT : CONTROL_VALUE_NUMBER,
                                       .number = v->text ? 0 : v->value,
                                       .text = (char *)v->text };

                if (!v->id || !control_id_is_valid(v->id) || (v->text && strlen(v->text) > FB_TEXT_MAX))
                        return -EINVAL;
                s.settings[i].id = strdup(v->id);
                if (!s.settings[i].id)
                        return -ENOMEM;
                if (control_value_copy(&s.settings[i].value, &value) < 0)
                        return free(s.settings[i].id), -ENOMEM;
        }
        *ret = s;
        s = (ControlSettings){};
        return 0;
}
