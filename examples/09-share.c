/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hands on what it may see: it subscribes, makes a second channel for the same source, and gives that to
 * another program, which needs neither a bus nor a right of its own. Here that is this one, executed anew
 * without any environment; over a socket (SCM_RIGHTS) it could be anybody. The first one has ended by then.
 *
 * Run: 09-share [--frames N] SOURCE, with libframebus's way of finding a broker.
 * Prints a line a frame, as 04 does: seq pts format WxH and the CRC-32 of each plane. Status 0 after N
 * frames.
 */
#include <framebus.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32.h"

#define SHARE_FD 3 /* where the second program finds its channel */

static unsigned long frames_left = 30;
static int channel = -1, ended;

static void run_until(framebus *fb, const unsigned long *left, const int *fd) {
        while (!ended && (!left || *left > 0) && (!fd || *fd < 0)) {
                int r = framebus_run_once(fb, UINT64_MAX);

                if (r < 0 && r != -EINTR)
                        errx(1, "%s", strerror(-r));
        }
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        warnx("%s", error ? error->message : reason);
        ended = 1;
}

/* ---- the second program: all that it has is a descriptor ---- */

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        const struct framebus_mode *mode = framebus_frame_get_mode(frame);
        char fourcc[5];
        const void *data;
        size_t size;

        if (frames_left == 0)
                return;
        framebus_fourcc_to_string(mode->fourcc, fourcc);
        fourcc[strcspn(fourcc, " ")] = '\0';
        printf("%" PRIu64 " %" PRIu64 " %s %ux%u", framebus_frame_get_seq(frame),
               framebus_frame_get_pts_ns(frame), fourcc, mode->width, mode->height);
        for (size_t i = 0; i < framebus_frame_get_n_planes(frame); i++)
                if (framebus_frame_map(frame, i, &data, &size) >= 0)
                        printf(" %08x", crc32_of(data, size));
        puts("");
        frames_left--;
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        warnx("lost %" PRIu64 ": %s", count, reason);
}

static int watch(void) {
        static const struct framebus_subscription_events events = {
                .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
                .frame = on_frame,
                .lost = on_lost,
                .ended = on_ended,
        };
        framebus_subscription *sub;
        framebus *fb;
        int r = framebus_open(&fb, "none");

        if (r >= 0)
                r = framebus_subscribe_fd(fb, SHARE_FD, NULL, 0, &events, NULL, &sub);
        if (r < 0)
                errx(1, "the channel: %s", strerror(-r));
        run_until(fb, &frames_left, NULL);
        framebus_subscription_close(sub);
        framebus_close(fb);
        return frames_left > 0;
}

/* ---- the first program: who may subscribe ---- */

static void on_share(framebus_subscription *sub, int fd, const struct framebus_error *error, void *userdata) {
        if (error)
                errx(1, "%s", error->message);
        channel = fd;
}

/* Never more than we have; here, less: the other one gets at most two frames in flight. */
static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        struct framebus_share_options options = { .version = FRAMEBUS_SHARE_OPTIONS_VERSION, .window = 2 };
        int r = framebus_subscription_share(sub, &options, on_share, NULL);

        if (r < 0)
                errx(1, "no share: %s", strerror(-r));
}

static void hand_on(char *program, char *frames) {
        char *argv[] = { program, (char *)"--handed-on", frames, NULL }, *envp[] = { NULL };

        /* the copy does not close at exec, as the original does */
        if (channel == SHARE_FD ? fcntl(channel, F_SETFD, 0) < 0 : dup2(channel, SHARE_FD) < 0)
                err(1, "no descriptor for it");
        execve("/proc/self/exe", argv, envp);
        err(1, "%s", program);
}

int main(int argc, char **argv) {
        static const struct framebus_subscription_events events = {
                .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
                .attached = on_attached,
                .ended = on_ended,
        };
        char *frames = (char *)"30";
        framebus_subscription *sub;
        framebus *fb;
        int r;

        setlinebuf(stdout);
        if (argc == 3 && strcmp(argv[1], "--handed-on") == 0) {
                frames_left = strtoul(argv[2], NULL, 10);
                return watch();
        }
        if (argc == 4 && strcmp(argv[1], "--frames") == 0)
                frames = argv[2];
        else if (argc != 2)
                errx(2, "usage: [--frames N] SOURCE");
        r = framebus_open(&fb, NULL);
        if (r >= 0)
                r = framebus_subscribe(fb, argv[argc - 1], NULL, &events, NULL, &sub);
        if (r < 0)
                errx(1, "%s: %s", argv[argc - 1], strerror(-r));
        run_until(fb, NULL, &channel);
        /* whoever has the channel needs nothing of this any more */
        framebus_subscription_close(sub);
        framebus_close(fb);
        if (channel < 0)
                return 1;
        hand_on(argv[0], frames);
}
