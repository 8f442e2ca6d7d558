/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/common/ticker.h"

#include "base/clock.h"

__extension__ typedef unsigned __int128 u128;

void ticker_init(Ticker *t, uint64_t start_ns, struct framebus_fraction rate) {
        *t = (Ticker){ .start_ns = start_ns, .rate = rate };
}

uint64_t ticker_get_due_ns(const Ticker *t, uint64_t k) {
        u128 due = (u128)k * t->rate.den * NSEC_PER_SEC / t->rate.num + t->start_ns;

        return due > UINT64_MAX ? UINT64_MAX : (uint64_t)due;
}

int ticker_take(Ticker *t, uint64_t now_ns, uint64_t *ret_missed, uint64_t *ret_due_ns) {
        uint64_t k;

        if (now_ns < ticker_get_due_ns(t, t->next))
                return 0;
        k = (uint64_t)((u128)(now_ns - t->start_ns) * t->rate.num / ((u128)t->rate.den * NSEC_PER_SEC));
        /* due times are rounded down, so the division can be one behind */
        while (ticker_get_due_ns(t, k + 1) <= now_ns)
                k++;
        if (k < t->next)
                k = t->next;
        *ret_missed = k - t->next;
        *ret_due_ns = ticker_get_due_ns(t, k);
        t->next = k + 1;
        return 1;
}
