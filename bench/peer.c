/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ways of framebusd: a publisher and viewers on libframebus, as anybody would write them, all checks
 * included. A viewer looks at no pixel, since the bare ones do not.
 */

#include <errno.h>
#include <framebus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"

#define NAME "bench"

static _Noreturn void fail(const char *what, const char *why) {
        fprintf(stderr, "framebus-bench: %s: %s\n", what, why);
        _exit(1);
}

/* The source */

typedef struct Source {
        framebus_publisher *publisher;
        bool running;
} Source;

static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {
        ((Source *)userdata)->running = framebus_publisher_set_format(pub, mode) >= 0;
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        ((Source *)userdata)->running = false;
}

static void on_publisher_ended(framebus_publisher *pub, const char *reason,
                               const struct framebus_error *error, void *userdata) {
        fail("publisher", error ? error->message : reason);
}

static const struct framebus_publisher_events publisher_events = {
                .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION,
                .start = on_start,
                .stop = on_stop,
                .ended = on_publisher_ended,
};

static void source_push(Shared *s, const Config *c, Source *source, const uint8_t *picture, size_t size) {
        struct framebus_push_info info = {.version = FRAMEBUS_PUSH_INFO_VERSION, .pts_ns = clock_now_ns()};

        info.n_planes = 2;
        info.planes[0] = (struct framebus_plane){.stride = c->width, .size = c->width * c->height};
        info.planes[1] = (struct framebus_plane){
                        .stride = c->width, .offset = c->width * c->height, .size = c->width * c->height / 2};
        (void)framebus_publisher_push_data(source->publisher, picture, size, &info);
        if (s->recording)
                s->frames++;
}

static _Noreturn void run_source(Shared *s, const Config *c, const char *address) {
        struct framebus_mode mode = {.fourcc = framebus_fourcc_from_string("NV12"),
                                     .width = c->width,
                                     .height = c->height,
                                     .rate = {c->rate, 1}};
        struct framebus_publish_options options = {
                        .version = FRAMEBUS_PUBLISH_OPTIONS_VERSION, .modes = &mode, .n_modes = 1};
        size_t size = c->width * c->height * 3 / 2;
        uint8_t *picture = malloc(size);
        uint64_t due_ns = 0;
        Source source = {0};
        framebus *fb;
        int r;

        if (!picture)
                fail("publisher", "no memory");
        memset(picture, 128, size);
        r = framebus_open(&fb, address);
        if (r >= 0)
                r = framebus_publish(fb, NAME, &options, &publisher_events, &source, &source.publisher);
        if (r < 0)
                fail("publisher", strerror(-r));
        for (;;) {
                uint64_t now = clock_now_ns();

                if (source.running && now >= due_ns) {
                        due_ns = (due_ns ?: now) + NSEC_PER_SEC / c->rate;
                        source_push(s, c, &source, picture, size);
                        continue;
                }
                r = framebus_run_once(fb, source.running ? due_ns - now : UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        fail("publisher", strerror(-r));
        }
}

/* A viewer */

typedef struct Viewer {
        Shared *shared;
        Record *record;
} Viewer;

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        Viewer *v = userdata;

        if (!(framebus_frame_get_flags(frame) & FRAMEBUS_FRAME_REPLAYED))
                record_frame(v->shared, v->record, framebus_frame_get_pts_ns(frame));
        if (!v->shared->first_frame_ns)
                v->shared->first_frame_ns = clock_now_ns();
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        Viewer *v = userdata;

        if (v->shared->recording)
                v->record->lost += count;
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        fail("viewer", error ? error->message : reason);
}

static const struct framebus_subscription_events viewer_events = {
                .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
                .frame = on_frame,
                .lost = on_lost,
                .ended = on_ended,
};

_Noreturn void peer_run_viewer(Shared *s, unsigned int i, const char *address, const char *name, bool bus,
                               unsigned int window) {
        struct framebus_subscribe_options options = {.version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                                                     .transport = bus ? FRAMEBUS_TRANSPORT_BUS
                                                                      : FRAMEBUS_TRANSPORT_PEER,
                                                     .window = window};
        Viewer v = {.shared = s, .record = shared_get(s, i)};
        framebus_subscription *sub;
        framebus *fb;
        int r;

        r = framebus_open(&fb, address);
        if (r >= 0)
                r = framebus_subscribe(fb, name, &options, &viewer_events, &v, &sub);
        while (r >= 0 || r == -EINTR)
                r = framebus_run_once(fb, UINT64_MAX);
        fail("viewer", strerror(-r));
}

int peer_start(Group *g, Shared *s, const Config *c, const char *address, bool bus, unsigned int viewers) {
        unsigned int room = BUS_GRANTS_MAX / viewers - 1, window = bus && room < 4 ? room : 4;
        pid_t pid;

        pid = group_fork(g, ROLE_SOURCE);
        if (pid == 0)
                run_source(s, c, address);
        if (pid < 0)
                return pid;
        if (bus_wait_for_source(address, NAME) < 0)
                return -ETIMEDOUT;
        for (unsigned int i = 0; i < viewers; i++) {
                pid = group_fork(g, ROLE_VIEWER);
                if (pid == 0)
                        peer_run_viewer(s, i, address, NAME, bus, window);
                if (pid < 0)
                        return pid;
        }
        return 0;
}
