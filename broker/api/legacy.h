/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * com.stbtester.VideoSource1 and 2, the interfaces of PulseVideo, for clients that know nothing else. They
 * are frozen: a client of then has to work always.
 *
 * Attach is answered when the first frame is there, as its caps are those of frames and not of wishes. A
 * viewer gets sealed memory, the newest frame each time that it has read the one before, and no word about
 * anything: what its caps do not say any more, and whatever else ends it, is the end of its stream, after
 * which such a client attaches again.
 */
#pragma once

#include "broker/api/source.h"
#include "broker/conduit/legacy.h"

/* How long Attach waits for a frame; PulseVideo's own patience. */
#define LEGACY_ATTACH_TIMEOUT_NS UINT64_C(20000000000)

typedef struct LegacyViewer {
        Subscriber subscriber;
        List link; /* Api::viewers */
        Api *api;
        Source *source; /* NULL: it has ended, and its socket was not hung up yet */
        Callers *callers;
        char *source_name, *source_path;
        char *client; /* unique name of who asked */
        uid_t uid;
        pid_t pid;
        Identity *identity;
        uint64_t since_ns;
        QuotaCharge charge;
        LegacyConduit conduit;
        sd_bus_message *call; /* Attach, until it is answered; */
        int theirs;           /* and what it will be answered with */
        sd_event_source *timeout;
        char caps[CAPS_MAX]; /* what was said; of VideoSource1 already by the property */
        uint64_t reply_mark;
        uint64_t last_seq; /* sent */
} LegacyViewer;

/* A well-known name of PulseVideo's, on a connection of its own: proxies call the owner of the name, and
 * expect one source there. */
typedef struct LegacyName {
        List link; /* Api::legacy_names */
        Source *source;
        sd_bus *bus;
        Callers callers;
        FdLedger ledger;
        char *name;
        sd_bus_slot *filter_slot, *request_slot, *object_slots[2];
} LegacyName;

/* Begins to watch: Attach of the interface's @version. As a method handler; answers @m later. */
int legacy_viewer_new(Source *s, Callers *callers, Caller *c, sd_bus_message *m, unsigned int version,
                      sd_bus_error *ret_error);

/* Frees it without a word. Returns NULL. */
LegacyViewer *legacy_viewer_free(LegacyViewer *v);

/* The caller has left the bus: what it has is its own, what it waits for is not wanted. */
void legacy_caller_gone(Api *api, const Callers *callers, const char *client);

/* The caller has read something: there may be room for an answer. */
void legacy_caller_room(Api *api, const Callers *callers, const char *client);

/* The source has another mode in force: who was told other caps has its end. */
void legacy_mode_changed(Source *s);

/* In legacy-interface.c: */

/* What frames would be like if somebody attached now; empty: it is not known, or there are no words for it.
 * */
void legacy_predict(const Source *s, char ret[static CAPS_MAX]);

/* What a viewer accepts of what @s can do, the best first; owned by the caller. FB_E_NOT_SUPPORTED: nothing.
 * */
int legacy_get_wishes(const Source *s, Mode **ret, size_t *ret_n);

extern const sd_bus_vtable legacy_vtable_1[], legacy_vtable_2[];
/* If Caps is another than was told last. */
void legacy_emit_caps(Source *s);
int legacy_filter(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* A call that waited for the modes comes again; false: it is none of these. */
bool legacy_is_call(sd_bus_message *m);
int legacy_call(Source *s, sd_bus_message *m, sd_bus_error *ret_error);

/* Adds the object that is found at a name. */
int legacy_add_vtables(LegacyName *n);

/* In legacy-name.c: */

/* Has @s answer at com.stbtester.VideoSource.@suffix, /com/stbtester/VideoSource. */
int legacy_name_new(Source *s, const char *suffix);
LegacyName *legacy_name_free(LegacyName *n);
/* The one whose connection @bus is, or NULL. */
LegacyName *legacy_name_of(Api *api, const sd_bus *bus);
