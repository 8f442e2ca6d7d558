/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See channel.h for the traps that this file exists for. Nothing here blocks, and a handler may free the
 * channel: after calling one, the channel is not touched any more.
 *
 * A server end goes from first_byte over the handshake to the pump, a client end is sd-bus's own.
 */
#include "wire/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "interfaces/wire.h"
#include "wire/handshake.h"
#include "wire/pump.h"

/* Room for a full window of frames (768 bytes each in the kernel's books) several times over, and for
 * replies. */
#define CHANNEL_SEND_BUFFER (32 * 1024)

/* From the first byte to BEGIN, as in sd-bus, which looks at the clock only when there is input. */
#define HANDSHAKE_TIMEOUT_NS (90 * NSEC_PER_SEC)

struct Channel {
        sd_event *event;
        int64_t priority;
        const ChannelHandler *handler;
        void *userdata;
        int fd; /* until the bus has it */
        sd_bus *bus;
        Handshake handshake; /* server end */
        Pump *pump;          /* server end, after the handshake: what runs the bus */
        bool server, foreign, open, closed;
        sd_event_source *input;    /* server end: when no bus has it, before and after */
        sd_event_source *deadline; /* of the handshake */
        sd_event_source *doom;     /* once, when it is to be closed from outside of its own dispatch */
};

/* Tells the owner, once, who may free @c meanwhile. */
static void channel_tell_closed(Channel *c) {
        c->open = false;
        if (c->closed)
                return;
        c->closed = true;
        c->handler->closed(c, c->userdata);
}

static int on_gone(sd_event_source *s, void *userdata) {
        channel_tell_closed(userdata);
        return 0;
}

static void channel_tell_overrun(Channel *c, const char *why) {
        if (c->handler->overrun)
                c->handler->overrun(c, why, c->userdata);
        else
                channel_tell_closed(c);
}

static int on_doom(sd_event_source *s, void *userdata) {
        Channel *c = userdata;

        channel_tell_overrun(c, "it does not read what it asks for");
        return 0;
}

/* Closes later: the caller is inside of the bus's own dispatch. */
static void channel_doom(Channel *c) {
        if (c->doom)
                return;
        if (sd_event_add_defer(c->event, &c->doom, on_doom, c) >= 0)
                (void)sd_event_source_set_priority(c->doom, c->priority);
}

/* A client that calls and does not read the answers must not make us keep them for it. */
static int on_any_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Channel *c = userdata;

        if (channel_get_n_unsent(c) > FB_CONTROL_QUEUE_MAX)
                channel_doom(c);
        return 0;
}

static int on_connected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Channel *c = userdata;

        c->open = true;
        if (c->handler->opened)
                c->handler->opened(c, c->userdata);
        return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        channel_tell_closed(userdata);
        return 0;
}

static int bus_configure(Channel *c, sd_bus *bus) {
        sd_id128_t id;
        int r, fd;

        if (c->server) {
                r = handshake_init(&c->handshake, c->fd, &fd);
                if (r < 0)
                        return r;
        } else
                fd = take_fd(c->fd);
        r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0) {
                fb_close(fd);
                return r;
        }
        if (c->server) {
                r = sd_id128_randomize(&id);
                if (r >= 0)
                        r = sd_bus_set_server(bus, 1, id);
                if (r >= 0)
                        r = sd_bus_set_anonymous(bus, 1);
        }
        if (r >= 0)
                r = sd_bus_set_connected_signal(bus, 1);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Connected", on_connected, c);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, c);
        if (r >= 0 && c->server)
                r = sd_bus_add_filter(bus, NULL, on_any_message, c);
        return r;
}

static int channel_start(Channel *c) {
        int r;

        r = sd_bus_new(&c->bus);
        if (r < 0)
                return r;
        r = bus_configure(c, c->bus);
        if (r >= 0 && c->handler->setup)
                r = c->handler->setup(c, c->bus, c->userdata);
        if (r >= 0)
                r = sd_bus_start(c->bus);
        if (r >= 0 && !c->server)
                r = sd_bus_attach_event(c->bus, c->event, c->priority);
        return r;
}

static void on_pump_failed(int error, void *userdata) {
        if (error == -EMSGSIZE)
                channel_tell_overrun(userdata, "it announced a message of more than 384 KiB, or did not send "
                                               "a long one to its end");
        else
                channel_tell_closed(userdata);
}

/* The handshake is over: from here on it is the pump's. */
static int channel_go_on(Channel *c) {
        int r, size = CHANNEL_SEND_BUFFER;
        sd_bus *bus;

        c->input = sd_event_source_disable_unref(c->input);
        c->deadline = sd_event_source_disable_unref(c->deadline);
        /* sd-bus asks for 8 MiB; what a client does not read would pile up there unseen */
        (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        r = handshake_hand_over(&c->handshake, c->bus);
        if (r >= 0)
                r = pump_new(c->event, c->bus, c->foreign, c->priority, on_pump_failed, c, &c->pump);
        if (r < 0)
                return r;
        c->fd = fb_close(c->fd);
        bus = sd_bus_ref(c->bus);
        (void)sd_bus_process(bus, NULL); /* Connected, and nothing is read; may free the channel */
        sd_bus_unref(bus);
        return 0;
}

static int on_handshake(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Channel *c = userdata;
        int r;

        r = handshake_run(&c->handshake, c->bus, revents & (EPOLLHUP | EPOLLRDHUP));
        if (r > 0)
                r = channel_go_on(c);
        if (r < 0)
                channel_tell_closed(c);
        return 0;
}

static int on_late(sd_event_source *s, uint64_t usec, void *userdata) {
        channel_tell_closed(userdata);
        return 0;
}

/* Edge-triggered: half a line is no reason to wake up again. */
static int channel_shake_hands(Channel *c) {
        uint64_t end_ns = clock_now_ns() + HANDSHAKE_TIMEOUT_NS;
        int r;

        r = sd_event_add_io(c->event, &c->input, c->fd, EPOLLIN | EPOLLRDHUP | (uint32_t)EPOLLET,
                            on_handshake, c);
        if (r >= 0)
                r = sd_event_source_set_priority(c->input, c->priority);
        if (r >= 0)
                r = sd_event_add_time(c->event, &c->deadline, CLOCK_MONOTONIC, end_ns / NSEC_PER_USEC, 0,
                                      on_late, c);
        return r;
}

static int on_first_byte(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Channel *c = userdata;
        char byte;

        c->input = sd_event_source_disable_unref(c->input);
        /* a hang-up is readable, too */
        if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0 || channel_start(c) < 0 ||
            channel_shake_hands(c) < 0)
                channel_tell_closed(c);
        return 0;
}

