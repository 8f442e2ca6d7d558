/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Causal subscriptions of a rig. */
#pragma once

#include "../test.h"
#include "fake.h"

#define COMMITS "/org/framebus/commit/abc"

static const enum framebus_transport transports[] = { FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_TRANSPORT_BUS };

static inline framebus_subscription *subscribe_causal(Rig *rig, enum framebus_transport transport,
                                               enum framebus_drop drop) {
        struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                                                      .transport = transport,
                                                      .drop = drop,
                                                      .order = FRAMEBUS_ORDER_CAUSAL };
        framebus_subscription *sub = NULL;

        CHECK_INT(framebus_subscribe(rig->fb, "cam", &options, &rig_events, rig, &sub), 0);
        return sub;
}

/* Attached, and a format was committed. */
static inline framebus_subscription *watching(Rig *rig, enum framebus_transport transport,
                                              enum framebus_drop drop) {
        framebus_subscription *sub;

        if (!CHECK(rig_start(rig)))
                return NULL;
        rig->fake.causal = true;
        rig->fake.commits = transport == FRAMEBUS_TRANSPORT_BUS ? COMMITS : NULL;
        sub = subscribe_causal(rig, transport, drop);
        rig_until_log(rig, "attached ");
        fake_format(&rig->fake, 7);
        fake_commit(&rig->fake, 1, true);
        rig_until_log(rig, "format:7:16x8 ");
        rig->log[0] = 0;
        return sub;
}
