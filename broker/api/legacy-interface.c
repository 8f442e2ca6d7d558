/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * com.stbtester.VideoSource1 and 2. Caps is a property, and proxies ask for properties before anything else;
 * so where the source has not said its modes yet, such a question waits for them, as calls do. A getter
 * cannot wait: a filter keeps the question from it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "broker/api/announce.h"
#include "broker/api/errors.h"
#include "broker/api/legacy.h"
#include "broker/api/rights.h"
#include "interfaces/names.h"

#define IFACE_PROPERTIES "org.freedesktop.DBus.Properties"

int legacy_get_wishes(const Source *s, Mode **ret, size_t *ret_n) {
        _cleanup_free_ Mode *wishes = calloc(s->stream.n_modes + 1, sizeof *wishes);
        size_t n = 0;

        if (!wishes)
                return -ENOMEM;
        for (size_t i = 0; i < s->stream.n_modes; i++) {
                const Mode wish = { .fourcc = s->stream.modes[i].fourcc };
                bool known = wish.fourcc != 0 && !caps_know(wish.fourcc);

                for (size_t k = 0; k < n && !known; k++)
                        known = wishes[k].fourcc == wish.fourcc;
                if (!known)
                        wishes[n++] = wish;
        }
        if (n == 0)
                return FB_E_NOT_SUPPORTED;
        *ret = take_ptr(wishes);
        *ret_n = n;
        return 0;
}

void legacy_predict(const Source *s, char ret[static CAPS_MAX]) {
        const Stream *stream = &s->stream;
        _cleanup_free_ Mode *wishes = NULL;
        size_t n;
        Mode mode;

        ret[0] = 0;
        if (stream->n_modes == 0 || legacy_get_wishes(s, &wishes, &n) != 0 ||
            stream_negotiate(stream, (ModeList){ wishes, n }, &mode) != 0)
                return;
        /* what became of it the last time, if that was not exactly what was asked for */
        if (mode_equal(&mode, &s->legacy_asked))
                mode = s->legacy_got;
        (void)caps_from_mode(&mode, ret);
}

/* ---- calls ---- */

bool legacy_is_call(sd_bus_message *m) {
        const char *interface = sd_bus_message_get_interface(m);

        return interface && (strcmp(interface, FB_IFACE_LEGACY_1) == 0 ||
                             strcmp(interface, FB_IFACE_LEGACY_2) == 0 ||
                             strcmp(interface, IFACE_PROPERTIES) == 0);
}

static Callers *callers_on(Api *api, sd_bus *bus) {
        LegacyName *n = legacy_name_of(api, bus);

        return n ? &n->callers : &api->callers;
}

static int check_caller(const Source *s, const Caller *c, sd_bus_error *ret_error) {
        int r = rights_check_source(s, c, ACCESS_WATCH, ret_error);

        if (r < 0)
                return r;
        if (c->cannot_pass_fds)
                return api_error(ret_error, FB_E_NO_FD_PASSING,
                                 "your bus connection did not negotiate the passing of file descriptors");
        if (c->n_channels >= FB_CHANNELS_PER_CONNECTION)
                return api_error(ret_error, FB_E_LIMIT,
                                 "your bus connection has %u channels that were not hung up, the most that "
                                 "one may have",
                                 c->n_channels);
        return 0;
}

int legacy_call(Source *s, sd_bus_message *m, sd_bus_error *ret_error) {
        sd_bus *bus = sd_bus_message_get_bus(m);
        Callers *callers = callers_on(s->api, bus);
        Caller *c = callers_of(callers, m);
        const char *interface = sd_bus_message_get_interface(m);
        int r;

        if (!c)
                return 1; /* it has left the bus while it waited */
        if (strcmp(interface, IFACE_PROPERTIES) == 0)
                return sd_bus_enqueue_for_read(bus, m);
        r = check_caller(s, c, ret_error);
        if (r < 0)
                return r;
        if (s->stream.n_modes == 0)
                return source_wait_for_modes(s, m, ret_error);
        if (!fd_account_check_reply(&c->account))
                return caller_wait_for_room(c, m);
        return legacy_viewer_new(s, callers, c, m, strcmp(interface, FB_IFACE_LEGACY_1) == 0 ? 1 : 2,
                                 ret_error);
}

