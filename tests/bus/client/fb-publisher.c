/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fb-publisher: a publisher in raw sd-bus, for tests, that can be wrong on purpose.
 *
 * Prints one JSON object a line: published, start, stop, sent, reply, refused, released (--verbose), error,
 * disconnected, problem, summary. Exit status: 0; 1 bad arguments or no bus; 3 an error was answered to
 * anything but a Frame; 4 the broker broke the contract.
 *
 * It deliberately never publishes again when its channel is gone.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/names.h"
#include "tests/bus/client/control.h"
#include "tests/bus/client/json.h"
#include "tests/bus/client/publisher.h"

static const char usage[] =
                "fb-publisher --name NAME [OPTIONS]\n"
                "  --address ADDRESS          of the bus (default: the session bus's)\n"
                "  --destination NAME         of the broker (default: org.framebus)\n"
                "  --name NAME, --fd N        of the source; or the channel is file descriptor N\n"
                "  --opt KEY=TYPE:VALUE       of Publish; again for more\n"
                "  --size WxH, --format F     GREY (default), NV12, I420, …\n"
                "  --rate N                   frames a second; --burst: as fast as frames are released\n"
                "  --mode FOURCC:WxH@N/D      what Modes says instead; again for more\n"
                "  --frames N, --seconds S    end after so many; --stay: remain after the last frame\n"
                "  --bad WAY [--every N]      every Nth frame is wrong (\"list\" prints the ways)\n"
                "  --skip N [--every N]       before every Nth frame so many numbers are skipped\n"
                "  --keyframes N              every Nth frame is flagged, and the next if one is asked for\n"
                "  --reply                    ask for a reply to each frame\n"
                "  --leased                   leased memory where it is needed, written in place\n"
                "  --no-modes, --no-format, --ignore-window, --ignore-stop, --quiet, --verbose\n"
                "On stdin: send [WAY] | skip N | forget | state STATE [REASON] | pause | resume | destroy | "
                "quit\n";

/* Beginning */

static int publisher_publish(Publisher *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;
        int r, fd;

        r = sd_bus_new(&p->bus);
        if (r >= 0)
                r = sd_bus_set_address(p->bus, p->address);
        if (r >= 0)
                r = sd_bus_set_bus_client(p->bus, true);
        if (r >= 0)
                r = sd_bus_start(p->bus);
        if (r >= 0)
                r = sd_bus_message_new_method_call(p->bus, &m, p->destination, FB_PATH_MANAGER,
                                                   FB_IFACE_MANAGER, "Publish");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", p->name);
        if (r >= 0)
                r = options_append(m, &p->options);
        if (r >= 0)
                r = sd_bus_call(p->bus, m, 0, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "oh", &path, &fd);
        if (r < 0) {
                publisher_error(p, "Publish", &error, r);
                return r;
        }
        p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (p->fd < 0)
                return -errno;
        json_begin("published");
        json_string("path", path);
        json_end();
        return sd_bus_attach_event(p->bus, p->event, SD_EVENT_PRIORITY_NORMAL);
}

static int modes_send(Publisher *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char mode[64];
        int r;

        if (p->no_modes)
                return 0;
        if (p->leased) {
                r = sd_bus_call_method(p->channel, NULL, FB_PATH_PUBLICATION, FB_IFACE_PUBLICATION,
                                       "Describe", &error, NULL, "a{sv}", 1, FB_KEY_MEMORY, "as", 1,
                                       "leased");
                if (r < 0) {
                        publisher_error(p, "Describe", &error, r);
                        return r;
                }
        }
        snprintf(mode, sizeof(mode), "%s:%ux%u@%u/1", p->format_word, p->width, p->height, p->rate);
        if (p->modes.n_modes == 0)
                (void)options_add_mode(&p->modes, mode);
        r = publisher_new_call(p, &m, "Modes");
        if (r >= 0)
                r = options_append_modes(m, &p->modes);
        if (r >= 0)
                r = sd_bus_call(p->channel, m, 0, &error, &reply);
        if (r < 0)
                publisher_error(p, "Modes", &error, r);
        return r;
}

static int channel_open(Publisher *p) {
        int r;

        r = fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : sd_bus_new(&p->channel);
        if (r >= 0)
                r = sd_bus_set_fd(p->channel, p->fd, p->fd);
        if (r >= 0)
                r = sd_bus_add_filter(p->channel, NULL, publisher_on_message, p);
        if (r >= 0)
                r = sd_bus_start(p->channel);
        if (r >= 0)
                r = modes_send(p);
        return r < 0 ? r : sd_bus_attach_event(p->channel, p->event, SD_EVENT_PRIORITY_NORMAL);
}

