/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gst/src-settings.h"

#define WINDOW_DEFAULT 4u
#define WINDOW_MAX     16u

#define MEMORY_FLAG(kind) (1u << FRAMEBUS_MEMORY_##kind)
#define MEMORY_DEFAULT    (MEMORY_FLAG(LEASED) | MEMORY_FLAG(SEALED))

/* Values */

static GType transport_get_type(void) {
        static const GEnumValue values[] = {
                { FRAMEBUS_TRANSPORT_PEER, "A private channel", "peer" },
                { FRAMEBUS_TRANSPORT_BUS, "Signals on the bus, where monitors see them", "bus" },
                { 0 },
        };
        static gsize type;

        if (g_once_init_enter(&type))
                g_once_init_leave(&type, g_enum_register_static("FramebusTransport", values));
        return type;
}

static GType drop_get_type(void) {
        static const GEnumValue values[] = {
                { FRAMEBUS_DROP_NEWEST, "The frame that finds the window full is lost", "newest" },
                { FRAMEBUS_DROP_LATEST, "All but the newest are lost", "latest" },
                { 0 },
        };
        static gsize type;

        if (g_once_init_enter(&type))
                g_once_init_leave(&type, g_enum_register_static("FramebusDrop", values));
        return type;
}

static GType on_end_get_type(void) {
        static const GEnumValue values[] = {
                { ON_END_EOS, "End of stream; an error if there was none to begin with", "eos" },
                { ON_END_ERROR, "An error", "error" },
                { ON_END_WAIT, "Wait until there is such a source", "wait" },
                { 0 },
        };
        static gsize type;

        if (g_once_init_enter(&type))
                g_once_init_leave(&type, g_enum_register_static("FramebusOnEnd", values));
        return type;
}

static GType memory_get_type(void) {
        static const GFlagsValue values[] = {
                { MEMORY_FLAG(SEALED), "Memory that nobody can change", "sealed" },
                { MEMORY_FLAG(LEASED), "Memory that its maker uses again", "leased" },
                { MEMORY_FLAG(DMABUF), "Buffers of devices", "dmabuf" },
                { 0 },
        };
        static gsize type;

        if (g_once_init_enter(&type))
                g_once_init_leave(&type, g_flags_register_static("FramebusMemory", values));
        return type;
}

/* Properties */

void settings_install(GObjectClass *class) {
        GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

#define INSTALL(id, spec) g_object_class_install_property(class, id, spec)
        INSTALL(SETTING_SOURCE, g_param_spec_string("source", "Source",
                                                 "Name of the source, or one of its aliases", NULL, flags));
        INSTALL(SETTING_BUS, g_param_spec_string("bus", "Bus",
                                              "\"system\", \"session\" or a D-Bus address; by default what "
                                              "FRAMEBUS_ADDRESS says, else the bus with sources",
                                              NULL, flags));
        INSTALL(SETTING_TRANSPORT, g_param_spec_enum("transport", "Transport", "How frames come",
                                                  transport_get_type(), FRAMEBUS_TRANSPORT_PEER, flags));
        INSTALL(SETTING_WINDOW,
                g_param_spec_uint("window", "Window",
                                  "Frames that the pipeline may hold at once; what comes meanwhile is lost",
                                  1, WINDOW_MAX, WINDOW_DEFAULT, flags));
        INSTALL(SETTING_MEMORY, g_param_spec_flags("memory", "Memory", "Acceptable kinds of memory",
                                                memory_get_type(), MEMORY_DEFAULT, flags));
        INSTALL(SETTING_DROP, g_param_spec_enum("drop", "Drop", "What is lost when the window is full",
                                             drop_get_type(), FRAMEBUS_DROP_NEWEST, flags));
        INSTALL(SETTING_ON_END, g_param_spec_enum("on-end", "On end", "What to do when the source is gone",
                                               on_end_get_type(), ON_END_EOS, flags));
        INSTALL(SETTING_STATS,
                g_param_spec_boxed("stats", "Statistics",
                                   "Frames since the start: delivered, lost, copied for downstream",
                                   GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
#undef INSTALL
}

void settings_init(SrcSettings *s) {
        s->window = WINDOW_DEFAULT;
        s->memory = MEMORY_DEFAULT;
}

void settings_clear(SrcSettings *s) {
        g_free(s->source);
        g_free(s->bus);
        *s = (SrcSettings){ 0 };
}

bool settings_set(SrcSettings *s, guint id, const GValue *value) {
        switch (id) {
        case SETTING_SOURCE:
                g_free(s->source);
                s->source = g_value_dup_string(value);
                break;
        case SETTING_BUS:
                g_free(s->bus);
                s->bus = g_value_dup_string(value);
                break;
        case SETTING_TRANSPORT:
                s->transport = (enum framebus_transport)g_value_get_enum(value);
                break;
        case SETTING_WINDOW:
                s->window = g_value_get_uint(value);
                break;
        case SETTING_MEMORY:
                s->memory = g_value_get_flags(value);
                break;
        case SETTING_DROP:
                s->drop = (enum framebus_drop)g_value_get_enum(value);
                break;
        case SETTING_ON_END:
                s->on_end = (OnEnd)g_value_get_enum(value);
                break;
        default:
                return false;
        }
        return true;
}

bool settings_get(const SrcSettings *s, guint id, GValue *value) {
        switch (id) {
        case SETTING_SOURCE:
                g_value_set_string(value, s->source);
                break;
        case SETTING_BUS:
                g_value_set_string(value, s->bus);
                break;
        case SETTING_TRANSPORT:
                g_value_set_enum(value, (int)s->transport);
                break;
        case SETTING_WINDOW:
                g_value_set_uint(value, s->window);
                break;
        case SETTING_MEMORY:
                g_value_set_flags(value, s->memory);
                break;
        case SETTING_DROP:
                g_value_set_enum(value, (int)s->drop);
                break;
        case SETTING_ON_END:
                g_value_set_enum(value, (int)s->on_end);
                break;
        default:
                return false;
        }
        return true;
}
