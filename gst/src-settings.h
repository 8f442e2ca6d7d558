/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be set on framebussrc: the properties and their values. The caller has the lock. */
#pragma once

#include <gst/gst.h>

#include "libframebus/framebus.h"

typedef enum OnEnd { ON_END_EOS, ON_END_ERROR, ON_END_WAIT } OnEnd;

enum {
        SETTING_SOURCE = 1,
        SETTING_BUS,
        SETTING_TRANSPORT,
        SETTING_WINDOW,
        SETTING_MEMORY,
        SETTING_DROP,
        SETTING_ON_END,
        SETTING_STATS /* read-only, the element's own */
};

typedef struct SrcSettings {
        char *source, *bus;
        enum framebus_transport transport;
        enum framebus_drop drop;
        guint window, memory; /* a mask of 1u << enum framebus_memory */
        OnEnd on_end;
} SrcSettings;

void settings_install(GObjectClass *class);

void settings_init(SrcSettings *s);
void settings_clear(SrcSettings *s);

/* false: not one of these. */
bool settings_set(SrcSettings *s, guint id, const GValue *value);
bool settings_get(const SrcSettings *s, guint id, GValue *value);
