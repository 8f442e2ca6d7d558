/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each user may have of the broker at once, as kdbus meant it: of what is free and its own, the part
 * that leaves as much for everybody who has some and for one who comes, see wire/share.h. Charged when it is
 * granted, to who asked. A share that shrinks takes nothing away; it bounds what is asked for next. Pure
 * arithmetic.
 *
 * What has descriptors under way, on the bus or unread on channels, is bounded elsewhere, by the same
 * arithmetic: wire/fd-ledger.h and broker/conduit/peer-books.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

typedef enum QuotaKind {
        QUOTA_SUBSCRIPTIONS,
        QUOTA_WINDOW_BYTES, /* of subscriptions: window x the size of a frame */
        QUOTA_CHANNELS,     /* that were handed out and not hung up */
        QUOTA_SOURCES,      /* published */
        QUOTA_BUFFER_BYTES, /* lent by publishers */
        QUOTA_DESCRIPTORS,  /* kept open in the broker for somebody */
        QUOTA_CALLS,        /* that wait in the broker for something */
        _QUOTA_KIND_MAX,
} QuotaKind;

/* The name of the limit in the configuration. */
const char *quota_kind_to_string(QuotaKind kind);
/* Negative: no such word. */
QuotaKind quota_kind_from_string(const char *word);
bool quota_kind_is_bytes(QuotaKind kind);

/* For all users together. */
typedef struct QuotaLimits {
        uint64_t max[_QUOTA_KIND_MAX];
} QuotaLimits;

/* What is documented; of bytes, half of this machine's memory. */
void quota_limits_init(QuotaLimits *l);

typedef struct QuotaUser {
        List link; /* Quota::users */
        uid_t uid;
        unsigned int n_charges;
        uint64_t n[_QUOTA_KIND_MAX];
} QuotaUser;

typedef struct Quota {
        QuotaLimits limits;
        uid_t favoured; /* the user who may have all, (uid_t)-1: nobody */
        List users;     /* those with charges */
        uint64_t used[_QUOTA_KIND_MAX];
        unsigned int n_users[_QUOTA_KIND_MAX]; /* who have some */
} Quota;

/* What one thing is charged for; zeros: nothing, to nobody. */
typedef struct QuotaCharge {
        Quota *quota;
        QuotaUser *user;
        uint64_t n[_QUOTA_KIND_MAX];
} QuotaCharge;

/* Why something is refused. */
typedef struct QuotaRefusal {
        QuotaKind kind;
        uid_t uid;
        uint64_t wanted;     /* more */
        uint64_t own, share; /* what the user has, and the most that it may have now */
        uint64_t used, max;  /* what all have, and may have */
        uid_t most_uid;      /* of the other users, who has most, */
        uint64_t most;       /* and how much; 0: none has any */
} QuotaRefusal;

/* "LIMIT: you (user 1000) have 3, and want …" */
#define QUOTA_TEXT_MAX 320
const char *quota_refusal_to_string(const QuotaRefusal *r, char buffer[static QUOTA_TEXT_MAX]);

void quota_init(Quota *q, const QuotaLimits *limits, uid_t favoured);
/* All charges must be cleared. */
void quota_deinit(Quota *q);

/* To @uid, which has nothing by that. -ENOMEM. An open one is left as it is. */
int quota_charge_open(QuotaCharge *c, Quota *q, uid_t uid);

/* @n instead of what it was: FB_E_LIMIT and why, and then nothing is changed. Less is never refused. */
int quota_charge_set(QuotaCharge *c, QuotaKind kind, uint64_t n, QuotaRefusal *ret_why);

/* The most that quota_charge_set() would take. */
uint64_t quota_charge_get_max(const QuotaCharge *c, QuotaKind kind);

/* Gives all back. Takes one that is not open. */
void quota_charge_clear(QuotaCharge *c);
