/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of output that several verbs have. The keys of the JSON are documented in framebusctl(1): they
 * may be added to, never changed.
 */
#include "tools/show.h"

#include <string.h>

#include "tools/mode-arg.h"
#include "tools/text.h"

static void show_fraction_json(Json *j, const char *key, struct framebus_fraction f) {
        json_begin_array(j, key);
        json_uint(j, NULL, f.num);
        json_uint(j, NULL, f.den);
        json_end_array(j);
}

static void show_range_json(Json *j, const char *key, struct framebus_range r) {
        if (r.max == 0)
                return;
        json_begin_array(j, key);
        json_uint(j, NULL, r.min);
        json_uint(j, NULL, r.max);
        json_uint(j, NULL, r.step);
        json_end_array(j);
}

void show_mode_json(Json *j, const char *key, const struct framebus_mode *mode) {
        char fourcc[FOURCC_STRING_MAX];

        if (mode->fourcc == 0) {
                json_string(j, key, NULL);
                return;
        }
        json_begin_object(j, key);
        json_string(j, "fourcc", fourcc_format(mode->fourcc, fourcc));
        json_uint(j, "modifier", mode->modifier);
        json_uint(j, "width", mode->width);
        json_uint(j, "height", mode->height);
        show_fraction_json(j, "rate", mode->rate);
        show_range_json(j, "width-range", mode->width_range);
        show_range_json(j, "height-range", mode->height_range);
        if (mode->rate_max.num > 0) {
                json_begin_array(j, "rate-range");
                show_fraction_json(j, NULL, mode->rate_min);
                show_fraction_json(j, NULL, mode->rate_max);
                json_end_array(j);
        }
        json_end_object(j);
}

void show_source_json(Json *j, const struct framebus_source_info *info) {
        json_string(j, "name", info->name);
        json_begin_array(j, "aliases");
        for (const char *const *a = info->aliases; *a; a++)
                json_string(j, NULL, *a);
        json_end_array(j);
        json_string(j, "description", info->description);
        json_string(j, "driver", info->driver);
        json_string(j, "state", info->state);
        json_string(j, "state-reason", info->state_reason);
        show_mode_json(j, "mode", &info->mode);
        json_uint(j, "subscribers", info->subscribers);
        json_uint(j, "frames", info->frames);
        json_begin_array(j, "modes");
        for (size_t i = 0; i < info->n_modes; i++)
                show_mode_json(j, NULL, &info->modes[i]);
        json_end_array(j);
}

void show_granted_json(Json *j, const struct framebus_granted *granted) {
        show_mode_json(j, "mode", &granted->mode);
        json_uint(j, "window", granted->window);
        json_string(j, "drop", granted->drop);
        json_string(j, "memory", granted->memory);
        json_string(j, "order", granted->order);
        json_uint(j, "seq", granted->seq);
        json_string(j, "epoch", granted->epoch);
}

void show_granted(FILE *f, const struct framebus_granted *granted) {
        char mode[MODE_ARG_MAX];

        fputs(mode_format(&granted->mode, mode), f);
        fprintf(f, ", window %u, drop ", granted->window);
        text_print(f, granted->drop);
        fputs(", memory ", f);
        text_print(f, granted->memory);
        if (strcmp(granted->order, "fifo") != 0) {
                fputs(", order ", f);
                text_print(f, granted->order);
        }
}
