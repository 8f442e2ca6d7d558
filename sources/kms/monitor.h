/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One screen as a source: when it is looked at, what becomes of its troubles, and what is told of them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sources/common/program.h"
#include "sources/kms/card.h"
#include "sources/kms/grab.h"
#include "sources/kms/lender.h"
#include "sources/kms/pace.h"
#include "sources/kms/screens.h"

/* Exit codes beyond those of program.h. */
enum {
        EXIT_NO_SCREENS = 3,
        EXIT_ABSENT = 4,
        EXIT_NO_PERMISSION = 6,
};

typedef enum MonitorPhase {
        MONITOR_IDLE,    /* nobody watches; no device is open */
        MONITOR_WAITING, /* there is nothing to be seen; due when it is looked for again */
        MONITOR_RUNNING, /* due at the next tick or, with vblanks, when one is overdue */
} MonitorPhase;

typedef struct Monitor {
        Program program;
        ProgramOptions options;
        const char *path; /* NULL: all devices */
        ScreenWish wish;
        GrabMethod method;
        struct framebus_fraction in_place;
        Lender lender;

        Card cards[CARDS_MAX];
        Screen screen; /* unless idle; its card is open while running */
        char description[64];
        MonitorPhase phase;
        struct framebus_mode wanted; /* unless idle */
        struct framebus_mode offer;  /* what was offered last */
        struct framebus_mode mode;   /* of the frames, as told; fourcc 0: not since the last start */
        struct framebus_fraction refresh; /* that pace was made for */
        Pace pace;
        bool vblank; /* events come */
        uint64_t due_ns;
        uint64_t look_ns; /* running: when the connector is looked at */
        bool discontinuity;
        bool torn; /* it was logged that flips are quicker than copies */
        char state[16], reason[256]; /* told last */
} Monitor;

/* Every device that can be opened, every screen. Negative errno, after the program has failed: no device. */
int monitor_list(Monitor *m, Screen screens[SCREENS_MAX], size_t *ret_n);
/* Closes the devices. */
void monitor_close(Monitor *m);

/* Asks what there is to be seen, and leaves all devices closed. If that fails, the program is done. */
void monitor_probe(Monitor *m);

/* Does what the broker asks, until the program is done. */
void monitor_run(Monitor *m);

/* ---- monitor-lend.c ---- */

/* Before program_publish(). */
void monitor_offer_memory(Monitor *m);
/* Whether somebody asked for dma-bufs. */
bool monitor_is_lending(const Monitor *m);
/* Lends what @g is as a frame that @info describes but for the memory. Returns 1; 0: it did not go out, which
 * was counted; -EBUSY: somebody has it still; else what exporting failed with. */
int monitor_lend(Monitor *m, const Grab *g, const CopyPlan *plan, struct framebus_push_info *info);
/* Closes what nobody has. */
void monitor_forget_loans(Monitor *m);

/* ---- monitor-tell.c ---- */

/* Ends the program; the one place that says what an error of a device means for the source. */
void monitor_fail(Monitor *m, int error, const char *path, const char *step);
/* Tells a state; one that was told last is not told again. */
void monitor_tell(Monitor *m, const char *state, const char *reason);
/* Why a framebuffer cannot be copied, for people. */
void monitor_describe_refusal(const FramebufferInfo *fb, int error, char *ret_reason, size_t size);
