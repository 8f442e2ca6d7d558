/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options to a{sv} and what was granted from one. Unknown keys of what is granted are ignored, as the
 * contract says. */
#include "libframebus/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/wire.h"
#include "libframebus/memory.h"
#include "libframebus/mode.h"
#include "wire/codec.h"
#include "wire/vardict.h"

bool options_are_valid(uint32_t window, enum framebus_drop drop, struct framebus_fraction max_rate) {
        return window <= FB_WINDOW_MAX && (drop == FRAMEBUS_DROP_NEWEST || drop == FRAMEBUS_DROP_LATEST) &&
               (max_rate.num == 0 || max_rate.den > 0);
}

/* In order, each once. */
static int memories_from_public(const enum framebus_memory *memories, size_t n, MemoryList *ret) {
        uint32_t mask;
        int r = memory_read_kinds(memories, n, &mask);

        if (r < 0 || n == 0)
                return -EINVAL;
        *ret = (MemoryList){};
        for (size_t i = 0; i < n; i++)
                if (!(memory_list_get_mask(ret) & MEMORY_BIT(memories[i])))
                        ret->kinds[ret->n++] = (uint32_t)memories[i];
        return 0;
}

int options_init(Options *o, const struct framebus_subscribe_options *options) {
        Options new = { .memories = { 2, { FB_MEMORY_LEASED, FB_MEMORY_SEALED } } };
        int r;

        if (!options) {
                *o = new;
                return 0;
        }
        if (options->version > FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION ||
            (options->transport != FRAMEBUS_TRANSPORT_PEER && options->transport != FRAMEBUS_TRANSPORT_BUS) ||
            !options_are_valid(options->window, options->drop, options->max_rate))
                return -EINVAL;
        if (options->version >= 1 && options->memories &&
            memories_from_public(options->memories, options->n_memories, &new.memories) < 0)
                return -EINVAL;
        if (options->version >= 2 && options->order != FRAMEBUS_ORDER_FIFO &&
            options->order != FRAMEBUS_ORDER_CAUSAL)
                return -EINVAL;
        r = modes_from_public(options->modes, options->modes ? options->n_modes : 0, true, &new.modes);
        if (r < 0)
                return r;
        new.n_modes = new.modes ? options->n_modes : 0;
        new.transport = options->transport;
        new.window = options->window;
        new.drop = options->drop;
        new.max_rate = (Fraction){ options->max_rate.num, options->max_rate.den };
        new.no_replay = options->no_replay;
        new.order = options->version >= 2 ? options->order : FRAMEBUS_ORDER_FIFO;
        *o = new;
        return 0;
}

void options_deinit(Options *o) {
        free(o->modes);
        o->modes = NULL;
}

static int append_modes(sd_bus_message *m, const Options *o) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", FB_KEY_MODES);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "aa{sv}");
        if (r >= 0)
                r = codec_append_modes(m, (ModeList){ o->modes, o->n_modes });
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_memories(sd_bus_message *m, const MemoryList *list) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", FB_KEY_MEMORY);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "as");
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "s");
        for (uint32_t i = 0; r >= 0 && i < list->n; i++)
                r = sd_bus_message_append(m, "s", fb_memory_to_string(list->kinds[i]));
        for (unsigned int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static const char *drop_to_string(enum framebus_drop drop) {
        return drop == FRAMEBUS_DROP_LATEST ? "latest" : "newest";
}

static const char *order_to_string(enum framebus_order order) {
        return order == FRAMEBUS_ORDER_CAUSAL ? "causal" : "fifo";
}

int options_append(sd_bus_message *m, const Options *o) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0 && o->n_modes > 0)
                r = append_modes(m, o);
        if (r >= 0)
                r = append_memories(m, &o->memories);
        if (r >= 0 && o->window > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_WINDOW, "u", o->window);
        if (r >= 0 && o->drop != FRAMEBUS_DROP_NEWEST)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_DROP, "s", drop_to_string(o->drop));
        if (r >= 0 && o->max_rate.num > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_MAX_RATE, "(uu)", o->max_rate.num,
                                          o->max_rate.den);
        if (r >= 0 && o->no_replay)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_REPLAY, "b", 0);
        if (r >= 0 && o->order == FRAMEBUS_ORDER_CAUSAL)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_ORDER, "s", order_to_string(o->order));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int options_append_share(sd_bus_message *m, const struct framebus_share_options *options) {
        static const struct framebus_share_options same = { 0 };
        const struct framebus_share_options *o = options ?: &same;
        bool set_order = o->version >= 1 && o->set_order;
        MemoryList memories = { 0 };
        int r;

        if (o->version > FRAMEBUS_SHARE_OPTIONS_VERSION ||
            !options_are_valid(o->window, o->set_drop ? o->drop : FRAMEBUS_DROP_NEWEST, o->max_rate) ||
            (o->memories && memories_from_public(o->memories, o->n_memories, &memories) < 0) ||
            (set_order && o->order != FRAMEBUS_ORDER_FIFO && o->order != FRAMEBUS_ORDER_CAUSAL))
                return -EINVAL;
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r >= 0 && memories.n > 0)
                r = append_memories(m, &memories);
        if (r >= 0 && o->window > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_WINDOW, "u", o->window);
        if (r >= 0 && o->set_drop)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_DROP, "s", drop_to_string(o->drop));
        if (r >= 0 && o->max_rate.num > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_MAX_RATE, "(uu)", o->max_rate.num,
                                          o->max_rate.den);
        if (r >= 0 && o->no_replay)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_REPLAY, "b", 0);
        if (r >= 0 && set_order)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_ORDER, "s", order_to_string(o->order));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int options_append_changes(sd_bus_message *m, const Options *o) {
        Fraction rate = o->max_rate.num > 0 ? o->max_rate : (Fraction){ 0, 1 };
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_DROP, "s", drop_to_string(o->drop));
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_MAX_RATE, "(uu)", rate.num, rate.den);
        if (r >= 0 && o->window > 0)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_WINDOW, "u", o->window);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* What was granted */

