/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line. One table has every option with its help, so that what is parsed and what is told are the
 * same. Options may stand before and behind the verb. Everything is judged before anything is done.
 */
#include "tools/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/wire.h"
#include "tools/mode-arg.h"

typedef struct OptionSpec {
        const char *name, *argument; /* argument NULL: takes none */
        const char *help;
        unsigned set;
        /* @value is NULL without argument. Returns NULL, or why the value is no good (a constant string). */
        const char *(*take)(Options *o, const char *value);
} OptionSpec;

static const char *take_system(Options *o, const char *value) {
        o->address = "system";
        return NULL;
}

static const char *take_session(Options *o, const char *value) {
        o->address = "session";
        return NULL;
}

static const char *take_address(Options *o, const char *value) {
        o->address = value;
        return strchr(value, ':') && strchr(value, '=')
                       ? NULL : "not a D-Bus address, which looks like unix:path=/run/user/1000/bus";
}

static const char *take_json(Options *o, const char *value) {
        o->json = true;
        return NULL;
}

static const char *take_transport(Options *o, const char *value) {
        if (strcmp(value, "peer") == 0)
                o->transport = FRAMEBUS_TRANSPORT_PEER;
        else if (strcmp(value, "bus") == 0)
                o->transport = FRAMEBUS_TRANSPORT_BUS;
        else
                return "neither peer nor bus";
        return NULL;
}

static const char *take_window(Options *o, const char *value) {
        uint64_t v;

        if (uint_parse(value, 1, 16, &v) < 0)
                return "not a number from 1 to 16";
        o->window = (uint32_t)v;
        return NULL;
}

static const char *take_drop(Options *o, const char *value) {
        if (strcmp(value, "newest") == 0)
                o->drop = FRAMEBUS_DROP_NEWEST;
        else if (strcmp(value, "latest") == 0)
                o->drop = FRAMEBUS_DROP_LATEST;
        else
                return "neither newest nor latest";
        return NULL;
}

static const char *take_order(Options *o, const char *value) {
        if (strcmp(value, "fifo") == 0)
                o->order = FRAMEBUS_ORDER_FIFO;
        else if (strcmp(value, "causal") == 0)
                o->order = FRAMEBUS_ORDER_CAUSAL;
        else
                return "neither fifo nor causal";
        return NULL;
}

static const char *take_max_rate(Options *o, const char *value) {
        return rate_parse(value, &o->max_rate) < 0 ? "not a rate: frames a second, as 30, 29.97 or 30000/1001"
                                                   : NULL;
}

static const char *take_mode(Options *o, const char *value) {
        const char *why = NULL;

        if (o->n_modes >= OPTIONS_MODES_MAX)
                return "too many modes";
        if (mode_parse(value, &o->modes[o->n_modes], &why) < 0)
                return why;
        o->n_modes++;
        return NULL;
}

static const char *take_memory(Options *o, const char *value) {
        size_t n;

        o->n_memories = 0;
        for (const char *p = value;; p += n + 1) {
                char word[8];
                uint32_t kind;

                n = strcspn(p, ",");
                snprintf(word, sizeof(word), "%.*s", (int)FB_MIN(n, sizeof(word)), p);
                if (n >= sizeof(word) || !fb_memory_from_string(word, &kind))
                        return "not a list of sealed, leased, dmabuf";
                if (o->n_memories >= OPTIONS_MEMORIES_MAX)
                        return "too many kinds";
                o->memories[o->n_memories++] = (enum framebus_memory)kind;
                if (!p[n])
                        return NULL;
        }
}

static const char *take_timeout(Options *o, const char *value) {
        o->has_timeout = true;
        return seconds_parse(value, &o->timeout_ns) < 0 ? "not a number of seconds" : NULL;
}

static const char *take_seconds(Options *o, const char *value) {
        return seconds_parse(value, &o->seconds_ns) < 0 ? "not a number of seconds" : NULL;
}

static const char *take_frames(Options *o, const char *value) {
        return uint_parse(value, 1, UINT64_MAX, &o->frames) < 0 ? "not a number of frames, 1 or more" : NULL;
}

static const char *take_no_fill(Options *o, const char *value) {
        o->no_fill = true;
        return NULL;
}

static const char *take_description(Options *o, const char *value) {
        o->description = value;
        return strlen(value) > 256 ? "longer than 256 bytes" : NULL;
}

static const char *take_loop(Options *o, const char *value) {
        o->loop = true;
        return NULL;
}

static const char *take_fast(Options *o, const char *value) {
        o->fast = true;
        return NULL;
}

static const char *take_pause(Options *o, const char *value) {
        o->pause = true;
        return NULL;
}

static const char *take_watch(Options *o, const char *value) {
        o->watch = true;
        return NULL;
}

static const char *take_explain(Options *o, const char *value) {
        o->explain = true;
        return NULL;
}

static const char *take_reload(Options *o, const char *value) {
        o->reload = true;
        return NULL;
}

static const char *take_rate(Options *o, const char *value) {
        struct framebus_fraction rate;

        o->rate = value;
        return strchr(value, '.') || rate_parse(value, &rate) < 0
                       ? "not a rate: frames a second, as 30 or 30000/1001" : NULL;
}

