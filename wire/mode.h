/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Modes: how frames look, and what a source can do and a subscriber accepts. Pure; see org.framebus.Source1
 * for the rules.
 *
 * A Mode with ranges says what is possible; its plain fields then say what is preferred (0: no preference).
 * In a wish, a field that is 0 means any. A fixed mode has fourcc, width, height and rate, and no range.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Fraction {
        uint32_t num, den;
} Fraction;

typedef struct Range {
        uint32_t min, max, step; /* max 0: no range; step at least 1 otherwise */
} Range;

typedef struct Mode {
        uint32_t fourcc;
        bool any_modifier; /* in a wish that names none */
        uint64_t modifier;
        uint32_t width, height;
        Range width_range, height_range;
        Fraction rate;
        Fraction rate_min, rate_max; /* rate_max.num 0: no range */
} Mode;

/* a borrowed array of modes */
typedef struct ModeList {
        const Mode *modes;
        size_t n;
} ModeList;

/* Frames a second, compared exactly: < 0, 0, > 0. */
int fraction_compare(Fraction a, Fraction b);

/* Nanoseconds of one frame; 0 if the rate is not known. */
uint64_t fraction_interval_ns(Fraction rate);

bool mode_is_fixed(const Mode *m);
bool mode_equal(const Mode *a, const Mode *b);

/* Whether a mode makes sense at all: ranges in order, rates without zero denominators, sizes up to 65535. */
bool mode_is_valid(const Mode *m);

/* What both allow; @wish decides preferences where it has any, else @offer does. false: nothing. */
bool mode_intersect(const Mode *offer, const Mode *wish, Mode *ret);

/* One mode out of what @m allows, by its preferences; without one the largest size and the highest rate.
 * false: @m does not say enough (no fourcc or size; a missing rate becomes 0/1). */
bool mode_fixate(const Mode *m, Mode *ret);

/*
 * Chooses the mode that suits all: the first of @wishes[0] (then of @offers) that every other list of wishes
 * accepts too.
 * @offers   what the source can do, the best first
 * @wishes   one list a subscriber; an empty list accepts all
 * @current  kept if it suits all; may be NULL
 * false: there is none
 */
bool mode_choose(ModeList offers, const ModeList *wishes, size_t n_wishes, const Mode *current, Mode *ret);

/*
 * The same within *@steps, of which it takes those that it needs: they bound what several choices together
 * may cost. 0 left: what was not found was not looked for to the end.
 */
#define MODE_STEPS_MAX 50000u /* intersections, about 50 ns each; what mode_choose() has */
bool mode_choose_within(ModeList offers, const ModeList *wishes, size_t n_wishes, const Mode *current,
                        unsigned *steps, Mode *ret);

/* Whether one of @wishes accepts the fixed mode @m. */
bool mode_list_accepts(ModeList wishes, const Mode *m);

/* "NV12 640x480 30/1 fps" and so on, ranges included; always terminated. */
#define MODE_STRING_MAX 128
const char *mode_to_string(const Mode *m, char ret[static MODE_STRING_MAX]);

/* Up to a few modes in words, for error messages; always terminated; "anything" for an empty list. */
const char *mode_list_to_string(ModeList l, char *buffer, size_t size);

/* The four characters of a fourcc, unprintable ones as dots. */
const char *fourcc_to_string(uint32_t fourcc, char ret[static 5]);