static int channel_wait(Channel *c) {
        int r = sd_event_add_io(c->event, &c->input, c->fd, EPOLLIN, on_first_byte, c);

        return r < 0 ? r : sd_event_source_set_priority(c->input, c->priority);
}

static int channel_new(sd_event *event, int fd_consume, bool server, int64_t priority,
                       const ChannelHandler *handler, void *userdata, Channel **ret_channel) {
        _cleanup_(channel_freep) Channel *c = NULL;
        int r;

        c = calloc(1, sizeof *c);
        if (!c) {
                fb_close(fd_consume);
                return -ENOMEM;
        }
        *c = (Channel){ .event = sd_event_ref(event),
                        .priority = priority,
                        .handler = handler,
                        .userdata = userdata,
                        .fd = fd_consume,
                        .handshake = HANDSHAKE_NONE,
                        .server = server };
        r = fd_set_nonblocking(c->fd);
        if (r >= 0)
                r = server ? channel_wait(c) : channel_start(c);
        if (r < 0)
                return r;
        *ret_channel = take_ptr(c);
        return 0;
}

int channel_new_server(sd_event *event, int fd_consume, int64_t priority, const ChannelHandler *handler,
                       void *userdata, Channel **ret_channel) {
        return channel_new(event, fd_consume, true, priority, handler, userdata, ret_channel);
}

int channel_new_client(sd_event *event, int fd_consume, int64_t priority, const ChannelHandler *handler,
                       void *userdata, Channel **ret_channel) {
        return channel_new(event, fd_consume, false, priority, handler, userdata, ret_channel);
}

void channel_set_foreign(Channel *c) {
        c->foreign = true;
}

static int on_finished_input(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        char discarded[4096];
        ssize_t n;

        /* the kernel closes what descriptors there are */
        n = recv(fd, discarded, sizeof discarded, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                channel_tell_closed(userdata);
        return 0;
}

static void channel_close_bus(Channel *c) {
        c->input = sd_event_source_disable_unref(c->input);
        c->deadline = sd_event_source_disable_unref(c->deadline);
        c->doom = sd_event_source_disable_unref(c->doom);
        c->pump = pump_free(c->pump);
        if (c->bus)
                (void)sd_bus_detach_event(c->bus);
        sd_bus_close_unref(take_ptr(c->bus));
        handshake_deinit(&c->handshake);
        c->open = false;
}

void channel_finish(Channel *c) {
        if (!c->bus)
                return;
        if (c->fd < 0)
                c->fd = fd_dup_cloexec(sd_bus_get_fd(c->bus));
        channel_close_bus(c);
        if (c->fd >= 0 && shutdown(c->fd, SHUT_WR) >= 0 &&
            sd_event_add_io(c->event, &c->input, c->fd, EPOLLIN, on_finished_input, c) >= 0)
                return;
        /* without a socket to wait for there is nothing left to wait for */
        if (sd_event_add_defer(c->event, &c->doom, on_gone, c) >= 0)
                (void)sd_event_source_set_priority(c->doom, c->priority);
}

Channel *channel_free(Channel *c) {
        if (!c)
                return NULL;
        channel_close_bus(c);
        fb_close(c->fd);
        sd_event_unref(c->event);
        free(c);
        return NULL;
}

sd_bus *channel_get_bus(Channel *c) {
        return c->bus;
}

int channel_get_fd(Channel *c) {
        return c->fd >= 0 ? c->fd : sd_bus_get_fd(c->bus);
}

bool channel_is_open(const Channel *c) {
        return c->open;
}

bool channel_can_pass_fds(Channel *c) {
        return c->open && sd_bus_can_send(c->bus, SD_BUS_TYPE_UNIX_FD) > 0;
}

uint64_t channel_get_n_unsent(Channel *c) {
        uint64_t n = 0;

        if (c->bus)
                (void)sd_bus_get_n_queued_write(c->bus, &n);
        return n;
}

bool channel_is_drained(Channel *c) {
        int unread = 0;

        return channel_get_n_unsent(c) == 0 && fd_get_unread(channel_get_fd(c), &unread) >= 0 &&
               unread == 0;
}

int channel_send(Channel *c, sd_bus_message *m) {
        int r;

        if (!c->open)
                return -ENOTCONN;
        if (channel_get_n_unsent(c) > FB_CONTROL_QUEUE_MAX)
                return -EXFULL;
        r = sd_bus_send(c->bus, m, NULL);
        if (c->pump)
                pump_sent(c->pump);
        return r;
}