static int read_text(sd_bus_message *m, const char *type, char word[static GRANTED_WORD_MAX]) {
        const char *s;
        int r = sd_bus_message_read(m, type, &s);

        if (r < 0)
                return r;
        if (strlen(s) >= GRANTED_WORD_MAX)
                return -EBADMSG;
        strcpy(word, s);
        return 0;
}

static int read_word(sd_bus_message *m, char word[static GRANTED_WORD_MAX]) {
        return read_text(m, "s", word);
}

static int read_commits(sd_bus_message *m, void *userdata) {
        return read_text(m, "o", ((Granted *)userdata)->commits);
}

static int read_drop(sd_bus_message *m, void *userdata) {
        return read_word(m, ((Granted *)userdata)->drop);
}

static int read_memory(sd_bus_message *m, void *userdata) {
        return read_word(m, ((Granted *)userdata)->memory);
}

static int read_order(sd_bus_message *m, void *userdata) {
        return read_word(m, ((Granted *)userdata)->order);
}

static int read_epoch(sd_bus_message *m, void *userdata) {
        return read_word(m, ((Granted *)userdata)->epoch);
}

static int read_window(sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_read(m, "u", &((Granted *)userdata)->granted.window);

        return r < 0 ? r : 0;
}

static int read_seq(sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_read(m, "t", &((Granted *)userdata)->granted.seq);

        return r < 0 ? r : 0;
}

static int read_mode(sd_bus_message *m, void *userdata) {
        VardictError error = {};
        Mode mode;

        fb_try(codec_read_mode(m, false, &mode, &error));
        mode_to_public(&mode, &((Granted *)userdata)->granted.mode);
        return 0;
}

static const VardictKey granted_keys[] = {
        { FB_KEY_DROP, "s", read_drop },     { FB_KEY_MEMORY, "s", read_memory },
        { FB_KEY_ORDER, "s", read_order },   { FB_KEY_EPOCH, "s", read_epoch },
        { FB_KEY_WINDOW, "u", read_window }, { FB_KEY_SEQ, "t", read_seq },
        { FB_KEY_MODE, "a{sv}", read_mode }, { FB_KEY_COMMITS, "o", read_commits },
};

int granted_read(sd_bus_message *m, Granted *ret) {
        VardictError error = {};
        int r;

        *ret = (Granted){};
        r = vardict_read(m, granted_keys, FB_ELEMENTSOF(granted_keys), true, ret, &error);
        if (r > 0)
                return -EBADMSG;
        if (r < 0)
                return r;
        if (ret->granted.window == 0 || ret->granted.window > FB_WINDOW_MAX)
                ret->granted.window = FB_WINDOW_DEFAULT;
        ret->granted.drop = ret->drop;
        ret->granted.memory = ret->memory;
        ret->granted.order = ret->order;
        ret->granted.epoch = ret->epoch;
        return 0;
}
