/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A broker that does what a test says, on a private dbus-daemon, in the same thread as the library: frames
 * that no real broker would let through, hang-ups in the middle, answers that are late or wrong.
 *
 * rig_until() runs library and broker in turn until something holds. What the library tells a subscription is
 * written down in words, one after the other: "attached format:1 frame:1 lost:2:no-credit ".
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "libframebus/framebus.h"
#include "wire/channel.h"
#include "wire/codec.h"

#define FAKE_WIDTH  16
#define FAKE_HEIGHT 8
#define FAKE_WORDS  256
#define FAKE_SIZE   (FAKE_WIDTH * FAKE_HEIGHT * 2) /* YUYV */

typedef struct Fake {
        sd_event *event;
        sd_bus *bus;
        Channel *channel; /* the newest one, of a subscription or a publisher */
        Channel *other;   /* with `two`: the one before it */
        bool two;
        bool opened, hung_up;
        char *subscriber; /* of the newest Subscribe: unique name */

        /* of order=causal, of the two channels: what GetOrder gives */
        int page_fd[2];
        FbOrderPage *page[2];

        /* what to answer */
        bool causal;         /* order=causal is granted */
        const char *commits; /* the path of Committed on the bus */
        const char *resolve_error, *attach_error, *modes_error;
        const char *describe_error; /* to Describe with "memory", of which older brokers know nothing */
        bool silent; /* not at all */

        /* what was asked */
        unsigned n_get_order;
        unsigned n_resolve, n_attach, n_publish, n_watch, n_unwatch, n_close, n_modes, n_destroy;
        char options[FAKE_WORDS]; /* of Attach or Subscribe, in words */
        unsigned n_release_messages;
        uint64_t released[64];
        size_t n_released;
        uint64_t published[64]; /* sequence numbers of Frame */
        size_t n_published;
        bool keep_frames;
        Frame *frames[64]; /* of `published`, if they are kept */
        char described[FAKE_WORDS];
        uint64_t forgotten[64];
        size_t n_forgotten;
        uint32_t n_wanted, lent; /* WantBuffer, and what it said last */
        uint32_t format;
        uint32_t flags;  /* more of them */
        uint32_t memory; /* of the frames that it sends: FB_MEMORY_* */
        uint64_t buffer; /* the number of theirs; 0: none */
        char state[64];
        char controls[512]; /* what was said about controls, one after the other */
} Fake;

typedef struct Rig {
        pid_t daemon;
        char address[256];
        char config[64];
        framebus *fb;
        Fake fake;
        int process_result; /* the last of framebus_process() */
        char log[4096];
        uint64_t retries[32];
        size_t n_retries;
        framebus_frame *held[32];
        size_t n_held;
        bool hold; /* frames */
} Rig;

/* Starts a bus and the broker on it, and opens the library. False: something is not there. */
bool rig_start(Rig *rig);
void rig_stop(Rig *rig);

/* One turn of everybody who has something to do; false: nobody had within @timeout_ms. */
bool rig_turn(Rig *rig, int timeout_ms);

/* Runs both until @condition holds: its value, false after 5 s. */
#define rig_until(rig, condition)                                                                       \
        ({                                                                                              \
                uint64_t _end = clock_now_ns() + 5 * NSEC_PER_SEC;                                      \
                while (!(condition) && clock_now_ns() < _end)                                           \
                        (void)rig_turn(rig, 20);                                                        \
                (condition);                                                                            \
        })
#define rig_until_log(rig, word) CHECK(rig_until(rig, strstr((rig)->log, word)))

/* Runs both until nothing moves any more. */
void rig_settle(Rig *rig);

void rig_log(Rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern const struct framebus_subscription_events rig_events; /* userdata: the Rig */

bool fake_start(Fake *fake, const char *address);
void fake_stop(Fake *fake); /* leaves the bus, hangs up */
void fake_hang_up(Fake *fake);
/* A channel that the test made. */
int fake_adopt(Fake *fake, int fd_consume);

/* A signal of Subscription1 or Publication1 on the channel, or directed on the bus if there is none. */
int fake_signal(Fake *fake, const char *interface, const char *member, const char *types, ...);
int fake_format(Fake *fake, uint32_t format);
/* Start, to a publisher; as older brokers say it, and with a mask of kinds of memory. */
int fake_start_publisher(Fake *fake);
int fake_start_with(Fake *fake, uint32_t memories, uint32_t n_buffers);
/* What was published is forgotten. */
void fake_drop_frames(Fake *fake);
/* A frame of @size bytes, of which @fd_consume is the memory, of the kind and in the buffer that the fake
 * names. */
int fake_frame_fd(Fake *fake, uint64_t seq, int fd_consume, uint64_t size);
/* A good one, filled with the byte @seq. Its order is its number. */
int fake_frame(Fake *fake, uint64_t seq);
/* What is sent goes by the other channel from now on. */
void fake_swap(Fake *fake);
/* Committed: in the page, and @rings: as a signal; on the bus only that. */
int fake_commit(Fake *fake, uint64_t order, bool rings);

/* Between fake.c and fake-publication.c. */
extern const Mode fake_mode;
/* Appends an a{sv} in words. */
void fake_describe_options(sd_bus_message *m, char words[static FAKE_WORDS]);
int fake_new_signal(Fake *fake, const char *interface, const char *member, sd_bus_message **ret);
int fake_send_signal(Fake *fake, sd_bus_message *m);
int fake_export_publication(Fake *fake, sd_bus *bus);
