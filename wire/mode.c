/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What sources can do and subscribers accept, and the choice between them.
 *
 * A size or a rate is a set of values (nothing said: all; a plain value: one; a range) and a
 * preference; intersecting two modes intersects set by set, so that the result allows exactly what
 * both allow.
 *
 * The choice backtracks, and lists come from clients: MODE_STEPS_MAX bounds what a hostile one can
 * make it cost. It does not convert and does not call two rates equal that are only close.
 */
#include "wire/mode.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define SIZE_PIXELS_MAX    65535u
#define LIST_IN_WORDS_MAX  6u

typedef struct SizeSet {
        Range range; /* max 0: all sizes */
        uint32_t preferred;
} SizeSet;

typedef struct RateSet {
        Fraction min, max; /* max.num 0: all rates */
        Fraction preferred;
} RateSet;

/* A fraction without a denominator is how nothing is said: no frames a second. */
int fraction_compare(Fraction a, Fraction b) {
        uint64_t x = a.den == 0 ? 0 : (uint64_t)a.num * (b.den ? b.den : 1);
        uint64_t y = b.den == 0 ? 0 : (uint64_t)b.num * (a.den ? a.den : 1);

        return (x > y) - (x < y);
}

uint64_t fraction_interval_ns(Fraction rate) {
        return rate.num == 0 ? 0 : rate.den * NSEC_PER_SEC / rate.num;
}

bool mode_is_fixed(const Mode *m) {
        return m->fourcc != 0 && !m->any_modifier && m->width > 0 && m->height > 0 && m->rate.den > 0 &&
               m->width_range.max == 0 && m->height_range.max == 0 && m->rate_max.num == 0;
}

static bool range_equal(Range a, Range b) {
        if (a.max == 0 || b.max == 0)
                return a.max == b.max;
        return a.min == b.min && a.max == b.max && a.step == b.step;
}

bool mode_equal(const Mode *a, const Mode *b) {
        return a->fourcc == b->fourcc && a->any_modifier == b->any_modifier &&
               (a->any_modifier || a->modifier == b->modifier) && a->width == b->width &&
               a->height == b->height && range_equal(a->width_range, b->width_range) &&
               range_equal(a->height_range, b->height_range) && fraction_compare(a->rate, b->rate) == 0 &&
               fraction_compare(a->rate_min, b->rate_min) == 0 &&
               fraction_compare(a->rate_max, b->rate_max) == 0;
}

/* Sizes: a lattice of values between two ends. */

static bool range_contains(Range r, uint32_t value) {
        return value >= r.min && value <= r.max && (value - r.min) % r.step == 0;
}

static bool size_is_valid(uint32_t value, Range r) {
        if (r.max == 0)
                return value <= SIZE_PIXELS_MAX && r.min == 0 && r.step == 0;
        return r.min > 0 && r.min <= r.max && r.max <= SIZE_PIXELS_MAX && r.step > 0 &&
               r.step <= SIZE_PIXELS_MAX && (value == 0 || range_contains(r, value));
}

static SizeSet size_set(uint32_t value, Range r) {
        if (r.max == 0 && value > 0)
                r = (Range){ value, value, 1 };
        return (SizeSet){ r, value };
}

/* The inverse of @a modulo @m by Euclid's algorithm; the two have no common divisor. */
static int64_t inverse_modulo(int64_t a, int64_t m) {
        int64_t x = 0, x_next = 1, r = m, r_next = a % m;

        while (r_next != 0) {
                int64_t q = r / r_next, t = r - q * r_next;

                r = r_next;
                r_next = t;
                t = x - q * x_next;
                x = x_next;
                x_next = t;
        }
        return (x % m + m) % m;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
        while (b != 0) {
                int64_t t = a % b;

                a = b;
                b = t;
        }
        return a;
}

/* The least value from @from on that both lattices contain, and how far apart such values are. */
static bool lattice_intersect(Range a, Range b, int64_t from, int64_t *ret_first, int64_t *ret_step) {
        int64_t gcd = greatest_common_divisor(a.step, b.step), m = b.step / gcd;
        int64_t apart = (int64_t)b.min - a.min;
        int64_t step = (int64_t)a.step * m, k, first;

        if (apart % gcd != 0)
                return false;
        k = (apart / gcd % m + m) % m * inverse_modulo(a.step / gcd, m) % m;
        first = a.min + k * a.step;
        if (first < from)
                first += (from - first + step - 1) / step * step;
        *ret_first = first;
        *ret_step = step;
        return true;
}

static bool size_intersect(SizeSet offer, SizeSet wish, SizeSet *ret) {
        int64_t first, step, last;

        if (wish.range.max == 0 || offer.range.max == 0) {
                *ret = wish.range.max == 0 ? offer : wish;
                return true;
        }
        first = FB_MAX(offer.range.min, wish.range.min);
        if (!lattice_intersect(offer.range, wish.range, first, &first, &step))
                return false;
        last = FB_MIN(offer.range.max, wish.range.max);
        if (first > last)
                return false;
        ret->range = (Range){ (uint32_t)first, (uint32_t)(first + (last - first) / step * step),
                              (uint32_t)FB_MIN(step, (int64_t)SIZE_PIXELS_MAX) };
        ret->preferred = range_contains(ret->range, wish.preferred)    ? wish.preferred
                         : range_contains(ret->range, offer.preferred) ? offer.preferred
                                                                       : 0;
        return true;
}

