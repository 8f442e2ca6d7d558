/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib-witness: a subscriber on libframebus, for tests, that keeps what it may not look at any more: a mapping
 * of its own of every memory that it ever got. It knows the pictures of lib-publisher, and which it may see.
 *
 * Always checked: a picture is whole, newer than the one before, and does not change while it is held.
 * "remember" and "look" tell whether what it kept has changed in between; "keeper" makes a process without
 * any descriptor that does the same at SIGUSR1 and SIGUSR2, and outlives this one.
 *
 * Prints one JSON object a line: attached, lost, suspended, resumed, disconnected, ended, closed, progress,
 * keeper, remembered, looked, problem, summary. Commands: hold N, release, progress, close, cut (shuts its
 * channel down), remember, look, keeper, quit.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/bus/client/json.h"
#include "tests/bus/client/lib-loop.h"

#define KEPT_MAX 512
#define HELD_MAX 32
#define AGAIN_NS (20 * NSEC_PER_MSEC)

/* Memory that it got at some time. */
typedef struct Kept {
        uint64_t buffer; /* 0: sealed */
        const void *data;
        size_t n_words;
        uint64_t remembered;
} Kept;

typedef struct Held {
        framebus_frame *frame;
        const void *data;
        size_t n_words;
        uint64_t stamp;
} Held;

typedef struct Witness {
        LibLoop loop;
        const char *source;
        struct framebus_subscribe_options options;
        enum framebus_memory memories[2];
        bool again, forget;
        bool any; /* somebody else's pictures, which say nothing */
        framebus_subscription *sub;
        Kept kept[KEPT_MAX];
        size_t n_kept, n_remembered, hold, n_held;
        Held held[HELD_MAX];
        uint64_t stamp, n_frames, n_lost, n_problems, again_ns;
        uint64_t *counter; /* of frames, in a file, for whoever wants to see that it goes on */
} Witness;

static void problem(Witness *w, const char *what, uint64_t stamp) {
        w->n_problems++;
        json_begin("problem");
        json_string("what", what);
        json_u64("stamp", stamp);
        json_end();
}

static void say(const char *event, const char *key, uint64_t value) {
        json_begin(event);
        if (key)
                json_u64(key, value);
        json_end();
}

/* What it keeps */

static void keep(Witness *w, framebus_frame *f, size_t size) {
        uint64_t buffer = 0;
        Kept *k;
        void *p;
        int fd;

        if (framebus_frame_get_buffer(f, &buffer))
                for (size_t i = 0; i < w->n_kept; i++)
                        if (w->kept[i].buffer == buffer)
                                return;
        if (w->n_kept == KEPT_MAX)
                return;
        fd = framebus_frame_dup_fd(f, 0);
        p = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
                return problem(w, "cannot keep a mapping", 0);
        close(fd);
        k = &w->kept[w->n_kept++];
        *k = (Kept){.buffer = buffer, .data = p, .n_words = size / 8};
}

/* All words, so that no change gets by. */
static uint64_t digest(const Kept *k) {
        const volatile uint64_t *words = k->data;
        uint64_t hash = 0;

        for (size_t i = 0; i < k->n_words; i++)
                hash = (hash ^ words[i]) * UINT64_C(0x100000001b3) + i;
        return hash;
}

static void remember(Witness *w) {
        for (size_t i = 0; i < w->n_kept; i++)
                w->kept[i].remembered = digest(&w->kept[i]);
        w->n_remembered = w->n_kept;
        say("remembered", "kept", w->n_kept);
}

static void look(Witness *w) {
        uint64_t n_changed = 0, newest = 0;

        for (size_t i = 0; i < w->n_remembered; i++) {
                uint64_t stamp = *(const volatile uint64_t *)w->kept[i].data;

                n_changed += digest(&w->kept[i]) != w->kept[i].remembered;
                newest = stamp > newest ? stamp : newest;
        }
        json_begin("looked");
        json_u64("pid", (uint64_t)getpid());
        json_u64("kept", w->n_remembered);
        json_u64("changed", n_changed);
        json_u64("newest", newest);
        json_end();
}

