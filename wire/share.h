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
static inline uint32_t share_limit(uint32_t free, uint32_t own, uint32_t n) {
        uint32_t share = (uint32_t)(((uint64_t)free + own) / ((uint64_t)n + 1));

        return share == 0 && own == 0 && free > 0 ? 1 : share;
}