static int method_attach(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return legacy_call(userdata, m, ret_error);
}

/* ---- Caps ---- */

static int get_caps(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        char caps[CAPS_MAX];

        legacy_predict(userdata, caps);
        return sd_bus_message_append(reply, "s", caps);
}

static Source *find_source(Api *api, sd_bus_message *m) {
        LegacyName *n = legacy_name_of(api, sd_bus_message_get_bus(m));
        const char *path = sd_bus_message_get_path(m);
        RegistryEntry *e;

        if (n)
                return path && strcmp(path, FB_PATH_LEGACY) == 0 ? n->source : NULL;
        list_for_each(e, &api->sources.entries, link)
                if (path && strcmp(fb_container_of(e, Source, entry)->path, path) == 0)
                        return fb_container_of(e, Source, entry);
        return NULL;
}

static bool asks_for_caps(sd_bus_message *m) {
        const char *interface;
        bool yes;

        if ((sd_bus_message_is_method_call(m, IFACE_PROPERTIES, "Get") <= 0 &&
             sd_bus_message_is_method_call(m, IFACE_PROPERTIES, "GetAll") <= 0))
                return false;
        yes = sd_bus_message_read(m, "s", &interface) > 0 &&
              (strcmp(interface, FB_IFACE_LEGACY_1) == 0 || strcmp(interface, FB_IFACE_LEGACY_2) == 0);
        (void)sd_bus_message_rewind(m, 1);
        return yes;
}

int legacy_filter(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Api *api = userdata;
        Source *s = asks_for_caps(m) ? find_source(api, m) : NULL;
        Caller *c = s ? callers_of(callers_on(api, sd_bus_message_get_bus(m)), m) : NULL;

        if (!s || !s->exported || !c || s->stream.n_modes > 0 || !rights_may_see(s, c))
                return 0;
        return source_wait_for_modes(s, m, ret_error);
}

#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

const sd_bus_vtable legacy_vtable_1[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", socket), method_attach,
                                UNPRIVILEGED),
        SD_BUS_PROPERTY("Caps", "s", get_caps, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

const sd_bus_vtable legacy_vtable_2[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", socket, "s", caps),
                                method_attach, UNPRIVILEGED),
        SD_BUS_PROPERTY("Caps", "s", get_caps, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

/* The object at a name of PulseVideo's: there for who may see the source. */
static int find_at_name(sd_bus *bus, const char *path, const char *interface, void *userdata,
                        void **ret_found, sd_bus_error *ret_error) {
        sd_bus_message *m = sd_bus_get_current_message(bus);
        LegacyName *n = userdata;
        Caller *c = m ? callers_of(&n->callers, m) : NULL;

        if (!c || strcmp(path, FB_PATH_LEGACY) != 0)
                return 0;
        c->looks = true;
        if (!rights_may_see(n->source, c))
                return 0;
        *ret_found = n->source;
        return 1;
}

int legacy_add_vtables(LegacyName *n) {
        int r = sd_bus_add_fallback_vtable(n->bus, &n->object_slots[0], FB_PATH_LEGACY, FB_IFACE_LEGACY_1,
                                           legacy_vtable_1, find_at_name, n);

        return r < 0 ? r :
                       sd_bus_add_fallback_vtable(n->bus, &n->object_slots[1], FB_PATH_LEGACY,
                                                  FB_IFACE_LEGACY_2, legacy_vtable_2, find_at_name, n);
}

static void emit_caps(const Audience *a, Source *s, const char *path) {
        static const char *const names[] = { "Caps", NULL };

        announce_changed(a, s, path, FB_IFACE_LEGACY_1, legacy_vtable_1, names);
        announce_changed(a, s, path, FB_IFACE_LEGACY_2, legacy_vtable_2, names);
}

void legacy_emit_caps(Source *s) {
        const Audience here = announce_audience(s->api);
        char caps[CAPS_MAX];
        LegacyName *n;

        legacy_predict(s, caps);
        if (strcmp(caps, s->legacy_caps) == 0)
                return;
        memcpy(s->legacy_caps, caps, sizeof caps);
        emit_caps(&here, s, s->path);
        list_for_each(n, &s->api->legacy_names, link)
                if (n->source == s)
                        emit_caps(&(Audience){ n->bus, &n->callers }, s, FB_PATH_LEGACY);
}