static void keeper(Witness *w) {
        sigset_t set;
        int sig;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGUSR2);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        fflush(stdout);
        if (fork() != 0) {
                sigprocmask(SIG_UNBLOCK, &set, NULL);
                return;
        }
        close_range(3, ~0u, 0);
        close(STDIN_FILENO);
        say("keeper", "pid", (uint64_t)getpid());
        while (sigwait(&set, &sig) == 0 && sig != SIGTERM)
                if (sig == SIGUSR1)
                        remember(w);
                else
                        look(w);
        _exit(0);
}

/* What it holds */

/* Of a picture that says nothing: all of it. */
static uint64_t read_picture(const Witness *w, const void *data, size_t n_words) {
        return w->any ? digest(&(Kept){.data = data, .n_words = n_words}) : stamp_read(data, n_words);
}

/* What is lent may be changed by somebody who lies; a test that has one says --any-picture. */
static void check_held(Witness *w, const Held *h) {
        if (read_picture(w, h->data, h->n_words) == h->stamp)
                return;
        if (!w->any || framebus_frame_get_memory(h->frame) == FRAMEBUS_MEMORY_SEALED)
                problem(w, "it changed while it was held", h->stamp);
}

static void release_oldest(Witness *w) {
        check_held(w, &w->held[0]);
        framebus_frame_unref(w->held[0].frame);
        memmove(&w->held[0], &w->held[1], --w->n_held * sizeof(w->held[0]));
}

static void on_frame(framebus_subscription *sub, framebus_frame *f, void *userdata) {
        Witness *w = userdata;
        const void *data;
        uint64_t stamp;
        size_t size;
        int r = framebus_frame_map(f, 0, &data, &size);

        if (r < 0)
                return problem(w, "cannot be mapped", 0);
        stamp = read_picture(w, data, size / 8);
        if (!w->any && stamp == 0)
                problem(w, "it is torn", framebus_frame_get_seq(f));
        else if (!w->any && stamp <= w->stamp && !(framebus_frame_get_flags(f) & FRAMEBUS_FRAME_REPLAYED))
                problem(w, "it is not newer than the one before", stamp);
        w->stamp = stamp;
        w->n_frames++;
        if (w->counter)
                __atomic_store_n(w->counter, w->n_frames, __ATOMIC_RELEASE);
        if (!w->forget)
                keep(w, f, size);
        if (w->hold == 0)
                return;
        w->held[w->n_held++] = (Held){framebus_frame_ref(f), data, size / 8, stamp};
        while (w->n_held > (w->hold < HELD_MAX ? w->hold : HELD_MAX - 1))
                release_oldest(w);
}

/* Life */

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        Witness *w = userdata;

        w->stamp = 0;
        json_begin("attached");
        json_string("memory", granted->memory);
        json_end();
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        Witness *w = userdata;

        w->n_lost += count;
        if (strcmp(reason, "bad-payload") == 0)
                problem(w, reason, count);
}

static void on_suspended(framebus_subscription *sub, const char *reason, void *userdata) {
        say("suspended", NULL, 0);
}

static void on_resumed(framebus_subscription *sub, void *userdata) {
        say("resumed", NULL, 0);
}

static void on_disconnected(framebus_subscription *sub, uint64_t retry_ns, void *userdata) {
        say("disconnected", NULL, 0);
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        Witness *w = userdata;

        json_begin("ended");
        json_string("reason", error ? error->name : reason);
        json_end();
        w->again_ns = clock_now_ns() + AGAIN_NS;
}

static int subscribe(Witness *w) {
        static const struct framebus_subscription_events events = {
                .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
                .attached = on_attached,
                .frame = on_frame,
                .lost = on_lost,
                .suspended = on_suspended,
                .resumed = on_resumed,
                .disconnected = on_disconnected,
                .ended = on_ended,
        };

        w->again_ns = UINT64_MAX;
        w->sub = framebus_subscription_close(w->sub);
        return framebus_subscribe(w->loop.fb, w->source, &w->options, &events, w, &w->sub);
}

/* Hangs up behind the library's back: channels are socket pairs, which have no name. */
static void cut(void) {
        struct sockaddr_un address;

        for (int fd = 3; fd < 1024; fd++) {
                socklen_t size = sizeof(address);

                if (getpeername(fd, (struct sockaddr *)&address, &size) == 0 &&
                    address.sun_family == AF_UNIX && size == sizeof(address.sun_family))
                        shutdown(fd, SHUT_RDWR);
        }
}

