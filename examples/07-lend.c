/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishes without a copy or fresh memory a frame: from buffers that receivers look at as long as they hold
 * them, and that are drawn into again when nobody has them any more. Where somebody needs sealed memory the
 * library makes one copy for all of those.
 *
 * Run: 07-lend NAME; prints a line a frame, as 05 does, until the broker ends.
 */
#include <framebus.h>

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "crc32.h"

#define WIDTH       320
#define HEIGHT      240
#define SIZE        (WIDTH * HEIGHT)
#define PERIOD_NS   (1000000000u / 60)
#define BUFFERS_MAX 32

static struct buffer {
        uint64_t id; /* 0: there is none; a number is never used for another one */
        bool lent;
        int fd;
        uint8_t *data;
} buffers[BUFFERS_MAX];
static size_t n_buffers; /* that there may be */
static bool running, ended;

/* F_SEAL_FUTURE_WRITE: nobody can write to it but us, by the mapping that was there before. */
static void buffer_new(struct buffer *b) {
        static uint64_t last_id;

        b->fd = memfd_create("07-lend", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (b->fd < 0 || ftruncate(b->fd, SIZE) < 0 ||
            (b->data = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0)) == MAP_FAILED ||
            fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0)
                err(1, "no memory for a frame");
        b->id = ++last_id;
}

static struct buffer *buffer_find(uint64_t id) {
        struct buffer *b = buffers;

        while (b->id != id)
                b++;
        return b;
}

/* One that nobody has; NULL: all are lent. */
static struct buffer *buffer_get(void) {
        for (struct buffer *b = buffers; b < buffers + n_buffers; b++) {
                if (b->id == 0)
                        buffer_new(b);
                if (!b->lent)
                        return b;
        }
        return NULL;
}

static void on_memories(framebus_publisher *pub, uint32_t mask, uint32_t n, void *userdata) {
        /* what receivers may hold, the newest frame, which the broker keeps, and one to draw into */
        n_buffers = n + 2 < BUFFERS_MAX ? n + 2 : BUFFERS_MAX;
}

static void on_released(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        buffer_find(buffer)->lent = false;
}

/* Somebody left who has it, or does not give it back: what he sees in it stays as it is for ever. */
static void on_retired(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        struct buffer *b = buffer_find(buffer);

        munmap(b->data, SIZE);
        fcntl(b->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL);
        close(b->fd);
        *b = (struct buffer){ 0 };
}

static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {
        running = framebus_publisher_set_format(pub, mode) >= 0;
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        running = false;
}

static void on_ended(framebus_publisher *pub, const char *why, const struct framebus_error *e, void *data) {
        warnx("%s", e ? e->message : why);
        ended = true;
}

static void publish(framebus_publisher *pub, uint64_t now_ns) {
        struct framebus_push_info info = { .version = FRAMEBUS_PUSH_INFO_VERSION,
                                           .pts_ns = now_ns,
                                           .memory = FRAMEBUS_MEMORY_LEASED };
        struct buffer *b = buffer_get();

        if (!b)
                return framebus_publisher_add_lost(pub, 1); /* this frame is not made */
        memset(b->data, (int)(now_ns / PERIOD_NS), SIZE);
        info.buffer = b->id;
        info.data[0] = b->data;
        if (framebus_publisher_push_fds(pub, &b->fd, 1, &info) < 0)
                return; /* no room: it is ours at once */
        b->lent = true;
        printf("%" PRIu64 " R8 %ux%u %08x\n", now_ns, WIDTH, HEIGHT, crc32_of(b->data, SIZE));
}

int main(int argc, char **argv) {
        static const struct framebus_publisher_events events = {
                .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION, .start = on_start, .stop = on_stop,
                .ended = on_ended, .memories = on_memories, .released = on_released, .retired = on_retired,
        };
        struct framebus_mode mode = { .fourcc = framebus_fourcc_from_string("R8"),
                                      .width = WIDTH, .height = HEIGHT, .rate = { 60, 1 } };
        struct framebus_publish_options options = {
                .version = FRAMEBUS_PUBLISH_OPTIONS_VERSION, .modes = &mode, .n_modes = 1,
                .memories = (const enum framebus_memory[]){ FRAMEBUS_MEMORY_LEASED }, .n_memories = 1,
        };
        framebus_publisher *pub;
        uint64_t due_ns = 0;
        struct timespec ts;
        framebus *fb;

        setlinebuf(stdout);
        if (argc != 2 || framebus_open(&fb, NULL) < 0 ||
            framebus_publish(fb, argv[1], &options, &events, NULL, &pub) < 0)
                errx(2, "usage: 07-lend NAME, of a source that is to be");
        while (!ended) {
                clock_gettime(CLOCK_MONOTONIC, &ts);
                uint64_t now_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
                if (running && now_ns >= due_ns) {
                        publish(pub, now_ns);
                        due_ns = now_ns + PERIOD_NS;
                } else
                        framebus_run_once(fb, running ? due_ns - now_ns : UINT64_MAX);
        }
        framebus_publisher_close(pub);
        framebus_close(fb);
        return 1;
}
