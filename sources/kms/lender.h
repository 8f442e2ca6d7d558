/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Framebuffers as dma-bufs that others look at. Each is exported once, and known again while a screen flips
 * between a few of them, so that whoever imports them can keep that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sources/kms/copyplan.h"
#include "sources/kms/grab.h"

#define LOANS_MAX 8u

typedef struct Loan {
        uint64_t buffer; /* the library's number for it; 0: none */
        uint64_t ino;    /* of the first dma-buf */
        int fds[COPYPLAN_PLANES_MAX];
        size_t n_fds;
        bool lent;
} Loan;

typedef struct Lender {
        Loan loans[LOANS_MAX]; /* the last that was used is the first */
        uint64_t last_buffer;
} Lender;

/*
 * The loan of what @g is, which then is the first in line.
 * @ret_planes  where the planes of @plan are in its dma-bufs
 * @ret_gone    the number of another one that had to go; 0: none
 * Errors: -EBUSY: somebody has it, or all others; else what exporting it failed with.
 */
int lender_find(Lender *l, const Grab *g, const CopyPlan *plan, Loan **ret_loan,
                struct framebus_plane ret_planes[COPYPLAN_PLANES_MAX], uint64_t *ret_gone);

/* Nobody has @buffer any more; @over: it cannot be lent again under that number. Others are ignored. */
void lender_returned(Lender *l, uint64_t buffer, bool over);

/* Closes one that is not lent. Returns its number, 0 when there is none left. */
uint64_t lender_drop(Lender *l);

/* Closes all. */
void lender_deinit(Lender *l);
