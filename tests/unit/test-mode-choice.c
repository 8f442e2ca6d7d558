/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The choice of a mode for several subscribers against trying all modes there are, in a small world. */
#include <drm_fourcc.h>

#include "base/cleanup.h"
#include "tests/unit/test.h"
#include "wire/mode.h"

#define NV12 DRM_FORMAT_NV12
#define YUYV DRM_FORMAT_YUYV

static uint32_t pick(uint32_t *state, uint32_t below) {
        *state = *state * 1664525u + 1013904223u;
        return (*state >> 8) % below;
}

/* A mode with a size of 1 to 6 and a rate of 1 to 3, either one value or all of a range, or nothing said. */
static Mode pick_mode(uint32_t *state, bool wish) {
        Mode m = { .fourcc = pick(state, 4) ? NV12 : YUYV, .any_modifier = wish, .height = 1 };

        m.width = 1 + pick(state, 6);
        m.rate = (Fraction){ 1 + pick(state, 3), 1 };
        if (pick(state, 4) == 0) {
                m.width_range = (Range){ m.width, m.width + pick(state, 7 - m.width), 1 + pick(state, 3) };
                m.width = 0;
        }
        if (pick(state, 4) == 0) {
                m.rate_min = m.rate;
                m.rate_max = (Fraction){ m.rate.num + pick(state, 4 - m.rate.num), 1 };
        }
        if (wish && pick(state, 3) == 0)
                m.fourcc = 0;
        if (wish && pick(state, 3) == 0) {
                m.width = 0;
                m.width_range = (Range){ 0 };
        }
        return m;
}

/* By trying each mode there is. */
static bool count_finds(ModeList offers, const ModeList *lists, size_t n) {
        for (uint32_t i = 0; i < 2 * 6 * 3; i++) {
                Mode m = { .fourcc = i % 2 ? NV12 : YUYV, .width = 1 + i / 2 % 6, .height = 1 };
                bool suits;

                m.rate = (Fraction){ 1 + i / 12, 1 };
                suits = mode_list_accepts(offers, &m);
                for (size_t k = 0; k < n && suits; k++)
                        suits = mode_list_accepts(lists[k], &m);
                if (suits)
                        return true;
        }
        return false;
}

/* Three lists, whose order is not to matter for whether there is a mode; against trying all modes. */
TEST(a_mode_is_found_if_there_is_one_in_any_order) {
        static const uint8_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                             { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
        uint32_t state = 7, n_found = 0;

        for (unsigned round = 0; round < 2000; round++) {
                Mode offers[4], wishes[3][3];
                ModeList lists[3], offer_list = { offers, 1 + pick(&state, 4) };
                bool expected;

                for (size_t i = 0; i < offer_list.n; i++)
                        offers[i] = pick_mode(&state, false);
                for (size_t k = 0; k < 3; k++) {
                        lists[k] = (ModeList){ wishes[k], pick(&state, 4) };
                        for (size_t i = 0; i < lists[k].n; i++)
                                wishes[k][i] = pick_mode(&state, true);
                }
                expected = count_finds(offer_list, lists, 3);
                n_found += expected;
                for (size_t o = 0; o < FB_ELEMENTSOF(orders); o++) {
                        ModeList ordered[] = { lists[orders[o][0]], lists[orders[o][1]],
                                               lists[orders[o][2]] };
                        Mode m;

                        ROW("round %u, order %zu", round, o);
                        REQUIRE_INT(mode_choose(offer_list, ordered, 3, NULL, &m), expected);
                        if (!expected)
                                continue;
                        REQUIRE(mode_is_fixed(&m) && mode_list_accepts(offer_list, &m));
                        for (size_t k = 0; k < 3; k++)
                                REQUIRE(mode_list_accepts(lists[k], &m));
                }
        }
        CHECK(n_found > 150 && n_found < 1850);
}

TEST_MAIN
