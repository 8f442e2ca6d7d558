/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl: watches, records and publishes from a terminal or a script. A plain client of libframebus.
 * The table says what verbs there are; each has a file of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "tools/client.h"
#include "tools/options.h"
#include "tools/text.h"
#include "tools/verbs.h"

typedef struct Verb {
        const char *name, *arguments, *summary;
        int n_min, n_max; /* arguments */
        unsigned options;
        int (*run)(const Options *o, char **args);
} Verb;

static const Verb verbs[] = {
        { "list", "", "list the sources", 0, 0, OPTIONS_COMMON, verb_list },
        { "show", "SOURCE", "show all about one, its modes included", 1, 1, OPTIONS_COMMON, verb_show },
        { "negotiate", "SOURCE", "tell what a viewer would get, or why not", 1, 1, OPTIONS_COMMON,
          verb_negotiate },
        { "watch", "SOURCE", "print rate, latency and losses every second", 1, 1, OPTIONS_LIMITS,
          verb_watch },
        { "snapshot", "SOURCE FILE.png", "save one frame as a picture", 2, 2, OPTIONS_COMMON, verb_snapshot },
        { "record", "SOURCE FILE.y4m", "save frames as raw video", 2, 2, OPTIONS_LIMITS | OPTIONS_RECORD,
          verb_record },
        { "controls", "SOURCE [NAME[=VALUE]…]", "list, get and set what can be set", 1, 1 + 64,
          OPTIONS_CONTROLS, verb_controls },
        { "publish", "NAME [FILE.y4m]", "make a source out of raw video", 1, 2, OPTIONS_PUBLISH,
          verb_publish },
        { "who", "", "list who watches what", 0, 0, OPTIONS_COMMON, verb_who },
        { "access", "[WHO SOURCE VERB]", "explain who may do what, or read the rules again", 0, 3,
          OPTIONS_ACCESS, verb_access },
};

#define OPTIONS_ALL (OPTIONS_LIMITS | OPTIONS_RECORD | OPTIONS_PUBLISH | OPTIONS_CONTROLS | OPTIONS_ACCESS)

static const Verb *verb_find(const char *name) {
        for (size_t i = 0; i < FB_ELEMENTSOF(verbs); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}

static int help(const Verb *v) {
        if (v)
                printf("Usage: framebusctl %s [OPTION…]%s%s: %s\n\n", v->name, *v->arguments ? " " : "",
                       v->arguments, v->summary);
        else {
                fputs("Usage: framebusctl [OPTION…] VERB …\n\n"
                      "Watch, record and publish video on Framebus.\n\nVerbs:\n",
                      stdout);
                for (size_t i = 0; i < FB_ELEMENTSOF(verbs); i++)
                        printf("  %-9s %-22s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].summary);
                putchar('\n');
        }
        fputs("Options:\n", stdout);
        options_print_help(stdout, v ? v->options : OPTIONS_ALL);
        fputs("\nA file called - is standard output or input. Exit status: 0 done, 1 failed, 2 wrong usage,\n"
              "3 no such source, 4 no bus or broker, 5 refused, 6 timed out. More in framebusctl(1).\n",
              stdout);
        return text_flush(stdout) < 0 ? STATUS_FAILED : STATUS_OK;
}

static int usage(const Verb *v, const char *why) {
        client_message("%s", why);
        fprintf(stderr, "Try `framebusctl %s%s--help`.\n", v ? v->name : "", v ? " " : "");
        return STATUS_USAGE;
}

/* The verb, with the options that it allows: known only once the options in front of it are parsed. */
static int parse(int argc, char **argv, Options *o, const Verb **ret_verb, int *ret_first, char **ret_why) {
        _cleanup_free_ char *why = NULL;
        Options first = {};
        int r;

        r = options_parse(&first, argc, argv, OPTIONS_ALL, ret_first, &why);
        if (*ret_first > 0 && *ret_first < argc)
                *ret_verb = verb_find(argv[*ret_first]);
        if (r < 0 || r != OPTIONS_RUN || !*ret_verb) {
                *ret_why = take_ptr(why);
                return r;
        }
        return options_parse(o, argc, argv, (*ret_verb)->options, ret_first, ret_why);
}

int main(int argc, char **argv) {
        _cleanup_free_ char *why = NULL;
        const Verb *v = NULL;
        Options o = {};
        int r, first = 0, n;

        r = parse(argc, argv, &o, &v, &first, &why);
        if (r < 0)
                return usage(v, why ? why : "no memory");
        if (r == OPTIONS_HELP)
                return help(v);
        if (r == OPTIONS_VERSION) {
                printf("framebusctl %s\n", FRAMEBUS_VERSION);
                return STATUS_OK;
        }
        if (first >= argc)
                return usage(NULL, "what shall be done? A verb is missing");
        if (!v) {
                client_message("there is no verb %s: `framebusctl --help` lists them", argv[first]);
                return STATUS_USAGE;
        }
        n = argc - first - 1;
        if (n < v->n_min)
                return usage(v, "an argument is missing");
        if (n > v->n_max)
                return usage(v, "there are too many arguments");
        return v->run(&o, argv + first + 1);
}
