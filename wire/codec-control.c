/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Controls and values to and from D-Bus; see org.framebus.Controls1 for the keys. */
#include "wire/codec-control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/wire.h"

/* ---- writing ---- */

/* Content only: "v" with one of b, x, s. */
static int append_value(sd_bus_message *m, const ControlValue *v) {
        if (v->kind == CONTROL_VALUE_BOOLEAN)
                return sd_bus_message_append(m, "v", "b", (int)(v->number != 0));
        if (v->kind == CONTROL_VALUE_TEXT)
                return sd_bus_message_append(m, "v", "s", v->text);
        return sd_bus_message_append(m, "v", "x", v->number);
}

static int append_entry(sd_bus_message *m, const char *key, const ControlValue *v) {
        int r;

        if (v->kind == CONTROL_VALUE_NONE)
                return 0;
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, key);
        if (r >= 0)
                r = append_value(m, v);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int codec_append_settings(sd_bus_message *m, const ControlSettings *s) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        for (size_t i = 0; r >= 0 && i < s->n; i++)
                r = append_entry(m, s->settings[i].id, &s->settings[i].value);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_items(sd_bus_message *m, const Control *c) {
        int r;

        if (c->n_items == 0)
                return 0;
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, FB_KEY_CONTROL_ITEMS);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "a(xs)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(xs)");
        for (size_t i = 0; r >= 0 && i < c->n_items; i++)
                r = sd_bus_message_append(m, "(xs)", c->items[i].value, c->items[i].name);
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_flags(sd_bus_message *m, uint32_t flags) {
        const char *names[CONTROL_FLAGS_N + 1] = {};
        size_t n = 0;
        int r;

        for (uint32_t i = 0; i < CONTROL_FLAGS_N; i++)
                if (flags & (1u << i))
                        names[n++] = control_flag_to_string(1u << i);
        if (n == 0)
                return 0;
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, FB_KEY_CONTROL_FLAGS);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **)names);
        for (int i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static bool has_range(const Control *c) {
        return c->type != CONTROL_BOOLEAN && c->type != CONTROL_BUTTON;
}

static bool has_default(const Control *c) {
        return c->type != CONTROL_STRING && c->type != CONTROL_BUTTON;
}

static int append_numbers(sd_bus_message *m, const Control *c) {
        ControlValue standard = { .kind = c->type == CONTROL_BOOLEAN ? CONTROL_VALUE_BOOLEAN
                                                                     : CONTROL_VALUE_NUMBER,
                                  .number = c->standard };
        int r = 0;

        if (has_range(c))
                r = sd_bus_message_append(m, "{sv}{sv}{sv}", FB_KEY_CONTROL_MIN, "x", c->min,
                                          FB_KEY_CONTROL_MAX, "x", c->max, FB_KEY_CONTROL_STEP, "x", c->step);
        return r < 0 || !has_default(c) ? r : append_entry(m, FB_KEY_CONTROL_DEFAULT, &standard);
}

static int append_control(sd_bus_message *m, const Control *c) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}", FB_KEY_CONTROL_ID, "s", c->id, FB_KEY_CONTROL_NAME,
                                          "s", c->name);
        if (r >= 0 && c->group)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_CONTROL_GROUP, "s", c->group);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_CONTROL_TYPE, "s",
                                          control_type_to_string(c->type));
        if (r >= 0)
                r = append_numbers(m, c);
        if (r >= 0)
                r = append_items(m, c);
        if (r >= 0)
                r = append_flags(m, c->flags);
        if (r >= 0)
                r = append_entry(m, FB_KEY_CONTROL_VALUE, &c->value);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int codec_append_controls(sd_bus_message *m, const ControlList *l) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "a{sv}");

        for (size_t i = 0; r >= 0 && i < l->n; i++)
                r = append_control(m, &l->controls[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- reading ---- */

static int read_text(sd_bus_message *m, char **ret) {
        const char *s;
        char *copy;
        int r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &s);

        if (r < 0)
                return r;
        if (strlen(s) > FB_TEXT_MAX)
                return FB_E_INVALID_OPTION;
        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        free(*ret);
        *ret = copy;
        return 0;
}

static int read_number(sd_bus_message *m, char type, int64_t *ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
        } v;
        int r = sd_bus_message_read_basic(m, type, &v);

        if (r < 0)
                return r;
        if (type == SD_BUS_TYPE_UINT64 && v.t > INT64_MAX)
                return FB_E_INVALID_OPTION;
        *ret = type == SD_BUS_TYPE_BYTE     ? v.y
               : type == SD_BUS_TYPE_INT16  ? v.n
               : type == SD_BUS_TYPE_UINT16 ? v.q
               : type == SD_BUS_TYPE_INT32  ? v.i
               : type == SD_BUS_TYPE_UINT32 ? v.u
                                            : v.x;
        return 0;
}

