/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading sources from messages. Who asked, and for how long, is the business of query.c and watch.c. */
#include "libframebus/sources.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "libframebus/mode.h"
#include "wire/codec.h"
#include "wire/vardict.h"

Source *source_new(const char *path) {
        Source *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        s->path = strdup(path);
        return s->path ? s : source_free(s);
}

static void free_aliases(char **aliases) {
        for (char **a = aliases; a && *a; a++)
                free(*a);
        free(aliases);
}

Source *source_free(Source *s) {
        if (!s)
                return NULL;
        list_remove(&s->link);
        free(s->path);
        free(s->name);
        free(s->description);
        free(s->driver);
        free(s->state);
        free(s->state_reason);
        free(s->modes);
        free_aliases(s->aliases);
        free(s);
        return NULL;
}

void source_get_info(const Source *s, struct framebus_source_info *ret) {
        static const char *const none[] = { NULL };

        *ret = (struct framebus_source_info){
                .name = s->name ?: "",
                .description = s->description ?: "",
                .driver = s->driver ?: "",
                .state = s->state ?: "idle",
                .state_reason = s->state_reason ?: "",
                .modes = s->modes,
                .n_modes = s->n_modes,
                .mode = s->mode,
                .subscribers = s->subscribers,
                .frames = s->frames,
                .aliases = s->aliases ? (const char *const *)s->aliases : none,
        };
}

static int read_text(sd_bus_message *m, char **text) {
        const char *s;
        char *copy;
        int r = sd_bus_message_read(m, "s", &s);

        if (r < 0)
                return r;
        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        free(*text);
        *text = copy;
        return 0;
}

static int read_name(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Source *)userdata)->name);
}

static int read_aliases(sd_bus_message *m, void *userdata) {
        Source *s = userdata;
        char **aliases = NULL;
        int r = sd_bus_message_read_strv(m, &aliases);

        if (r < 0)
                return r;
        free_aliases(s->aliases);
        s->aliases = aliases;
        return 0;
}

static int read_description(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Source *)userdata)->description);
}

static int read_driver(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Source *)userdata)->driver);
}

static int read_state(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Source *)userdata)->state);
}

static int read_state_reason(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Source *)userdata)->state_reason);
}

static int read_modes(sd_bus_message *m, void *userdata) {
        _cleanup_free_ struct framebus_mode *public_modes = NULL;
        _cleanup_free_ Mode *modes = NULL;
        VardictError error = {};
        Source *s = userdata;
        size_t n;

        fb_try(codec_read_modes(m, false, &modes, &n, &error));
        public_modes = calloc(n ?: 1, sizeof *public_modes);
        if (!public_modes)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                mode_to_public(&modes[i], &public_modes[i]);
        free(s->modes);
        s->modes = take_ptr(public_modes);
        s->n_modes = n;
        return 0;
}

/* An empty mode is what a source has that is not running; the codec takes it for an incomplete one, after
 * reading it. */
static int read_mode(sd_bus_message *m, void *userdata) {
        VardictError error = {};
        Source *s = userdata;
        Mode mode;
        int r = codec_read_mode(m, false, &mode, &error);

        if (r < 0 || (r > 0 && strcmp(error.key, FB_KEY_MODES) != 0))
                return r;
        if (r > 0)
                mode = (Mode){};
        mode_to_public(&mode, &s->mode);
        return 0;
}

static int read_subscribers(sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_read(m, "u", &((Source *)userdata)->subscribers);

        return r < 0 ? r : 0;
}

static int read_frames(sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_read(m, "t", &((Source *)userdata)->frames);

        return r < 0 ? r : 0;
}

static const VardictKey source_keys[] = {
        { "Name", "s", read_name },
        { "Aliases", "as", read_aliases },
        { "Description", "s", read_description },
        { "Driver", "s", read_driver },
        { "State", "s", read_state },
        { "StateReason", "s", read_state_reason },
        { "Modes", "aa{sv}", read_modes },
        { "Mode", "a{sv}", read_mode },
        { "Subscribers", "u", read_subscribers },
        { "Frames", "t", read_frames },
};

int source_read_properties(Source *s, sd_bus_message *m) {
        VardictError error = {};
        int r = vardict_read(m, source_keys, FB_ELEMENTSOF(source_keys), true, s, &error);

        return r > 0 ? -EBADMSG : r;
}

int sources_new_get_objects(sd_bus *bus, const char *destination, sd_bus_message **ret) {
        return sd_bus_message_new_method_call(bus, ret, destination, FB_PATH_MANAGER,
                                              "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
}

int sources_read_interfaces(sd_bus_message *m, const char *path, sources_find find, void *userdata,
                            Source **ret) {
        const char *interface;
        Source *s = NULL;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sa{sv}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sa{sv}")) > 0) {
                r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &interface);
                if (r < 0)
                        return r;
                if (strcmp(interface, FB_IFACE_SOURCE) == 0) {
                        s = find(path, userdata);
                        r = s ? source_read_properties(s, m) : -ENOMEM;
                } else
                        r = sd_bus_message_skip(m, "a{sv}");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        if (ret)
                *ret = s;
        return s != NULL;
}

int sources_read_objects(sd_bus_message *m, sources_find find, void *userdata) {
        const char *path;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{oa{sa{sv}}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "oa{sa{sv}}")) > 0) {
                r = sd_bus_message_read_basic(m, SD_BUS_TYPE_OBJECT_PATH, &path);
                if (r >= 0)
                        r = sources_read_interfaces(m, path, find, userdata, NULL);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

/* Whether there is one; what it says is not looked at here. */
bool sources_reply_has_any(sd_bus_message *m) {
        const char *interface, *path;

        if (sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{oa{sa{sv}}}") < 0)
                return false;
        while (sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "oa{sa{sv}}") > 0) {
                if (sd_bus_message_read_basic(m, SD_BUS_TYPE_OBJECT_PATH, &path) < 0 ||
                    sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sa{sv}}") < 0)
                        return false;
                while (sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sa{sv}") > 0) {
                        if (sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &interface) < 0)
                                return false;
                        if (strcmp(interface, FB_IFACE_SOURCE) == 0)
                                return true;
                        if (sd_bus_message_skip(m, "a{sv}") < 0 || sd_bus_message_exit_container(m) < 0)
                                return false;
                }
                if (sd_bus_message_exit_container(m) < 0 || sd_bus_message_exit_container(m) < 0)
                        return false;
        }
        return false;
}
