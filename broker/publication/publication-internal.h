/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What publication.c (modes, the source's own words), publication-frames.c and publication-controls.c share.
 * */
#pragma once

#include <systemd/sd-bus.h>

#include "broker/publication/buffers.h"
#include "broker/publication/publication.h"
#include "broker/publication/pulse.h"
#include "wire/channel.h"

struct Publication {
        const PublicationHandler *handler;
        void *userdata;
        sd_event *event; /* borrowed */
        Channel *channel;
        uint64_t period_ns; /* UINT64_MAX: nobody asks whether it is alive */
        Pulse *pulse;
        Start wanted; /* its fourcc 0: stopped */
        Mode mode;   /* of the frames that come; fourcc 0: not said yet */
        uint32_t format;
        uint64_t seq;          /* of the last frame */
        uint32_t memories;     /* kinds that it said it can make: a mask */
        Frame *pair;           /* a sealed frame whose other half is to come; a reference */
        uint64_t pair_skipped; /* before it */
        Buffers *buffers;      /* NULL: none so far */
        bool has_controls;  /* said them, or that there are none */
        bool ready;         /* has said its modes */
};

int publication_signal(Publication *p, const char *member, sd_bus_message **ret);

/* If the publisher has not said its controls until now, there are none. */
void publication_settle_controls(Publication *p);

/* Whatever comes now, it is not the other half of the frame that waits for it. */
void publication_settle_pair(Publication *p);
/* Before the publication is freed. */
void publication_drop_frames(Publication *p);

/* Method handlers of the interface. */
int publication_method_frame(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int publication_method_format_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int publication_method_forget(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int publication_method_want_buffer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int publication_method_controls(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int publication_method_control_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
int publication_method_control_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);
