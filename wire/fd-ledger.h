/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Books of the descriptors that are under way on the bus. dbus-daemon with the limits of a system bus reads
 * nothing more from a sender of whose messages 64 descriptors are still in it, wherever they wait: one client
 * that does not read could keep the broker from everybody. So what is sent to a client counts until it is
 * proven that the client read it, whatever it says, see broker/access/receipt.h.
 *
 * An FdLedger is our connection to the bus, an FdAccount one connection that receives. Everything with a
 * descriptor that goes to it by the bus is on its account: frames, replies, and the mark that a proof takes.
 *
 * An account commits max(windows granted, outstanding) descriptors, and one more for its mark. Invariants:
 * the commitments of all are at most FB_BUS_LIVE_FDS_MAX, all windows at most FB_BUS_FDS_MAX, and what is
 * outstanding is at most what is committed. So who was granted a window has room for it whatever others do.
 * What is beyond the windows is lent: to replies and first marks as long as there is some, to frames as much
 * as to others, up to FD_LEND_MAX, but for a reserve: then a mark is needed only now and then, and no frame
 * waits for one. A user has at most its share, (free + its own) / (users + 1), but for a little that it may
 * always be lent, so that who has its share, or more since others came, can still call.
 *
 * Pure arithmetic: no bus, no clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "interfaces/wire.h"

/* What one account may have outstanding whatever its windows are. */
#define FD_LEND_MAX FB_WINDOW_MAX
/* Granted at most, marks included: calls find room for their replies. */
#define FD_GRANTS_MAX (FB_BUS_LIVE_FDS_MAX - 3)
/* Lent to a user whatever its share is. */
#define FD_ALWAYS_LENT 4u
/* Not lent for frames: a newcomer finds room for any window. */
#define FD_RESERVE (FB_WINDOW_MAX + 1)

typedef struct FdAccount FdAccount;

typedef struct FdLedgerHandler {
        /* Send @a a mark, and say fd_account_marked(); no less harm than loss of frames if that fails. */
        void (*ask)(FdAccount *a, void *userdata);
        /* There is more room than before. */
        void (*freed)(void *userdata);
} FdLedgerHandler;

typedef struct FdLedger {
        List accounts; /* of FdAccount::link: those that commit something, few therefore */
        uint32_t committed, granted, windows, n_accounts;
        uid_t favoured; /* the user who may have all, (uid_t)-1: nobody */
        bool wanted;    /* somebody waits for room */
        const FdLedgerHandler *handler; /* NULL: none */
        void *userdata;
} FdLedger;

struct FdAccount {
        List link;
        FdLedger *ledger; /* NULL: not open */
        uid_t uid;
        uint32_t windows;      /* granted */
        uint64_t sent, proven; /* descriptors, but for marks */
        uint64_t mark;         /* what was sent before the mark under way */
        bool marked;           /* one is under way */
        bool ask_again;        /* when that one is back */
};

typedef enum FdLimit {
        FD_LIMIT_WINDOWS, /* all windows together */
        FD_LIMIT_ROOM,    /* descriptors granted, or sent and not proven read */
        FD_LIMIT_SHARE,   /* the same of one user */
} FdLimit;

/* Why something is refused. */
typedef struct FdRefusal {
        FdLimit limit;
        uid_t uid; /* whose account it is */
        uint32_t used, max;
        uid_t most_uid; /* who has most of it, */
        uint32_t most;  /* and how much */
} FdRefusal;

void fd_ledger_init(FdLedger *l, uid_t favoured);
void fd_ledger_set_handler(FdLedger *l, const FdLedgerHandler *handler, void *userdata);

void fd_account_open(FdAccount *a, FdLedger *l, uid_t uid);
/* The connection has left the bus: nothing of it waits there any more. Harmless if it is not open. */
void fd_account_close(FdAccount *a);

/* @window instead of @before. FB_E_LIMIT and why; nothing changed then. A smaller one is never refused. */
int fd_account_grant(FdAccount *a, uint32_t before, uint32_t window, FdRefusal *ret_why);

static inline uint32_t fd_account_outstanding(const FdAccount *a) {
        return (uint32_t)(a->sent - a->proven);
}

/* Whether a frame with @n descriptors may leave: 0; -EAGAIN: not before a proof (which is asked for);
 * -EDQUOT: there is not that much room. */
int fd_account_check_frame(FdAccount *a, uint32_t n);

/* Whether a reply with a descriptor, or a first mark, may leave. If not, who has borrowed is asked for
 * proofs, and `freed` tells when to look again. */
bool fd_account_check_reply(FdAccount *a);
bool fd_account_check_mark(FdAccount *a);

/* So many descriptors were sent; after any of the checks. */
void fd_account_sent(FdAccount *a, uint32_t n);

/* It is to prove soon what it has read: nothing else will ask it. */
void fd_account_ask(FdAccount *a);

/* A mark was sent, behind everything so far. */
void fd_account_marked(FdAccount *a);

/* It is back: everything before it was read, or (not @proven) it did not get through. */
void fd_account_mark_over(FdAccount *a, bool proven);

/* What was sent up to there (FdAccount::sent at that time) was read. */
void fd_account_prove(FdAccount *a, uint64_t up_to);
