/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fb-publisher's parts: one process, one source. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "tests/bus/client/bad-frames.h"
#include "tests/bus/client/options.h"
#include "tests/bus/client/pool.h"

#define UNRELEASED_MAX 4096

typedef struct Publisher {
        const char *address, *destination, *name, *bad, *format_word;
        Options options, modes;
        uint32_t width, height, rate;
        uint64_t frames, every, skip, seconds, keyframes;
        int fd;
        bool leased; /* can be made */
        bool reply, burst, quiet, verbose, no_modes, no_format, ignore_window, ignore_stop, stay;

        sd_event *event;
        sd_bus *bus, *channel;
        sd_event_source *tick, *again;
        bool running, finished, lingering;
        Picture picture;
        Pool pool;
        uint32_t memories, n_buffers; /* as Start said */
        uint32_t format;
        uint64_t seq, sent, n_bad, dropped, skipped, released, n_refused, n_replies, n_problems;
        uint64_t since_keyframe, n_wanted;
        bool wanted; /* a keyframe */
        uint64_t unreleased[UNRELEASED_MAX];
        size_t n_unreleased;
        uint64_t next_ns;
        int status;
} Publisher;

/* Prints an error event and remembers the exit status. */
void publisher_error(Publisher *p, const char *call, const sd_bus_error *error, int r);

/* A call on the channel to Publication1. */
int publisher_new_call(Publisher *p, sd_bus_message **ret, const char *member);

/* Begins to send at once, or goes on after a pause. */
int publisher_wake(Publisher *p);

/* The next frame, outside of the rhythm; @bad NULL: a right one. */
int publisher_send(Publisher *p, const char *bad);

/* Frees the slots that are not lent, and says so. */
int publisher_forget(Publisher *p);

/* For p->tick (timer), p->again (defer) and the channel's filter; userdata is the Publisher. */
int publisher_on_tick(sd_event_source *source, uint64_t usec, void *userdata);
int publisher_on_again(sd_event_source *source, void *userdata);
int publisher_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error);
