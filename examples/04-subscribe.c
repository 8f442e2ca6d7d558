/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches a source with libframebus: what 01 to 03 do by hand, but on a private channel, attached again
 * when the broker restarts.
 *
 * Run: 04-subscribe [--system] [--bus] [--frames N] SOURCE
 *      (--bus: by signals on the bus; without --system: where libframebus finds a broker)
 * Prints a line a frame: seq pts format WxH and the CRC-32 of each plane. Status 0 after N frames.
 */
#include <framebus.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"

struct viewer {
        unsigned long frames_left;
        int ended;
};

/* The frame has been checked: seals, sizes, planes. It goes back to the broker when this returns,
 * unless it is kept with framebus_frame_ref(). */
static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        const struct framebus_mode *mode = framebus_frame_get_mode(frame);
        struct viewer *v = userdata;
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
                else
                        printf(" bad");
        puts("");
        v->frames_left--;
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        warnx("lost %" PRIu64 ": %s", count, reason);
}

static void on_disconnected(framebus_subscription *sub, uint64_t retry_ns, void *userdata) {
        warnx("disconnected, trying again in %" PRIu64 " ms", retry_ns / 1000000);
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        struct viewer *v = userdata;

        warnx("%s", error ? error->message : reason);
        v->ended = 1;
}

static const struct framebus_subscription_events events = {
        .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
        .frame = on_frame,
        .lost = on_lost,
        .disconnected = on_disconnected,
        .ended = on_ended,
};

int main(int argc, char **argv) {
        struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION };
        struct viewer v = { .frames_left = 100 };
        framebus_subscription *sub = NULL;
        const char *address = NULL;
        framebus *fb = NULL;
        int i = 1, r;

        setlinebuf(stdout);
        for (; i < argc - 1; i++)
                if (strcmp(argv[i], "--system") == 0)
                        address = "system";
                else if (strcmp(argv[i], "--bus") == 0)
                        options.transport = FRAMEBUS_TRANSPORT_BUS;
                else if (strcmp(argv[i], "--frames") == 0)
                        v.frames_left = strtoul(argv[++i], NULL, 10);
        if (i != argc - 1)
                errx(2, "usage: [--system] [--bus] [--frames N] SOURCE");

        r = framebus_open(&fb, address);
        if (r < 0)
                errx(1, "no connection to a broker: %s", strerror(-r));
        r = framebus_subscribe(fb, argv[i], &options, &events, &v, &sub);
        if (r < 0)
                errx(1, "%s: %s", argv[i], strerror(-r));
        /* In an event loop of your own: framebus_get_fd(), framebus_process() and so on. */
        while (v.frames_left > 0 && !v.ended) {
                r = framebus_run_once(fb, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        errx(1, "%s", strerror(-r));
        }
        framebus_subscription_close(sub);
        framebus_close(fb);
        return v.frames_left > 0;
}
