/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishes a source with libframebus: a moving bar, in NV12. It draws only while somebody watches.
 *
 * Run: 05-publish [--system] [--frames N] [--size WxH] [--rate N] NAME
 * Prints a line a frame, as 01 to 04 do, but for seq, which the broker gives: pts format WxH and the
 * CRC-32 of each plane. Status 0 after N frames (0, the default: for ever).
 */
#include <framebus.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crc32.h"

struct painter {
        framebus_publisher *publisher;
        struct framebus_mode mode;
        struct framebus_plane planes[4];
        size_t n_planes, size;
        bool running, ended;
        unsigned long drawn, frames;
};

static uint64_t now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Somebody watches. There is only one mode to choose from here; else @mode says which one it is. */
static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {
        struct painter *p = userdata;

        p->mode = *mode;
        if (framebus_mode_get_layout(mode, p->planes, &p->n_planes, &p->size) < 0 ||
            framebus_publisher_set_format(pub, mode) < 0)
                errx(1, "cannot make this mode");
        p->running = true;
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        ((struct painter *)userdata)->running = false;
}

static void on_refused(framebus_publisher *pub, uint64_t seq, const struct framebus_error *e, void *data) {
        warnx("frame %" PRIu64 ": %s", seq, e->message);
}

static void on_ended(framebus_publisher *pub, const char *why, const struct framebus_error *e, void *data) {
        warnx("%s", e ? e->message : why);
        ((struct painter *)data)->ended = true;
}

static const struct framebus_publisher_events events = {
        .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION,
        .start = on_start,
        .stop = on_stop,
        .refused = on_refused,
        .ended = on_ended,
};

static void draw(const struct painter *p, uint8_t *data) {
        uint32_t x = p->drawn * 4 % p->mode.width, width = p->mode.width / 8;

        memset(data, 128, p->size);
        if (x + width > p->mode.width)
                width = p->mode.width - x;
        for (uint32_t y = 0; y < p->mode.height; y++)
                memset(data + (size_t)y * p->planes[0].stride + x, 235, width);
}

/* The buffer is fresh memory; publishing seals it, so it cannot be drawn into again. */
static void publish(struct painter *p) {
        struct framebus_push_info info = { .version = FRAMEBUS_PUSH_INFO_VERSION, .pts_ns = now_ns() };
        framebus_buffer *buffer;
        uint32_t sums[4];
        uint8_t *data;
        int r;

        r = framebus_publisher_acquire(p->publisher, p->size, &buffer);
        if (r < 0)
                errx(1, "no memory for a frame: %s", strerror(-r));
        data = framebus_buffer_get_data(buffer);
        draw(p, data);
        for (size_t i = 0; i < p->n_planes; i++)
                sums[i] = crc32_of(data + p->planes[i].offset, p->planes[i].size);
        info.n_planes = p->n_planes;
        memcpy(info.planes, p->planes, sizeof(info.planes));
        r = framebus_publisher_push(p->publisher, buffer, &info);
        if (r < 0) /* -EAGAIN: the broker has enough frames of ours; this one counts as lost */
                return warnx("frame dropped: %s", strerror(-r));
        printf("%" PRIu64 " NV12 %ux%u", info.pts_ns, p->mode.width, p->mode.height);
        for (size_t i = 0; i < p->n_planes; i++)
                printf(" %08x", sums[i]);
        puts("");
        p->drawn++;
}

int main(int argc, char **argv) {
        struct framebus_mode mode = { .width = 320, .height = 240, .rate = { 30, 1 } };
        struct framebus_publish_options options = { .version = FRAMEBUS_PUBLISH_OPTIONS_VERSION,
                                                    .description = "A bar that moves",
                                                    .modes = &mode,
                                                    .n_modes = 1 };
        const char *address = NULL;
        struct painter p = { 0 };
        uint64_t due_ns = 0;
        framebus *fb;
        int i = 1, r;

        mode.fourcc = framebus_fourcc_from_string("NV12");
        setlinebuf(stdout);
        for (; i < argc - 1; i++)
                if (strcmp(argv[i], "--system") == 0)
                        address = "system";
                else if (strcmp(argv[i], "--frames") == 0)
                        p.frames = strtoul(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--rate") == 0)
                        mode.rate.num = strtoul(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--size") == 0)
                        sscanf(argv[++i], "%ux%u", &mode.width, &mode.height);
        if (i != argc - 1)
                errx(2, "usage: [--system] [--frames N] [--size WxH] [--rate N] NAME");
        if ((r = framebus_open(&fb, address)) < 0 ||
            (r = framebus_publish(fb, argv[i], &options, &events, &p, &p.publisher)) < 0)
                errx(1, "%s: %s", argv[i], strerror(-r));
        while (!p.ended && (p.frames == 0 || p.drawn < p.frames)) {
                uint64_t now = now_ns();

                if (p.running && now >= due_ns) {
                        publish(&p);
                        due_ns = (due_ns + 1000000000u < now ? now : due_ns) + 1000000000u / mode.rate.num;
                        continue;
                }
                r = framebus_run_once(fb, p.running ? due_ns - now : UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        errx(1, "%s", strerror(-r));
        }
        framebus_publisher_close(p.publisher);
        framebus_close(fb);
        return p.ended;
}
