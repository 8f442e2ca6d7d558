/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib-publisher: a publisher on libframebus, for tests. Each picture is full of its number, and written as
 * soon and as long as the rules allow: in place, again and again.
 *
 * Prints one JSON object a line: published, start, stop, retired (a buffer, and the newest picture that was
 * written to it), mark (the newest picture), ended, problem, summary. Commands: mark, pause, resume, frames N
 * (more at most, then "done"), quit.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/bus/client/json.h"
#include "tests/bus/client/lib-loop.h"

#define BUFFERS_MAX 60
#define AGAIN_NS    (20 * NSEC_PER_MSEC)

typedef struct Buffer {
        uint64_t id, stamp;
        bool lent;
        int fd;
        void *data;
} Buffer;

typedef struct Publisher {
        LibLoop loop;
        const char *name;
        uint32_t width, height, rate; /* rate 0: as fast as buffers come back */
        bool leased, again, quiet;
        framebus_publisher *pub;
        Buffer buffers[BUFFERS_MAX];
        size_t size, n_buffers;
        uint64_t last_id, stamp, frames_left, n_pushed, n_retired, n_problems, next_ns, again_ns;
        bool running, paused;
} Publisher;

static void problem(Publisher *p, const char *what, int r) {
        p->n_problems++;
        json_begin("problem");
        json_string("what", what);
        json_i64("error", r);
        json_end();
}

/* The pool */

static void buffer_new(Publisher *p, Buffer *b) {
        b->fd = memfd_create("lib-publisher", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (b->fd < 0 || ftruncate(b->fd, (off_t)p->size) < 0 ||
            (b->data = mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0)) == MAP_FAILED ||
            fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0)
                abort();
        b->id = ++p->last_id;
}

static void buffer_free(Publisher *p, Buffer *b) {
        munmap(b->data, p->size);
        close(b->fd);
        *b = (Buffer){0};
}

static Buffer *buffer_find(Publisher *p, uint64_t id) {
        for (size_t i = 0; i < BUFFERS_MAX; i++)
                if (p->buffers[i].id == id)
                        return &p->buffers[i];
        return NULL;
}

/* Those that were written longest ago first, as a device would. */
static Buffer *buffer_get(Publisher *p) {
        Buffer *found = NULL;

        for (size_t i = 0; i < p->n_buffers; i++) {
                Buffer *b = &p->buffers[i];

                if (b->id == 0)
                        buffer_new(p, b);
                if (!b->lent && (!found || b->stamp < found->stamp))
                        found = b;
        }
        return found;
}

static void pool_clear(Publisher *p) {
        for (size_t i = 0; i < BUFFERS_MAX; i++)
                if (p->buffers[i].id != 0)
                        buffer_free(p, &p->buffers[i]);
}

static void on_memories(framebus_publisher *pub, uint32_t mask, uint32_t n, void *userdata) {
        ((Publisher *)userdata)->n_buffers = n + 3 < BUFFERS_MAX ? n + 3 : BUFFERS_MAX;
}

static void on_released(framebus_publisher *pub, uint64_t id, void *userdata) {
        Buffer *b = buffer_find(userdata, id);

        if (!b || !b->lent)
                return problem(userdata, "released what was not lent", 0);
        b->lent = false;
}

/* While somebody else just tries to map it for writing, which fails, the kernel says that it is busy. */
static int seal(int fd) {
        for (int i = 0; fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) < 0; i++) {
                if (errno != EBUSY || i == 100)
                        return -errno;
                (void)usleep(10000);
        }
        return 0;
}

static void on_retired(framebus_publisher *pub, uint64_t id, void *userdata) {
        Publisher *p = userdata;
        Buffer *b = buffer_find(p, id);
        int r;

        if (!b)
                return problem(p, "retired what there is not", 0);
        p->n_retired++;
        json_begin("retired");
        json_u64("buffer", id);
        json_u64("stamp", b->stamp);
        json_end();
        munmap(b->data, p->size);
        r = seal(b->fd);
        if (r < 0)
                problem(p, "what is retired cannot be sealed", r);
        close(b->fd);
        *b = (Buffer){0};
}

/* Life */

static void on_published(framebus_publisher *pub, const char *path, void *userdata) {
        json_begin("published");
        json_string("path", path);
        json_end();
}

static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {
        Publisher *p = userdata;
        int r = framebus_publisher_set_format(pub, mode);

        if (r < 0)
                problem(p, "the mode of start is refused", r);
        p->running = r >= 0;
        json_begin("start");
        json_end();
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        ((Publisher *)userdata)->running = false;
        json_begin("stop");
        json_end();
}

static void on_refused(framebus_publisher *pub, uint64_t seq, const struct framebus_error *error,
                       void *userdata) {
        problem(userdata, error->message, 0);
}

static void on_ended(framebus_publisher *pub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        Publisher *p = userdata;

        json_begin("ended");
        json_string("reason", error ? error->name : reason);
        json_end();
        p->running = false;
        p->again_ns = clock_now_ns() + AGAIN_NS;
        if (!p->again)
                p->loop.quit = true;
}

