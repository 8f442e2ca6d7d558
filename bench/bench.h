/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebus-bench's parts. A cell is one measurement: a way from a source to N viewers, each a process of
 * its own, at one rate and size. Cells of one run are comparable, those of different runs or machines are
 * not: hence the ratios.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define BENCH_VIEWERS_MAX 64
#define BENCH_PROCS_MAX   (BENCH_VIEWERS_MAX + 8)

typedef struct Config {
        uint64_t rate, width, height;
        double seconds;
        const char *framebusd, *bus_controller, *pattern; /* paths of programs */
} Config;

/* What a process is for; its CPU time is added up by this. */
typedef enum Role {
        ROLE_SOURCE,
        ROLE_MIDDLE, /* the broker, or what stands in for it */
        ROLE_BUS,
        ROLE_VIEWER,
        _ROLE_MAX,
} Role;

/* ---- proc.c: processes and their CPU time ---- */

typedef struct Proc {
        pid_t pid;
        Role role;
        bool child; /* ours to reap; else somebody else's child, only looked at */
        uint64_t cpu_ns;
} Proc;

typedef struct Group {
        Proc procs[BENCH_PROCS_MAX];
        unsigned int n;
} Group;

/* Forks. Returns 0 in the child, which dies with us. Negative errno. */
pid_t group_fork(Group *g, Role role);

/* Runs a program; @ret_output, if not NULL, is the reading end of its standard output. @env: "NAME=value"
 * or NULL. */
int group_spawn(Group *g, Role role, char *const *argv, const char *const *env, int *ret_output);

/* Another process of the same measurement, e.g. a child's child. */
void group_add(Group *g, Role role, pid_t pid);

/* CPU time since the last call, by role, nanoseconds: what the scheduler accounted for all threads. */
void group_take_cpu(Group *g, uint64_t ret_ns[static _ROLE_MAX]);

/* Whether a child has ended. */
bool group_is_broken(Group *g);

/* Ends all children, the newest first. */
void group_end(Group *g);

/* ---- stats.c ---- */

/* One for each viewer, in memory that all processes share. */
typedef struct Record {
        _Atomic uint32_t ready; /* got its first frame */
        _Atomic uint64_t delivered, lost;
        _Atomic uint32_t n;
        uint32_t latencies_100ns[];
} Record;

typedef struct Shared {
        _Atomic uint32_t recording;
        _Atomic uint64_t frames;         /* made by the source while recording */
        _Atomic uint64_t first_frame_ns; /* cold start: when the first one was there */
        uint32_t n_records, capacity;
        size_t record_size;
        char records[] __attribute__((aligned(8)));
} Shared;

int shared_new(unsigned int n_records, const Config *c, Shared **ret);
Shared *shared_free(Shared *s);
Record *shared_get(Shared *s, unsigned int i);

/* A frame that was captured at @pts_ns has reached its viewer now. */
void record_frame(Shared *s, Record *r, uint64_t pts_ns);

typedef struct Result {
        double p50_us, p99_us;
        double cpu_us_per_delivery; /* user and system, all processes */
        double middle_us_per_frame; /* of the broker, or what stands in for it */
        double bus_us_per_frame;
        uint64_t frames, delivered, lost;
} Result;

void result_make(Shared *s, const uint64_t cpu_ns[static _ROLE_MAX], Result *ret);

/* The median of n values; sorts them. 0 for none. */
double median(double *values, unsigned int n);

/* ---- bus.c: private buses ---- */

typedef struct Bus {
        char dir[64], address[128];
} Bus;

/* With framebusd configured, for bus_start_framebusd() or, if @activatable, for whoever calls it first;
 * it has one source, "pattern". -EOPNOTSUPP: dbus-broker or its controller is not there. */
int bus_start(Bus *b, Group *g, const Config *c, bool broker, bool activatable);
void bus_stop(Bus *b); /* after group_end(): removes its folder */
int bus_start_framebusd(Bus *b, Group *g, const Config *c);
int bus_wait_for_source(const char *address, const char *name);
int bus_connect(const char *address, sd_bus **ret);

/* ---- the ways: each starts its processes into @g, measure() does the rest ---- */

typedef enum Way {
        WAY_RELAY,       /* bare: source, relay, viewers, over socket pairs with SCM_RIGHTS */
        WAY_FANOUT,      /* bare: source to viewers, one hop less */
        WAY_PEER,        /* framebusd, private channels */
        WAY_DAEMON_BARE, /* a bare hop, then sd-bus signals with one descriptor through dbus-daemon */
        WAY_BROKER_BARE,
        WAY_BUS_DAEMON, /* framebusd, signals through dbus-daemon */
        WAY_BUS_BROKER,
        _WAY_MAX,
} Way;

/* relay.c */
int relay_start(Group *g, Shared *s, const Config *c, Way w, unsigned int viewers);
_Noreturn void relay_run_source(Shared *s, const Config *c, const int *fds, unsigned int n);
int relay_receive(int sock, uint64_t *ret_pts_ns); /* the descriptor, or negative errno: -EPIPE at the end */

/* bus-bare.c */
int bus_bare_start(Group *g, Shared *s, const Config *c, const char *address, unsigned int viewers);

/* peer.c */
int peer_start(Group *g, Shared *s, const Config *c, const char *address, bool bus, unsigned int viewers);
_Noreturn void peer_run_viewer(Shared *s, unsigned int i, const char *address, const char *name, bool bus,
                               unsigned int window);

/* ---- measure.c ---- */

const char *way_to_string(Way w);
const char *way_describe(Way w);

/* framebusd grants that many file descriptors on the bus: a viewer's window, and one more for each. */
#define BUS_GRANTS_MAX  60u
#define BUS_VIEWERS_MAX (BUS_GRANTS_MAX / 2)

/* Not more than there can be. */
unsigned int way_clamp(Way w, unsigned int viewers);

/* One cell. -EOPNOTSUPP: cannot be measured here; -ETIMEDOUT: no frame came; -ECHILD: a process ended. */
int measure(const Config *c, Way w, unsigned int viewers, Result *ret);

/* From the first call of a viewer to its first frame, with nothing running before but the bus. */
int measure_cold_start(const Config *c, bool broker, double *ret_ms);

/* Set by a signal: give up, clean up. */
extern volatile sig_atomic_t interrupted;
