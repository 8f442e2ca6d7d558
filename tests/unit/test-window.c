/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock is a number here. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/test.h"
#include "wire/window.h"

#define MS NSEC_PER_MSEC
#define T0 (1000 * NSEC_PER_SEC)

static const char *verdict_name(WindowVerdict v) {
        static const char *const names[] = { "send", "hold", "drop", "rate", "suspend" };

        return (unsigned)v < FB_ELEMENTSOF(names) ? names[v] : "?";
}

#define CHECK_OFFER(w, now, expected) CHECK_STR(verdict_name(window_offer((w), (now), (now))), expected)

static void send(Window *w, uint64_t seq, uint64_t now) {
        window_sent(w, &(WindowEntry){ .seq = seq, .pts_ns = now, .cookie = 1000 + seq }, now);
}

/* Offers and, if it may leave, sends. */
static WindowVerdict offer(Window *w, uint64_t seq, uint64_t pts, uint64_t now) {
        WindowVerdict v = window_offer(w, pts, now);

        if (v == WINDOW_SEND)
                send(w, seq, now);
        return v;
}

static bool give_back(Window *w, uint64_t seq, uint64_t now) {
        WindowEntry e;

        return window_returned(w, seq, now, &e);
}

TEST(credit_is_the_window) {
        for (uint32_t size = FB_WINDOW_MIN; size <= FB_WINDOW_MAX; size++) {
                Window w;

                ROW("window %u", size);
                window_init(&w, size, false, 0);
                for (uint32_t i = 0; i < size; i++) {
                        CHECK(window_has_credit(&w));
                        CHECK_OFFER(&w, T0 + i, "send");
                        send(&w, i + 1, T0 + i);
                }
                CHECK_INT(window_in_flight(&w), size);
                CHECK(!window_has_credit(&w));
                CHECK_OFFER(&w, T0 + size, "drop");
                CHECK(give_back(&w, 1, T0 + size));
                CHECK_OFFER(&w, T0 + size, "send");
        }
}

TEST(the_newest_is_held_if_latest_is_wanted) {
        Window w;

        window_init(&w, 1, true, 0);
        CHECK_OFFER(&w, T0, "send");
        send(&w, 1, T0);
        CHECK_OFFER(&w, T0 + 10 * MS, "hold");
        CHECK_OFFER(&w, T0 + 20 * MS, "hold");
        CHECK(give_back(&w, 1, T0 + 25 * MS));
        CHECK(window_has_credit(&w));
        send(&w, 3, T0 + 25 * MS); /* the one that was held */
        CHECK_OFFER(&w, T0 + 30 * MS, "hold");
}

TEST(returns_in_any_order_and_only_once) {
        WindowEntry e = { 0 };
        Window w;

        window_init(&w, 4, false, 0);
        for (uint64_t seq = 10; seq < 14; seq++)
                send(&w, seq, T0 + seq);
        CHECK(!w.ever_returned);
        CHECK(!window_returned(&w, 9, T0, &e));
        CHECK(!window_returned(&w, 14, T0, &e));
        CHECK(!window_returned(&w, UINT64_MAX, T0, &e));
        CHECK(!w.ever_returned);
        CHECK_INT(window_in_flight(&w), 4);
        CHECK_INT(e.seq, 0);

        CHECK(window_returned(&w, 12, T0, &e));
        CHECK_INT(e.seq, 12);
        CHECK_INT(e.pts_ns, T0 + 12);
        CHECK_INT(e.cookie, 1012);
        CHECK(!window_returned(&w, 12, T0, &e));
        CHECK(w.ever_returned);
        CHECK(window_returned(&w, 10, T0, &e));
        CHECK(window_returned(&w, 13, T0, &e));
        CHECK(window_returned(&w, 11, T0, &e));
        CHECK_INT(window_in_flight(&w), 0);
        CHECK(!window_returned(&w, 11, T0, &e));
}

