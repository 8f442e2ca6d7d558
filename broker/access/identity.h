/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who a connection belongs to: what the bus driver says of it, and what the kernel says of its process. Never
 * what the client says. Counted by reference: a subscription outlives the connection that asked for it, and
 * is judged again when the rules change.
 *
 * A process number can be somebody else's by the time it is looked at. So what /proc says counts only if the
 * process that the driver named still lives afterwards (ProcessFD, where the driver has it), or at least
 * belongs to the same user.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "broker/access/match.h"

typedef struct Identity {
        Subject subject;
        pid_t pid; /* 0: not known */
        unsigned int n_refs;
} Identity;

/* Reads the answer to GetConnectionCredentials. @system: the units of the system count, else those of the
 * user's manager. -ENODATA: it has no user. */
int identity_new(sd_bus_message *m, bool system, Identity **ret);

Identity *identity_ref(Identity *i);
Identity *identity_unref(Identity *i); /* takes NULL, returns NULL */

FB_DEFINE_CLEANUP(Identity *, identity_unref)

/* Frees what @s points to. */
void subject_clear(Subject *s);
