/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SASL part of a private connection's server end. sd-bus does it, but reads ahead: what comes behind
 * BEGIN would lie in a buffer that nobody can look into, so that nobody could say where in a message it
 * stands. So it is started on a socket of its own, and gets the client's words from here, a line at a time;
 * when it is done, the client's socket takes the place of that one.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

typedef struct Handshake {
        int client;      /* borrowed */
        int relay;       /* our end of what sd-bus has */
        unsigned n_lines;
} Handshake;

#define HANDSHAKE_NONE { .client = -1, .relay = -1 }

/* @ret_bus_fd: for sd_bus_set_fd(), the caller's. */
int handshake_init(Handshake *h, int client_borrow, int *ret_bus_fd);
void handshake_deinit(Handshake *h);

/*
 * Takes the lines that are there. @hung_up: no more will come. 1: it is done, what the client sends from now
 * on is messages, and sd-bus has not dispatched anything yet; 0: to be called when more is there; negative:
 * it failed.
 */
int handshake_run(Handshake *h, sd_bus *bus, bool hung_up);

/* After handshake_run() was done: @bus goes on on the client's socket. */
int handshake_hand_over(Handshake *h, sd_bus *bus);
