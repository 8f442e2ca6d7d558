/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/common/ticker.h"

#include "base/clock.h"
#include "check.h"

static void test_exact(void) {
        Ticker t;

        ticker_init(&t, 5, (struct framebus_fraction){ 30000, 1001 });
        CHECK_INT("first", ticker_get_due_ns(&t, 0), 5);
        CHECK_INT("second", ticker_get_due_ns(&t, 1), 5 + 33366666);
        CHECK_INT("no drift: 30000 frames are 1001 s", ticker_get_due_ns(&t, 30000), 5 + 1001 * NSEC_PER_SEC);
        CHECK_INT("nor in a year", ticker_get_due_ns(&t, 30000ull * 40000), 5 + 1001 * 40000 * NSEC_PER_SEC);
        CHECK(ticker_get_due_ns(&t, UINT64_MAX) == UINT64_MAX);
}

/* Each tick is taken exactly at its due time, and neither a nanosecond before nor twice. */
static void test_take(void) {
        static const struct framebus_fraction rates[] = {{30, 1},  {30000, 1001}, {60, 1},
                                                         {240, 1}, {7, 3},        {1, 9}};

        for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++) {
                uint64_t missed, due;
                Ticker t;

                ticker_init(&t, 1234567, rates[i]);
                for (uint64_t k = 0; k < 1000; k++) {
                        uint64_t at = ticker_get_due_ns(&t, k);

                        CHECK_INT("before", ticker_take(&t, at - 1, &missed, &due), 0);
                        CHECK_INT("at", ticker_take(&t, at, &missed, &due), 1);
                        CHECK_INT("missed", missed, 0);
                        CHECK_INT("due", due, at);
                        CHECK_INT("again", ticker_take(&t, at, &missed, &due), 0);
                }
        }
}

static void test_missed(void) {
        uint64_t missed = 99, due = 0;
        Ticker t;

        ticker_init(&t, 0, (struct framebus_fraction){ 10, 1 });
        CHECK_INT("late", ticker_take(&t, 350 * NSEC_PER_MSEC, &missed, &due), 1);
        CHECK_INT("0, 1 and 2 were missed", missed, 3);
        CHECK_INT("3 is taken", due, 300 * NSEC_PER_MSEC);
        CHECK_INT("next", ticker_take(&t, 399 * NSEC_PER_MSEC, &missed, &due), 0);
        CHECK_INT("next", ticker_take(&t, 400 * NSEC_PER_MSEC, &missed, &due), 1);
        CHECK_INT("none missed", missed, 0);
}

int main(void) {
        test_exact();
        test_take();
        test_missed();
        return check_end();
}
