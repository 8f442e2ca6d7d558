/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One source: its name, its stream, and what feeds it - a capture program of ours that is started on demand,
 * or a publisher that lives as long as its channel. Its D-Bus interface is in source-interface.c.
 */
#pragma once

#include "base/cleanup.h"
#include "broker/api/api.h"
#include "broker/api/controls.h"
#include "broker/conduit/caps.h"
#include "broker/publication/publication.h"
#include "broker/publication/worker.h"
#include "broker/stream/stream.h"

/* A capture program that nobody needs is kept for so long, in case somebody does. */
#define SOURCE_LINGER_NS UINT64_C(2000000000)

/* How long a call waits for a capture program to say its modes. */
#define SOURCE_MODES_TIMEOUT_NS UINT64_C(15000000000)

/* What changes more often than this in a second is told together: who watches does not pay for who flaps. */
#define SOURCE_CHANGES_PER_SECOND 32u

/* Beside STREAM_CHANGED_*. */
#define SOURCE_CHANGED_TEXT    (1u << 8)
#define SOURCE_CHANGED_ALIASES (1u << 9)

/* Where those with order=causal on the bus are told what is committed, see order.h. */
typedef struct Commits {
        char *path; /* NULL: there are none */
        char *old;  /* while it moves: where those listen who have not answered yet */
        bool again; /* and then it is to move once more */
        sd_event_source *deadline;
        unsigned int n_listeners;
        uint64_t told; /* the newest that was broadcast */
} Commits;

struct Source {
        RegistryEntry entry; /* Api::sources; not linked while in line for the name */
        List waiting_link;   /* Api::waiting, if so */
        Api *api;
        char *name, *path, *description, *driver;
        Stream stream;
        Commits commits;
        Publication *publication;
        Worker *worker; /* NULL: published */
        char *owner;    /* of a published one: unique name of who called Publish, */
        uid_t owner_uid;
        Identity *owner_identity; /* NULL: not published */
        uint64_t reply_mark; /* and the answer, until it is known to be read; see caller.h */
        QuotaCharge charge;   /* of a published one, to that user */
        char buffers_why[QUOTA_TEXT_MAX]; /* why a buffer of it was refused */
        uint64_t frame_bytes; /* the most that a frame has, as far as is known; see charges.h */
        uint32_t memories; /* kinds that its publisher said it can make: a mask */
        bool allow_replacement, queue; /* as its publisher said */
        bool has_description; /* the configuration's, which stays */
        bool found;           /* a device of this machine, which nobody configured */
        bool exported;  /* its object is on the bus */
        bool succeeded; /* this run has brought a frame */
        bool said;      /* this run has said itself why it fails */
        char *logged;   /* what was logged of that last; NULL: nothing since it worked */
        bool busy;      /* counted in Api::n_busy_sources */
        List calls;     /* of WaitingCall::link: for the modes to be known */
        sd_event_source *linger, *modes_timeout, *changes_timer;
        unsigned int changes; /* STREAM_CHANGED_* that were not told yet */
        unsigned int n_changes; /* told since changes_ns */
        uint64_t changes_ns;
        SourceControls controls;
        char legacy_caps[CAPS_MAX]; /* as told last */
        Mode legacy_asked, legacy_got; /* what came of the last mode that was asked for */
};

/* A source that @spec's program feeds. @exported: shown at once; else when the program first says
 * something. */
int source_new_configured(Api *api, const char *name, const char *description, const char *driver,
                          const WorkerSpec *spec, bool exported, Source **ret);

typedef struct SourcePublishOptions {
        const char *name, *description, *driver, *owner;
        uid_t uid; /* of @owner */
        bool allow_replacement, replace, queue;
} SourcePublishOptions;

/* A source that whoever holds @ret_channel feeds. FB_E_INVALID_NAME, FB_E_NAME_TAKEN, FB_E_LIMIT with
 * @ret_why. */
int source_new_published(Api *api, const SourcePublishOptions *options, Source **ret, int *ret_channel,
                         QuotaRefusal *ret_why);

/* Ends all subscriptions with @reason and frees it; the next publisher in line takes the name. */
void source_free(Source *s, const char *reason);

/* For source-names.c: */
/* Its object is on the bus from now on. */
void source_show(Source *s);

/* In source-names.c: */
/* Takes the name, or makes room for it, or stands in line. */
int source_take_name(Source *s, const SourcePublishOptions *options);
/* The longest in line for @name gets it, unless it was one in line that left. */
void source_promote(Api *api, const char *name);

static inline Source *source_of_stream(Stream *s) {
        return fb_container_of(s, Source, stream);
}

/* Starts the program of a source, unless it runs. */
void source_need_program(Source *s);

/* Whether it is busy may have changed. */
void source_update_busy(Source *s);

/* In source-calls.c: */

/* Starts the program of a source whose modes nobody asked for yet, to learn them. */
void source_probe(Source *s);

/* Waits with @m until the modes are known; then source_call() gets it again. 1, or negative, as a method
 * handler. */
int source_wait_for_modes(Source *s, sd_bus_message *m, sd_bus_error *ret_error);

/* Answers everybody who waits: by doing what was asked, or, with @reason, by an error. */
void source_answer_calls(Source *s, const char *reason);

/* In source.c: */

/* A call was answered by a capture program that runs: if nobody needs it, it is kept for another moment. */
void source_keep(Source *s);

/* In source-interface.c: */
extern const sd_bus_vtable source_vtable[];
void source_export(Source *s);
void source_unexport(Source *s);
void source_emit_changed(Source *s, unsigned int what);
/* Other names for it, see registry_set_aliases(). */
void source_set_aliases(Source *s, const char *const *aliases);
/* Dispatches Negotiate, Subscribe, Attach or AttachTo. As a method handler. */
int source_call(Source *s, sd_bus_message *m, sd_bus_error *ret_error);
