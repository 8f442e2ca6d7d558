/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A key that is refused leaves nothing applied: everything is read into a copy first. */
#include "broker/api/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "broker/api/errors.h"
#include "wire/codec.h"

void options_clear(Options *o) {
        free(take_ptr(o->wishes));
        o->n_wishes = 0;
}

static int read_modes(sd_bus_message *m, void *userdata) {
        VardictError error = {};
        Options *o = userdata;

        return codec_read_modes(m, true, &o->wishes, &o->n_wishes, &error);
}

static int read_window(sd_bus_message *m, void *userdata) {
        Options *o = userdata;
        int r = sd_bus_message_read(m, "u", &o->window);

        if (r < 0)
                return r;
        return o->window < FB_WINDOW_MIN || o->window > FB_WINDOW_MAX ? FB_E_INVALID_OPTION : 0;
}

static int read_drop(sd_bus_message *m, void *userdata) {
        Options *o = userdata;
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        if (r < 0)
                return r;
        o->latest = strcmp(s, "latest") == 0;
        return o->latest || strcmp(s, "newest") == 0 ? 0 : FB_E_INVALID_OPTION;
}

static int read_memory(sd_bus_message *m, void *userdata) {
        Options *o = userdata;

        fb_try(codec_read_memories(m, false, &o->memories));
        return o->memories.n > 0 ? 0 : FB_E_INVALID_OPTION;
}

static int read_order(sd_bus_message *m, void *userdata) {
        Options *o = userdata;
        const char *s;
        int r = sd_bus_message_read(m, "s", &s);

        if (r < 0)
                return r;
        o->causal = strcmp(s, "causal") == 0;
        return o->causal || strcmp(s, "fifo") == 0 ? 0 : FB_E_INVALID_OPTION;
}

static int read_max_rate(sd_bus_message *m, void *userdata) {
        Options *o = userdata;
        int r = sd_bus_message_read(m, "(uu)", &o->max_rate.num, &o->max_rate.den);

        if (r < 0)
                return r;
        return o->max_rate.den == 0 ? FB_E_INVALID_OPTION : 0;
}

static int read_replay(sd_bus_message *m, void *userdata) {
        Options *o = userdata;
        int v, r = sd_bus_message_read(m, "b", &v);

        if (r < 0)
                return r;
        o->replay = v;
        return 0;
}

static int read_commits(sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_read(m, "o", &((Options *)userdata)->commits);

        return r < 0 ? r : 0; /* positive values are ours */
}

/* Of SetOptions; then of Share; all but the first are those that a subscription begins with. */
#define N_CHANGEABLE 4
#define BEGIN_AT     1
#define N_SHARED     6
static const VardictKey option_keys[] = {
        { FB_KEY_COMMITS, "o", read_commits },       { FB_KEY_WINDOW, "u", read_window },
        { FB_KEY_DROP, "s", read_drop },             { FB_KEY_MAX_RATE, "(uu)", read_max_rate },
        { FB_KEY_MEMORY, "as", read_memory },        { FB_KEY_REPLAY, "b", read_replay },
        { FB_KEY_ORDER, "s", read_order },           { FB_KEY_MODES, "aa{sv}", read_modes },
};

static const struct {
        const char *key, *may_be;
} option_texts[] = {
        { FB_KEY_COMMITS, "'o', the path that was granted, or that CommitsMoved told last" },
        { FB_KEY_WINDOW, "frames in flight, 'u' from 1 to 16" },
        { FB_KEY_DROP, "'s', \"newest\" or \"latest\"" },
        { FB_KEY_MAX_RATE, "'(uu)', frames a second as a fraction, with a denominator that is not 0" },
        { FB_KEY_MODES, "'aa{sv}' of at most 256 modes: fourcc u, modifier t, width u, height u, rate (uu)" },
        { FB_KEY_MEMORY, "'as' of at most 16 of \"sealed\", \"leased\", \"dmabuf\"" },
        { FB_KEY_ORDER, "'s', \"fifo\" or \"causal\"" },
        { FB_KEY_REPLAY, "'b'" },
};

static int read_keys(sd_bus_message *m, size_t first, size_t n_keys, Options *o, sd_bus_error *ret_error) {
        VardictError error = {};
        int r;

        r = vardict_read(m, option_keys + first, n_keys, false, o, &error);
        if (r == 0) {
                options_settle(o);
                return 0;
        }
        options_clear(o);
        if (r < 0)
                return api_error(ret_error, r, "%s", "");
        if (r == FB_E_UNKNOWN_OPTION)
                return api_error(ret_error, r, "unknown option '%s'%s", error.key,
                                 n_keys == N_CHANGEABLE ? ": only window, drop and max-rate can be changed" :
                                 n_keys == N_SHARED     ? ": only window, drop, max-rate, memory, order and "
                                                          "replay are for a share to say" :
                                                          "");
        for (size_t i = 0; i < FB_ELEMENTSOF(option_texts); i++)
                if (strcmp(option_texts[i].key, error.key) == 0)
                        return api_error(ret_error, r, "option '%s' is to be %s", error.key,
                                         option_texts[i].may_be);
        return api_error(ret_error, r, "option '%s' is not valid", error.key);
}

int options_read(sd_bus_message *m, Options *o, sd_bus_error *ret_error) {
        return read_keys(m, BEGIN_AT, FB_ELEMENTSOF(option_keys) - BEGIN_AT, o, ret_error);
}

int options_read_changes(sd_bus_message *m, Options *o, sd_bus_error *ret_error) {
        return read_keys(m, 0, N_CHANGEABLE, o, ret_error);
}

int options_read_share(sd_bus_message *m, Options *o, sd_bus_error *ret_error) {
        return read_keys(m, BEGIN_AT, N_SHARED, o, ret_error);
}

int options_check_bounds(const Options *o, const Bounds *bounds, sd_bus_error *ret_error) {
        if (bounds->window > 0 && o->window > bounds->window)
                return api_error(ret_error, FB_E_INVALID_OPTION,
                                 "option 'window' is at most %u here: what is shared is never wider than "
                                 "what it came from",
                                 bounds->window);
        if (bounds->max_rate.num > 0 &&
            (o->max_rate.num == 0 || fraction_compare(o->max_rate, bounds->max_rate) > 0))
                return api_error(ret_error, FB_E_INVALID_OPTION,
                                 "option 'max-rate' is at most %u/%u here: what is shared is never wider "
                                 "than what it came from",
                                 bounds->max_rate.num, bounds->max_rate.den);
        return 0;
}

static int append_fixed(sd_bus_message *m, const Options *o, const Granted *g) {
        int r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}", FB_KEY_MEMORY, "s",
                                      fb_memory_to_string(o->memory), FB_KEY_ORDER, "s",
                                      o->causal ? "causal" : "fifo", FB_KEY_REPLAY, "b", (int)o->replay,
                                      FB_KEY_SEQ, "t", g->seq, FB_KEY_EPOCH, "s", g->epoch);

        if (r >= 0 && g->commits)
                r = sd_bus_message_append(m, "{sv}", FB_KEY_COMMITS, "o", g->commits);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", FB_KEY_MODE);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "a{sv}");
        if (r >= 0)
                r = codec_append_mode(m, &g->mode);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int options_append_granted(sd_bus_message *m, const Options *o, const Granted *granted) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}", FB_KEY_WINDOW, "u", o->window, FB_KEY_DROP, "s",
                                          o->latest ? "latest" : "newest", FB_KEY_MAX_RATE, "(uu)",
                                          o->max_rate.num, o->max_rate.den);
        if (r >= 0 && granted)
                r = append_fixed(m, o, granted);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
