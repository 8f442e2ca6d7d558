/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Controls: what can be set on a source, and values for them. Pure; see org.framebus.Controls1 for the rules.
 * Everything here owns its texts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ControlType {
        CONTROL_INTEGER,
        CONTROL_BOOLEAN,
        CONTROL_MENU,
        CONTROL_INTEGER_MENU,
        CONTROL_BUTTON,
        CONTROL_STRING,
        CONTROL_BITMASK,
        CONTROL_INTEGER64,
        _CONTROL_TYPE_MAX,
} ControlType;

typedef enum ControlFlags {
        CONTROL_READ_ONLY = 1u << 0,
        CONTROL_WRITE_ONLY = 1u << 1,
        CONTROL_INACTIVE = 1u << 2,
        CONTROL_DISABLED = 1u << 3,
        CONTROL_GRABBED = 1u << 4,
        CONTROL_VOLATILE = 1u << 5,
        CONTROL_UPDATE = 1u << 6,
        CONTROL_SLIDER = 1u << 7,
} ControlFlags;
#define CONTROL_FLAGS_N 8u

typedef struct ControlValue {
        enum { CONTROL_VALUE_NONE, CONTROL_VALUE_NUMBER, CONTROL_VALUE_BOOLEAN, CONTROL_VALUE_TEXT } kind;
        int64_t number; /* a boolean is 0 or 1 */
        char *text;
} ControlValue;

typedef struct ControlItem {
        int64_t value;
        char *name;
} ControlItem;

typedef struct Control {
        char *id, *name, *group; /* group NULL: not said */
        ControlType type;
        uint32_t flags;
        int64_t min, max, step; /* of booleans and buttons: 0, 1, 1 */
        int64_t standard;       /* the default; of buttons and strings: 0 */
        ControlItem *items;
        size_t n_items;
        ControlValue value;
        bool changed; /* for the owner of a list to say what it has not told yet */
} Control;

typedef struct ControlList {
        Control *controls;
        size_t n;
} ControlList;

/* A value for the control of that name. */
typedef struct ControlSetting {
        char *id;
        ControlValue value;
} ControlSetting;

typedef struct ControlSettings {
        ControlSetting *settings;
        size_t n;
} ControlSettings;

/* Free what is in them and leave them empty. */
void control_value_clear(ControlValue *v);
void control_clear(Control *c);
void control_list_clear(ControlList *l);
void control_settings_clear(ControlSettings *s);

bool control_value_equal(const ControlValue *a, const ControlValue *b);
/* Frees what @to had. -ENOMEM: @to is as before. */
int control_value_copy(ControlValue *to, const ControlValue *from);

/* Whether all but the values is the same. */
bool control_list_equal(const ControlList *a, const ControlList *b);

/* 1 to 64 characters out of [a-z0-9-], the first none of "-". */
bool control_id_is_valid(const char *id);

/* NULL: none of that name. */
Control *control_list_find(const ControlList *l, const char *id);

/* Whether its ranges are in order and its texts are short enough. */
bool control_is_valid(const Control *c);

/* The words of the interface, and back: _CONTROL_TYPE_MAX and 0 for what is none. */
const char *control_type_to_string(ControlType t);
ControlType control_type_from_string(const char *s);
const char *control_flag_to_string(uint32_t flag);
uint32_t control_flag_from_string(const char *s);

/* Turns @v into the kind that @c has: a boolean of 0 or 1 into one. FB_E_INVALID_VALUE: that makes no sense.
 * */
int control_fit_kind(const Control *c, ControlValue *v);

/*
 * Whether @c takes @v, which control_fit_kind() is applied to. Steps are for the device to round to.
 * 0; FB_E_CONTROL_FAILED: nothing can be set; FB_E_INVALID_VALUE. Then @ret_why says "takes -128 to 127 in
 * steps of 1, not 300", "is read-only", …, to follow a name.
 */
int control_judge(const Control *c, ControlValue *v, char *ret_why, size_t size);