static const OptionSpec specs[] = {
        { "seconds", "N", "end after N seconds", OPTIONS_LIMITS, take_seconds },
        { "frames", "N", "end after N frames", OPTIONS_LIMITS, take_frames },
        { "no-fill", NULL, "write only frames that came; do not repeat one for each that was lost",
          OPTIONS_RECORD, take_no_fill },
        { "description", "TEXT", "what people are shown", OPTIONS_PUBLISH, take_description },
        { "loop", NULL, "begin again at the end of the file", OPTIONS_PUBLISH, take_loop },
        { "fast", NULL, "do not wait for each frame's time", OPTIONS_PUBLISH, take_fast },
        { "pause", NULL, "do not read while nobody watches", OPTIONS_PUBLISH, take_pause },
        { "rate", "RATE", "frames a second, whatever the file says", OPTIONS_PUBLISH, take_rate },
        { "watch", NULL, "print changes, until Ctrl-C", OPTIONS_CONTROLS, take_watch },
        { "explain", NULL, "tell which rule decides", OPTIONS_ACCESS, take_explain },
        { "reload", NULL, "have the broker read its rules again", OPTIONS_ACCESS, take_reload },

        { "system", NULL, "the broker on the system bus", OPTIONS_COMMON, take_system },
        { "session", NULL, "the broker on the session bus", OPTIONS_COMMON, take_session },
        { "address", "ADDRESS", "the broker on the bus at this D-Bus address", OPTIONS_COMMON, take_address },
        { "json", NULL, "print JSON, one object a line", OPTIONS_COMMON, take_json },
        { "transport", "peer|bus", "how frames come: by a private channel (default) or over the bus",
          OPTIONS_COMMON, take_transport },
        { "window", "N", "frames that may be under way at once, 1 to 16 (default 4)", OPTIONS_COMMON,
          take_window },
        { "drop", "newest|latest",
          "what is lost when they are: the newest frame (default), or all but the newest", OPTIONS_COMMON,
          take_drop },
        { "order", "fifo|causal", "its own order (default), or one with all others that ask for it",
          OPTIONS_COMMON, take_order },
        { "max-rate", "RATE", "no more than so many frames a second", OPTIONS_COMMON, take_max_rate },
        { "mode", "FOURCC,WxH,RATE", "acceptable mode, any part of it; repeatable, the best first",
          OPTIONS_COMMON, take_mode },
        { "memory", "LIST", "acceptable memory, the best first (default leased,sealed)", OPTIONS_COMMON,
          take_memory },
        { "timeout", "SECONDS", "give up when nothing has come for so long", OPTIONS_COMMON, take_timeout },
        { "help", NULL, "print this help", OPTIONS_COMMON, NULL },
        { "version", NULL, "print the version", OPTIONS_COMMON, NULL },
};

static bool spec_is_allowed(const OptionSpec *s, unsigned allowed) {
        return s->set == OPTIONS_COMMON || (s->set & allowed);
}

void options_print_help(FILE *f, unsigned allowed) {
        for (size_t i = 0; i < FB_ELEMENTSOF(specs); i++) {
                int n;

                if (!spec_is_allowed(&specs[i], allowed))
                        continue;
                n = fprintf(f, "  --%s%s%s", specs[i].name, specs[i].argument ? "=" : "",
                            specs[i].argument ? specs[i].argument : "");
                fprintf(f, "%*s%s\n", n < 26 ? 26 - n : 1, "", specs[i].help);
        }
}

static void table_fill(struct option *table) {
        for (size_t i = 0; i < FB_ELEMENTSOF(specs); i++)
                table[i] = (struct option){ .name = specs[i].name,
                                            .has_arg = specs[i].argument ? required_argument : no_argument,
                                            .val = 256 + (int)i };
        table[FB_ELEMENTSOF(specs)] = (struct option){};
}

/* what getopt_long() did not like */
static int refuse(int c, char **argv, char **ret_why) {
        const char *word = argv[optind - 1];

        if (c == ':')
                (void)!asprintf(ret_why, "%s needs a value", word);
        else if (optopt >= 256)
                (void)!asprintf(ret_why, "--%s takes no value", specs[optopt - 256].name);
        else if (optopt > 0)
                (void)!asprintf(ret_why, "there is no option -%c", optopt);
        else
                (void)!asprintf(ret_why, "there is no option %s, or it is not clear which is meant", word);
        return -EINVAL;
}

int options_parse(Options *o, int argc, char **argv, unsigned allowed, int *ret_first, char **ret_why) {
        struct option table[FB_ELEMENTSOF(specs) + 1];
        int result = OPTIONS_RUN, c;

        table_fill(table);
        *ret_why = NULL;
        optind = 0; /* begin anew */
        opterr = 0;
        while ((c = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
                const OptionSpec *s = c >= 256 ? &specs[c - 256] : NULL;
                const char *why;

                if (c == ':' || c == '?')
                        return refuse(c, argv, ret_why);
                if (c == 'h' || strcmp(s->name, "help") == 0) {
                        result = OPTIONS_HELP;
                        continue;
                }
                if (strcmp(s->name, "version") == 0) {
                        result = result == OPTIONS_HELP ? OPTIONS_HELP : OPTIONS_VERSION;
                        continue;
                }
                if (!spec_is_allowed(s, allowed)) {
                        (void)!asprintf(ret_why, "--%s is not for this verb", s->name);
                        return -EINVAL;
                }
                why = s->take(o, optarg);
                if (why) {
                        (void)!asprintf(ret_why, "--%s=%s: %s", s->name, optarg, why);
                        return -EINVAL;
                }
        }
        *ret_first = optind;
        return result;
}

struct framebus_subscribe_options options_to_subscribe(const Options *o) {
        return (struct framebus_subscribe_options){
                .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                .transport = o->transport,
                .modes = o->n_modes > 0 ? o->modes : NULL,
                .n_modes = o->n_modes,
                .window = o->window,
                .drop = o->drop,
                .order = o->order,
                .max_rate = o->max_rate,
                .memories = o->n_memories > 0 ? o->memories : NULL,
                .n_memories = o->n_memories,
        };
}
