/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal's own protocol: a datagram of "NAME=value" lines. sd_journal_send() would do, but for that it
 * waits for a journal that does not read.
 */
#include "broker/api/audit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define JOURNAL    "/run/systemd/journal/socket"
#define MESSAGE_ID "c7a4ea59ccb74b31a5a0b4f9ab1bd7a2"

typedef struct Fields {
        char text[4096];
        size_t n;
} Fields;

/* A field that has no room, or whose value would be more than a line, is left out. */
static void __attribute__((format(printf, 2, 3))) add(Fields *f, const char *format, ...) {
        size_t room = sizeof f->text - f->n;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(f->text + f->n, room, format, ap);
        va_end(ap);
        if (n < 0 || (size_t)n + 1 >= room || strchr(f->text + f->n, '\n'))
                return;
        f->n += (size_t)n;
        f->text[f->n++] = '\n';
}

static int send_fields(const char *path, const Fields *f) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || strlen(path) >= sizeof address.sun_path)
                return -EINVAL;
        strcpy(address.sun_path, path);
        return sendto(fd, f->text, f->n, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
                      sizeof address) < 0 ? -errno : 0;
}

static void make_fields(Fields *f, const AuditEvent *e, const char *message, unsigned int untold, int level) {
        const Subject *s = &e->who->subject;

        add(f, "MESSAGE=%s", message);
        add(f, "PRIORITY=%d", level);
        add(f, "MESSAGE_ID=" MESSAGE_ID);
        add(f, "SYSLOG_IDENTIFIER=framebusd");
        add(f, "FRAMEBUS_ACCESS=%s", e->what);
        add(f, "FRAMEBUS_VERB=%s", access_verb_to_string(e->verb));
        add(f, "FRAMEBUS_SOURCE=%s", e->source);
        add(f, "FRAMEBUS_UID=%u", s->uid);
        add(f, "FRAMEBUS_CLIENT=%s", e->client);
        if (e->who->pid > 0)
                add(f, "OBJECT_PID=%d", (int)e->who->pid);
        if (s->unit)
                add(f, "FRAMEBUS_UNIT=%s", s->unit);
        if (s->app)
                add(f, "FRAMEBUS_APP=%s", s->app);
        if (s->endpoint)
                add(f, "FRAMEBUS_ENDPOINT=%s", s->endpoint);
        if (e->rule)
                add(f, "FRAMEBUS_RULE=%s", e->rule->where);
        if (untold > 0)
                add(f, "FRAMEBUS_UNTOLD=%u", untold);
}

static const char *preposition(const char *what) {
        return strcmp(what, AUDIT_REVOKED) == 0 ? "from" : "to";
}

static void tell(const Audit *a, const AuditEvent *e, unsigned int untold) {
        int level = strcmp(e->what, AUDIT_GRANTED) == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE;
        char message[512], more[64] = "";
        Fields f = {};

        if (untold > 0)
                snprintf(more, sizeof more, "; %u more of this user's were not told", untold);
        snprintf(message, sizeof message, "access: %s '%s' %s %s user %u, process %d%s%s%s%s%s%s",
                 access_verb_to_string(e->verb), e->source, e->what, preposition(e->what),
                 e->who->subject.uid, (int)e->who->pid, e->who->subject.app ? ", app " : "",
                 e->who->subject.app ?: "", e->rule ? " (" : "", e->rule ? e->rule->where : "",
                 e->rule ? ")" : "", more);
        make_fields(&f, e, message, untold, level);
        if (!a->journal || send_fields(a->journal, &f) < 0)
                log_print(level, "%s", message);
}

/* The user's, or that of whom nothing was heard for longest. */
static AuditUser *find_user(Audit *a, uid_t uid, uint64_t now_ns) {
        AuditUser *oldest = &a->users[0];

        for (size_t i = 0; i < AUDIT_USERS; i++) {
                AuditUser *u = &a->users[i];

                if (u->used && u->uid == uid)
                        return u;
                if (!u->used || u->last_ns < oldest->last_ns)
                        oldest = u;
        }
        *oldest = (AuditUser){ .uid = uid, .used = true, .last_ns = now_ns,
                               .room_ns = AUDIT_BURST * NSEC_PER_SEC };
        return oldest;
}

void audit_say(Audit *a, const AuditEvent *e, uint64_t now_ns) {
        AuditUser *u = find_user(a, e->who->subject.uid, now_ns);

        u->room_ns = FB_MIN(u->room_ns + (now_ns - u->last_ns), AUDIT_BURST * NSEC_PER_SEC);
        u->last_ns = now_ns;
        if (u->room_ns < NSEC_PER_SEC) {
                u->untold++;
                return;
        }
        u->room_ns -= NSEC_PER_SEC;
        tell(a, e, u->untold);
        u->untold = 0;
}

void audit_init(Audit *a) {
        *a = (Audit){ .journal = log_is_journal() ? JOURNAL : NULL };
}
