/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "interfaces/wire.h"

static const char *const type_names[_CONTROL_TYPE_MAX] = {
        [CONTROL_INTEGER] = "integer", [CONTROL_BOOLEAN] = "boolean",
        [CONTROL_MENU] = "menu",       [CONTROL_INTEGER_MENU] = "integer-menu",
        [CONTROL_BUTTON] = "button",   [CONTROL_STRING] = "string",
        [CONTROL_BITMASK] = "bitmask", [CONTROL_INTEGER64] = "integer64",
};

static const char *const flag_names[CONTROL_FLAGS_N] = {
        "read-only", "write-only", "inactive", "disabled", "grabbed", "volatile", "update", "slider",
};

/* ---- memory ---- */

void control_value_clear(ControlValue *v) {
        free(v->text);
        *v = (ControlValue){};
}

void control_clear(Control *c) {
        free(c->id);
        free(c->name);
        free(c->group);
        for (size_t i = 0; i < c->n_items; i++)
                free(c->items[i].name);
        free(c->items);
        control_value_clear(&c->value);
        *c = (Control){};
}

void control_list_clear(ControlList *l) {
        for (size_t i = 0; i < l->n; i++)
                control_clear(&l->controls[i]);
        free(l->controls);
        *l = (ControlList){};
}

void control_settings_clear(ControlSettings *s) {
        for (size_t i = 0; i < s->n; i++) {
                free(s->settings[i].id);
                control_value_clear(&s->settings[i].value);
        }
        free(s->settings);
        *s = (ControlSettings){};
}

int control_value_copy(ControlValue *to, const ControlValue *from) {
        ControlValue v = *from;

        if (v.text && !(v.text = strdup(v.text)))
                return -ENOMEM;
        control_value_clear(to);
        *to = v;
        return 0;
}

/* ---- comparing ---- */

static bool text_equal(const char *a, const char *b) {
        return a == b || (a && b && strcmp(a, b) == 0);
}

bool control_value_equal(const ControlValue *a, const ControlValue *b) {
        return a->kind == b->kind && a->number == b->number && text_equal(a->text, b->text);
}

static bool control_equal(const Control *a, const Control *b) {
        if (!text_equal(a->id, b->id) || !text_equal(a->name, b->name) || !text_equal(a->group, b->group) ||
            a->type != b->type || a->flags != b->flags || a->min != b->min || a->max != b->max ||
            a->step != b->step || a->standard != b->standard || a->n_items != b->n_items)
                return false;
        for (size_t i = 0; i < a->n_items; i++)
                if (a->items[i].value != b->items[i].value || !text_equal(a->items[i].name, b->items[i].name))
                        return false;
        return true;
}

bool control_list_equal(const ControlList *a, const ControlList *b) {
        for (size_t i = 0; i < a->n && a->n == b->n; i++)
                if (!control_equal(&a->controls[i], &b->controls[i]))
                        return false;
        return a->n == b->n;
}

/* ---- words ---- */

bool control_id_is_valid(const char *id) {
        size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-");

        return n >= 1 && n <= FB_NAME_MAX && !id[n] && id[0] != '-';
}

Control *control_list_find(const ControlList *l, const char *id) {
        for (size_t i = 0; i < l->n; i++)
                if (strcmp(l->controls[i].id, id) == 0)
                        return &l->controls[i];
        return NULL;
}

const char *control_type_to_string(ControlType t) {
        return type_names[t];
}

ControlType control_type_from_string(const char *s) {
        ControlType t = 0;

        while (t < _CONTROL_TYPE_MAX && strcmp(type_names[t], s) != 0)
                t++;
        return t;
}

const char *control_flag_to_string(uint32_t flag) {
        return flag_names[__builtin_ctz(flag)];
}

uint32_t control_flag_from_string(const char *s) {
        for (uint32_t i = 0; i < CONTROL_FLAGS_N; i++)
                if (strcmp(flag_names[i], s) == 0)
                        return 1u << i;
        return 0;
}

/* ---- judging ---- */

static bool is_menu(const Control *c) {
        return c->type == CONTROL_MENU || c->type == CONTROL_INTEGER_MENU;
}

static const ControlItem *find_item(const Control *c, int64_t value) {
        for (size_t i = 0; i < c->n_items; i++)
                if (c->items[i].value == value)
                        return &c->items[i];
        return NULL;
}

