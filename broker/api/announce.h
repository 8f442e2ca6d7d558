/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * News about sources: InterfacesAdded, InterfacesRemoved, PropertiesChanged and other signals. About a source
 * that everybody may see they are broadcast. About any other they go, each by itself, to the connections that
 * have looked at sources (Caller::looks) and may see this one. They are the same for all.
 */
#pragma once

#include "broker/api/source.h"

/* Where callers are, and what they were told. */
typedef struct Audience {
        sd_bus *bus;
        Callers *callers;
} Audience;

Audience announce_audience(Api *api);

/* The source's object is there now, or is gone. */
void announce_added(Source *s);
void announce_removed(Source *s);

/* The same to one connection alone, as what it may see has changed. */
void announce_added_to(Source *s, const Caller *c);
void announce_removed_to(Source *s, const Caller *c);

/* The properties @names of @interface have changed; @names ends with NULL. */
void announce_changed(const Audience *a, Source *s, const char *path, const char *interface,
                      const sd_bus_vtable *vtable, const char *const *names);

/* Sends @m, a signal about @s that was not sent yet. */
void announce_send(const Audience *a, Source *s, sd_bus_message *m);
