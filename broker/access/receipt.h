/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proof that a connection has read what was sent to it by the bus. It cannot be forged, and takes nothing of
 * the client but that it reads: its library closes what it has no use for.
 *
 * A mark carries the write end of a pipe that was made for it. When its read end, which stays here, tells of
 * a hang-up, then no copy of the mark is left: not in the bus, not in the socket, not with anybody. As a bus
 * keeps the order of messages between two connections, everything that was sent there before was read, too.
 * Unless the bus refused the mark because it did not want any more for that connection; then it has answered
 * with an error before it closed the pipe, and that error is here before the answer of a question that the
 * bus driver is asked next. So a mark is over when that is answered.
 *
 * The first mark of a connection is a Peer.Ping: of a call that it refuses each bus tells the sender. Later
 * ones are a signal (Receipt1.Mark): nobody has to answer it, and libraries do answer calls that want none,
 * which dbus-daemon then logs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Receipt Receipt;

struct Receipt {
        sd_bus *bus; /* borrowed */
        void (*over)(Receipt *r, bool proven);
        sd_event_source *hangup;
        sd_bus_slot *fence_slot;
        uint64_t cookie; /* of the mark; 0: none is under way */
        bool refused;
};

/* @over: the mark is back; the receipt may be freed in it, or asked again. */
void receipt_init(Receipt *r, sd_bus *bus, void (*over)(Receipt *r, bool proven));
void receipt_deinit(Receipt *r);

/* Sends a mark to @unique_name; none may be under way. @call: as a Ping. Negative errno: nothing was sent. */
int receipt_ask(Receipt *r, const char *unique_name, bool call);

/* The bus driver has answered the message of this cookie with an error. Whether that was the mark. */
bool receipt_refuse(Receipt *r, uint64_t cookie);
