/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One end of a private D-Bus connection over a socket, without a bus in between.
 *
 * Server end: sd-bus drops a peer that has not authenticated 90 s after the server end started, so it is
 * started at the first byte that arrives. Anonymous: on a socket pair that we made, SO_PEERCRED names
 * ourselves at both ends, so it can prove nothing; rights are bound to the channel instead, and every vtable
 * on it is SD_BUS_VTABLE_UNPRIVILEGED. What a client sends is bounded: a message is taken when all of it is
 * there (pump.h), and nothing of one that is longer than FB_MESSAGE_MAX. sd-bus reads ahead during the
 * handshake, and leaves a message that came together with BEGIN in its buffer until more bytes arrive; so it
 * is given the handshake alone (handshake.h).
 *
 * Lifetime: the owner frees it with channel_free(), also inside a handler.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Channel Channel;

typedef struct ChannelHandler {
        /* The bus object exists and is not started yet: add vtables and matches. Negative: give the channel
         * up. */
        int (*setup)(Channel *c, sd_bus *bus, void *userdata);
        /* Authenticated: messages can be sent without blocking from here on. May free the channel. */
        void (*opened)(Channel *c, void *userdata);
        /* Hung up, or never opened and gone, or an error on the connection. Once. May free the channel. */
        void (*closed)(Channel *c, void *userdata);
        /* The other end leaves too much unread (FB_CONTROL_QUEUE_MAX), or says too much (FB_MESSAGE_MAX):
         * finish or free the channel. NULL: `closed` is told. */
        void (*overrun)(Channel *c, const char *why, void *userdata);
} ChannelHandler;

/* A server end on @fd_consume (a connected AF_UNIX stream; made non-blocking), owned from now on, also on
 * failure. */
int channel_new_server(sd_event *event, int fd_consume, int64_t priority, const ChannelHandler *handler,
                       void *userdata, Channel **ret_channel);

/* The socket was made by the client, who may have kept a name of our end and read from it: what it says is
 * taken out of the socket before it is judged, at the cost of a few system calls a message. For a server end
 * that is not open yet. */
void channel_set_foreign(Channel *c);

/* A client end on @fd_consume, started at once. */
int channel_new_client(sd_event *event, int fd_consume, int64_t priority, const ChannelHandler *handler,
                       void *userdata, Channel **ret_channel);

/*
 * Says no more: what was sent can be read to its end, also by a peer that is sending meanwhile (its write to
 * a closed socket would fail, and sd-bus then drops what it has not read); what comes is thrown away. There
 * is no bus any more. `closed` is told when the other end hangs up, and not before: until then it may keep
 * unread descriptors in flight, which channel_get_fd() can be asked for. No effect before the first byte.
 */
void channel_finish(Channel *c);

/* Closes and frees; no handler runs any more. What is not sent yet is lost. Takes NULL, returns NULL. */
Channel *channel_free(Channel *c);
static inline void channel_freep(Channel **c) {
        channel_free(*c);
}

/* The socket, borrowed. */
int channel_get_fd(Channel *c);

/* NULL until the first byte arrived (server end). Borrowed. */
sd_bus *channel_get_bus(Channel *c);
bool channel_is_open(const Channel *c);

/* Whether the other end took file descriptors on; only meaningful once open. */
bool channel_can_pass_fds(Channel *c);

/* Messages that the socket had no room for yet. */
uint64_t channel_get_n_unsent(Channel *c);

/* Whether the other end has read all that was sent. One ioctl. */
bool channel_is_drained(Channel *c);

/* Sends without blocking. Ownership of @m stays with the caller. -ENOTCONN before it is open; -EXFULL: more
 * than FB_CONTROL_QUEUE_MAX messages wait already. */
int channel_send(Channel *c, sd_bus_message *m);
