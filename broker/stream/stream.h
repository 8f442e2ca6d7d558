/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One source's frames and who gets them: numbers, the mode in force, the publish loop. Knows no bus, device
 * or clock.
 *
 * A stream asks for frames through StreamHandler::start and gets them by stream_publish(). Wishes are judged
 * by stream_negotiate(); a subscriber added later than that is in the sequence from stream_add() on.
 *
 * What has an order is staged, then committed: first everybody is sent it, then the page and Committed say
 * so. Causal subscribers believe nothing before that, so none acts on what another one does not have yet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "broker/stream/order-page.h"
#include "broker/stream/order.h"
#include "broker/stream/subscriber.h"
#include "wire/frame.h"
#include "wire/mode.h"

typedef enum StreamState {
        STREAM_IDLE,
        STREAM_STARTING,
        STREAM_STREAMING,
        STREAM_NO_SIGNAL,
        STREAM_ABSENT,
        STREAM_FAILED,
        _STREAM_STATE_MAX,
} StreamState;

const char *stream_state_to_string(StreamState state);
/* Negative: no such word. */
StreamState stream_state_from_string(const char *s);

enum {
        STREAM_CHANGED_STATE = 1 << 0,
        STREAM_CHANGED_MODES = 1 << 1,
        STREAM_CHANGED_MODE = 1 << 2,
        STREAM_CHANGED_SUBSCRIBERS = 1 << 3,
};

typedef struct StreamHandler {
        /* Frames are wanted, in @mode, of the kinds of memory Stream::memories; again while running when one
         * of these or Stream::n_buffers changes. */
        void (*start)(Stream *s, const Mode *mode);
        /* Nobody watches any more. */
        void (*stop)(Stream *s);
        /* The buffers in these slots (Frame::slot) are with somebody who must not see what comes later: they
         * are never to be written again. Said before the references to frames in them are dropped.
         * @revoked: nor is a frame to come in them that is under way. */
        void (*retire)(Stream *s, uint64_t slots, bool revoked);
        /* A subscriber waits for a keyframe; at most once in FB_KEYFRAME_NS. */
        void (*want_keyframe)(Stream *s);
        /* STREAM_CHANGED_*; nothing may be freed here. */
        void (*changed)(Stream *s, unsigned int what);
} StreamHandler;

struct Stream {
        const StreamHandler *handler;
        Order *order;
        List subscribers; /* of Subscriber::link */
        uint32_t n_subscribers;
        uint32_t n_staged;     /* of them were sent something that is not committed */
        uint64_t staged_order; /* the newest of that */
        OrderPage page;        /* for causal subscribers on channels */
        Mode *modes; /* what the source can do */
        size_t n_modes;
        Mode target;     /* what was asked for; fourcc 0: nothing */
        uint32_t memories;  /* and in which kinds of memory: a mask */
        uint32_t n_buffers; /* how many that are not sealed all subscribers may hold together */
        Mode mode;       /* in force; fourcc 0: nothing */
        uint32_t format; /* number of the mode in force */
        uint64_t seq, frames;
        uint64_t lost[_LOSS_MAX]; /* before any subscription */
        /* The newest of the present run that can be looked at without others; a reference */
        Frame *last;
        uint64_t last_ns;
        /* The first frame of the mode in force that was flagged as a keyframe, if others build on it; 0: each
         * frame is taken to be complete. A source that never flags one starves nobody. */
        uint64_t first_keyframe;
        uint64_t asked_ns; /* for a keyframe; 0: never */
        StreamState state;
        char reason[FB_TEXT_MAX + 1];
        bool looping; /* in a loop over subscribers: reap afterwards */
};

void stream_init(Stream *s, const StreamHandler *handler, Order *order);
/* All subscribers must be gone. */
void stream_deinit(Stream *s);

/* Takes over @modes. */
void stream_set_modes(Stream *s, Mode *modes, size_t n_modes);
void stream_set_state(Stream *s, StreamState state, const char *reason);

/* The mode that @wishes and all subscribers accept. FB_E_NO_COMMON_MODE. Changes nothing. */
int stream_negotiate(const Stream *s, ModeList wishes, Mode *ret_mode);

/* Whether the source could do what @wishes say if it were for them alone. */
bool stream_can(const Stream *s, ModeList wishes);

/*
 * Who is in the way of @wishes: the number of subscribers of which each, by itself, leaves nothing of what
 * the source could do for them, and what the first of these accepts (borrowed). 0: nobody by itself, as
 * far as could be found out at little cost; *@ret_theirs is as it was.
 */
size_t stream_count_opponents(const Stream *s, ModeList wishes, ModeList *ret_theirs);

/* Adds a subscriber for which @mode was negotiated, and starts or changes the source if need be. */
void stream_add(Stream *s, Subscriber *sub, const Mode *mode);
/* Takes it out, without a word to it; the last one stops the source. */
void stream_remove(Stream *s, Subscriber *sub);

/* The source says how its frames look from now on. */
void stream_set_format(Stream *s, const Mode *mode);

/* What a subscriber needs has changed: tells the source if need be. */
void stream_update_needs(Stream *s);

/*
 * The publisher has no buffer to fill: who has held one longest is suspended ("buffers"), and what it has
 * is retired; then the next, until a buffer has come back or nobody has any. Nobody else waits.
 */
void stream_take_back(Stream *s);

/* In these slots there are other buffers from now on; nobody was sent them. */
void stream_renew_slots(Stream *s, uint64_t slots);

/* Whether @f cannot be looked at without frames before it. */
static inline bool stream_is_delta(const Stream *s, const Frame *f) {
        return s->first_keyframe != 0 && !(f->flags & FB_FRAME_KEYFRAME);
}

/* For a subscriber: StreamHandler::want_keyframe, unless that was done just now. */
void stream_want_keyframe(Stream *s, uint64_t now_ns);

/* For a subscriber: StreamHandler::retire, and nobody new gets a frame that lies there. */
void stream_retire(Stream *s, uint64_t slots);

/*
 * One frame: gives it its numbers and offers it to everybody. @n_skipped frames before it were lost at the
 * source. The reference stays the caller's. A subscriber whose conduit fails is marked, and handed to its
 * owner (over) when all others were served.
 */
void stream_publish(Stream *s, Frame *f, uint64_t n_skipped, uint64_t now_ns);

/* Frames that never came: "source" or "corrupt". */
void stream_lose(Stream *s, uint64_t count, LossReason reason);

/* The source's run is over (it stopped, crashed, …): no replay, no mode in force, and nobody writes to the
 * buffers that were lent. */
void stream_run_ended(Stream *s);

/* Ends one or all subscriptions. "revoked": nobody sees in the memory that it was sent anything that is
 * published from now on. Who leaves by itself may see one frame more that was under way. */
void stream_end_subscriber(Stream *s, Subscriber *sub, const char *reason, uint64_t now_ns);
void stream_end_all(Stream *s, const char *reason, uint64_t now_ns);

/* The page that says what is committed, for a subscriber: a descriptor, borrowed. Negative errno. */
int stream_open_page(Stream *s);

/* Hands the subscribers that are over to their owners. Not to be called from ops. */
void stream_reap(Stream *s);

/* The newest frame (of a format with deltas: keyframe) if it may be replayed, else NULL. Borrowed. */
Frame *stream_get_replay(const Stream *s, uint64_t now_ns);

static inline const Mode *stream_get_mode(const Stream *s) {
        return &s->mode;
}
