/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much of something bounded one user (or one channel of a user) may have: of what is free and its own,
 * the part that leaves as much for each of those who have some, and for one who comes. So the first one gets
 * half, and as long as something is free, who has nothing gets some of it.
 */
#pragma once

#include <stdint.h>

/* The most that one may have in all. @free is what nobody has, @own what it has already, @n how many have
 * some, itself among them even if it has nothing yet. */
static inline uint64_t share_limit(uint64_t free, uint64_t own, uint64_t n) {
        uint64_t share = (free + own) / (n + 1);

        return share == 0 && own == 0 && free > 0 ? 1 : share;
}
