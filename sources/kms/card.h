/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A DRM device that drives screens: what it says, without being its master for longer than a moment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sources/kms/screens.h"

#define CARDS_MAX 16u

typedef struct Card {
        int fd; /* -1: closed */
        char path[64];
} Card;

#define CARD_NULL { .fd = -1 }

/*
 * Opens @path. Whoever opens a device that has no master becomes it; that is given back at once, for the
 * program that the screen belongs to.
 * Errors: what opening failed with; -ENOTTY: no device with screens.
 */
int card_open(Card *c, const char *path);
/* A closed one is left alone. */
void card_close(Card *c);

/* All that the device has, behind the first *@n of @screens. @index: stored in each. Negative errno. */
int card_list(const Card *c, unsigned index, Screen screens[SCREENS_MAX], size_t *n);

/* Fills in what a CRTC shows now: active, fb_id, x, y, width, height, rate. Negative errno; -ENODEV: the
 * device is gone. */
int card_look(const Card *c, Screen *screen);

/* Asks for one event at the next vblank. Negative errno: this one has none, or is off. */
int card_queue_vblank(const Card *c, uint32_t crtc_id);

typedef struct Vblank {
        uint64_t sequence, time_ns; /* CLOCK_MONOTONIC */
} Vblank;

/* Takes the events that wait. Returns whether there was one; *ret_vblank is the last. */
bool card_take_vblank(const Card *c, Vblank *ret_vblank);
