/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "base/sampler.h"
#include "tests/unit/test.h"

static uint64_t percentile(const Sampler *s, double percent) {
        uint64_t v = 12345;

        sampler_percentiles(s, &percent, 1, &v);
        return v;
}

TEST(nothing_is_zero) {
        Sampler s = { 0 };

        CHECK_INT(percentile(&s, 50), 0);
        CHECK_INT(percentile(&s, 100), 0);
}

TEST(one_value_is_every_percentile) {
        Sampler s = { 0 };

        sampler_add(&s, 7000);
        CHECK_INT(percentile(&s, 0), 7000);
        CHECK_INT(percentile(&s, 50), 7000);
        CHECK_INT(percentile(&s, 100), 7000);
}

TEST(nearest_rank_of_a_hundred) {
        static const struct {
                double percent;
                uint64_t expected_us;
        } rows[] = {
                { 0, 1 }, { 1, 1 }, { 50, 50 }, { 50.5, 51 }, { 90, 90 },
                { 99, 99 }, { 99.9, 100 }, { 100, 100 },
        };
        Sampler s = { 0 };

        for (unsigned i = 0; i < 100; i++)
                sampler_add(&s, (i * 37 % 100 + 1) * 1000); /* 1 to 100 µs, in disorder */
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("p%g", rows[i].percent);
                CHECK_INT(percentile(&s, rows[i].percent), rows[i].expected_us * 1000);
        }
}

TEST(several_percentiles_at_once) {
        static const double percent[] = { 99, 50, 90 };
        uint64_t values[3];
        Sampler s = { 0 };

        for (unsigned i = 1; i <= 200; i++)
                sampler_add(&s, i * 1000);
        sampler_percentiles(&s, percent, 3, values);
        CHECK_INT(values[0], 198000);
        CHECK_INT(values[1], 100000);
        CHECK_INT(values[2], 180000);
}

TEST(the_oldest_is_forgotten) {
        Sampler s = { 0 };

        for (unsigned i = 0; i < SAMPLER_SIZE; i++)
                sampler_add(&s, 1000000);
        CHECK_INT(percentile(&s, 0), 1000000);
        for (unsigned i = 0; i < SAMPLER_SIZE - 1; i++)
                sampler_add(&s, 2000);
        CHECK_INT(percentile(&s, 100), 1000000);
        sampler_add(&s, 2000);
        CHECK_INT(percentile(&s, 100), 2000);
}

TEST(values_are_cut_to_microseconds_and_saturated) {
        Sampler s = { 0 };

        sampler_add(&s, 1999);
        CHECK_INT(percentile(&s, 50), 1000);
        sampler_add(&s, UINT64_MAX);
        CHECK_INT(percentile(&s, 100), (uint64_t)UINT32_MAX * 1000);
}

TEST_MAIN
