/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a screen is looked at, and whether what is there then makes a frame: once for each framebuffer that is
 * shown, and now and then while the same one stays, as a program may draw into it. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "libframebus/framebus.h"
#include "sources/common/ticker.h"

typedef struct Pace {
        Ticker ticker;        /* of the timer, where there is no vblank */
        uint64_t interval_ns; /* between two frames at least */
        uint64_t slack_ns;    /* half of the refresh: a vblank so much early is in time */
        uint64_t in_place_ns; /* the same framebuffer is a frame again after this; UINT64_MAX: never */
        uint64_t last_ns;     /* the last frame's time; 0: none */
        uint32_t fb_id;       /* of the last frame */
} Pace;

/*
 * @refresh   of the screen; 0/0: not known, taken for 60
 * @wanted    at most so many frames a second; 0/0: all
 * @in_place  frames a second while one framebuffer stays, at most as many as wanted; 0: none
 */
void pace_init(Pace *p, uint64_t now_ns, struct framebus_fraction refresh, struct framebus_fraction wanted,
               struct framebus_fraction in_place);

/* The rate of the frames. */
struct framebus_fraction pace_get_rate(struct framebus_fraction refresh, struct framebus_fraction wanted);

/* Whether @fb_id, seen at @now_ns, is to be copied. */
bool pace_judge(const Pace *p, uint32_t fb_id, uint64_t now_ns);

/* It was. */
void pace_note(Pace *p, uint32_t fb_id, uint64_t now_ns);

/* Timer: takes the tick that is due at @now_ns; when it was due is the time for pace_judge() and pace_note(),
 * so that a late one does not put off the next. False: none is. */
bool pace_take_tick(Pace *p, uint64_t now_ns, uint64_t *ret_due_ns);
/* Timer: when the next tick is due. */
uint64_t pace_get_due_ns(const Pace *p);
