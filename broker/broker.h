/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All parts of the broker, from start to end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct BrokerOptions {
        bool system;        /* the system bus, else the session bus */
        bool replace;       /* take the name from a broker that runs */
        bool queue;         /* wait until such a broker has gone */
        const char *config; /* configuration folder; NULL: the usual ones */
        uint64_t idle_ns;   /* leaves after so long without work; UINT64_MAX: never */
        uint64_t program_period_ns; /* a capture program has to answer so often; UINT64_MAX: never */
} BrokerOptions;

/* Runs until it is told to end or has nothing to do. Returns the process's exit status; see framebusd(8). */
int broker_run(const BrokerOptions *options);
