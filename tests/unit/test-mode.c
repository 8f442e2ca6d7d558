/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <drm_fourcc.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/test.h"
#include "wire/mode.h"

#define NV12 DRM_FORMAT_NV12
#define YUYV DRM_FORMAT_YUYV
#define TILED 0x0100000000000001ull

/* what a source offers (linear), and what a subscriber wishes (any modifier) */
#define OFFER(...) { __VA_ARGS__ }
#define WISH(...)  { __VA_ARGS__, .any_modifier = true }

#define SIZE(w, h)              .width = (w), .height = (h)
#define RATE(n, d)              .rate = { n, d }
#define WIDTHS(min, max, step)  .width_range = { min, max, step }
#define HEIGHTS(min, max, step) .height_range = { min, max, step }
#define RATES(n, d, n2, d2)     .rate_min = { n, d }, .rate_max = { n2, d2 }

#define VGA OFFER(NV12, SIZE(640, 480), RATE(30, 1))
#define HD  OFFER(NV12, SIZE(1280, 720), RATE(60, 1))
/* a camera that scales */
#define ZOOM                                                                                           \
        OFFER(NV12, SIZE(640, 480), WIDTHS(32, 1920, 2), HEIGHTS(32, 1080, 2), RATE(30, 1),            \
              RATES(1, 1, 60, 1))

static const char *string_or_none(bool ok, const Mode *m, char buffer[static MODE_STRING_MAX]) {
        return ok ? mode_to_string(m, buffer) : "none";
}

