/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant: sd-bus stands between two messages. One sd_bus_process() reads until a message is complete and
 * not a byte further, or until the socket is empty. So it is called for a good message that is there to its
 * end, or to send when there is room (it then returns before it reads). That it took the message meant is
 * seen by the serial; where it did not, the connection ends at once, with all that it has kept.
 *
 * Where the look ahead leaves a doubt about descriptors, where a message comes in many pieces, and always on
 * a foreign socket, it makes a detour: it is taken from the socket here, and sd-bus reads it from another.
 *
 * While half a message is there, input is edge-triggered: the loop wakes up for more of it, and sleeps else.
 * It may be that its end can never come, since the kernel queues only so many bytes, or pieces: so after a
 * moment a short message is taken as far as it is there, and a long one has two seconds.
 */
#include "wire/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "interfaces/wire.h"
#include "wire/ahead.h"
#include "wire/detour.h"

/* A client may write a message in any number of pieces, and the kernel queues a few dozen. So one that is not
 * there to its end after so long is kept here, up to so many bytes, unless descriptors are with it. */
#define KEPT_MESSAGE_MAX 4096u
#define KEPT_AFTER_NS    (50 * NSEC_PER_MSEC)

#define LONG_MESSAGE_NS (2 * NSEC_PER_SEC)

struct Pump {
        sd_bus *bus;
        bool foreign;
        int fd; /* the socket by a number of our own: sd-bus closes its own at hang-up, and what a handler
                 * opens then may get that number, and would be taken out of epoll with this pump */
        sd_event_source *io;
        sd_event_source *late; /* while half a message is there */
        bool late_is_long, is_late;
        sd_bus_slot *filter;
        void (*failed)(int error, void *userdata);
        void *userdata;
        uint32_t events;
        Ahead ahead;       /* what the last look said */
        Detour detour;
        bool waits;        /* for room to send, before a message can make its detour */
        bool away;         /* sd-bus's number stands for another socket */
        int bus_fd;        /* that number */
        uint32_t expected; /* serial of the message that sd-bus is to take */
        bool taking;
        enum { HEARD_NOTHING, HEARD_IT, HEARD_OTHER } heard;
        bool *gone;      /* while it runs: told when it is freed inside */
};

static uint64_t n_unsent(sd_bus *bus) {
        uint64_t n = 0;

        (void)sd_bus_get_n_queued_write(bus, &n);
        return n;
}

static void pump_fail(Pump *p, int error) {
        (void)sd_event_source_set_enabled(p->io, SD_EVENT_OFF);
        p->late = sd_event_source_disable_unref(p->late);
        p->failed(error, p->userdata);
}

static void pump_watch(Pump *p) {
        uint32_t events = EPOLLIN | EPOLLRDHUP;

        if (n_unsent(p->bus) > 0)
                events |= EPOLLOUT;
        if (p->ahead.need > 0 || p->waits)
                events |= (uint32_t)EPOLLET;
        if (events != p->events && sd_event_source_set_io_events(p->io, events) >= 0)
                p->events = events;
}

static void come_back(Pump *p) {
        if (p->away)
                (void)dup3(p->fd, p->bus_fd, O_CLOEXEC);
        p->away = false;
}

/* Ahead of all other filters and handlers: those see no message that was not looked at. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Pump *p = userdata;
        uint64_t serial;

        if (!p->taking)
                return 0; /* sd-bus's own: Connected, Disconnected */
        come_back(p);
        if (p->heard != HEARD_NOTHING || sd_bus_message_get_cookie(m, &serial) < 0 || serial != p->expected)
                p->heard = HEARD_OTHER;
        else
                p->heard = HEARD_IT;
        return p->heard == HEARD_OTHER;
}

/* No more can come: sd-bus takes what is left, finds the end, and says Disconnected. */
static int take_end(const Pump *p, sd_bus *bus, const bool *gone) {
        int r = 1;

        if (p->foreign) /* what is left may not be what was seen */
                return -ECONNRESET;
        for (unsigned int n = 0; r > 0 && !*gone && n < AHEAD_MAX; n++)
                r = sd_bus_process(bus, NULL);
        return r;
}

/* 1: it was taken; 0: something was sent instead. */
static int take_message(Pump *p, sd_bus *bus, uint32_t serial, const bool *gone) {
        int r;

        p->heard = HEARD_NOTHING;
        p->expected = serial;
        p->taking = true;
        r = sd_bus_process(bus, NULL);
        if (*gone)
                return r;
        p->taking = false;
        if (r < 0)
                return r;
        if (p->heard == HEARD_IT)
                return 1;
        return p->heard == HEARD_NOTHING && r > 0 ? 0 : -EBADMSG;
}

static int take_by_detour(Pump *p, sd_bus *bus, const bool *gone) {
        uint32_t serial = 0;
        int r;

        r = detour_gather(&p->detour, p->fd, &serial);
        if (r <= 0)
                return r;
        p->waits = n_unsent(bus) > 0; /* that must not go there */
        if (p->waits)
                return 0;
        r = detour_enter(&p->detour, p->bus_fd);
        detour_end(&p->detour);
        if (r < 0)
                return r;
        p->away = true;
        r = take_message(p, bus, serial, gone);
        if (*gone)
                return r;
        come_back(p);
        return r == 0 ? -EBADMSG : r;
}

