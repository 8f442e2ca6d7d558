/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/pump.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Messages of one connection in a row, before others have their turn. */
#define MESSAGES_IN_A_ROW 32

struct Pump {
        sd_bus *bus;
        int fd; /* the socket by a number of our own: sd-bus closes its own at hang-up, and what a handler
                 * opens then may get that number, and would be taken out of epoll with this pump */
        sd_event_source *io, *again; /* @again: more is there than was taken */
        void (*failed)(void *userdata);
        void *userdata;
        uint32_t events;
        bool *gone; /* while it runs: told when it is freed inside */
};

static void pump_watch(Pump *p) {
        uint64_t n_unsent = 0;
        uint32_t events;

        (void)sd_bus_get_n_queued_write(p->bus, &n_unsent);
        events = EPOLLIN | (n_unsent > 0 ? EPOLLOUT : 0);
        if (events != p->events && sd_event_source_set_io_events(p->io, events) >= 0)
                p->events = events;
}

static void pump_run(Pump *p) {
        sd_bus *bus = sd_bus_ref(p->bus); /* a handler may free the pump, and its reference with it */
        bool gone = false;
        int r = 1;

        p->gone = &gone;
        for (unsigned int n = 0; r > 0 && !gone && n < MESSAGES_IN_A_ROW; n++)
                r = sd_bus_process(bus, NULL);
        sd_bus_unref(bus);
        if (gone)
                return;
        p->gone = NULL;
        if (r < 0) {
                p->failed(p->userdata);
                return;
        }
        pump_watch(p);
        (void)sd_event_source_set_enabled(p->again, r > 0 ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        pump_run(userdata);
        return 0;
}

static int on_again(sd_event_source *s, void *userdata) {
        pump_run(userdata);
        return 0;
}

int pump_new(sd_event *event, sd_bus *bus, int64_t priority, void (*failed)(void *userdata), void *userdata,
             Pump **ret) {
        Pump *p = calloc(1, sizeof *p);
        int r;

        if (!p)
                return -ENOMEM;
        p->bus = sd_bus_ref(bus);
        p->failed = failed;
        p->userdata = userdata;
        p->events = EPOLLIN;
        p->fd = r = fd_dup_cloexec(sd_bus_get_fd(bus));
        if (r >= 0)
                r = sd_event_add_io(event, &p->io, p->fd, EPOLLIN, on_io, p);
        if (r >= 0)
                r = sd_event_source_set_priority(p->io, priority);
        if (r >= 0) /* what sd-bus has read already, nothing else would tell of */
                r = sd_event_add_defer(event, &p->again, on_again, p);
        /* behind everybody else: a defer source counts as the one that has waited longest, and would have its
         * turn before all others as long as its client goes on */
        if (r >= 0)
                r = sd_event_source_set_priority(p->again, priority + 1);
        if (r < 0) {
                pump_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

Pump *pump_free(Pump *p) {
        if (!p)
                return NULL;
        if (p->gone)
                *p->gone = true;
        sd_event_source_disable_unref(p->io);
        sd_event_source_disable_unref(p->again);
        fb_close(p->fd);
        sd_bus_unref(p->bus);
        free(p);
        return NULL;
}

void pump_sent(Pump *p) {
        pump_watch(p);
}
