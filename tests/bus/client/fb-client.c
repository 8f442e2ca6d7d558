/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fb-client: a subscriber in raw sd-bus, for tests; independent of libframebus, to find its and the
 * broker's faults.
 *
 * Prints one JSON object a line: granted, format, frame, lost, suspended, resumed, ended, error,
 * disconnected, owner, stray (a signal that is not ours), problem (a breach of the contract), properties,
 * closed, flooded, summary; of order=causal also page, staged, committed, moved, dropped (staged, and never
 * committed). Exit status: 0; 1 bad arguments or no bus; 3 an error was answered; 4 a problem was found.
 *
 * It deliberately never connects again: what ends, ends.
 */

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "interfaces/names.h"
#include "tests/bus/client/client.h"
#include "tests/bus/client/control.h"
#include "tests/bus/client/json.h"

static const char usage[] =
                "fb-client --source NAME [OPTIONS]\n"
                "  --address ADDRESS          of the bus (default: the session bus's)\n"
                "  --destination NAME         of the broker (default: org.framebus)\n"
                "  --source NAME              or an object path\n"
                "  --transport T              bus, peer (default), peer-own-socket\n"
                "  --opt KEY=TYPE:VALUE       any option; again for more. --window N and --drop D are short "
                "for two of them\n"
                "  --mode FOURCC[:WxH[@N/D]]  an acceptable mode; again for more\n"
                "  --frames N, --seconds S    end after so many\n"
                "  --count N                  so many subscriptions at once\n"
                "  --hold N                   keep the newest N frames unreleased\n"
                "  --never-release, --release-twice, --release-up-to\n"
                "  --save FILE                append the planes of each frame to FILE\n"
                "  --checksum                 CRC-32 of each plane, again when it is released\n"
                "  --no-attack                do not try to write to the memory\n"
                "  --no-open                  Attach, but never open the channel\n"
                "  --no-fd-passing            on the bus; --channel-no-fd-passing: on the channel\n"
                "  --negotiate                only ask\n"
                "  --flood N                  send N calls and never read the replies\n"
                "  --no-order                 with order=causal: do not ask where to look\n"
                "  --no-gate                  believe what is not committed\n"
                "  --no-answer                stay where Committed was told first\n"
                "  --close                    call Close at the end\n"
                "  --stay                     do not exit when ended or disconnected\n"
                "  --quiet                    no line for a frame that is all right\n"
                "On stdin: release | release SEQ… | hold N | setoptions KEY=TYPE:VALUE… | properties | "
                "hangup | close | quit\n";

enum {
        ARG_ADDRESS = 0x100,
        ARG_DESTINATION,
        ARG_SOURCE,
        ARG_TRANSPORT,
        ARG_OPT,
        ARG_WINDOW,
        ARG_DROP,
        ARG_MODE,
        ARG_FRAMES,
        ARG_SECONDS,
        ARG_COUNT,
        ARG_HOLD,
        ARG_FLOOD,
        ARG_SAVE,
};

#define FLAG(member) offsetof(Config, member)

static const struct {
        const char *name;
        size_t offset;
} flags[] = {
                {"never-release", FLAG(never_release)},
                {"release-twice", FLAG(release_twice)},
                {"release-up-to", FLAG(release_up_to)},
                {"no-open", FLAG(no_open)},
                {"checksum", FLAG(checksum)},
                {"quiet", FLAG(quiet)},
                {"stay", FLAG(stay)},
                {"negotiate", FLAG(negotiate)},
                {"close", FLAG(close)},
                {"no-attack", FLAG(no_attack)},
                {"no-fd-passing", FLAG(no_fd_passing)},
                {"no-order", FLAG(no_order)},
                {"no-gate", FLAG(no_gate)},
                {"no-answer", FLAG(no_answer)},
                {"channel-no-fd-passing", FLAG(channel_no_fd_passing)},
};

static const struct option values[] = {
                {"address", required_argument, NULL, ARG_ADDRESS},
                {"destination", required_argument, NULL, ARG_DESTINATION},
                {"source", required_argument, NULL, ARG_SOURCE},
                {"transport", required_argument, NULL, ARG_TRANSPORT},
                {"opt", required_argument, NULL, ARG_OPT},
                {"window", required_argument, NULL, ARG_WINDOW},
                {"drop", required_argument, NULL, ARG_DROP},
                {"mode", required_argument, NULL, ARG_MODE},
                {"frames", required_argument, NULL, ARG_FRAMES},
                {"seconds", required_argument, NULL, ARG_SECONDS},
                {"count", required_argument, NULL, ARG_COUNT},
                {"hold", required_argument, NULL, ARG_HOLD},
                {"flood", required_argument, NULL, ARG_FLOOD},
                {"save", required_argument, NULL, ARG_SAVE},
};

