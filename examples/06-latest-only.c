/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A viewer that is slower than the source, with libframebus: with drop=latest the frame that waits for it is
 * always the newest one, and it learns how many were superseded. With --newest, to compare, it sees old ones.
 *
 * Run: 06-latest-only [--system] [--frames N] [--work MILLISECONDS] [--newest] SOURCE
 * Prints a line a frame: seq pts format WxH, the CRC-32 of each plane, its age when the work on it begins
 * and how many frames were lost before it. Status 0 after N frames.
 */
#include <framebus.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crc32.h"

struct viewer {
        unsigned long frames_left, work_ms;
        uint64_t n, lost, age_sum_ns;
        int ended;
};

static uint64_t now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        const struct framebus_mode *mode = framebus_frame_get_mode(frame);
        struct viewer *v = userdata;
        uint64_t age_ns = now_ns() - framebus_frame_get_pts_ns(frame);
        char fourcc[5];
        const void *data;
        size_t size;

        if (v->frames_left == 0)
                return;
        framebus_fourcc_to_string(mode->fourcc, fourcc);
        fourcc[strcspn(fourcc, " ")] = '\0';
        printf("%" PRIu64 " %" PRIu64 " %s %ux%u", framebus_frame_get_seq(frame),
               framebus_frame_get_pts_ns(frame), fourcc, mode->width, mode->height);
        for (size_t i = 0; i < framebus_frame_get_n_planes(frame); i++)
                if (framebus_frame_map(frame, i, &data, &size) >= 0)
                        printf(" %08x", crc32_of(data, size));
        printf(" age %.1f ms, lost %" PRIu64 "\n", (double)age_ns / 1e6, v->lost);
        v->n++;
        v->age_sum_ns += age_ns;
        v->lost = 0;
        v->frames_left--;
        usleep(v->work_ms * 1000); /* the slow work; the credit for this frame comes back after it */
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        ((struct viewer *)userdata)->lost += count;
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        warnx("%s", error ? error->message : reason);
        ((struct viewer *)userdata)->ended = 1;
}

static const struct framebus_subscription_events events = {
        .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
        .frame = on_frame,
        .lost = on_lost,
        .ended = on_ended,
};

int main(int argc, char **argv) {
        /* window 1: with us is only the frame that is looked at; the newest one waits at the broker */
        struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                                                      .window = 1,
                                                      .drop = FRAMEBUS_DROP_LATEST };
        struct viewer v = { .frames_left = 20, .work_ms = 150 };
        framebus_subscription *sub = NULL;
        const char *address = NULL;
        framebus *fb = NULL;
        int i = 1, r;

        setlinebuf(stdout);
        for (; i < argc - 1; i++)
                if (strcmp(argv[i], "--system") == 0)
                        address = "system";
                else if (strcmp(argv[i], "--newest") == 0) {
                        options.drop = FRAMEBUS_DROP_NEWEST;
                        options.window = 4;
                } else if (strcmp(argv[i], "--work") == 0)
                        v.work_ms = strtoul(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--frames") == 0)
                        v.frames_left = strtoul(argv[++i], NULL, 10);
        if (i != argc - 1)
                errx(2, "usage: [--system] [--frames N] [--work MILLISECONDS] [--newest] SOURCE");

        if ((r = framebus_open(&fb, address)) < 0 ||
            (r = framebus_subscribe(fb, argv[i], &options, &events, &v, &sub)) < 0)
                errx(1, "%s: %s", argv[i], strerror(-r));
        while (v.frames_left > 0 && !v.ended) {
                r = framebus_run_once(fb, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        errx(1, "%s", strerror(-r));
        }
        framebus_subscription_close(sub);
        framebus_close(fb);
        fprintf(stderr, "mean age %.1f ms\n", v.n ? (double)v.age_sum_ns / 1e6 / (double)v.n : 0);
        return v.frames_left > 0;
}