static int publish(Publisher *p) {
        static const struct framebus_publisher_events events = {
                .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION,
                .published = on_published,
                .start = on_start,
                .stop = on_stop,
                .refused = on_refused,
                .ended = on_ended,
                .memories = on_memories,
                .released = on_released,
                .retired = on_retired,
        };
        struct framebus_mode mode = {.fourcc = framebus_fourcc_from_string("R8"), .width = p->width,
                                     .height = p->height, .rate = {p->rate ?: 1000, 1}};
        struct framebus_publish_options options = {
                        .version = FRAMEBUS_PUBLISH_OPTIONS_VERSION, .modes = &mode, .n_modes = 1,
                        .memories = (const enum framebus_memory[]){FRAMEBUS_MEMORY_LEASED},
                        .n_memories = p->leased ? 1 : 0,
        };

        p->again_ns = UINT64_MAX;
        p->pub = framebus_publisher_close(p->pub);
        pool_clear(p); /* its buffers may be with somebody for ever */
        return framebus_publish(p->loop.fb, p->name, &options, &events, p, &p->pub);
}

/* Pictures */

static int push(Publisher *p) {
        struct framebus_push_info info = {.version = FRAMEBUS_PUSH_INFO_VERSION};
        framebus_buffer *sealed;
        Buffer *b;
        int r;

        if (!p->leased) {
                r = framebus_publisher_acquire(p->pub, p->size, &sealed);
                if (r < 0)
                        return r;
                stamp_write(framebus_buffer_get_data(sealed), p->size / 8, ++p->stamp);
                return framebus_publisher_push(p->pub, sealed, &info);
        }
        b = buffer_get(p);
        if (!b)
                return -EAGAIN;
        stamp_write(b->data, p->size / 8, b->stamp = ++p->stamp);
        info.memory = FRAMEBUS_MEMORY_LEASED;
        info.buffer = b->id;
        info.data[0] = b->data;
        r = framebus_publisher_push_fds(p->pub, &b->fd, 1, &info);
        b->lent = r >= 0;
        return r;
}

static void on_work(void *userdata) {
        Publisher *p = userdata;
        uint64_t now_ns = clock_now_ns();
        int r;

        if (now_ns >= p->again_ns && (r = publish(p)) < 0)
                problem(p, "cannot publish", r);
        p->loop.due_ns = p->again_ns;
        if (!p->running || p->paused || p->frames_left == 0)
                return;
        if (now_ns >= p->next_ns) {
                r = push(p);
                if (r >= 0) {
                        p->n_pushed++;
                        if (--p->frames_left == 0) {
                                json_begin("done");
                                json_u64("stamp", p->stamp);
                                json_end();
                        }
                } else if (r != -EAGAIN)
                        problem(p, "push", r);
                p->next_ns = p->rate > 0 ? now_ns + NSEC_PER_SEC / p->rate
                             : r >= 0    ? 0
                                         : now_ns + NSEC_PER_MSEC;
        }
        p->loop.due_ns = p->next_ns < p->again_ns ? p->next_ns : p->again_ns;
}

static void on_command(char **words, void *userdata) {
        Publisher *p = userdata;

        while (framebus_process(p->loop.fb) > 0) /* what the broker has said by now */
                ;
        if (strcmp(words[0], "mark") == 0) {
                json_begin("mark");
                json_u64("stamp", p->stamp);
                json_end();
        } else if (strcmp(words[0], "frames") == 0 && words[1])
                p->frames_left = strtoull(words[1], NULL, 10);
        else
                p->paused = strcmp(words[0], "pause") == 0;
}

static int arguments(Publisher *p, int argc, char **argv) {
        static const struct option options[] = {
                        {"size", required_argument, NULL, 's'}, {"rate", required_argument, NULL, 'r'},
                        {"frames", required_argument, NULL, 'f'}, {"sealed", no_argument, NULL, 'S'},
                        {"again", no_argument, NULL, 'a'}, {0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 's' && sscanf(optarg, "%ux%u", &p->width, &p->height) == 2)
                        continue;
                else if (c == 'r')
                        p->rate = (uint32_t)strtoul(optarg, NULL, 10);
                else if (c == 'f')
                        p->frames_left = strtoull(optarg, NULL, 10);
                else if (c == 'S')
                        p->leased = false;
                else if (c == 'a')
                        p->again = true;
                else
                        return -EINVAL;
        p->size = (size_t)p->width * p->height;
        p->name = argv[optind];
        return p->name ? 0 : -EINVAL;
}

int main(int argc, char **argv) {
        Publisher p = {.width = 64, .height = 64, .leased = true, .frames_left = UINT64_MAX};
        int r;

        if (arguments(&p, argc, argv) < 0) {
                fputs("lib-publisher [--size WxH] [--rate N] [--frames N] [--sealed] [--again] NAME\n",
                      stderr);
                return 1;
        }
        p.loop = (LibLoop){.command = on_command, .work = on_work, .userdata = &p, .due_ns = 0};
        r = framebus_open(&p.loop.fb, NULL);
        if (r >= 0)
                r = publish(&p);
        if (r >= 0)
                r = lib_loop_run(&p.loop);
        framebus_publisher_close(p.pub);
        framebus_close(p.loop.fb);
        pool_clear(&p);
        json_begin("summary");
        json_u64("pushed", p.n_pushed);
        json_u64("buffers", p.last_id);
        json_u64("retired", p.n_retired);
        json_u64("problems", p.n_problems);
        json_i64("error", r);
        json_end();
        return r < 0 || p.n_problems > 0;
}
