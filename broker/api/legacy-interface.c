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
#include "broker/api/errors.h"
#include "broker/api/legacy.h"
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
        if (!access_allows(&s->api->access, c->uid, s->name, ACCESS_WATCH))
                return api_error(ret_error, FB_E_ACCESS_DENIED, "you may not watch source '%s'", s->name);
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

        if (!s || !s->exported || !c || s->stream.n_modes > 0 ||
            !access_allows(&api->access, c->uid, s->name, ACCESS_WATCH))
                return 0;
        return source_wait_for_modes(s, m, ret_error);
}

#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable vtable_1[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", socket), method_attach,
                                UNPRIVILEGED),
        SD_BUS_PROPERTY("Caps", "s", get_caps, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable vtable_2[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", socket, "s", caps),
                                method_attach, UNPRIVILEGED),
        SD_BUS_PROPERTY("Caps", "s", get_caps, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

int legacy_add_vtables(sd_bus *bus, sd_bus_slot *slots[static 2], const char *path, Source *s) {
        int r = sd_bus_add_object_vtable(bus, &slots[0], path, FB_IFACE_LEGACY_1, vtable_1, s);

        return r < 0 ? r : sd_bus_add_object_vtable(bus, &slots[1], path, FB_IFACE_LEGACY_2, vtable_2, s);
}

int legacy_export(Source *s) {
        return legacy_add_vtables(s->api->bus, s->legacy_slots, s->path, s);
}

static void emit_caps(sd_bus *bus, const char *path) {
        (void)sd_bus_emit_properties_changed(bus, path, FB_IFACE_LEGACY_1, "Caps", NULL);
        (void)sd_bus_emit_properties_changed(bus, path, FB_IFACE_LEGACY_2, "Caps", NULL);
}

void legacy_emit_caps(Source *s) {
        char caps[CAPS_MAX];
        LegacyName *n;

        legacy_predict(s, caps);
        if (strcmp(caps, s->legacy_caps) == 0)
                return;
        memcpy(s->legacy_caps, caps, sizeof caps);
        emit_caps(s->api->bus, s->path);
        list_for_each(n, &s->api->legacy_names, link)
                if (n->source == s)
                        emit_caps(n->bus, FB_PATH_LEGACY);
}
