/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The receiving end of a publisher's channel: org.framebus.Publication1. Judges what comes (descriptors,
 * planes, numbers) and hands on only what is good; what is not is refused with an error and counted.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "wire/codec.h"
#include "wire/control.h"
#include "wire/frame.h"
#include "wire/mode.h"

typedef struct Publication Publication;

typedef struct PublicationHandler {
        /* The publisher's end is in somebody's hands: its first byte has come. Must not free it. */
        void (*opened)(Publication *p, void *userdata);
        /* What the source can do. @modes is the receiver's to free. */
        void (*modes)(Publication *p, Mode *modes, size_t n_modes, void *userdata);
        /* Text of the publisher; NULL: not said. */
        void (*described)(Publication *p, const char *description, const char *driver, void *userdata);
        /* A word of Source1.State that a publisher may use, and why. */
        void (*state)(Publication *p, const char *state, const char *reason, void *userdata);
        void (*format)(Publication *p, const Mode *mode, void *userdata);
        /* A good frame; @n_skipped before it were lost at the source. The reference stays the publication's.
         * */
        void (*frame)(Publication *p, Frame *f, uint64_t n_skipped, void *userdata);
        /* Something was refused: @n_lost frames (0: the other half of a pair; the first follows as `frame`),
         * and
         * @n_skipped before it were lost at the source. */
        void (*refused)(Publication *p, uint64_t n_skipped, uint64_t n_lost, const char *why, void *userdata);
        /* The kinds of memory that it can make: a mask, with sealed in any case. */
        void (*memories)(Publication *p, uint32_t kinds, void *userdata);
        /* Frames with this Frame::slot lie in another buffer from now on. */
        void (*renewed)(Publication *p, uint64_t slot, void *userdata);
        /* What it lent and has not taken back has so many bytes and descriptors. FB_E_LIMIT with @ret_why: it
         * may not have more. */
        int (*buffers)(Publication *p, uint64_t bytes, uint32_t n_fds, const char **ret_why, void *userdata);
        /* All its buffers are lent, and it has none to fill. */
        void (*want_buffer)(Publication *p, void *userdata);
        /* See publication_watch(). May free it; else it is not asked again. */
        void (*silent)(Publication *p, void *userdata);
        /* The publisher overdid it, and `closed` follows. */
        void (*overrun)(Publication *p, const char *why, void *userdata);
        /* Over: Destroy was called, or the channel is gone. Once. May free the publication. */
        void (*closed)(Publication *p, bool destroyed, void *userdata);
        /* What can be set; before the first `modes` in any case. @list_consume is the receiver's to clear. */
        void (*controls)(Publication *p, ControlList *list_consume, void *userdata);
        /* Controls have other values. */
        void (*control_changed)(Publication *p, const ControlSettings *values, void *userdata);
        /* To publication_set_controls() or publication_get_controls(). @reason "": it was done; else @failed
         * may name a control. */
        void (*control_answered)(Publication *p, uint64_t cookie, const ControlSettings *values,
                                 const char *failed, const char *reason, void *userdata);
} PublicationHandler;

/* On the broker's end of a channel, @fd_consume, owned from now on, also on failure. */
int publication_new(sd_event *event, int fd_consume, const PublicationHandler *handler, void *userdata,
                    Publication **ret);
/* Closes the channel. Takes NULL, returns NULL. */
Publication *publication_free(Publication *p);

/* The publisher is to answer a Ping every @period_ns, from when it has opened its end; else `silent`. Before
 * its first byte; UINT64_MAX: never. */
void publication_watch(Publication *p, uint64_t period_ns);

/* Asks for frames, as soon as the publisher has opened its end. */
void publication_start(Publication *p, const Start *start);
void publication_stop(Publication *p);

/* Somebody waits for a keyframe. Takes NULL. */
void publication_want_keyframe(Publication *p);

/* The buffers in these slots (Frame::slot) are never to be written again: tells the publisher, unless it
 * knows. @revoked: a frame that is under way in any that was retired is refused, at the source's expense. */
void publication_retire(Publication *p, uint64_t slots, bool revoked);

/* Whether it has said its modes, and so its controls before. */
bool publication_is_ready(const Publication *p);

/* Asks for it; `control_answered` with @cookie follows if the publisher cares to. Negative: it cannot be
 * asked. */
int publication_set_controls(Publication *p, uint64_t cookie, const ControlSettings *values);
int publication_get_controls(Publication *p, uint64_t cookie, const char *const *names);