/* The variant has been entered. */
static int read_content(sd_bus_message *m, ControlValue *ret) {
        int r, b;
        char type;

        r = sd_bus_message_peek_type(m, &type, NULL);
        if (r < 0)
                return r;
        control_value_clear(ret);
        if (type == SD_BUS_TYPE_BOOLEAN) {
                r = sd_bus_message_read_basic(m, type, &b);
                if (r < 0)
                        return r;
                *ret = (ControlValue){ .kind = CONTROL_VALUE_BOOLEAN, .number = b };
                return 0;
        }
        if (type == SD_BUS_TYPE_STRING) {
                fb_try(read_text(m, &ret->text));
                ret->kind = CONTROL_VALUE_TEXT;
                return 0;
        }
        if (!strchr("ynqiuxt", type))
                return FB_E_INVALID_OPTION;
        fb_try(read_number(m, type, &ret->number));
        ret->kind = CONTROL_VALUE_NUMBER;
        return 0;
}

static int read_id(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Control *)userdata)->id);
}

static int read_name(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Control *)userdata)->name);
}

static int read_group(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Control *)userdata)->group);
}

static int read_type(sd_bus_message *m, void *userdata) {
        const char *s;
        int r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &s);

        if (r < 0)
                return r;
        ((Control *)userdata)->type = control_type_from_string(s);
        return 0;
}

static int read_min(sd_bus_message *m, void *userdata) {
        return read_number(m, SD_BUS_TYPE_INT64, &((Control *)userdata)->min);
}

static int read_max(sd_bus_message *m, void *userdata) {
        return read_number(m, SD_BUS_TYPE_INT64, &((Control *)userdata)->max);
}

static int read_step(sd_bus_message *m, void *userdata) {
        return read_number(m, SD_BUS_TYPE_INT64, &((Control *)userdata)->step);
}

static int read_default(sd_bus_message *m, void *userdata) {
        ControlValue v = {};
        int r = read_content(m, &v);

        if (r == 0 && v.kind == CONTROL_VALUE_TEXT)
                r = FB_E_INVALID_OPTION;
        ((Control *)userdata)->standard = v.number;
        control_value_clear(&v);
        return r;
}

static int read_items(sd_bus_message *m, void *userdata) {
        Control *c = userdata;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "(xs)");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, "xs")) > 0) {
                ControlItem *items;

                if (c->n_items == FB_CONTROL_ITEMS_MAX)
                        return FB_E_INVALID_OPTION;
                items = reallocarray(c->items, c->n_items + 1, sizeof *items);
                if (!items)
                        return -ENOMEM;
                c->items = items;
                items[c->n_items] = (ControlItem){};
                fb_try(read_number(m, SD_BUS_TYPE_INT64, &items[c->n_items].value));
                fb_try(read_text(m, &items[c->n_items].name));
                c->n_items++;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

static int read_flags(sd_bus_message *m, void *userdata) {
        const char *s;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "s");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &s)) > 0)
                ((Control *)userdata)->flags |= control_flag_from_string(s);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

static int read_control_value(sd_bus_message *m, void *userdata) {
        return read_content(m, &((Control *)userdata)->value);
}

static const VardictKey control_keys[] = {
        { FB_KEY_CONTROL_ID, "s", read_id },           { FB_KEY_CONTROL_NAME, "s", read_name },
        { FB_KEY_CONTROL_GROUP, "s", read_group },     { FB_KEY_CONTROL_TYPE, "s", read_type },
        { FB_KEY_CONTROL_MIN, "x", read_min },         { FB_KEY_CONTROL_MAX, "x", read_max },
        { FB_KEY_CONTROL_STEP, "x", read_step },       { FB_KEY_CONTROL_DEFAULT, NULL, read_default },
        { FB_KEY_CONTROL_ITEMS, "a(xs)", read_items }, { FB_KEY_CONTROL_FLAGS, "as", read_flags },
        { FB_KEY_CONTROL_VALUE, NULL, read_control_value },
};

