/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A publisher, between publisher.c (the source and its channel) and push.c (frames). */
#pragma once

#include "interfaces/wire.h"
#include "libframebus/connection.h"
#include "libframebus/lend.h"
#include "wire/channel.h"
#include "wire/control.h"
#include "wire/format.h"
#include "wire/mode.h"

struct framebus_publisher {
        framebus *fb;
        List link; // framebus::publishers
        Waiter waiter;
        bool closed; /* by the user: no callback runs any more, freed at the next reaping */
        bool ended;

        char *name; /* NULL: a capture program, whose source has one already */
        char *path;
        char *description, *driver;
        bool allow_replacement, replace, queue;
        Mode *modes; /* owned */
        size_t n_modes;
        const struct framebus_publisher_events *events;
        void *userdata;

        sd_bus_slot *call;
        Channel *channel;
        const char *early_state;
        char *early_reason; /* told before the channel was open */
        bool started; /* between Start and Stop */
        ControlList controls;

        bool has_mode; /* framebus_publisher_set_format() */
        Mode mode;
        uint32_t format;

        uint64_t next_seq;
        uint64_t unreleased[FB_PUBLISHER_WINDOW];
        size_t n_unreleased;
        uint64_t refused_seq; /* the last one */
        bool wants_room; /* a push found none */
        Lending lending;
        struct framebus_publisher_stats stats;
};

#define publisher_tell(pub, callback, ...)                                                              \
        do {                                                                                            \
                if (!(pub)->closed && !(pub)->ended && (pub)->events->callback)                         \
                        (pub)->events->callback((pub), ##__VA_ARGS__, (pub)->userdata);                 \
        } while (0)

/* The same for callbacks that are there since @since. */
#define publisher_tell_since(since, pub, callback, ...)                                                 \
        do {                                                                                            \
                if ((pub)->events->version >= (since))                                                  \
                        publisher_tell(pub, callback, ##__VA_ARGS__);                                   \
        } while (0)

/* A message to the broker's end, without reply. -ENOLINK: the channel is not open. */
int publisher_new_call(framebus_publisher *pub, const char *member, sd_bus_message **ret);
int publisher_send(framebus_publisher *pub, sd_bus_message *m);

/* Whether a frame may be sent now. */
bool publisher_has_room(framebus_publisher *pub);

/* The frame is with the broker no more; unknown numbers are ignored. */
void publisher_released(framebus_publisher *pub, uint64_t seq);

/* Tells that there is room again, if that was waited for. */
void publisher_flush(framebus_publisher *pub);
/* Frees it if it was closed. */
void publisher_reap(framebus_publisher *pub);

/* ---- publisher-controls.c ---- */

/* Says the controls, if there are any, or if there were. */
int publisher_send_controls(framebus_publisher *pub);
void publisher_on_set_control(framebus_publisher *pub, sd_bus_message *m);
void publisher_on_get_control(framebus_publisher *pub, sd_bus_message *m);