TEST(fractions_compare_exactly) {
        static const struct {
                Fraction a, b;
                int sign;
        } rows[] = {
                { { 30, 1 }, { 60, 2 }, 0 },
                { { 30000, 1001 }, { 30, 1 }, -1 },
                { { 30, 1 }, { 2997, 100 }, 1 },
                { { UINT32_MAX, 1 }, { UINT32_MAX, 2 }, 1 },
                { { UINT32_MAX, UINT32_MAX - 1 }, { UINT32_MAX - 1, UINT32_MAX - 2 }, -1 },
                { { 1, UINT32_MAX }, { 0, 1 }, 1 },
                { { 0, 0 }, { 0, 1 }, 0 },
                { { 0, 0 }, { 1, 1 }, -1 },
                { { 7, 0 }, { 0, 0 }, 0 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                int r = fraction_compare(rows[i].a, rows[i].b), back = fraction_compare(rows[i].b, rows[i].a);

                ROW("%zu", i);
                CHECK_INT((r > 0) - (r < 0), rows[i].sign);
                CHECK_INT((back > 0) - (back < 0), -rows[i].sign);
        }
}

TEST(intervals) {
        CHECK_INT(fraction_interval_ns((Fraction){ 50, 1 }), 20 * NSEC_PER_MSEC);
        CHECK_INT(fraction_interval_ns((Fraction){ 30000, 1001 }), 33366666);
        CHECK_INT(fraction_interval_ns((Fraction){ 1, 3600 }), 3600 * NSEC_PER_SEC);
        CHECK_INT(fraction_interval_ns((Fraction){ 1, UINT32_MAX }), UINT32_MAX * NSEC_PER_SEC);
        CHECK_INT(fraction_interval_ns((Fraction){ 0, 1 }), 0);
        CHECK_INT(fraction_interval_ns((Fraction){ 0, 0 }), 0);
}

TEST(what_is_fixed) {
        static const struct {
                const char *name;
                Mode mode;
                bool fixed;
        } rows[] = {
                { "complete", VGA, true },
                { "rate not known", OFFER(NV12, SIZE(640, 480), RATE(0, 1)), true },
                { "no rate", OFFER(NV12, SIZE(640, 480)), false },
                { "no format", OFFER(0, SIZE(640, 480), RATE(30, 1)), false },
                { "no height", OFFER(NV12, SIZE(640, 0), RATE(30, 1)), false },
                { "any modifier", WISH(NV12, SIZE(640, 480), RATE(30, 1)), false },
                { "a range", ZOOM, false },
                { "rates", OFFER(NV12, SIZE(640, 480), RATE(30, 1), RATES(1, 1, 30, 1)), false },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("%s", rows[i].name);
                CHECK_INT(mode_is_fixed(&rows[i].mode), rows[i].fixed);
        }
}

TEST(what_makes_sense) {
        static const struct {
                const char *name;
                Mode mode;
                bool valid;
        } rows[] = {
                { "nothing said", WISH(0), true },
                { "fixed", VGA, true },
                { "ranges", ZOOM, true },
                { "rate not known", OFFER(NV12, SIZE(640, 480), RATE(0, 1)), true },
                { "the largest", OFFER(NV12, SIZE(65535, 65535)), true },
                { "too wide", OFFER(NV12, SIZE(65536, 1)), false },
                { "too high", OFFER(NV12, SIZE(1, 65536)), false },
                { "rate without denominator", OFFER(NV12, RATE(30, 0)), false },
                { "range upside down", OFFER(NV12, WIDTHS(100, 99, 1)), false },
                { "range of one", OFFER(NV12, WIDTHS(100, 100, 1)), true },
                { "range from 0", OFFER(NV12, HEIGHTS(0, 99, 1)), false },
                { "no step", OFFER(NV12, HEIGHTS(10, 99, 0)), false },
                { "huge step", OFFER(NV12, HEIGHTS(10, 99, UINT32_MAX)), false },
                { "range too wide", OFFER(NV12, WIDTHS(10, 65536, 2)), false },
                { "preferred is outside", OFFER(NV12, SIZE(8, 0), WIDTHS(16, 99, 1)), false },
                { "preferred is between steps", OFFER(NV12, SIZE(17, 0), WIDTHS(16, 99, 2)), false },
                { "least without most", OFFER(NV12, .width_range = { 16, 0, 0 }), false },
                { "rates upside down", OFFER(NV12, RATES(60, 1, 30, 1)), false },
                { "rates from nothing", OFFER(NV12, RATES(0, 1, 30, 1)), true },
                { "rates without denominator", OFFER(NV12, RATES(1, 1, 30, 0)), false },
                { "least rate without denominator", OFFER(NV12, RATES(0, 0, 30, 1)), false },
                { "preferred rate is outside", OFFER(NV12, RATE(50, 1), RATES(1, 1, 30, 1)), false },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("%s", rows[i].name);
                CHECK_INT(mode_is_valid(&rows[i].mode), rows[i].valid);
        }
}

TEST(equality_is_of_values) {
        Mode a = VGA, b = VGA, zoom = ZOOM, other = ZOOM;

        b.rate = (Fraction){ 60, 2 };
        CHECK(mode_equal(&a, &b));
        b.modifier = TILED;
        CHECK(!mode_equal(&a, &b));
        a.any_modifier = b.any_modifier = true;
        CHECK(mode_equal(&a, &b));
        CHECK(mode_equal(&zoom, &other));
        other.width_range.step = 4;
        CHECK(!mode_equal(&zoom, &other));
        other = zoom;
        other.rate_max.num = 61;
        CHECK(!mode_equal(&zoom, &other));
        other = zoom;
        other.height_range = (Range){ 0 };
        CHECK(!mode_equal(&zoom, &other));
        CHECK(!mode_equal(&a, &zoom));
}

TEST(intersection) {
        static const struct {
                const char *name;
                Mode offer, wish;
                const char *expected;
        } rows[] = {
                { "anything", VGA, WISH(0), "NV12 640x480 30/1 fps" },
                { "the same", VGA, WISH(NV12, SIZE(640, 480), RATE(30, 1)), "NV12 640x480 30/1 fps" },
                { "the same rate in other words", VGA, WISH(0, RATE(60, 2)), "NV12 640x480 60/2 fps" },
                { "another format", VGA, WISH(YUYV), "none" },
                { "another width", VGA, WISH(0, SIZE(320, 0)), "none" },
                { "another height", VGA, WISH(0, SIZE(0, 240)), "none" },
                { "nearly the same rate", VGA, WISH(0, RATE(30000, 1001)), "none" },
                { "linear wished", OFFER(NV12, .modifier = TILED), { NV12 }, "none" },
                { "any modifier wished", OFFER(NV12, .modifier = TILED), WISH(NV12),
                  "NV12:0x0100000000000001 anyxany any rate" },
                { "the tiled one wished", OFFER(NV12, .modifier = TILED), { NV12, .modifier = TILED },
                  "NV12:0x0100000000000001 anyxany any rate" },
                { "a size out of ranges", ZOOM, WISH(0, SIZE(1920, 1080)), "NV12 1920x1080 1/1..60/1 fps" },
                { "a size between steps", ZOOM, WISH(0, SIZE(641, 480)), "none" },
                { "a size beyond", ZOOM, WISH(0, SIZE(1922, 480)), "none" },
                { "ranges of both", ZOOM, WISH(0, WIDTHS(100, 400, 3), HEIGHTS(1000, 2000, 1)),
                  "NV12 100..400/6x1000..1080/2 1/1..60/1 fps" },
                { "ranges without a common step", OFFER(NV12, WIDTHS(2, 100, 2)),
                  WISH(0, WIDTHS(1, 99, 2)), "none" },
                { "ranges that only touch", OFFER(NV12, WIDTHS(2, 100, 2)), WISH(0, WIDTHS(100, 200, 1)),
                  "NV12 100xany any rate" },
                { "ranges apart", OFFER(NV12, WIDTHS(2, 98, 2)), WISH(0, WIDTHS(99, 200, 1)), "none" },
                { "a range wished of a fixed mode", VGA, WISH(0, WIDTHS(1, 1000, 1)),
                  "NV12 640x480 30/1 fps" },
                { "a rate out of a range", ZOOM, WISH(0, SIZE(640, 480), RATE(25, 2)),
                  "NV12 640x480 25/2 fps" },
                { "rates of both", ZOOM, WISH(0, SIZE(32, 32), RATES(1, 2, 25, 1)),
                  "NV12 32x32 1/1..25/1 fps" },
                { "rates that only touch", ZOOM, WISH(0, SIZE(32, 32), RATES(60, 1, 120, 1)),
                  "NV12 32x32 60/1 fps" },
                { "rates apart", ZOOM, WISH(0, RATES(61, 1, 120, 1)), "none" },
                { "an offer that knows no rate", OFFER(NV12, SIZE(8, 8)), WISH(0, RATE(30, 1)),
                  "NV12 8x8 30/1 fps" },
                { "a fixed mode that knows no rate", OFFER(NV12, SIZE(8, 8), RATE(0, 1)),
                  WISH(0, RATE(30, 1)), "NV12 8x8 30/1 fps" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                char buffer[MODE_STRING_MAX];
                Mode m;
                bool ok = mode_intersect(&rows[i].offer, &rows[i].wish, &m);

                ROW("%s", rows[i].name);
                CHECK_STR(string_or_none(ok, &m, buffer), rows[i].expected);
                CHECK(!ok || mode_is_valid(&m));
        }
}

TEST(preferences_of_the_wish_come_first) {
        static const struct {
                const char *name;
                Mode wish;
                const char *expected; /* fixed */
        } rows[] = {
                { "none", WISH(0), "NV12 640x480 30/1 fps" },
                { "its own", WISH(0, SIZE(320, 240), WIDTHS(16, 1000, 1), HEIGHTS(16, 1000, 1)),
                  "NV12 320x240 30/1 fps" },
                { "its own is impossible", WISH(0, SIZE(321, 0), WIDTHS(321, 1000, 1)),
                  "NV12 640x480 30/1 fps" },
                { "none is possible: the largest", WISH(0, WIDTHS(16, 401, 1), HEIGHTS(1, 100, 3)),
                  "NV12 400x100 30/1 fps" },
                { "its own rate", WISH(0, RATE(10, 1), RATES(1, 1, 20, 1)), "NV12 640x480 10/1 fps" },
                { "no rate possible: the highest", WISH(0, RATES(1, 1, 20, 1)), "NV12 640x480 20/1 fps" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                char buffer[MODE_STRING_MAX];
                Mode offer = ZOOM, m = { 0 };

                ROW("%s", rows[i].name);
                CHECK(mode_intersect(&offer, &rows[i].wish, &m));
                CHECK_STR(string_or_none(mode_fixate(&m, &m), &m, buffer), rows[i].expected);
                CHECK(mode_is_fixed(&m));
        }
}

TEST(fixing_needs_a_format_and_a_size) {
        static const struct {
                const char *name;
                Mode mode;
                const char *expected;
        } rows[] = {
                { "fixed", VGA, "NV12 640x480 30/1 fps" },
                { "preferences", ZOOM, "NV12 640x480 30/1 fps" },
                { "no format", WISH(0, SIZE(640, 480)), "none" },
                { "no height", WISH(NV12, SIZE(640, 0)), "none" },
                { "no rate", WISH(NV12, SIZE(640, 480)), "NV12 640x480 any rate" },
                { "the largest on the lattice", WISH(NV12, WIDTHS(3, 101, 10), HEIGHTS(1, 7, 1)),
                  "NV12 93x7 any rate" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                char buffer[MODE_STRING_MAX];
                Mode m;
                bool ok = mode_fixate(&rows[i].mode, &m);

                ROW("%s", rows[i].name);
                CHECK_STR(string_or_none(ok, &m, buffer), rows[i].expected);
                CHECK(!ok || (mode_is_fixed(&m) && !m.any_modifier));
        }
}

static uint32_t pick(uint32_t *state, uint32_t below) {
        *state = *state * 1664525u + 1013904223u;
        return (*state >> 8) % below;
}

static bool member(Range r, uint32_t v) {
        return v >= r.min && v <= r.max && (v - r.min) % r.step == 0;
}

/* Against counting, for some thousand pairs of ranges. */
TEST(common_steps_are_exact) {
        uint32_t state = 1, n_common = 0;

        for (unsigned round = 0; round < 5000; round++) {
                Mode a = OFFER(NV12), b = OFFER(NV12), m = { 0 };
                Range *ra = &a.width_range, *rb = &b.width_range;
                bool expected = false, ok;

                *ra = (Range){ 1 + pick(&state, 60), 0, 1 + pick(&state, 24) };
                *rb = (Range){ 1 + pick(&state, 60), 0, 1 + pick(&state, 24) };
                ra->max = ra->min + pick(&state, 200);
                rb->max = rb->min + pick(&state, 200);
                ok = mode_intersect(&a, &b, &m);
                ROW("%u..%u/%u and %u..%u/%u", ra->min, ra->max, ra->step, rb->min, rb->max, rb->step);
                for (uint32_t v = 1; v < 300; v++) {
                        bool common = member(*ra, v) && member(*rb, v);

                        expected = expected || common;
                        if (ok && m.width_range.max > 0)
                                REQUIRE_INT(member(m.width_range, v), common);
                        else if (ok)
                                REQUIRE_INT(m.width == v, common);
                }
                REQUIRE_INT(ok, expected);
                n_common += ok;
        }
        CHECK(n_common > 500 && n_common < 4500);
}

/* Four lists at most, of four modes at most; a list ends at a mode with any size 1x1. */
#define LISTS_MAX 4
#define MODES_MAX 4

typedef struct Case {
        const char *name;
        Mode offers[MODES_MAX];
        size_t n_offers;
        Mode wishes[LISTS_MAX][MODES_MAX];
        size_t n_wishes[LISTS_MAX];
        size_t n_lists;
        const Mode *current;
        const char *expected;
} Case;

static const Mode current_hd = HD;
static const Mode current_odd = OFFER(NV12, SIZE(100, 100), RATE(30, 1));

static const Case choices[] = {
        { "nobody wishes: the first offer", { VGA, HD }, 2, .expected = "NV12 640x480 30/1 fps" },
        { "no offer", .n_lists = 1, .expected = "none" },
        { "an empty list accepts all", { HD, VGA }, 2, .n_lists = 1, .expected = "NV12 1280x720 60/1 fps" },
        { "the first wish, not the first offer", { VGA, HD }, 2,
          { { WISH(0, SIZE(1280, 720)), WISH(0, SIZE(640, 480)) } }, { 2 }, 1,
          .expected = "NV12 1280x720 60/1 fps" },
        { "the first offer of several that suit a wish", { HD, VGA }, 2, { { WISH(NV12) } }, { 1 }, 1,
          .expected = "NV12 1280x720 60/1 fps" },
        { "the second wish when the first is impossible", { VGA, HD }, 2,
          { { WISH(YUYV), WISH(0, RATE(60, 1)) } }, { 2 }, 1, .expected = "NV12 1280x720 60/1 fps" },
        { "the others decide", { VGA, HD }, 2, { { WISH(0) }, { WISH(0, RATE(60, 1)) } }, { 1, 1 }, 2,
          .expected = "NV12 1280x720 60/1 fps" },
        { "they exclude each other", { VGA, HD }, 2,
          { { WISH(0, RATE(30, 1)) }, { WISH(0, RATE(60, 1)) } }, { 1, 1 }, 2, .expected = "none" },
        /* 2nd list: first wish leaves only what the 3rd refuses; going back to its other wish helps */
        { "going back to another wish of a list in between", { ZOOM }, 1,
          { { WISH(0) },
            { WISH(0, SIZE(640, 480)), WISH(0, SIZE(320, 240)) },
            { WISH(0, WIDTHS(16, 400, 1)) } },
          { 1, 2, 1 }, 3, .expected = "NV12 320x240 30/1 fps" },
        { "going back to another offer", { ZOOM, OFFER(YUYV, SIZE(640, 480), RATE(30, 1)) }, 2,
          { { WISH(0) }, { WISH(0) }, { WISH(YUYV) } }, { 1, 1, 1 }, 3, .expected = "YUYV 640x480 30/1 fps" },
        { "going back to another wish of the first list", { ZOOM }, 1,
          { { WISH(0, RATE(30, 1)), WISH(0, RATE(25, 1)) }, { WISH(0, RATE(25, 1)) } }, { 2, 1 }, 2,
          .expected = "NV12 640x480 25/1 fps" },
        { "the first list's preference wins over later ones", { ZOOM }, 1,
          { { WISH(0, SIZE(800, 600), WIDTHS(16, 1000, 1), HEIGHTS(16, 1000, 1)) },
            { WISH(0, SIZE(320, 240), WIDTHS(16, 1000, 1), HEIGHTS(16, 1000, 1)) } },
          { 1, 1 }, 2, .expected = "NV12 800x600 30/1 fps" },
        { "an empty list in between", { VGA, HD }, 2,
          { { WISH(0) }, { WISH(0) }, { WISH(0, RATE(60, 1)) } }, { 1, 0, 1 }, 3,
          .expected = "NV12 1280x720 60/1 fps" },
        { "an offer without a size is no mode", { OFFER(NV12), VGA }, 2,
          .expected = "NV12 640x480 30/1 fps" },
        { "a wish may complete it", { OFFER(NV12) }, 1, { { WISH(0, SIZE(8, 8), RATE(1, 1)) } }, { 1 }, 1,
          .expected = "NV12 8x8 1/1 fps" },
        { "what is in force stays if it suits", { VGA, HD }, 2, { { WISH(NV12) }, { WISH(0) } }, { 1, 1 }, 2,
          .current = &current_hd, .expected = "NV12 1280x720 60/1 fps" },
        { "and goes if it does not", { VGA, HD }, 2, { { WISH(NV12) }, { WISH(0, SIZE(640, 480)) } },
          { 1, 1 }, 2, .current = &current_hd, .expected = "NV12 640x480 30/1 fps" },
        { "what is in force and nobody wants", { VGA }, 1, { { WISH(YUYV) } }, { 1 }, 1,
          .current = &current_odd, .expected = "none" },
        { "a running source knows better what it does", { VGA }, 1, { { WISH(NV12) } }, { 1 }, 1,
          .current = &current_odd, .expected = "NV12 100x100 30/1 fps" },
};

TEST(choices_suit_all) {
        for (size_t i = 0; i < FB_ELEMENTSOF(choices); i++) {
                const Case *c = &choices[i];
                char buffer[MODE_STRING_MAX];
                ModeList lists[LISTS_MAX];
                Mode m = { 0 };
                bool ok;

                for (size_t k = 0; k < LISTS_MAX; k++)
                        lists[k] = (ModeList){ c->wishes[k], c->n_wishes[k] };
                ok = mode_choose((ModeList){ c->offers, c->n_offers }, lists, c->n_lists, c->current, &m);
                ROW("%s", c->name);
                CHECK_STR(string_or_none(ok, &m, buffer), c->expected);
                CHECK(!ok || mode_is_fixed(&m));
                for (size_t k = 0; ok && k < c->n_lists; k++)
                        CHECK(mode_list_accepts(lists[k], &m));
        }
}

/* Lists that agree until the last one: a search without a bound would take for ever. */
TEST(hostile_lists_cost_little) {
        static Mode wishes[256];
        Mode nobody = WISH(YUYV), offer = ZOOM, m;
        ModeList lists[64];
        uint64_t before;

        for (size_t i = 0; i < FB_ELEMENTSOF(wishes); i++)
                wishes[i] = (Mode)WISH(NV12, WIDTHS(32, (uint32_t)(1000 + i), 1));
        for (size_t i = 0; i < FB_ELEMENTSOF(lists); i++)
                lists[i] = (ModeList){ wishes, FB_ELEMENTSOF(wishes) };
        lists[FB_ELEMENTSOF(lists) - 1] = (ModeList){ &nobody, 1 };
        before = clock_now_ns();
        CHECK(!mode_choose((ModeList){ &offer, 1 }, lists, FB_ELEMENTSOF(lists), NULL, &m));
        CHECK(clock_now_ns() - before < 5 * NSEC_PER_SEC); /* about 10 ms */
}

TEST(lists_accept) {
        Mode wishes[] = { WISH(YUYV), WISH(NV12, SIZE(640, 480)) }, vga = VGA, hd = HD;
        Mode unknown_rate = OFFER(NV12, SIZE(640, 480), RATE(0, 1));

        CHECK(mode_list_accepts((ModeList){ wishes, 2 }, &vga));
        CHECK(!mode_list_accepts((ModeList){ wishes, 2 }, &hd));
        CHECK(!mode_list_accepts((ModeList){ wishes, 1 }, &vga));
        CHECK(mode_list_accepts((ModeList){ NULL, 0 }, &vga));
        CHECK(mode_list_accepts((ModeList){ &vga, 1 }, &unknown_rate));
}

TEST(words) {
        Mode vga = VGA, any = WISH(0), list[8];
        Mode widest = { 0xffffffff,
                        .modifier = UINT64_MAX - 1,
                        .width_range = { 65534, 65535, 65535 },
                        .height_range = { 65534, 65535, 65535 },
                        .rate_min = { UINT32_MAX, UINT32_MAX },
                        .rate_max = { UINT32_MAX, UINT32_MAX } };
        char mode[MODE_STRING_MAX], fourcc[5], text[400];

        CHECK_STR(mode_to_string(&vga, mode), "NV12 640x480 30/1 fps");
        CHECK_STR(mode_to_string(&any, mode), "any anyxany any rate");
        mode_to_string(&widest, mode);
        CHECK(strlen(mode) < MODE_STRING_MAX - 1 && strstr(mode, " fps"));

        CHECK_STR(fourcc_to_string(DRM_FORMAT_R8, fourcc), "R8  ");
        CHECK_STR(fourcc_to_string(0x01ff0a41, fourcc), "A...");

        for (size_t i = 0; i < FB_ELEMENTSOF(list); i++)
                list[i] = vga;
        CHECK_STR(mode_list_to_string((ModeList){ list, 0 }, text, sizeof text), "anything");
        CHECK_STR(mode_list_to_string((ModeList){ list, 2 }, text, sizeof text),
                  "NV12 640x480 30/1 fps, NV12 640x480 30/1 fps");
        CHECK(strstr(mode_list_to_string((ModeList){ list, 8 }, text, sizeof text), " and 2 more"));
        for (size_t size = 1; size < 100; size++) {
                memset(text, 'x', sizeof text);
                mode_list_to_string((ModeList){ list, 8 }, text, size);
                ROW("room for %zu", size);
                CHECK_INT(strlen(text), size - 1);
                CHECK_INT(text[size], 'x');
        }
}

TEST_MAIN
