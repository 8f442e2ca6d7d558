/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The screens of a machine, and which of them is meant. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

#define SCREENS_MAX     64u
#define SCREEN_NAME_MAX 32u

/* A connector with what feeds it, or what feeds none: then connector_id is 0. */
typedef struct Screen {
        unsigned card; /* index of the device that it belongs to */
        uint32_t connector_id;
        char name[SCREEN_NAME_MAX]; /* "HDMI-A-1"; without a connector "crtc-41" */
        bool connected;             /* also if nobody knows */
        uint32_t crtc_id;           /* 0: none */
        bool active;                /* it has a mode */
        uint32_t fb_id;             /* 0: shows nothing */
        uint32_t x, y, width, height; /* what it shows of the framebuffer, pixels; 0: not active */
        struct framebus_fraction rate; /* the refresh rate; 0/0: not active, or not known */
        uint32_t preferred_width, preferred_height; /* of the first mode that the connector lists, or 0 */
} Screen;

typedef struct ScreenWish {
        const char *connector; /* its name, in any case; NULL: any */
        uint32_t crtc_id;      /* 0: any */
} ScreenWish;

typedef enum PickResult {
        PICK_SHOWN,     /* this one, and there is a framebuffer */
        PICK_NO_SIGNAL, /* this one, but it is off */
        PICK_ABSENT,    /* there is none, or nothing is plugged in */
} PickResult;

/*
 * The first that fits and shows something, else the first that is on, then that is connected.
 * @ret_screen  may be NULL for PICK_ABSENT
 * @ret_reason  for people, if nothing is shown; always terminated
 */
PickResult screens_pick(const Screen *screens, size_t n, const ScreenWish *wish, const Screen **ret_screen,
                        char *ret_reason, size_t size);

/* As the kernel's numbers of a mode say; 0/0 if they say nothing. */
typedef struct ModeTiming {
        uint32_t clock_khz, htotal, vtotal, vscan;
        bool interlaced, doublescan;
} ModeTiming;
struct framebus_fraction timing_get_rate(const ModeTiming *t);
