/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who was granted what, refused, or lost it: for the journal, as fields, if standard error is the journal's;
 * else as a line there. Never waits: what the journal does not take at once is a line, too.
 *
 * At most AUDIT_BURST at once and one a second thereafter for each user; how many more there were is said
 * with the next that is told.
 */
#pragma once

#include "broker/access/access.h"
#include "broker/access/identity.h"

#define AUDIT_GRANTED "granted"
#define AUDIT_REFUSED "refused"
#define AUDIT_REVOKED "revoked"

#define AUDIT_BURST 20u
#define AUDIT_USERS 32u

typedef struct AuditEvent {
        const char *what; /* AUDIT_* */
        const Identity *who;
        const char *client; /* unique name */
        const char *source; /* "*": all */
        AccessVerb verb;
        const Rule *rule; /* that decided, or NULL */
} AuditEvent;

/* What one user has had told. */
typedef struct AuditUser {
        uid_t uid;
        bool used;
        uint64_t room_ns, last_ns; /* of time that was not used for telling */
        unsigned int untold;
} AuditUser;

typedef struct Audit {
        const char *journal; /* path of its socket; borrowed; NULL: a line instead */
        AuditUser users[AUDIT_USERS];
} Audit;

void audit_init(Audit *a);
void audit_say(Audit *a, const AuditEvent *e, uint64_t now_ns);