TEST(returns_up_to_come_from_the_oldest) {
        WindowEntry e = { 0 };
        Window w;

        window_init(&w, 8, false, 0);
        CHECK(!window_returned_up_to(&w, UINT64_MAX, T0, &e));
        for (uint64_t seq = 2; seq <= 12; seq += 2)
                send(&w, seq, T0);
        CHECK(!window_returned_up_to(&w, 1, T0, &e));
        for (uint64_t seq = 2; seq <= 6; seq += 2) {
                CHECK(window_returned_up_to(&w, 7, T0, &e));
                CHECK_INT(e.seq, seq);
        }
        CHECK(!window_returned_up_to(&w, 7, T0, &e));
        CHECK_INT(window_in_flight(&w), 3);
        CHECK(window_returned_up_to(&w, UINT64_MAX, T0, &e));
        CHECK_INT(e.seq, 8);
}

/* Every frame is in flight, given back, or was never sent, wherever the ring's head is. */
TEST(the_ring_goes_round) {
        static const uint32_t order[] = { 2, 0, 3, 1, 4 };
        uint64_t seq = 0;
        Window w;

        window_init(&w, FB_WINDOW_MAX, false, 0);
        for (unsigned round = 0; round < 100; round++) {
                uint64_t first = seq + 1;

                for (unsigned i = 0; i < 5; i++)
                        CHECK_INT(offer(&w, ++seq, T0, T0), WINDOW_SEND);
                for (unsigned i = 0; i < 5; i++) {
                        WindowEntry e = { 0 };

                        CHECK(window_returned(&w, first + order[i], T0, &e));
                        REQUIRE_INT(e.seq, first + order[i]);
                        CHECK(window_has_cookie(&w, 1000 + first + order[(i + 1) % 5]) == (i < 4));
                }
                REQUIRE_INT(window_in_flight(&w), 0);
        }
}

TEST(cookies_are_found_while_in_flight) {
        Window w;

        window_init(&w, 4, false, 0);
        CHECK(!window_has_cookie(&w, 0));
        window_sent(&w, &(WindowEntry){ .seq = 1 }, T0); /* without a cookie */
        CHECK(!window_has_cookie(&w, 0));
        send(&w, 2, T0);
        CHECK(window_has_cookie(&w, 1002));
        CHECK(!window_has_cookie(&w, 1001));
        CHECK(give_back(&w, 2, T0));
        CHECK(!window_has_cookie(&w, 1002));
}

TEST(a_window_may_shrink_below_what_is_in_flight) {
        Window w;

        window_init(&w, 16, false, 0);
        for (uint64_t seq = 1; seq <= 16; seq++)
                send(&w, seq, T0);
        w.size = 2;
        CHECK(!window_has_credit(&w));
        for (uint64_t seq = 1; seq <= 14; seq++) {
                CHECK_OFFER(&w, T0 + seq, "drop");
                CHECK(give_back(&w, seq, T0 + seq));
        }
        CHECK_INT(window_in_flight(&w), 2);
        CHECK_OFFER(&w, T0 + 20, "drop");
        CHECK(give_back(&w, 16, T0 + 20));
        CHECK_OFFER(&w, T0 + 21, "send");
        send(&w, 17, T0 + 21);
        w.size = 16;
        CHECK_OFFER(&w, T0 + 22, "send");
}

TEST(who_releases_nothing_is_suspended) {
        static const struct {
                bool latest;
                const char *before;
        } rows[] = { { false, "drop" }, { true, "hold" } };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                Window w;

                ROW("%s", rows[i].before);
                window_init(&w, 2, rows[i].latest, 0);
                CHECK_INT(offer(&w, 1, T0, T0), WINDOW_SEND);
                CHECK_INT(offer(&w, 2, T0 + 500 * MS, T0 + 500 * MS), WINDOW_SEND);
                CHECK_OFFER(&w, T0 + FB_SUSPEND_AFTER_NS, rows[i].before);
                CHECK_OFFER(&w, T0 + FB_SUSPEND_AFTER_NS + 1, "suspend");
                /* what is returned, however late, is a sign of life */
                CHECK(give_back(&w, 2, T0 + 5000 * MS));
                CHECK_INT(offer(&w, 3, T0 + 5001 * MS, T0 + 5001 * MS), WINDOW_SEND);
                CHECK_OFFER(&w, T0 + 6999 * MS, rows[i].before);
                CHECK_OFFER(&w, T0 + 7001 * MS, "suspend");
        }
}

