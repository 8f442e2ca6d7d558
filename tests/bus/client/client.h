/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fb-client's parts: one process, one bus connection, one or more subscriptions to one source. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "tests/bus/client/options.h"
#include "tests/bus/client/verify.h"

#define HELD_MAX    64
#define KEPT_MAX    64
#define REASONS_MAX 12
#define BUFFERS_SEEN_MAX 256

typedef enum Transport {
        TRANSPORT_BUS,
        TRANSPORT_PEER,
        TRANSPORT_PEER_OWN_SOCKET,
} Transport;

typedef struct Config {
        const char *address, *destination, *source;
        Transport transport;
        Options options;
        uint64_t frames, seconds;
        unsigned int count; /* subscriptions */
        unsigned int hold;  /* newest frames kept unreleased */
        unsigned int flood; /* Attach calls whose replies are never read */
        const char *save;   /* the planes of each frame go into this file, one frame behind the other */
        char *owned[OPTIONS_MAX]; /* of the options' texts, those that were made here */
        size_t n_owned;
        bool never_release, release_twice, release_up_to;
        bool no_open, checksum, quiet, stay, negotiate, close, no_attack;
        bool no_fd_passing, channel_no_fd_passing;
        bool no_order, no_gate, no_answer;
} Config;

typedef struct Client Client;

typedef struct LostReason {
        char reason[32];
        uint64_t count;
} LostReason;

typedef struct Sub {
        Client *client;
        unsigned int index;
        sd_bus *bus;        /* where the signals come from: a reference */
        char *path, *owner; /* owner: unique name of who answered Subscribe, NULL on a channel */
        int channel_fd;     /* not opened (--no-open), else -1 */
        bool attached, ended, closed, done;

        uint64_t window; /* the largest that was ever granted */
        uint64_t seq, first_seq, order;
        uint64_t pending; /* lost since the last frame */
        uint64_t delivered, replayed, lost, gaps, n_problems;
        bool gaps_match;
        bool has_format;
        uint32_t format;
        LostReason reasons[REASONS_MAX];
        size_t n_reasons;
        uint32_t *latencies_us;
        size_t n_latencies;

        struct {
                uint64_t buffer, inode;
        } buffers[BUFFERS_SEEN_MAX]; /* the last ones that came */
        size_t n_buffers;
        SeenFrame held[HELD_MAX]; /* oldest first */
        size_t n_held;

        bool causal, silent;      /* silent: nothing may come yet */
        char commits[80], former[80]; /* on the bus: of Committed, and before it moved */
        const FbOrderPage *page;  /* on a channel */
        uint64_t told;            /* newest Committed */
        uint64_t looked;          /* up to where everything is to be here */
        sd_bus_message *kept[KEPT_MAX]; /* staged */
        size_t n_kept;
} Sub;

struct Client {
        Config config;
        sd_event *event;
        sd_bus *bus;
        char *source_path, *owner;
        Sub *subs;
        size_t n_fds_start;
        int status;
};

/* client-attach.c: Resolve, then Subscribe, Attach, AttachTo or Negotiate for each subscription. Negative
 * errno, with the error printed. */
int client_connect(Client *c);
int client_attach(Client *c);
int client_flood(Client *c);

/* Prints an error event and remembers the exit status. */
void client_error(Client *c, const Sub *s, const char *what, const sd_bus_error *error, int r);

/* Ends the event loop when every subscription has what it was started for. */
void client_check_done(Client *c);

/* client-order.c: order=causal. Whatever a subscription receives comes by order_on_signal(). */
int order_begin(Sub *s);
int order_listen(Sub *s, const char *path); /* at another path than before, on the bus */
void order_on_signal(Sub *s, sd_bus_message *m);
Sub *order_find(Client *c, const char *path); /* of Committed on the bus; NULL: not ours */
void order_disconnected(Sub *s);
void order_end(Sub *s);

/* client-sub.c: what a subscription receives, and what is given back. */
void sub_problem(Sub *s, const char *word);
void sub_on_signal(Sub *s, sd_bus_message *m);
void sub_disconnected(Sub *s, const char *what);
void sub_release(Sub *s, size_t n); /* the oldest @n held frames */
void sub_release_seqs(Sub *s, const uint64_t *seqs, size_t n);
int sub_set_options(Sub *s, const Options *options);
void sub_get_properties(Sub *s);
void sub_close(Sub *s);
int sub_read_granted(Sub *s, sd_bus_message *m, const char *by); /* at the a{sv}; prints it */
void sub_summary(Sub *s);