/* Commands */

static void call_print(Publisher *p, const char *member, const char *a, const char *b) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call_method(p->channel, NULL, FB_PATH_PUBLICATION, FB_IFACE_PUBLICATION, member, &error,
                               NULL, a ? "ss" : NULL, a, b);
        if (r < 0)
                publisher_error(p, member, &error, r);
}

static void on_command(char **words, void *userdata) {
        Publisher *p = userdata;
        int r = 1;

        /* who commands may know already what the broker has said: a Start, above all */
        while (r > 0 && p->channel)
                r = sd_bus_process(p->channel, NULL);
        if (strcmp(words[0], "quit") == 0)
                (void)sd_event_exit(p->event, 0);
        else if (strcmp(words[0], "destroy") == 0)
                call_print(p, "Destroy", NULL, NULL);
        else if (strcmp(words[0], "state") == 0 && words[1])
                call_print(p, "State", words[1], words[2] ?: "");
        else if (strcmp(words[0], "forget") == 0)
                (void)publisher_forget(p);
        else if (strcmp(words[0], "pause") == 0)
                p->running = false;
        else if (strcmp(words[0], "resume") == 0 && !p->running) {
                p->running = true;
                (void)publisher_wake(p);
        } else if (strcmp(words[0], "skip") == 0 && words[1]) {
                p->seq += strtoull(words[1], NULL, 10);
                p->skipped += strtoull(words[1], NULL, 10);
        } else if (strcmp(words[0], "send") == 0 && p->picture.data) {
                p->seq++;
                (void)publisher_send(p, words[1]);
        } else
                fprintf(stderr, "fb-publisher: cannot do this (now): %s\n", words[0]);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        return sd_event_exit(userdata, 0);
}