TEST(with_credit_nobody_is_suspended) {
        Window w;

        window_init(&w, 2, false, 0);
        CHECK_INT(offer(&w, 1, T0, T0), WINDOW_SEND);
        CHECK_INT(offer(&w, 2, T0 + 3600 * NSEC_PER_SEC, T0 + 3600 * NSEC_PER_SEC), WINDOW_SEND);
}

/* The time starts anew when an empty window begins to fill, whenever the last return was. */
TEST(idle_time_does_not_count_as_silence) {
        Window w;

        window_init(&w, 1, false, 0);
        CHECK_INT(offer(&w, 1, T0, T0), WINDOW_SEND);
        CHECK(give_back(&w, 1, T0 + 1));
        CHECK_INT(offer(&w, 2, T0 + 60000 * MS, T0 + 60000 * MS), WINDOW_SEND);
        CHECK_OFFER(&w, T0 + 60016 * MS, "drop");
}

/* Frames of @source_hz, each up to @jitter_ms off, offered for 20 seconds to a limit of @num/@den. */
static unsigned run_rate(uint64_t min_interval, double source_hz, double jitter_ms, unsigned *ret_n,
                         uint64_t *ret_shortest) {
        unsigned sent = 0, n = (unsigned)(20 * source_hz);
        uint64_t last = 0, shortest = UINT64_MAX;
        uint32_t state = 7;
        Window w;

        window_init(&w, 1, false, min_interval);
        for (unsigned i = 0; i < n; i++) {
                double jitter = 0;
                uint64_t pts;

                state = state * 1664525u + 1013904223u;
                jitter = ((double)(state >> 8) / (1 << 24) * 2 - 1) * jitter_ms * 1e6;
                pts = T0 + (uint64_t)(int64_t)((double)i * 1e9 / source_hz + jitter);
                if (window_offer(&w, pts, pts + 2 * MS) == WINDOW_SEND) {
                        sent++;
                        if (last && pts - last < shortest)
                                shortest = pts - last;
                        last = pts;
                        send(&w, i + 1, pts);
                        give_back(&w, i + 1, pts);
                }
        }
        *ret_n = n;
        *ret_shortest = shortest;
        return sent;
}

