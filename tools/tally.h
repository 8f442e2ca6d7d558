/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts what a subscription got and lost, and checks that the one explains the other. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interfaces/wire.h"

#define TALLY_REASONS_MAX 12u
#define TALLY_REASON_SIZE 24u

typedef struct Tally {
        uint64_t frames;      /* delivered; replayed ones do not count */
        uint64_t lost;        /* told, all reasons */
        uint64_t unexplained; /* missing numbers that no Lost told, or told losses without missing numbers */
        struct {
                char reason[TALLY_REASON_SIZE]; /* longer ones are cut; the last is for all others */
                uint64_t count;
        } reasons[TALLY_REASONS_MAX];
        size_t n_reasons;
        uint64_t by_memory[FB_MEMORY_KINDS]; /* of `frames`, by enum framebus_memory */

        uint64_t seq;        /* of the newest frame */
        uint64_t lost_since; /* told since then */
} Tally;

/* A new run of the source's numbers: the next frame is compared with @seq. What was told lost before it stays
 * counted. */
void tally_attached(Tally *t, uint64_t seq);

void tally_lost(Tally *t, uint64_t count, const char *reason);

/* A frame that is not a replayed one, in memory of the kind @memory. Returns how many numbers are missing
 * between it and the one before. */
uint64_t tally_frame(Tally *t, uint64_t seq, uint32_t memory);

/* "17", or, where not all of them are sealed, "17 (leased 12, sealed 5)"; returns @buffer, always
 * terminated. */
const char *tally_frames_format(const Tally *t, char *buffer, size_t size);

/* "0", or "17 (no-credit 12, rate 5)"; returns @buffer, always terminated. */
const char *tally_lost_format(const Tally *t, char *buffer, size_t size);
