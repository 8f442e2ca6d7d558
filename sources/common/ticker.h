/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When frame number k of a steady rate is due: computed from the start each time, so that nothing adds up.
 * Pure. */
#pragma once

#include <stdint.h>

#include "libframebus/framebus.h"

typedef struct Ticker {
        uint64_t start_ns;
        struct framebus_fraction rate; /* frames a second, neither part 0 */
        uint64_t next;                 /* the tick that has not been taken yet */
} Ticker;

/* Tick 0 is due at @start_ns. */
void ticker_init(Ticker *t, uint64_t start_ns, struct framebus_fraction rate);

/* When tick @k is due, nanoseconds; UINT64_MAX if that is beyond all times. */
uint64_t ticker_get_due_ns(const Ticker *t, uint64_t k);

/*
 * Takes the newest tick that is due at @now_ns.
 * @ret_missed  how many earlier ones were never taken
 * @ret_due_ns  when the tick that was taken was due
 * Returns 1 if there is one, 0 if nothing is due yet.
 */
int ticker_take(Ticker *t, uint64_t now_ns, uint64_t *ret_missed, uint64_t *ret_due_ns);
