/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modes, kinds of memory and Start to and from D-Bus messages; see org.framebus.Source1 for the keys. */
#include <drm_fourcc.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "wire/codec.h"

static int append_ranges(sd_bus_message *m, const Mode *mode) {
        int r = 0;

        if (mode->width_range.max > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_WIDTH_RANGE, "(uuu)", mode->width_range.min,
                                          mode->width_range.max, mode->width_range.step);
        if (r >= 0 && mode->height_range.max > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_HEIGHT_RANGE, "(uuu)", mode->height_range.min,
                                          mode->height_range.max, mode->height_range.step);
        if (r >= 0 && mode->rate_max.num > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_RATE_RANGE, "(uuuu)", mode->rate_min.num,
                                          mode->rate_min.den, mode->rate_max.num, mode->rate_max.den);
        return r;
}

static int append_mode_keys(sd_bus_message *m, const Mode *mode) {
        int r = 0;

        if (mode->fourcc != 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_FOURCC, "u", mode->fourcc);
        if (r >= 0 && mode->fourcc != 0 && !mode->any_modifier)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_MODIFIER, "t", mode->modifier);
        if (r >= 0 && mode->width > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_WIDTH, "u", mode->width);
        if (r >= 0 && mode->height > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_HEIGHT, "u", mode->height);
        if (r >= 0 && mode->rate.den > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_RATE, "(uu)", mode->rate.num, mode->rate.den);
        return r < 0 ? r : append_ranges(m, mode);
}

int codec_append_mode(sd_bus_message *m, const Mode *mode) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = append_mode_keys(m, mode);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int codec_append_memories(sd_bus_message *m, uint32_t kinds) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "s");

        for (uint32_t kind = 0; r >= 0 && kind < FB_MEMORY_KINDS; kind++)
                if (kinds & (1u << kind))
                        r = sd_bus_message_append(m, "s", fb_memory_to_string(kind));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_memories_key(sd_bus_message *m, uint32_t kinds) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", FB_KEY_MEMORY);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "as");
        if (r >= 0)
                r = codec_append_memories(m, kinds);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int codec_append_start(sd_bus_message *m, const Start *start) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = append_mode_keys(m, &start->mode);
        if (r >= 0)
                r = append_memories_key(m, start->memories);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_BUFFERS, "u", start->n_buffers);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int one(int r) {
        return r < 0 ? r : 0;
}

static int read_fourcc(sd_bus_message *m, void *userdata) {
        return one(sd_bus_message_read(m, "u", &((Mode *)userdata)->fourcc));
}

static int read_modifier(sd_bus_message *m, void *userdata) {
        Mode *mode = userdata;

        mode->any_modifier = false;
        return one(sd_bus_message_read(m, "t", &mode->modifier));
}

static int read_width(sd_bus_message *m, void *userdata) {
        return one(sd_bus_message_read(m, "u", &((Mode *)userdata)->width));
}

static int read_height(sd_bus_message *m, void *userdata) {
        return one(sd_bus_message_read(m, "u", &((Mode *)userdata)->height));
}

static int read_range(sd_bus_message *m, Range *ret) {
        int r = sd_bus_message_read(m, "(uuu)", &ret->min, &ret->max, &ret->step);

        if (r < 0)
                return r;
        return ret->max == 0 || ret->min > ret->max || ret->step == 0 ? FB_E_INVALID_OPTION : 0;
}

static int read_width_range(sd_bus_message *m, void *userdata) {
        return read_range(m, &((Mode *)userdata)->width_range);
}

static int read_height_range(sd_bus_message *m, void *userdata) {
        return read_range(m, &((Mode *)userdata)->height_range);
}

static int read_rate(sd_bus_message *m, void *userdata) {
        Mode *mode = userdata;
        int r = sd_bus_message_read(m, "(uu)", &mode->rate.num, &mode->rate.den);

        if (r < 0)
                return r;
        return mode->rate.den == 0 ? FB_E_INVALID_OPTION : 0;
}

static int read_rate_range(sd_bus_message *m, void *userdata) {
        Mode *mode = userdata;
        int r = sd_bus_message_read(m, "(uuuu)", &mode->rate_min.num, &mode->rate_min.den,
                                    &mode->rate_max.num, &mode->rate_max.den);

        if (r < 0)
                return r;
        return mode->rate_min.den == 0 || mode->rate_max.den == 0 || mode->rate_max.num == 0 ?
                       FB_E_INVALID_OPTION :
                       0;
}