static int take_messages(Pump *p, sd_bus *bus, const bool *gone) {
        const Ahead ahead = p->ahead;
        unsigned int i = 0;
        int r = 0;

        /* a call that sends takes nothing, and handlers may give cause for some of these */
        for (unsigned int n = 0; r >= 0 && !*gone && i < ahead.n && n < 2 * AHEAD_MAX; n++) {
                r = take_message(p, bus, ahead.serials[i], gone);
                if (r > 0)
                        i++;
                if (r >= 0 && !*gone && sd_bus_is_open(bus) <= 0)
                        return take_end(p, bus, gone);
        }
        return r;
}

/* What is there is sent, and not more: there is room. */
static int send_on(sd_bus *bus) {
        int r = n_unsent(bus) > 0 ? sd_bus_process(bus, NULL) : 1;

        return r == 0 ? -EBADMSG : r; /* it went on and read */
}

/* Whether the next message is to make the detour. */
static bool takes_detour(Pump *p, AheadState state) {
        if (p->detour.size > 0)
                return true;
        return (state == AHEAD_WHOLE && (p->ahead.doubt || p->foreign)) ||
               (state == AHEAD_HALF && p->is_late && p->ahead.size > 0 && p->ahead.size <= KEPT_MESSAGE_MAX);
}

static int pump_turn(Pump *p, sd_bus *bus, uint32_t revents, const bool *gone) {
        bool hung_up = revents & (EPOLLHUP | EPOLLRDHUP);
        AheadState state = p->detour.size > 0 ? AHEAD_NOTHING : ahead_look(p->fd, &p->ahead);
        int r = 0;

        if (state == AHEAD_TOO_LONG)
                return -EMSGSIZE;
        if (state == AHEAD_BROKEN)
                return -EBADMSG;
        if (state == AHEAD_END || (state == AHEAD_HALF && hung_up) || sd_bus_is_open(bus) <= 0)
                return take_end(p, bus, gone);
        if (revents & EPOLLOUT)
                r = send_on(bus);
        if (r < 0)
                return r;
        if (sd_bus_is_open(bus) <= 0)
                return take_end(p, bus, gone);
        p->waits = false;
        if (!takes_detour(p, state))
                return take_messages(p, bus, gone);
        if (p->detour.size == 0) {
                r = detour_begin(&p->detour, p->ahead.size, state == AHEAD_WHOLE);
                p->ahead.need = 0;
        }
        return r < 0 ? r : take_by_detour(p, bus, gone);
}

static void pump_watch_time(Pump *p);

static void pump_run(Pump *p, uint32_t revents) {
        sd_bus *bus = sd_bus_ref(p->bus); /* a handler may free the pump, and its reference with it */
        bool gone = false;
        int r;

        p->gone = &gone;
        r = pump_turn(p, bus, revents, &gone);
        sd_bus_unref(bus);
        if (gone)
                return;
        p->gone = NULL;
        if (r < 0)
                pump_fail(p, r);
        else {
                pump_watch(p);
                pump_watch_time(p);
        }
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        pump_run(userdata, revents);
        return 0;
}

static int on_late(sd_event_source *s, uint64_t usec, void *userdata) {
        Pump *p = userdata;

        p->is_late = true;
        if (p->ahead.need > FB_MESSAGE_SURE)
                pump_fail(p, -EMSGSIZE);
        else {
                p->ahead.need = 0; /* look again */
                pump_run(p, 0);
        }
        return 0;
}

static void pump_watch_time(Pump *p) {
        bool is_long = p->ahead.need > FB_MESSAGE_SURE;
        uint64_t left_ns = is_long ? LONG_MESSAGE_NS : KEPT_AFTER_NS;

        if (p->ahead.need == 0 || is_long != p->late_is_long) {
                p->late = sd_event_source_disable_unref(p->late);
                p->is_late = false;
        }
        if (p->ahead.need == 0 || p->late)
                return;
        p->late_is_long = is_long;
        (void)sd_event_add_time(sd_event_source_get_event(p->io), &p->late, CLOCK_MONOTONIC,
                                (clock_now_ns() + left_ns) / NSEC_PER_USEC, 0, on_late, p);
}

int pump_new(sd_event *event, sd_bus *bus, bool foreign, int64_t priority,
             void (*failed)(int error, void *userdata), void *userdata, Pump **ret) {
        Pump *p = calloc(1, sizeof *p);
        int r;

        if (!p)
                return -ENOMEM;
        p->bus = sd_bus_ref(bus);
        p->foreign = foreign;
        p->failed = failed;
        p->userdata = userdata;
        p->events = EPOLLIN | EPOLLRDHUP;
        p->bus_fd = sd_bus_get_fd(bus);
        p->fd = r = fd_dup_cloexec(p->bus_fd);
        if (r >= 0)
                r = sd_bus_add_filter(bus, &p->filter, on_message, p);
        if (r >= 0)
                r = sd_event_add_io(event, &p->io, p->fd, p->events, on_io, p);
        if (r >= 0)
                r = sd_event_source_set_priority(p->io, priority);
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
        detour_end(&p->detour);
        sd_event_source_disable_unref(p->io);
        sd_event_source_disable_unref(p->late);
        sd_bus_slot_unref(p->filter);
        fb_close(p->fd);
        sd_bus_unref(p->bus);
        free(p);
        return NULL;
}

void pump_sent(Pump *p) {
        pump_watch(p);
}
