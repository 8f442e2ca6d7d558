/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One measurement: start everything, wait until each viewer has a frame, let it settle, record, end
 * everything.
 *
 * Invariant: whatever happens, no process and no file is left.
 */

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bench/bench.h"

#define SETTLE_NS  (300 * NSEC_PER_MSEC)
#define READY_NS   (15 * NSEC_PER_SEC)

static const struct {
        const char *name, *description;
        bool bus, broker, bare;
} ways[] = {
                [WAY_RELAY] = {"relay", "bare: socket pairs, a relay in between", .bare = true},
                [WAY_FANOUT] = {"fan-out", "bare: socket pairs, no relay", .bare = true},
                [WAY_PEER] = {"peer", "framebusd, private channels"},
                [WAY_DAEMON_BARE] = {"daemon-bare", "bare hop, then sd-bus signals, dbus-daemon", true, false,
                                     true},
                [WAY_BROKER_BARE] = {"broker-bare", "bare hop, then sd-bus signals, dbus-broker", true, true,
                                     true},
                [WAY_BUS_DAEMON] = {"bus-daemon", "framebusd, signals, dbus-daemon", true, false, false},
                [WAY_BUS_BROKER] = {"bus-broker", "framebusd, signals, dbus-broker", true, true, false},
};

const char *way_to_string(Way w) {
        return ways[w].name;
}

const char *way_describe(Way w) {
        return ways[w].description;
}

unsigned int way_clamp(Way w, unsigned int viewers) {
        return ways[w].bus && !ways[w].bare && viewers > BUS_VIEWERS_MAX ? BUS_VIEWERS_MAX : viewers;
}

static void sleep_ns(uint64_t ns) {
        struct timespec ts = {.tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC)};

        (void)nanosleep(&ts, NULL);
}

/* Until each viewer has had a frame. */
static int viewers_wait(Group *g, Shared *s) {
        uint64_t deadline = clock_now_ns() + READY_NS;

        for (uint32_t i = 0; i < s->n_records;) {
                if (shared_get(s, i)->ready) {
                        i++;
                        continue;
                }
                if (interrupted)
                        return -EINTR;
                if (group_is_broken(g))
                        return -ECHILD;
                if (clock_now_ns() > deadline)
                        return -ETIMEDOUT;
                sleep_ns(5 * NSEC_PER_MSEC);
        }
        return 0;
}

static int way_start(Group *g, Shared *s, const Config *c, Way w, unsigned int viewers, Bus *bus) {
        int r;

        if (w == WAY_RELAY || w == WAY_FANOUT)
                return relay_start(g, s, c, w, viewers);
        r = bus_start(bus, g, c, ways[w].broker, false);
        if (r < 0)
                return r;
        if (ways[w].bare)
                return bus_bare_start(g, s, c, bus->address, viewers);
        r = bus_start_framebusd(bus, g, c);
        return r < 0 ? r : peer_start(g, s, c, bus->address, ways[w].bus, viewers);
}

/* On a machine that is busy with something else, a short cell may be over before the first frame. */
static void recording_wait(Group *g, Shared *s, const Config *c) {
        uint64_t deadline = clock_now_ns() + READY_NS, delivered = 0;

        sleep_ns((uint64_t)(c->seconds * 1e9));
        for (;;) {
                for (uint32_t i = 0; i < s->n_records; i++)
                        delivered += shared_get(s, i)->delivered;
                if (delivered > 0 || interrupted || group_is_broken(g) || clock_now_ns() > deadline)
                        return;
                sleep_ns(5 * NSEC_PER_MSEC);
        }
}

static int record(Group *g, Shared *s, const Config *c, Result *ret) {
        uint64_t cpu_ns[_ROLE_MAX];
        int r;

        r = viewers_wait(g, s);
        if (r < 0)
                return r;
        sleep_ns(SETTLE_NS);
        group_take_cpu(g, cpu_ns);
        s->recording = 1;
        recording_wait(g, s, c);
        s->recording = 0;
        group_take_cpu(g, cpu_ns);
        if (interrupted)
                return -EINTR;
        if (group_is_broken(g))
                return -ECHILD;
        result_make(s, cpu_ns, ret);
        return ret->delivered > 0 ? 0 : -ETIMEDOUT;
}

int measure(const Config *c, Way w, unsigned int viewers, Result *ret) {
        Shared *s = NULL;
        Group g = {0};
        Bus bus = {0};
        int r;

        viewers = way_clamp(w, viewers);
        r = shared_new(viewers, c, &s);
        if (r >= 0)
                r = way_start(&g, s, c, w, viewers, &bus);
        if (r >= 0)
                r = record(&g, s, c, ret);
        group_end(&g);
        bus_stop(&bus);
        shared_free(s);
        return r;
}

int measure_cold_start(const Config *c, bool broker, double *ret_ms) {
        uint64_t begin_ns, deadline_ns;
        Shared *s = NULL;
        Group g = {0};
        Bus bus = {0};
        pid_t pid = 0;
        int r;

        r = shared_new(1, c, &s);
        if (r >= 0)
                r = bus_start(&bus, &g, c, broker, true);
        begin_ns = clock_now_ns();
        if (r >= 0)
                r = pid = group_fork(&g, ROLE_VIEWER);
        if (r == 0 && pid == 0 && s)
                peer_run_viewer(s, 0, bus.address, "pattern", false, 4);
        deadline_ns = begin_ns + READY_NS;
        while (r >= 0 && !s->first_frame_ns) {
                sleep_ns(2 * NSEC_PER_MSEC);
                r = interrupted                    ? -EINTR
                    : group_is_broken(&g)          ? -ECHILD
                    : clock_now_ns() > deadline_ns ? -ETIMEDOUT
                                                   : 0;
        }
        if (r >= 0)
                *ret_ms = (double)(s->first_frame_ns - begin_ns) / 1e6;
        group_end(&g);
        bus_stop(&bus);
        shared_free(s);
        return r < 0 ? r : 0;
}
