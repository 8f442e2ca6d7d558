/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sources as the object manager tells them: read into records of our own. */
#pragma once

#include <systemd/sd-bus.h>

#include "base/list.h"
#include "libframebus/framebus.h"

typedef struct Source {
        List link; // Watch::sources, or of one reply
        char *path;
        char *name, *description, *driver, *state, *state_reason;
        char **aliases; /* NULL: none */
        struct framebus_mode *modes;
        size_t n_modes;
        struct framebus_mode mode;
        uint32_t subscribers;
        uint64_t frames;
        bool seen; /* Watch: in the newest full look */
} Source;

Source *source_new(const char *path); /* NULL: no memory */
Source *source_free(Source *s);       /* also takes it out of its list; takes NULL, returns NULL */

/* Its strings and modes point into @s. */
void source_get_info(const Source *s, struct framebus_source_info *ret);

/* Updates @s from an a{sv} of org.framebus.Source1's properties; unknown ones are ignored. Negative errno: it
 * is not one; what was read before is in @s. */
int source_read_properties(Source *s, sd_bus_message *m);

/* The call of GetManagedObjects, and whether its reply has a source. */
int sources_new_get_objects(sd_bus *bus, const char *destination, sd_bus_message **ret);
bool sources_reply_has_any(sd_bus_message *m);

/*
 * Reads an a{oa{sa{sv}}}: calls @find for the record of each object with org.framebus.Source1 and fills it.
 * @find may return NULL: no memory.
 */
typedef Source *(*sources_find)(const char *path, void *userdata);
int sources_read_objects(sd_bus_message *m, sources_find find, void *userdata);

/* The same for one object's a{sa{sv}}; 0: it is no source. */
int sources_read_interfaces(sd_bus_message *m, const char *path, sources_find find, void *userdata,
                            Source **ret);