static int events_add(Publisher *p) {
        sigset_t set;
        int r;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
        r = sd_event_new(&p->event);
        if (r >= 0)
                r = sd_event_add_signal(p->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(p->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_time(p->event, &p->tick, CLOCK_MONOTONIC, 0, 1, publisher_on_tick, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->tick, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(p->event, &p->again, publisher_on_again, p);
        if (r >= 0)
                r = sd_event_source_set_priority(p->again, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->again, SD_EVENT_OFF);
        if (r >= 0)
                r = control_start(p->event, on_command, p);
        if (r >= 0 && p->seconds > 0)
                r = sd_event_add_time_relative(p->event, NULL, CLOCK_MONOTONIC, p->seconds * 1000000, 0,
                                               on_time, p->event);
        return r;
}

enum {
        ARG_ADDRESS = 0x100,
        ARG_DESTINATION,
        ARG_NAME,
        ARG_FD,
        ARG_OPT,
        ARG_SIZE,
        ARG_FORMAT,
        ARG_RATE,
        ARG_MODE,
        ARG_FRAMES,
        ARG_SECONDS,
        ARG_BAD,
        ARG_EVERY,
        ARG_SKIP,
        ARG_KEYFRAMES,
};

static const struct {
        const char *name;
        size_t offset;
} flags[] = {
                {"burst", offsetof(Publisher, burst)},
                {"leased", offsetof(Publisher, leased)},
                {"stay", offsetof(Publisher, stay)},
                {"reply", offsetof(Publisher, reply)},
                {"no-modes", offsetof(Publisher, no_modes)},
                {"no-format", offsetof(Publisher, no_format)},
                {"ignore-window", offsetof(Publisher, ignore_window)},
                {"ignore-stop", offsetof(Publisher, ignore_stop)},
                {"quiet", offsetof(Publisher, quiet)},
                {"verbose", offsetof(Publisher, verbose)},
};

static const struct option values[] = {
                {"address", required_argument, NULL, ARG_ADDRESS},
                {"destination", required_argument, NULL, ARG_DESTINATION},
                {"name", required_argument, NULL, ARG_NAME},
                {"fd", required_argument, NULL, ARG_FD},
                {"opt", required_argument, NULL, ARG_OPT},
                {"size", required_argument, NULL, ARG_SIZE},
                {"format", required_argument, NULL, ARG_FORMAT},
                {"rate", required_argument, NULL, ARG_RATE},
                {"mode", required_argument, NULL, ARG_MODE},
                {"frames", required_argument, NULL, ARG_FRAMES},
                {"seconds", required_argument, NULL, ARG_SECONDS},
                {"bad", required_argument, NULL, ARG_BAD},
                {"every", required_argument, NULL, ARG_EVERY},
                {"skip", required_argument, NULL, ARG_SKIP},
                {"keyframes", required_argument, NULL, ARG_KEYFRAMES},
};

/* What people call them, as drm_fourcc.h does. */
static const char *format_resolve(const char *word) {
        return strcmp(word, "GREY") == 0 ? "R8" : strcmp(word, "I420") == 0 ? "YU12" : word;
}

static int value_set(Publisher *p, int arg, const char *value) {
        uint64_t number = strtoull(value, NULL, 10);

        switch (arg) {
        case ARG_ADDRESS:
                p->address = value;
                return 0;
        case ARG_DESTINATION:
                p->destination = value;
                return 0;
        case ARG_NAME:
                p->name = value;
                return 0;
        case ARG_FD:
                p->fd = number;
                return 0;
        case ARG_OPT:
                return options_add(&p->options, value);
        case ARG_SIZE:
                return sscanf(value, "%ux%u", &p->width, &p->height) == 2 ? 0 : -EINVAL;
        case ARG_FORMAT:
                p->format_word = format_resolve(value);
                return 0;
        case ARG_RATE:
                p->rate = number;
                return number > 0 ? 0 : -EINVAL;
        case ARG_MODE:
                return options_add_mode(&p->modes, value);
        case ARG_FRAMES:
                p->frames = number;
                return 0;
        case ARG_SECONDS:
                p->seconds = number;
                return 0;
        case ARG_BAD:
                p->bad = value;
                return 0;
        case ARG_EVERY:
                p->every = number;
                return 0;
        case ARG_SKIP:
                p->skip = number;
                return 0;
        case ARG_KEYFRAMES:
                p->keyframes = number;
                return 0;
        default:
                return -EINVAL;
        }
}

static int arguments_parse(Publisher *p, int argc, char **argv) {
        struct option options[FB_ELEMENTSOF(values) + FB_ELEMENTSOF(flags) + 1] = {0};
        int r;

        memcpy(options, values, sizeof(values));
        for (size_t i = 0; i < FB_ELEMENTSOF(flags); i++)
                options[FB_ELEMENTSOF(values) + i] =
                                (struct option){flags[i].name, no_argument, NULL, (int)i};
        while ((r = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (r < (int)FB_ELEMENTSOF(flags))
                        *(bool *)((char *)p + flags[r].offset) = true;
                else if (value_set(p, r, optarg) < 0)
                        return -EINVAL;
        if (p->every == 0 && (p->bad || p->skip))
                p->every = 1;
        return optind == argc && (p->fd >= 0 || (p->name && p->address)) ? 0 : -EINVAL;
}

static void publisher_finish(Publisher *p) {
        if (p->channel)
                sd_bus_detach_event(p->channel);
        if (p->bus)
                sd_bus_detach_event(p->bus);
        sd_bus_flush_close_unref(p->channel);
        sd_bus_flush_close_unref(p->bus);
        sd_event_source_unref(p->tick);
        sd_event_source_unref(p->again);
        sd_event_unref(p->event);
        picture_done(&p->picture);
        json_begin("summary");
        json_u64("sent", p->sent);
        json_u64("bad", p->n_bad);
        json_u64("last_seq", p->seq);
        json_u64("skipped", p->skipped);
        json_u64("dropped", p->dropped);
        json_u64("released", p->released);
        json_u64("unreleased", p->n_unreleased);
        json_u64("refused", p->n_refused);
        json_u64("keyframes_wanted", p->n_wanted);
        json_u64("buffers", p->pool.n_made);
        json_u64("lent", pool_count(&p->pool, true));
        json_u64("retired", p->pool.n_retired);
        json_u64("problems", p->n_problems);
        json_end();
        pool_done(&p->pool);
}

int main(int argc, char **argv) {
        Publisher p = {.address = getenv("DBUS_SESSION_BUS_ADDRESS"),
                       .destination = FB_BUS_NAME,
                       .format_word = "R8",
                       .width = 64,
                       .height = 48,
                       .rate = 30,
                       .fd = -1};
        int r;

        r = arguments_parse(&p, argc, argv);
        if (p.bad && strcmp(p.bad, "list") == 0) {
                made_frame_list_ways();
                return 0;
        }
        if (r < 0) {
                fputs(usage, stderr);
                return 1;
        }
        r = events_add(&p);
        if (r >= 0 && p.fd < 0)
                r = publisher_publish(&p);
        if (r >= 0)
                r = channel_open(&p);
        if (r >= 0)
                r = sd_event_loop(p.event);
        publisher_finish(&p);
        if (p.status == 0 && p.n_problems > 0)
                p.status = 4;
        return p.status ? p.status : r < 0 ? 1 : 0;
}
