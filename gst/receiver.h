/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscription in a worker's thread, and the frames of it for another thread: what framebussrc is without
 * GStreamer's states. The queue needs no bound: each frame in it is one of the subscription's window.
 */
#pragma once

#include "gst/picture.h"

typedef struct Receiver Receiver;

typedef struct ReceiverFrame {
        GstBuffer *buffer; /* owned; its time is that of CLOCK_MONOTONIC */
        Look look;
        uint64_t lost;     /* frames right before this one, */
        char reason[32];   /* and why the last of them */
        bool replayed;     /* of before the subscription */
        bool attached;     /* the first one since attaching, for the first time or again */
} ReceiverFrame;

typedef struct ReceiverStats {
        uint64_t delivered, lost, attached;
} ReceiverStats;

/* Connects. @address as of framebus_open(). Negative errno as of that. */
int receiver_new(const char *address, Receiver **ret);

/* Ends it; buffers that are still around stay good. NULL is ignored. @return NULL */
Receiver *receiver_free(Receiver *r);

/*
 * These wait. -ECANCELED: receiver_set_flushing(). The words for people of what went wrong are
 * receiver_get_error()'s.
 *
 * Modes of @source: ends with -ENOENT if there is none; 0 of them are possible. The caller's to g_free().
 */
int receiver_get_modes(Receiver *r, const char *source, struct framebus_mode **ret_modes,
                       size_t *ret_n_modes);

/* Ends the subscription that there is, and begins another; waits until it is attached. -ENOENT: there is no
 * such source; -ENOTSUP: no common mode or memory; -EACCES; -EIO: anything else. */
int receiver_subscribe(Receiver *r, const char *source, const struct framebus_subscribe_options *options,
                       struct framebus_mode *ret_mode);

/* The next frame; its buffer is the caller's. -ENODATA: the subscription has ended; -EAGAIN: because
 * the source has another mode now, so asking again may help. */
int receiver_pop(Receiver *r, ReceiverFrame *ret);

/* What waits is woken and cannot begin, until it is set to false. */
void receiver_set_flushing(Receiver *r, bool flushing);

/* While not running only the newest frame is kept. Not so in the beginning. */
void receiver_set_running(Receiver *r, bool running);

/* Waits for a while. -ECANCELED, else 0. */
int receiver_sleep(Receiver *r, uint64_t ns);

/* The caller's to g_free(). */
char *receiver_get_error(Receiver *r);
void receiver_get_stats(Receiver *r, ReceiverStats *ret);