int codec_read_memories(sd_bus_message *m, bool ignore_unknown, MemoryList *ret) {
        MemoryList list = {};
        unsigned int n = 0;
        const char *word;
        uint32_t kind;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, SD_BUS_TYPE_STRING, &word)) > 0) {
                bool known = fb_memory_from_string(word, &kind);

                if (n++ == FB_WISHES_MAX || (!known && !ignore_unknown))
                        return FB_E_INVALID_OPTION;
                if (!known || (memory_list_get_mask(&list) & (1u << kind)))
                        continue;
                list.kinds[list.n++] = kind;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = list;
        return 0;
}

static int read_memories(sd_bus_message *m, void *userdata) {
        MemoryList list;

        fb_try(codec_read_memories(m, true, &list));
        ((Start *)userdata)->memories = memory_list_get_mask(&list);
        return 0;
}

static int read_buffers(sd_bus_message *m, void *userdata) {
        return one(sd_bus_message_read(m, "u", &((Start *)userdata)->n_buffers));
}

/* The last two are those of Start, which begins with a mode. */
#define N_MODE_KEYS (FB_ELEMENTSOF(mode_keys) - 2)
_Static_assert(offsetof(Start, mode) == 0, "the readers of a mode's keys get a Start, too");
static const VardictKey mode_keys[] = {
        { FB_KEY_FOURCC, "u", read_fourcc },
        { FB_KEY_MODIFIER, "t", read_modifier },
        { FB_KEY_WIDTH, "u", read_width },
        { FB_KEY_HEIGHT, "u", read_height },
        { FB_KEY_WIDTH_RANGE, "(uuu)", read_width_range },
        { FB_KEY_HEIGHT_RANGE, "(uuu)", read_height_range },
        { FB_KEY_RATE, "(uu)", read_rate },
        { FB_KEY_RATE_RANGE, "(uuuu)", read_rate_range },
        { FB_KEY_MEMORY, "as", read_memories },
        { FB_KEY_BUFFERS, "u", read_buffers },
};

/* What a source offers must say a format and a size. */
static bool is_complete_offer(const Mode *m) {
        return m->fourcc != 0 && (m->width > 0 || m->width_range.max > 0) &&
               (m->height > 0 || m->height_range.max > 0);
}

int codec_read_mode(sd_bus_message *m, bool wish, Mode *ret_mode, VardictError *ret_error) {
        Mode mode = { .any_modifier = wish, .modifier = DRM_FORMAT_MOD_LINEAR };
        int r;

        r = vardict_read(m, mode_keys, N_MODE_KEYS, !wish, &mode, ret_error);
        if (r == 0 && (!mode_is_valid(&mode) || (!wish && !is_complete_offer(&mode)))) {
                *ret_error = (VardictError){ FB_KEY_MODES, NULL };
                r = FB_E_INVALID_OPTION;
        }
        if (r != 0)
                return r;
        *ret_mode = mode;
        return 0;
}

int codec_read_start(sd_bus_message *m, Start *ret, VardictError *ret_error) {
        Start start = { .mode.modifier = DRM_FORMAT_MOD_LINEAR };

        fb_try(vardict_read(m, mode_keys, FB_ELEMENTSOF(mode_keys), true, &start, ret_error));
        if (!mode_is_valid(&start.mode) || !mode_is_fixed(&start.mode)) {
                *ret_error = (VardictError){ FB_KEY_MODES, NULL };
                return FB_E_INVALID_OPTION;
        }
        if (start.memories == 0)
                start.memories = 1u << FB_MEMORY_SEALED;
        *ret = start;
        return 0;
}

int codec_append_modes(sd_bus_message *m, ModeList list) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "a{sv}");

        for (size_t i = 0; r >= 0 && i < list.n; i++)
                r = codec_append_mode(m, &list.modes[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int codec_read_modes(sd_bus_message *m, bool wish, Mode **ret_modes, size_t *ret_n, VardictError *ret_error) {
        _cleanup_free_ Mode *modes = NULL;
        size_t n = 0, allocated = 0, max = wish ? FB_MODES_WISHED_MAX : FB_MODES_MAX;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "a{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                if (n == max)
                        return *ret_error = (VardictError){ FB_KEY_MODES, wish ? "at most 256 modes"
                                                                               : "at most 512 modes" },
                               FB_E_INVALID_OPTION;
                if (n == allocated) {
                        Mode *grown = reallocarray(modes, allocated ? 2 * allocated : 8, sizeof *modes);

                        if (!grown)
                                return -ENOMEM;
                        modes = grown;
                        allocated = allocated ? 2 * allocated : 8;
                }
                fb_try(codec_read_mode(m, wish, &modes[n], ret_error));
                n++;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret_modes = take_ptr(modes);
        *ret_n = n;
        return 0;
}