bool control_is_valid(const Control *c) {
        if (!c->id || !control_id_is_valid(c->id) || !c->name || strlen(c->name) > FB_TEXT_MAX ||
            c->type >= _CONTROL_TYPE_MAX || (c->group && strlen(c->group) > FB_TEXT_MAX))
                return false;
        if (c->type != CONTROL_BITMASK && (c->min > c->max || c->step < 0))
                return false;
        if (c->type == CONTROL_STRING && (c->min < 0 || c->max > FB_TEXT_MAX))
                return false;
        return is_menu(c) ? c->n_items > 0 && c->n_items <= FB_CONTROL_ITEMS_MAX : c->n_items == 0;
}

int control_fit_kind(const Control *c, ControlValue *v) {
        bool text = v->kind == CONTROL_VALUE_TEXT, number = v->kind == CONTROL_VALUE_NUMBER;

        switch (c->type) {
        case CONTROL_BUTTON:
                return 0;
        case CONTROL_STRING:
                return text ? 0 : FB_E_INVALID_VALUE;
        case CONTROL_BOOLEAN:
                if (text || v->kind == CONTROL_VALUE_NONE || (number && v->number != 0 && v->number != 1))
                        return FB_E_INVALID_VALUE;
                v->kind = CONTROL_VALUE_BOOLEAN;
                return 0;
        default:
                return number ? 0 : FB_E_INVALID_VALUE;
        }
}

static bool is_in_range(const Control *c, const ControlValue *v) {
        size_t n;

        switch (c->type) {
        case CONTROL_BUTTON:
        case CONTROL_BOOLEAN:
                return true;
        case CONTROL_STRING:
                n = strlen(v->text);
                return n >= (size_t)c->min && n <= (size_t)c->max;
        case CONTROL_BITMASK:
                return (v->number & ~c->max) == 0;
        case CONTROL_MENU:
        case CONTROL_INTEGER_MENU:
                return find_item(c, v->number);
        default:
                return v->number >= c->min && v->number <= c->max;
        }
}

static void describe_items(const Control *c, FILE *f) {
        fputs("takes one of", f);
        for (size_t i = 0; i < c->n_items; i++) {
                fprintf(f, "%s %" PRId64, i ? "," : "", c->items[i].value);
                fprintf(f, " (%s)", c->items[i].name);
        }
}

static void describe_range(const Control *c, FILE *f) {
        switch (c->type) {
        case CONTROL_BOOLEAN:
                fputs("takes true or false", f);
                break;
        case CONTROL_STRING:
                fprintf(f, "takes text of %" PRId64 " to %" PRId64 " bytes", c->min, c->max);
                break;
        case CONTROL_BITMASK:
                fprintf(f, "takes bits out of 0x%" PRIx64, c->max);
                break;
        case CONTROL_MENU:
        case CONTROL_INTEGER_MENU:
                describe_items(c, f);
                break;
        default:
                fprintf(f, "takes %" PRId64 " to %" PRId64 " in steps of %" PRId64, c->min, c->max,
                        FB_MAX(c->step, 1));
        }
}

static void describe_value(const ControlValue *v, FILE *f) {
        switch (v->kind) {
        case CONTROL_VALUE_NONE:
                fputs("nothing", f);
                break;
        case CONTROL_VALUE_NUMBER:
                fprintf(f, "%" PRId64, v->number);
                break;
        case CONTROL_VALUE_BOOLEAN:
                fputs(v->number ? "true" : "false", f);
                break;
        case CONTROL_VALUE_TEXT:
                fprintf(f, "'%s'", v->text);
                break;
        }
}

/* What does not fit is cut off. */
static void describe_refusal(const Control *c, const ControlValue *v, char *ret_why, size_t size) {
        FILE *f = fmemopen(ret_why, size, "w");

        ret_why[0] = 0;
        if (!f)
                return;
        describe_range(c, f);
        fputs(", not ", f);
        describe_value(v, f);
        fclose(f);
        ret_why[size - 1] = 0;
        text_trim(ret_why);
}

int control_judge(const Control *c, ControlValue *v, char *ret_why, size_t size) {
        if (c->flags & (CONTROL_READ_ONLY | CONTROL_DISABLED)) {
                snprintf(ret_why, size, "is %s", c->flags & CONTROL_READ_ONLY ? "read-only" : "disabled");
                return FB_E_CONTROL_FAILED;
        }
        if (control_fit_kind(c, v) == 0 && is_in_range(c, v))
                return 0;
        describe_refusal(c, v, ret_why, size);
        return FB_E_INVALID_VALUE;
}
