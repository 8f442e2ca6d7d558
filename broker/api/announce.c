/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sd-bus could make these signals, but would broadcast them, and would look the objects up for whoever's call
 * is being handled. So they are made of the same vtables here.
 */
#include "broker/api/announce.h"

#include <string.h>

#include "base/cleanup.h"
#include "broker/api/rights.h"
#include "broker/api/source-interfaces.h"
#include "interfaces/names.h"

#define IFACE_PROPERTIES     "org.freedesktop.DBus.Properties"
#define IFACE_OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

/* What every object of sd-bus's has. */
static const char *const standard[] = { "org.freedesktop.DBus.Peer", "org.freedesktop.DBus.Introspectable",
                                        IFACE_PROPERTIES };

Audience announce_audience(Api *api) {
        return (Audience){ api->bus, &api->callers };
}

/* ---- sending ---- */

static void send_copy(sd_bus *bus, sd_bus_message *m, const char *destination) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *copy = NULL;
        int r = sd_bus_message_new_signal(bus, &copy, sd_bus_message_get_path(m),
                                          sd_bus_message_get_interface(m), sd_bus_message_get_member(m));

        if (r >= 0)
                r = sd_bus_message_rewind(m, 1);
        if (r >= 0)
                r = sd_bus_message_copy(copy, m, 1);
        if (r >= 0)
                (void)sd_bus_send_to(bus, copy, destination, NULL);
}

void announce_send(const Audience *a, Source *s, sd_bus_message *m) {
        const AccessSource names = rights_names(s);
        const Caller *c;

        if (access_is_public(&s->api->access, &names)) {
                (void)sd_bus_send(a->bus, m, NULL);
                return;
        }
        if (sd_bus_message_seal(m, 1, 0) < 0)
                return;
        list_for_each(c, &a->callers->callers, link)
                if (c->looks && rights_may_see(s, c))
                        send_copy(a->bus, m, c->unique_name);
}

/* ---- making ---- */

static bool is_named(const char *const *names, const char *name) {
        for (; *names; names++)
                if (strcmp(*names, name) == 0)
                        return true;
        return false;
}

static int append_property(sd_bus_message *m, Source *s, const char *path, const char *interface,
                           const sd_bus_vtable *v) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *name = v->x.property.member;
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, v->x.property.signature);
        if (r >= 0)
                r = v->x.property.get(s->api->bus, path, interface, name, m, s, &error);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* @names NULL: all of them. */
static int append_properties(sd_bus_message *m, Source *s, const char *path, const char *interface,
                             const sd_bus_vtable *vtable, const char *const *names) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        for (const sd_bus_vtable *v = vtable + 1; r >= 0 && v->type != _SD_BUS_VTABLE_END; v++)
                if (v->type == _SD_BUS_VTABLE_PROPERTY && (!names || is_named(names, v->x.property.member)))
                        r = append_property(m, s, path, interface, v);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_interface(sd_bus_message *m, Source *s, const char *name, const sd_bus_vtable *vtable) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sa{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0 && vtable)
                r = append_properties(m, s, s->path, name, vtable, NULL);
        else if (r >= 0)
                r = sd_bus_message_append(m, "a{sv}", 0);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int make_added(Source *s, sd_bus_message **ret) {
        size_t n;
        const SourceInterface *interfaces = source_interfaces(&n);
        int r = sd_bus_message_new_signal(s->api->bus, ret, FB_PATH_MANAGER, IFACE_OBJECT_MANAGER,
                                          "InterfacesAdded");

        if (r >= 0)
                r = sd_bus_message_append(*ret, "o", s->path);
        if (r >= 0)
                r = sd_bus_message_open_container(*ret, SD_BUS_TYPE_ARRAY, "{sa{sv}}");
        for (size_t i = 0; r >= 0 && i < FB_ELEMENTSOF(standard); i++)
                r = append_interface(*ret, s, standard[i], NULL);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_interface(*ret, s, interfaces[i].name, interfaces[i].vtable);
        return r < 0 ? r : sd_bus_message_close_container(*ret);
}

static int make_removed(Source *s, sd_bus_message **ret) {
        size_t n;
        const SourceInterface *interfaces = source_interfaces(&n);
        int r = sd_bus_message_new_signal(s->api->bus, ret, FB_PATH_MANAGER, IFACE_OBJECT_MANAGER,
                                          "InterfacesRemoved");

        if (r >= 0)
                r = sd_bus_message_append(*ret, "o", s->path);
        if (r >= 0)
                r = sd_bus_message_open_container(*ret, SD_BUS_TYPE_ARRAY, "s");
        for (size_t i = 0; r >= 0 && i < FB_ELEMENTSOF(standard); i++)
                r = sd_bus_message_append(*ret, "s", standard[i]);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(*ret, "s", interfaces[i].name);
        return r < 0 ? r : sd_bus_message_close_container(*ret);
}

static void tell_all(Source *s, int (*make)(Source *s, sd_bus_message **ret)) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const Audience a = announce_audience(s->api);

        if (make(s, &m) >= 0)
                announce_send(&a, s, m);
}

static void tell_one(Source *s, const Caller *c, int (*make)(Source *s, sd_bus_message **ret)) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (make(s, &m) >= 0)
                (void)sd_bus_send_to(s->api->bus, m, c->unique_name, NULL);
}

void announce_added(Source *s) {
        tell_all(s, make_added);
}

void announce_removed(Source *s) {
        tell_all(s, make_removed);
}

void announce_added_to(Source *s, const Caller *c) {
        tell_one(s, c, make_added);
}

void announce_removed_to(Source *s, const Caller *c) {
        tell_one(s, c, make_removed);
}

void announce_changed(const Audience *a, Source *s, const char *path, const char *interface,
                      const sd_bus_vtable *vtable, const char *const *names) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_signal(a->bus, &m, path, IFACE_PROPERTIES, "PropertiesChanged");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", interface);
        if (r >= 0)
                r = append_properties(m, s, path, interface, vtable, names);
        if (r >= 0)
                r = sd_bus_message_append(m, "as", 0);
        if (r >= 0)
                announce_send(a, s, m);
}