static void on_work(void *userdata) {
        Witness *w = userdata;
        int r;

        for (size_t i = 0; i < w->n_held; i++)
                check_held(w, &w->held[i]);
        if (w->again && clock_now_ns() >= w->again_ns && (r = subscribe(w)) < 0)
                problem(w, strerror(-r), 0);
        w->loop.due_ns = w->n_held > 0 ? clock_now_ns() + 10 * NSEC_PER_MSEC
                         : w->again    ? w->again_ns
                                       : UINT64_MAX;
}

static void on_command(char **words, void *userdata) {
        Witness *w = userdata;

        if (strcmp(words[0], "hold") == 0 && words[1])
                w->hold = strtoul(words[1], NULL, 10);
        else if (strcmp(words[0], "release") == 0)
                while (w->n_held > 0)
                        release_oldest(w);
        else if (strcmp(words[0], "progress") == 0)
                say("progress", "frames", w->n_frames);
        else if (strcmp(words[0], "close") == 0) {
                w->sub = framebus_subscription_close(w->sub);
                say("closed", NULL, 0);
        } else if (strcmp(words[0], "cut") == 0)
                cut();
        else if (strcmp(words[0], "remember") == 0)
                remember(w);
        else if (strcmp(words[0], "look") == 0)
                look(w);
        else if (strcmp(words[0], "keeper") == 0)
                keeper(w);
}

static int open_counter(Witness *w, const char *path) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        void *p;

        if (fd < 0 || ftruncate(fd, 8) < 0)
                return -errno;
        p = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        w->counter = p;
        return 0;
}

static int arguments(Witness *w, int argc, char **argv) {
        static const struct option options[] = {
                        {"bus", no_argument, NULL, 'b'},         {"window", required_argument, NULL, 'w'},
                        {"hold", required_argument, NULL, 'h'},  {"sealed", no_argument, NULL, 'S'},
                        {"again", no_argument, NULL, 'a'},       {"counter", required_argument, NULL, 'c'},
                        {"any-picture", no_argument, NULL, 'p'}, {"forget", no_argument, NULL, 'f'},
                        {0},
        };
        int c;

        w->options.memories = w->memories;
        w->options.n_memories = 2;
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'b')
                        w->options.transport = FRAMEBUS_TRANSPORT_BUS;
                else if (c == 'w')
                        w->options.window = (uint32_t)strtoul(optarg, NULL, 10);
                else if (c == 'h')
                        w->hold = strtoul(optarg, NULL, 10);
                else if (c == 'S')
                        w->options.memories++, w->options.n_memories--;
                else if (c == 'a')
                        w->again = true;
                else if (c == 'p')
                        w->any = w->forget = true;
                else if (c == 'f')
                        w->forget = true;
                else if (c != 'c' || open_counter(w, optarg) < 0)
                        return -EINVAL;
        w->source = argv[optind];
        return w->source ? 0 : -EINVAL;
}

int main(int argc, char **argv) {
        static Witness w = {
                        .options.version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                        .memories = {FRAMEBUS_MEMORY_LEASED, FRAMEBUS_MEMORY_SEALED},
        };
        int r;

        if (arguments(&w, argc, argv) < 0) {
                fputs("lib-witness [--bus] [--window N] [--hold N] [--sealed] [--again] [--any-picture] "
                      "[--forget] [--counter FILE] SOURCE\n",
                      stderr);
                return 1;
        }
        w.loop = (LibLoop){.command = on_command, .work = on_work, .userdata = &w, .due_ns = UINT64_MAX};
        r = framebus_open(&w.loop.fb, NULL);
        if (r >= 0)
                r = subscribe(&w);
        if (r >= 0)
                r = lib_loop_run(&w.loop);
        while (w.n_held > 0)
                release_oldest(&w);
        framebus_subscription_close(w.sub);
        framebus_close(w.loop.fb);
        json_begin("summary");
        json_u64("frames", w.n_frames);
        json_u64("lost", w.n_lost);
        json_u64("kept", w.n_kept);
        json_u64("problems", w.n_problems);
        json_i64("error", r);
        json_end();
        return r < 0 || w.n_problems > 0;
}
