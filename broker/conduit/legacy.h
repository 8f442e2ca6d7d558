/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames as PulseVideo sent them: on an AF_UNIX stream, a record of fixed size a frame, with exactly one
 * descriptor. No words: no notice of a loss, no release; the end is the end of the stream.
 *
 *     com.stbtester.VideoSource2   { u64 capture time, CLOCK_MONOTONIC ns, 0: not known; u64 offset; u64 size
 *     } com.stbtester.VideoSource1   { u64 offset; u64 size }
 *
 * in the byte order of the machine. The next record is written when the one before was read, so that who
 * reads slowly gets the newest frame each time; that it was read is what the kernel says.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "broker/conduit/caps.h"
#include "broker/conduit/conduit.h"
#include "broker/conduit/peer-budget.h"

typedef struct LegacyConduit LegacyConduit;

typedef struct LegacyHandler {
        /* Everything that was sent has been read. */
        void (*drained)(LegacyConduit *l, void *userdata);
        /* Nobody has the other end any more. May free the conduit. */
        void (*closed)(LegacyConduit *l, void *userdata);
} LegacyHandler;

struct LegacyConduit {
        Conduit conduit;
        PeerSeat seat;
        int fd;
        unsigned int version; /* of the interface: 1, 2 */
        Mode mode;            /* of the frames; caps_locate() */
        const char *misfit;   /* why the last frame could not be sent, or NULL */
        sd_event_source *io;
        const LegacyHandler *handler;
        void *userdata;
};

/* On our end of a socket pair, @fd_consume, for @uid. 0, or FB_E_LIMIT with @ret_why filled, or negative. */
int legacy_conduit_init(LegacyConduit *l, sd_event *event, PeerBudget *budget, uid_t uid, int fd_consume,
                        unsigned int version, const LegacyHandler *handler, void *userdata,
                        PeerRefusal *ret_why);
/* Closes it. */
void legacy_conduit_deinit(LegacyConduit *l);

/* The receiver finds the end behind what was sent. Until it hangs up, what is unread stays on the books. */
void legacy_conduit_finish(LegacyConduit *l);