TEST(max_rate) {
        static const struct {
                uint32_t num, den;
                double source_hz, jitter_ms;
                double least, most; /* of all frames, what is sent */
        } rows[] = {
                { 30, 1, 60, 0, 0.5, 0.5 },
                { 30, 1, 60, 3, 0.499, 0.501 },
                { 30, 1, 30, 0, 1, 1 },
                { 30, 1, 30, 3, 1, 1 },
                { 30, 1, 30000.0 / 1001, 2, 1, 1 },
                { 30000, 1001, 30000.0 / 1001, 2, 1, 1 },
                { 60, 1, 60, 2, 1, 1 },
                { 120, 1, 60, 3, 1, 1 },
                { 25, 1, 60, 2, 0.415, 0.4185 },
                { 30, 1, 50, 2, 0.598, 0.602 },
                { 10, 1, 30, 3, 0.332, 0.335 },
                { 1, 1, 30, 3, 1 / 31.0, 1 / 29.5 },
                { 1, 10, 30, 3, 2 / 600.0, 3 / 600.0 },
                { 30, 1, 7, 20, 1, 1 },
                { 0, 1, 240, 3, 1, 1 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                uint64_t interval = rows[i].num ? rows[i].den * NSEC_PER_SEC / rows[i].num : 0, shortest;
                unsigned n, sent = run_rate(interval, rows[i].source_hz, rows[i].jitter_ms, &n, &shortest);
                double part = (double)sent / n;

                ROW("%u/%u of %g Hz, jitter %g ms: %u of %u", rows[i].num, rows[i].den, rows[i].source_hz,
                    rows[i].jitter_ms, sent, n);
                CHECK(part >= rows[i].least - 1e-9);
                CHECK(part <= rows[i].most + 1e-9);
        }
}

TEST(a_limit_of_half_gives_every_second_frame) {
        Window w;

        window_init(&w, FB_WINDOW_MAX, false, NSEC_PER_SEC / 30);
        for (uint64_t i = 0; i < 30; i++) {
                uint64_t t = T0 + i * NSEC_PER_SEC / 60;

                ROW("frame %u", (unsigned)i);
                CHECK_STR(verdict_name(offer(&w, i + 1, t, t)), i % 2 ? "rate" : "send");
        }
}

TEST(what_finds_no_credit_does_not_count_for_the_rate) {
        Window w;

        window_init(&w, 1, false, 100 * MS);
        CHECK_INT(offer(&w, 1, T0, T0), WINDOW_SEND);
        CHECK_OFFER(&w, T0 + 50 * MS, "rate");
        CHECK_OFFER(&w, T0 + 100 * MS, "drop");
        CHECK(give_back(&w, 1, T0 + 105 * MS));
        CHECK_OFFER(&w, T0 + 110 * MS, "send");
}

TEST(what_is_held_counts_for_the_rate) {
        Window w;

        window_init(&w, 1, true, 100 * MS);
        CHECK_INT(offer(&w, 1, T0, T0), WINDOW_SEND);
        CHECK_OFFER(&w, T0 + 100 * MS, "hold");
        CHECK_OFFER(&w, T0 + 150 * MS, "rate");
        CHECK_OFFER(&w, T0 + 200 * MS, "hold");
}

TEST(a_pause_earns_no_burst) {
        unsigned sent = 0;
        Window w;

        window_init(&w, FB_WINDOW_MAX, false, 100 * MS);
        CHECK_INT(offer(&w, 1, T0, T0), WINDOW_SEND);
        for (uint64_t i = 0; i < 10; i++)
                sent += offer(&w, i + 2, T0 + 5000 * MS + i * 10 * MS, T0 + 5000 * MS + i * 10 * MS) ==
                        WINDOW_SEND;
        CHECK(sent <= 2);
}

TEST(nonsense_times_of_a_publisher_stop_nothing) {
        static const struct {
                const char *name;
                uint64_t pts, step;
        } rows[] = {
                { "zero", 0, 0 },
                { "the end of time", UINT64_MAX, 0 },
                { "the future", T0 + 3600 * NSEC_PER_SEC, 1 },
                { "long ago", 5, 20 * MS },
                { "stuck", T0, 0 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                unsigned sent = 0;
                Window w;

                window_init(&w, 1, false, 100 * MS);
                for (uint64_t k = 0; k < 500; k++) {
                        uint64_t now = T0 + 500 * MS + k * 20 * MS;

                        if (offer(&w, k + 1, rows[i].pts + k * rows[i].step, now) == WINDOW_SEND) {
                                sent++;
                                give_back(&w, k + 1, now);
                        }
                }
                ROW("%s: %u of 500 at 50 Hz", rows[i].name, sent);
                CHECK(sent >= 90 && sent <= 105); /* 10 Hz; to see that times are stuck takes a second */
        }
}

TEST(the_source_may_start_anew_with_an_earlier_time) {
        Window w;

        window_init(&w, 2, false, 100 * MS);
        CHECK_STR(verdict_name(offer(&w, 1, T0, T0)), "send");
        CHECK_STR(verdict_name(offer(&w, 2, T0 - 900 * MS, T0 + 1)), "send");
}

TEST_MAIN
