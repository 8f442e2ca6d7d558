/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs on libframebus that look whether order holds among several processes: triangle.c, total.c,
 * watch.c. They speak JSON, a line a thing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libframebus/framebus.h"

typedef struct Settings {
        enum framebus_transport transport;
        enum framebus_order order;
        uint64_t frames;
        uint64_t ahead;  /* frames under way at once */
        uint32_t window;
        uint64_t nap_us; /* C has other things to do, each time before it looks at what has come */
        bool by_bus;     /* B tells C by a D-Bus call, else by a socket */
        bool no_barrier; /* C believes the socket at once */
        bool c_first;    /* attaches before B */
        const char *source; /* watch */
} Settings;

int triangle(const Settings *s);
int total(const Settings *s);
int watch(const Settings *s);

/* ---- a source that is pushed by hand ---- */

typedef struct Source {
        framebus_publisher *pub;
        bool published, started;
} Source;

/* Publishes @name; runs @fb until the broker knows it. */
void source_publish(framebus *fb, const char *name, Source *s);
/* One small frame; runs @fb until there is room. */
void source_push(framebus *fb, Source *s);

/* ---- processes ---- */

/* Forks: @run(@userdata), then exit(0) in the child. */
pid_t process_start(void (*run)(void *userdata), void *userdata);
/* Waits for its end; false: it failed. */
bool process_wait(pid_t pid);

/* One byte each, blocking; exits if the other end is gone. */
void byte_write(int fd);
void byte_read(int fd);

framebus *open_broker(void);
/* Processes @fb until *@condition, with nothing else to wait for. */
void run_until(framebus *fb, const bool *condition);
framebus_subscription *subscribe(framebus *fb, const char *source, const Settings *s,
                                 const struct framebus_subscription_events *events, void *userdata);
/* Waits for at most @timeout_ms: whether @fd can be read. -1: none. */
bool wait_both(framebus *fb, int fd, int timeout_ms);
