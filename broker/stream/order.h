/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One sequence over all streams of the broker: orders every frame and notice, tells nobody how many there
 * are. */
#pragma once

#include <stdint.h>

typedef struct Order {
        uint64_t last;
} Order;

/* The next number: the time, or one more than the last. Strictly growing. */
static inline uint64_t order_next(Order *o, uint64_t now_ns) {
        o->last = now_ns > o->last ? now_ns : o->last + 1;
        return o->last;
}