/* Into @c, which the caller clears in any case. @later: one without a type that is known is all right. */
static int read_control(sd_bus_message *m, Control *c, const ControlList *before, bool later,
                        VardictError *ret_error) {
        *c = (Control){ .type = _CONTROL_TYPE_MAX };
        fb_try(vardict_read(m, control_keys, FB_ELEMENTSOF(control_keys), true, c, ret_error));
        if (c->type == _CONTROL_TYPE_MAX)
                return *ret_error = (VardictError){ FB_KEY_CONTROL_TYPE, NULL },
                       later ? 0 : FB_E_INVALID_OPTION;
        if (!has_range(c))
                c->min = 0, c->max = c->step = 1;
        if (!control_is_valid(c))
                return *ret_error = (VardictError){ FB_KEY_CONTROL_ID, NULL }, FB_E_INVALID_OPTION;
        if (control_list_find(before, c->id))
                return *ret_error = (VardictError){ FB_KEY_CONTROL_ID, "a name once" }, FB_E_INVALID_OPTION;
        if (c->type == CONTROL_BUTTON || c->flags & CONTROL_WRITE_ONLY)
                control_value_clear(&c->value);
        else if (c->value.kind != CONTROL_VALUE_NONE && control_fit_kind(c, &c->value) != 0)
                return *ret_error = (VardictError){ FB_KEY_CONTROL_VALUE, NULL }, FB_E_INVALID_OPTION;
        return 0;
}

static int read_list(sd_bus_message *m, ControlList *l, bool later, VardictError *ret_error) {
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "a{sv}");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                Control *grown;

                if (l->n == FB_CONTROLS_MAX)
                        return *ret_error = (VardictError){ "controls", "at most 256" }, FB_E_INVALID_OPTION;
                grown = reallocarray(l->controls, l->n + 1, sizeof *grown);
                if (!grown)
                        return -ENOMEM;
                l->controls = grown;
                r = read_control(m, &grown[l->n], l, later, ret_error);
                if (r == 0 && grown[l->n].type != _CONTROL_TYPE_MAX) {
                        l->n++;
                        continue;
                }
                control_clear(&grown[l->n]);
                if (r != 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

static int read_controls(sd_bus_message *m, ControlList *ret, bool later, VardictError *ret_error) {
        ControlList l = {};
        int r = read_list(m, &l, later, ret_error);

        if (r != 0)
                control_list_clear(&l);
        else
                *ret = l;
        return r;
}

int codec_read_controls(sd_bus_message *m, ControlList *ret, VardictError *ret_error) {
        return read_controls(m, ret, false, ret_error);
}

int codec_read_known_controls(sd_bus_message *m, ControlList *ret, VardictError *ret_error) {
        return read_controls(m, ret, true, ret_error);
}

static bool has_setting(const ControlSettings *s, const char *id) {
        for (size_t i = 0; i < s->n; i++)
                if (strcmp(s->settings[i].id, id) == 0)
                        return true;
        return false;
}

/* Behind the key. */
static int read_setting(sd_bus_message *m, const char *id, ControlSettings *s) {
        ControlSetting *grown;
        const char *contents;
        int r;

        if (s->n == FB_CONTROLS_MAX || has_setting(s, id) || !control_id_is_valid(id))
                return FB_E_INVALID_VALUE;
        grown = reallocarray(s->settings, s->n + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        s->settings = grown;
        grown[s->n] = (ControlSetting){ .id = strdup(id) };
        if (!grown[s->n].id)
                return -ENOMEM;
        s->n++;
        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
        if (r >= 0)
                r = read_content(m, &grown[s->n - 1].value);
        if (r != 0)
                return r == FB_E_INVALID_OPTION ? FB_E_INVALID_VALUE : r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

static int read_settings(sd_bus_message *m, ControlSettings *s, VardictError *ret_error) {
        const char *id;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &id);
                if (r < 0)
                        return r;
                *ret_error = (VardictError){ id, NULL };
                r = read_setting(m, id, s);
                if (r != 0)
                        return r;
                r = sd_bus_message_exit_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

int codec_read_settings(sd_bus_message *m, ControlSettings *ret, VardictError *ret_error) {
        ControlSettings s = {};
        int r = read_settings(m, &s, ret_error);

        if (r != 0)
                control_settings_clear(&s);
        else
                *ret = s;
        return r;
}
