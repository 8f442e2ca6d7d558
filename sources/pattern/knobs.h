/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be set on the test picture, so that controls can be tried without a camera. Kept as long as the
 * program runs. */
#pragma once

#include "libframebus/framebus.h"

enum { KNOB_SPEED, KNOB_COLOR, KNOB_PAUSE, KNOBS_N };

typedef struct Knobs {
        struct framebus_control controls[KNOBS_N]; /* with present values */
} Knobs;

void knobs_init(Knobs *k);

/* @values are in range: the broker has seen to it. Unknown ones are ignored. */
void knobs_set(Knobs *k, const struct framebus_control_value *values, size_t n);

/* How many steps the box moves from one picture to the next; 0 while it pauses. */
unsigned knobs_get_speed(const Knobs *k);
/* An index into picture_colors. */
unsigned knobs_get_color(const Knobs *k);
