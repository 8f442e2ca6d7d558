/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The controls of one source: what its publisher said of them, calls that wait for its answer, and changes
 * that are to be told. org.framebus.Controls1 is in controls-interface.c.
 */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/list.h"
#include "broker/publication/publication.h"
#include "wire/control.h"

/* How long a publisher may take to answer. */
#define CONTROLS_TIMEOUT_NS UINT64_C(5000000000)

typedef struct Source Source;

typedef struct SourceControls {
        /* outlives a run of the capture program, so that it is seen what the next changes */
        ControlList list;
        bool list_changed; /* other than in values, not told yet */
        List calls;        /* of ControlCall::link: the publisher was asked */
        unsigned int n_calls;
        uint64_t cookie; /* of the last of them */
        sd_event_source *changes_timer;
        unsigned int n_changes; /* told since changes_ns */
        uint64_t changes_ns;
} SourceControls;

void controls_init(SourceControls *c);
/* Without a word to anybody. */
void controls_deinit(SourceControls *c);

/* Handlers of a publication whose userdata is a Source. */
void controls_on_said(Publication *p, ControlList *list_consume, void *userdata);
void controls_on_changed(Publication *p, const ControlSettings *values, void *userdata);
void controls_on_answered(Publication *p, uint64_t cookie, const ControlSettings *values, const char *failed,
                          const char *reason, void *userdata);

/* Answers all calls that wait by an error: the publisher is gone. */
void controls_fail_calls(Source *s, const char *reason);

/*
 * Hands the question of @m to the publisher: to set @values, or, if that is NULL, to read @names. The answer
 * is sent when it comes, or after 5 s. 1, or negative, as a method handler.
 */
int controls_ask(Source *s, sd_bus_message *m, const ControlSettings *values, const char *const *names,
                 sd_bus_error *ret_error);

/* In controls-interface.c: */
extern const sd_bus_vtable controls_vtable[];
/* Dispatches List, Get or Set. As a method handler. */
int controls_call(Source *s, sd_bus_message *m, sd_bus_error *ret_error);
/* Answers the Get @m out of what is known by now. */
int controls_reply_get(Source *s, sd_bus_message *m, sd_bus_error *ret_error);
void controls_emit_changed(Source *s, const ControlSettings *values);
void controls_emit_list_changed(Source *s);
