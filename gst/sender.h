/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A publisher in a worker's thread: what framebussink is without GStreamer's states. It has the book of
 * slots: those that are lent are kept, by a reference to their buffer, until the broker says that nobody has
 * them any more. When the broker goes away it publishes again, with back-off, as soon as there is one.
 */
#pragma once

#include "gst/worker.h"

typedef struct Sender Sender;
struct Slot;

typedef struct SenderOptions {
        const char *source, *description;
        bool replace, allow_replacement;
} SenderOptions;

/* Connects. @address as of framebus_open(). Negative errno as of that. One reference. */
int sender_new(const char *address, Sender **ret);
/* Ends the source. The rest stays until the last reference is gone. */
void sender_stop(Sender *s);
Sender *sender_ref(Sender *s);
Sender *sender_unref(Sender *s); /* takes NULL, returns NULL */

/*
 * From now on pictures look like @mode, which is complete. Publishes when it is called for the first time,
 * and waits for that: -ECANCELED: sender_set_flushing(); -EIO: refused, see sender_get_error().
 */
int sender_set_mode(Sender *s, const SenderOptions *options, const struct framebus_mode *mode);
void sender_set_flushing(Sender *s, bool flushing);
char *sender_get_error(Sender *s);

/* Whether anybody watches. */
bool sender_is_wanted(Sender *s);

/* Whether a keyframe is wanted; whether somebody began to watch where nobody did. Asking answers it. */
bool sender_take_keyframe_wanted(Sender *s);
bool sender_take_begun(Sender *s);

/*
 * Publishes. Not from the worker's thread.
 * @slot    that @buffer is in; it keeps the buffer. NULL: a copy of the @size bytes at @data is sent.
 * Errors as framebus_publisher_push_fds().
 */
int sender_push(Sender *s, GstBuffer *buffer, struct Slot *slot, const void *data, size_t size,
                const struct framebus_push_info *info);

/* For the allocator of slots, from any thread: there is one, or it is gone. */
void sender_add_slot(Sender *s, uint64_t id, struct Slot *slot);
void sender_remove_slot(Sender *s, uint64_t id);