static int option_add(Config *config, const char *prefix, const char *value) {
        char *text = NULL;

        if (config->n_owned == FB_ELEMENTSOF(config->owned) || asprintf(&text, "%s%s", prefix, value) < 0)
                return -ENOMEM;
        config->owned[config->n_owned++] = text;
        return options_add(&config->options, text);
}

static int transport_parse(const char *word, Transport *ret) {
        static const char *const words[] = {"bus", "peer", "peer-own-socket"};

        for (size_t i = 0; i < FB_ELEMENTSOF(words); i++)
                if (strcmp(word, words[i]) == 0) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

static int value_set(Config *config, int arg, const char *value) {
        switch (arg) {
        case ARG_SAVE:
                config->save = value;
                return 0;
        case ARG_ADDRESS:
                config->address = value;
                return 0;
        case ARG_DESTINATION:
                config->destination = value;
                return 0;
        case ARG_SOURCE:
                config->source = value;
                return 0;
        case ARG_TRANSPORT:
                return transport_parse(value, &config->transport);
        case ARG_OPT:
                return options_add(&config->options, value);
        case ARG_WINDOW:
                return option_add(config, FB_KEY_WINDOW "=u:", value);
        case ARG_DROP:
                return option_add(config, FB_KEY_DROP "=s:", value);
        case ARG_MODE:
                return options_add_mode(&config->options, value);
        case ARG_FRAMES:
                config->frames = strtoull(value, NULL, 10);
                return 0;
        case ARG_SECONDS:
                config->seconds = strtoull(value, NULL, 10);
                return 0;
        case ARG_COUNT:
                config->count = strtoul(value, NULL, 10);
                return config->count > 0 ? 0 : -EINVAL;
        case ARG_HOLD:
                config->hold = strtoul(value, NULL, 10);
                return 0;
        case ARG_FLOOD:
                config->flood = strtoul(value, NULL, 10);
                return 0;
        default:
                return -EINVAL;
        }
}

static int config_parse(Config *config, int argc, char **argv) {
        struct option options[FB_ELEMENTSOF(values) + FB_ELEMENTSOF(flags) + 1] = {0};
        int r;

        memcpy(options, values, sizeof(values));
        for (size_t i = 0; i < FB_ELEMENTSOF(flags); i++)
                options[FB_ELEMENTSOF(values) + i] =
                                (struct option){flags[i].name, no_argument, NULL, (int)i};
        while ((r = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (r < (int)FB_ELEMENTSOF(flags))
                        *(bool *)((char *)config + flags[r].offset) = true;
                else if (value_set(config, r, optarg) < 0)
                        return -EINVAL;
        return optind == argc && config->source && config->address ? 0 : -EINVAL;
}

/* Commands */

static void sub_command(Sub *s, char **words) {
        uint64_t seqs[HELD_MAX];
        Options options = {0};
        size_t n = 0;

        if (strcmp(words[0], "release") == 0 && words[1]) {
                for (char **w = words + 1; *w; w++)
                        seqs[n++] = strtoull(*w, NULL, 10);
                sub_release_seqs(s, seqs, n);
        } else if (strcmp(words[0], "release") == 0)
                sub_release(s, s->n_held);
        else if (strcmp(words[0], "hold") == 0)
                sub_release(s, s->n_held > s->client->config.hold ? s->n_held - s->client->config.hold : 0);
        else if (strcmp(words[0], "setoptions") == 0) {
                for (char **w = words + 1; *w; w++)
                        (void)options_add(&options, *w);
                if (sub_set_options(s, &options) < 0)
                        client_error(s->client, s, "SetOptions", NULL, -EINVAL);
        } else if (strcmp(words[0], "properties") == 0)
                sub_get_properties(s);
        else if (strcmp(words[0], "close") == 0)
                sub_close(s);
        else if (strcmp(words[0], "hangup") == 0) {
                sd_bus_close(s->bus);
                sub_disconnected(s, "hangup");
        } else
                fprintf(stderr, "fb-client: no such command: %s\n", words[0]);
}

static void on_command(char **words, void *userdata) {
        Client *c = userdata;

        if (strcmp(words[0], "quit") == 0) {
                sd_event_exit(c->event, 0);
                return;
        }
        if (strcmp(words[0], "hold") == 0 && words[1]) {
                c->config.hold = strtoul(words[1], NULL, 10);
                c->config.never_release = false;
        }
        for (unsigned int i = 0; i < c->config.count; i++)
                if (c->subs[i].bus && c->subs[i].path)
                        sub_command(&c->subs[i], words);
}

/* The whole */

static size_t fds_count(void) {
        size_t n = 0;
        DIR *d = opendir("/proc/self/fd");

        if (!d)
                return 0;
        for (struct dirent *e; (e = readdir(d));)
                n += e->d_name[0] != '.';
        closedir(d);
        return n - 1;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        return sd_event_exit(userdata, 0);
}

static int client_run(Client *c) {
        int r;

        r = c->config.flood ? client_flood(c) : client_attach(c);
        if (r < 0)
                return r;
        r = control_start(c->event, on_command, c);
        if (r >= 0 && c->config.seconds)
                r = sd_event_add_time_relative(c->event, NULL, CLOCK_MONOTONIC, c->config.seconds * 1000000,
                                               0, on_time, c->event);
        if (r >= 0 && !c->config.flood)
                r = sd_bus_attach_event(c->bus, c->event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? r : sd_event_loop(c->event);
}

static void sub_close_wait(Sub *s) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (!s->bus || s->ended || s->closed || !s->client->config.close)
                return;
        r = sd_bus_call_method(s->bus, s->owner, s->path, FB_IFACE_SUBSCRIPTION, "Close", &error, NULL, NULL);
        if (r < 0)
                client_error(s->client, s, "Close", &error, r);
        sd_bus_error_free(&error);
}

static void sub_deinit(Sub *s) {
        sub_close_wait(s);
        for (size_t i = 0; i < s->n_held; i++)
                seen_frame_done(&s->held[i]);
        order_end(s);
        if (s->bus)
                sd_bus_detach_event(s->bus);
        s->bus = s->bus == s->client->bus ? sd_bus_unref(s->bus) : sd_bus_flush_close_unref(s->bus);
        s->channel_fd = fb_close(s->channel_fd);
}

static void client_finish(Client *c) {
        for (unsigned int i = 0; i < c->config.count; i++)
                sub_deinit(&c->subs[i]);
        if (c->bus)
                sd_bus_detach_event(c->bus);
        c->bus = c->config.flood ? sd_bus_close_unref(c->bus) : sd_bus_flush_close_unref(c->bus);
        c->event = sd_event_unref(c->event);
        for (unsigned int i = 0; i < c->config.count; i++) {
                Sub *s = &c->subs[i];

                sub_summary(s);
                json_u64("fds_at_start", c->n_fds_start);
                json_u64("fds_open", fds_count());
                json_end();
                if (c->status == 0 && (s->n_problems > 0 || !s->gaps_match))
                        c->status = 4;
                free(s->path);
                free(s->owner);
                free(s->latencies_us);
        }
        free(c->source_path);
        while (c->config.n_owned > 0)
                free(c->config.owned[--c->config.n_owned]);
        free(c->subs);
}

static int client_init(Client *c) {
        sigset_t set;
        int r;

        c->n_fds_start = fds_count();
        c->subs = calloc(c->config.count, sizeof(Sub));
        if (!c->subs)
                return -ENOMEM;
        for (unsigned int i = 0; i < c->config.count; i++)
                c->subs[i] = (Sub){.client = c, .index = i, .channel_fd = -1, .gaps_match = true};
        r = sd_event_new(&c->event);
        if (r < 0)
                return r;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        r = sd_event_add_signal(c->event, NULL, SIGTERM, NULL, NULL);
        return r < 0 ? r : sd_event_add_signal(c->event, NULL, SIGINT, NULL, NULL);
}

int main(int argc, char **argv) {
        Client c = {.config = {.address = getenv("DBUS_SESSION_BUS_ADDRESS"),
                               .destination = FB_BUS_NAME,
                               .transport = TRANSPORT_PEER,
                               .count = 1}};
        int r;

        if (config_parse(&c.config, argc, argv) < 0) {
                fputs(usage, stderr);
                return 1;
        }
        r = client_init(&c);
        if (r >= 0)
                r = client_connect(&c);
        if (r >= 0)
                r = client_run(&c);
        if (c.subs)
                client_finish(&c);
        return c.status ? c.status : r < 0 ? 1 : 0;
}
