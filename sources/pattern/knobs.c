/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/pattern/knobs.h"

#include <string.h>

#include "sources/pattern/picture.h"

static struct framebus_control_item colors[PICTURE_N_COLORS];

void knobs_init(Knobs *k) {
        for (int i = 0; i < PICTURE_N_COLORS; i++)
                colors[i] = (struct framebus_control_item){ i, picture_colors[i] };
        k->controls[KNOB_SPEED] = (struct framebus_control){ .id = "speed",
                                                             .name = "Speed",
                                                             .flags = FRAMEBUS_CONTROL_SLIDER,
                                                             .max = 8,
                                                             .step = 1,
                                                             .default_value = 1,
                                                             .value = 1 };
        k->controls[KNOB_COLOR] = (struct framebus_control){ .id = "color",
                                                             .name = "Color",
                                                             .type = FRAMEBUS_CONTROL_MENU,
                                                             .max = PICTURE_N_COLORS - 1,
                                                             .step = 1,
                                                             .items = colors,
                                                             .n_items = PICTURE_N_COLORS };
        k->controls[KNOB_PAUSE] = (struct framebus_control){ .id = "pause",
                                                             .name = "Pause",
                                                             .type = FRAMEBUS_CONTROL_BOOLEAN };
        for (int i = 0; i < KNOBS_N; i++) {
                k->controls[i].group = "Box";
                k->controls[i].has_value = true;
        }
}

void knobs_set(Knobs *k, const struct framebus_control_value *values, size_t n) {
        for (size_t i = 0; i < n; i++)
                for (int j = 0; j < KNOBS_N; j++)
                        if (strcmp(k->controls[j].id, values[i].id) == 0)
                                k->controls[j].value = values[i].value;
}

unsigned knobs_get_speed(const Knobs *k) {
        return k->controls[KNOB_PAUSE].value ? 0 : (unsigned)k->controls[KNOB_SPEED].value;
}

unsigned knobs_get_color(const Knobs *k) {
        return (unsigned)k->controls[KNOB_COLOR].value;
}