static void size_store(SizeSet s, uint32_t *ret_value, Range *ret_range) {
        bool one = s.range.max > 0 && s.range.min == s.range.max;

        *ret_value = one ? s.range.min : s.preferred;
        *ret_range = one ? (Range){ 0 } : s.range;
}

/* Rates: all between two ends. */

static RateSet rate_set(const Mode *m) {
        if (m->rate_max.num > 0)
                return (RateSet){ m->rate_min, m->rate_max, m->rate };
        return (RateSet){ m->rate, m->rate, m->rate };
}

static bool rate_contains(const RateSet *s, Fraction rate) {
        return rate.num > 0 && fraction_compare(s->min, rate) <= 0 && fraction_compare(rate, s->max) <= 0;
}

static bool rate_is_valid(const Mode *m) {
        RateSet range = { .min = m->rate_min, .max = m->rate_max };

        if (m->rate.num > 0 && m->rate.den == 0)
                return false;
        if (m->rate_max.num == 0)
                return m->rate_min.num == 0;
        return m->rate_min.den > 0 && m->rate_max.den > 0 &&
               fraction_compare(m->rate_min, m->rate_max) <= 0 &&
               (m->rate.num == 0 || rate_contains(&range, m->rate));
}

static bool rate_intersect(const RateSet *offer, const RateSet *wish, RateSet *ret) {
        RateSet s;

        if (wish->max.num == 0 || offer->max.num == 0) {
                *ret = wish->max.num == 0 ? *offer : *wish;
                return true;
        }
        s.min = fraction_compare(offer->min, wish->min) > 0 ? offer->min : wish->min;
        s.max = fraction_compare(offer->max, wish->max) < 0 ? offer->max : wish->max;
        if (fraction_compare(s.min, s.max) > 0)
                return false;
        s.preferred = rate_contains(&s, wish->preferred)    ? wish->preferred
                      : rate_contains(&s, offer->preferred) ? offer->preferred
                                                            : (Fraction){ 0 };
        *ret = s;
        return true;
}

static void rate_store(const RateSet *s, Mode *m) {
        bool one = fraction_compare(s->min, s->max) == 0;

        m->rate = one ? s->max : s->preferred;
        m->rate_min = one ? (Fraction){ 0 } : s->min;
        m->rate_max = one ? (Fraction){ 0 } : s->max;
}

bool mode_is_valid(const Mode *m) {
        return size_is_valid(m->width, m->width_range) && size_is_valid(m->height, m->height_range) &&
               rate_is_valid(m);
}

bool mode_intersect(const Mode *offer, const Mode *wish, Mode *ret) {
        RateSet offer_rate = rate_set(offer), wish_rate = rate_set(wish), rate;
        SizeSet width = size_set(offer->width, offer->width_range);
        SizeSet height = size_set(offer->height, offer->height_range);
        Mode m = { 0 };

        if (offer->fourcc != 0 && wish->fourcc != 0 && offer->fourcc != wish->fourcc)
                return false;
        if (!offer->any_modifier && !wish->any_modifier && offer->modifier != wish->modifier)
                return false;
        if (!size_intersect(width, size_set(wish->width, wish->width_range), &width) ||
            !size_intersect(height, size_set(wish->height, wish->height_range), &height) ||
            !rate_intersect(&offer_rate, &wish_rate, &rate))
                return false;

        m.fourcc = wish->fourcc != 0 ? wish->fourcc : offer->fourcc;
        m.any_modifier = offer->any_modifier && wish->any_modifier;
        m.modifier = m.any_modifier ? 0 : wish->any_modifier ? offer->modifier : wish->modifier;
        size_store(width, &m.width, &m.width_range);
        size_store(height, &m.height, &m.height_range);
        rate_store(&rate, &m);
        *ret = m;
        return true;
}

static uint32_t size_fixate(uint32_t preferred, Range r) {
        if (preferred > 0 || r.max == 0)
                return preferred;
        return r.min + (r.max - r.min) / r.step * r.step;
}

bool mode_fixate(const Mode *m, Mode *ret) {
        Mode f = {
                .fourcc = m->fourcc,
                .modifier = m->any_modifier ? 0 : m->modifier, /* linear */
                .width = size_fixate(m->width, m->width_range),
                .height = size_fixate(m->height, m->height_range),
                .rate = m->rate.num > 0 ? m->rate : m->rate_max.num > 0 ? m->rate_max : (Fraction){ 0, 1 },
        };

        if (f.fourcc == 0 || f.width == 0 || f.height == 0)
                return false;
        *ret = f;
        return true;
}

/* Narrows @m by one wish of each list, earlier ones' preferences first. */
static bool mode_narrow(const Mode *m, const ModeList *lists, size_t n, unsigned *steps, Mode *ret) {
        while (n > 0 && lists->n == 0) {
                lists++;
                n--;
        }
        if (n == 0)
                return mode_fixate(m, ret);
        for (size_t i = 0; i < lists->n && *steps > 0; i++) {
                Mode narrowed;

                (*steps)--;
                if (mode_intersect(&lists->modes[i], m, &narrowed) &&
                    mode_narrow(&narrowed, lists + 1, n - 1, steps, ret))
                        return true;
        }
        return false;
}

bool mode_choose(ModeList offers, const ModeList *wishes, size_t n_wishes, const Mode *current, Mode *ret) {
        unsigned steps = MODE_STEPS_MAX;

        return mode_choose_within(offers, wishes, n_wishes, current, &steps, ret);
}

/* Of a long list of wishes and a long one of offers most pairs are sorted out here, for next to nothing. */
static bool fourccs_meet(const Mode *a, const Mode *b) {
        return a->fourcc == b->fourcc || a->fourcc == 0 || b->fourcc == 0;
}

bool mode_choose_within(ModeList offers, const ModeList *wishes, size_t n_wishes, const Mode *current,
                        unsigned *steps, Mode *ret) {
        static const Mode anything = { .any_modifier = true };
        ModeList first = n_wishes > 0 && wishes[0].n > 0 ? wishes[0] : (ModeList){ &anything, 1 };
        bool keep = current;

        for (size_t i = 0; i < n_wishes && keep; i++)
                keep = mode_list_accepts(wishes[i], current);
        if (keep) {
                *ret = *current;
                return true;
        }
        for (size_t i = 0; i < first.n; i++)
                for (size_t j = 0; j < offers.n && *steps > 0; j++) {
                        Mode m;

                        if (!fourccs_meet(&offers.modes[j], &first.modes[i]))
                                continue;
                        (*steps)--;
                        if (mode_intersect(&offers.modes[j], &first.modes[i], &m) &&
                            mode_narrow(&m, wishes + 1, n_wishes > 0 ? n_wishes - 1 : 0, steps, ret))
                                return true;
                }
        return false;
}

bool mode_list_accepts(ModeList wishes, const Mode *m) {
        Mode ignored;

        for (size_t i = 0; i < wishes.n; i++)
                if (mode_intersect(m, &wishes.modes[i], &ignored))
                        return true;
        return wishes.n == 0;
}

/* "640", "16..1920", "16..1920/2" (in steps of 2) or "any" */
static const char *size_to_string(uint32_t value, Range r, char ret[static 40]) {
        if (r.max > 0 && r.step > 1)
                snprintf(ret, 40, "%u..%u/%u", r.min, r.max, r.step);
        else if (r.max > 0)
                snprintf(ret, 40, "%u..%u", r.min, r.max);
        else if (value > 0)
                snprintf(ret, 40, "%u", value);
        else
                snprintf(ret, 40, "any");
        return ret;
}

static const char *rate_to_string(const Mode *m, char ret[static 56]) {
        if (m->rate_max.num > 0)
                snprintf(ret, 56, "%u/%u..%u/%u fps", m->rate_min.num, m->rate_min.den, m->rate_max.num,
                         m->rate_max.den);
        else if (m->rate.num > 0)
                snprintf(ret, 56, "%u/%u fps", m->rate.num, m->rate.den);
        else
                snprintf(ret, 56, "any rate");
        return ret;
}

const char *mode_to_string(const Mode *m, char ret[static MODE_STRING_MAX]) {
        char fourcc[5] = "any", modifier[20] = "", width[40], height[40], rate[56];

        if (m->fourcc != 0)
                fourcc_to_string(m->fourcc, fourcc);
        if (!m->any_modifier && m->modifier != 0)
                snprintf(modifier, sizeof modifier, ":0x%016" PRIx64, m->modifier);
        snprintf(ret, MODE_STRING_MAX, "%s%s %sx%s %s", fourcc, modifier,
                 size_to_string(m->width, m->width_range, width),
                 size_to_string(m->height, m->height_range, height), rate_to_string(m, rate));
        return ret;
}

const char *mode_list_to_string(ModeList l, char *buffer, size_t size) {
        char mode[MODE_STRING_MAX];
        size_t used = 0;

        if (size == 0)
                return buffer;
        snprintf(buffer, size, "%s", l.n == 0 ? "anything" : "");
        for (size_t i = 0; i < l.n && used < size; i++) {
                if (i == LIST_IN_WORDS_MAX) {
                        snprintf(buffer + used, size - used, " and %zu more", l.n - i);
                        break;
                }
                used += (size_t)snprintf(buffer + used, size - used, "%s%s", i > 0 ? ", " : "",
                                         mode_to_string(&l.modes[i], mode));
        }
        return buffer;
}

const char *fourcc_to_string(uint32_t fourcc, char ret[static 5]) {
        for (int i = 0; i < 4; i++) {
                char c = (char)(fourcc >> (8 * i) & 0xff);

                ret[i] = c >= ' ' && c <= '~' ? c : '.';
        }
        ret[4] = 0;
        return ret;
}
