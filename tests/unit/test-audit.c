/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the audit tells the journal, and how often. A socket of the test's is the journal. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/api/audit.h"
#include "tests/unit/test.h"

typedef struct Journal {
        char folder[32], path[64], text[8192];
        int fd;
        Audit audit;
} Journal;

static bool journal_open(Journal *j) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        *j = (Journal){ .folder = "/tmp/fb-audit-XXXXXX", .fd = -1 };
        if (!mkdtemp(j->folder))
                return false;
        snprintf(j->path, sizeof j->path, "%s/socket", j->folder);
        strcpy(address.sun_path, j->path);
        j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        j->audit.journal = j->path;
        return bind(j->fd, (struct sockaddr *)&address, sizeof address) >= 0;
}

static void journal_close(Journal *j) {
        fb_close(j->fd);
        (void)unlink(j->path);
        (void)rmdir(j->folder);
}

/* The next entry, or NULL. */
static const char *journal_read(Journal *j) {
        ssize_t n = recv(j->fd, j->text, sizeof j->text - 1, 0);

        if (n < 0)
                return NULL;
        j->text[n] = 0;
        return j->text;
}

static size_t journal_count(Journal *j) {
        size_t n = 0;

        while (journal_read(j))
                n++;
        return n;
}

static bool has_line(const char *text, const char *line) {
        size_t n = strlen(line);

        for (const char *p = text; p && (p = strstr(p, line)); p++)
                if ((p == text || p[-1] == '\n') && p[n] == '\n')
                        return true;
        return false;
}

TEST(fields) {
        Rule rule = { .where = (char *)"/etc/x.rules:7", .text = (char *)"deny world * watch" };
        Identity who = { .pid = 42,
                         .subject = { .uid = 1000, .unit = (char *)"a.service", .app = (char *)"org.x" } };
        const AuditEvent e = { AUDIT_REFUSED, &who, ":1.5", "door", ACCESS_WATCH, &rule };
        static const char *const lines[] = {
                "PRIORITY=5", "SYSLOG_IDENTIFIER=framebusd", "FRAMEBUS_ACCESS=refused", "FRAMEBUS_VERB=watch",
                "FRAMEBUS_SOURCE=door", "FRAMEBUS_UID=1000", "FRAMEBUS_CLIENT=:1.5", "OBJECT_PID=42",
                "FRAMEBUS_UNIT=a.service", "FRAMEBUS_APP=org.x", "FRAMEBUS_RULE=/etc/x.rules:7",
                "MESSAGE=access: watch 'door' refused to user 1000, process 42, app org.x (/etc/x.rules:7)",
        };
        const char *text;
        Journal j;

        REQUIRE(journal_open(&j));
        audit_say(&j.audit, &e, NSEC_PER_SEC);
        text = journal_read(&j);
        if (CHECK(text))
                for (size_t i = 0; i < FB_ELEMENTSOF(lines); i++) {
                        ROW("%s", lines[i]);
                        CHECK(has_line(text, lines[i]));
                }
        CHECK(!journal_read(&j));
        journal_close(&j);
}

/* A value that would be another field is none. */
TEST(no_field_of_others) {
        Identity who = { .subject = { .uid = 1000, .app = (char *)"x\nPRIORITY=0" } };
        const AuditEvent e = { AUDIT_GRANTED, &who, ":1.5", "door", ACCESS_WATCH, NULL };
        const char *text;
        Journal j;

        REQUIRE(journal_open(&j));
        audit_say(&j.audit, &e, NSEC_PER_SEC);
        text = journal_read(&j);
        if (CHECK(text)) {
                CHECK(!strstr(text, "PRIORITY=0"));
                CHECK(has_line(text, "FRAMEBUS_UID=1000"));
        }
        journal_close(&j);
}

TEST(not_too_often) {
        Identity loud = { .subject = { .uid = 1 } }, quiet = { .subject = { .uid = 2 } };
        const AuditEvent noise = { AUDIT_REFUSED, &loud, ":1.1", "door", ACCESS_SEE, NULL };
        const AuditEvent word = { AUDIT_REFUSED, &quiet, ":1.2", "door", ACCESS_SEE, NULL };
        uint64_t now_ns = 1000 * NSEC_PER_SEC;
        const char *text;
        size_t n = 0;
        Journal j;

        REQUIRE(journal_open(&j));
        for (int i = 0; i < 50; i++) {
                audit_say(&j.audit, &noise, now_ns + (uint64_t)i);
                n += journal_count(&j);
        }
        CHECK_INT(n, AUDIT_BURST);
        audit_say(&j.audit, &word, now_ns + 50);
        CHECK_INT(journal_count(&j), 1);
        audit_say(&j.audit, &noise, now_ns + NSEC_PER_SEC + 50);
        text = journal_read(&j);
        if (CHECK(text))
                CHECK(has_line(text, "FRAMEBUS_UNTOLD=30"));
        audit_say(&j.audit, &noise, now_ns + NSEC_PER_SEC + 51);
        CHECK_INT(journal_count(&j), 0);
        journal_close(&j);
}

/* More users than there is room for: each is told of, and nobody's words are for another. */
TEST(many_users) {
        Journal j;

        REQUIRE(journal_open(&j));
        for (uid_t uid = 0; uid < 3 * AUDIT_USERS; uid++) {
                Identity who = { .subject = { .uid = uid } };
                const AuditEvent e = { AUDIT_REFUSED, &who, ":1.1", "door", ACCESS_SEE, NULL };

                audit_say(&j.audit, &e, 1000 * NSEC_PER_SEC + uid);
                CHECK_INT(journal_count(&j), 1);
        }
        journal_close(&j);
}

/* A journal that does not read costs nothing but the fields. */
TEST(full) {
        Identity who = { .subject = { .uid = 1 } };
        const AuditEvent e = { AUDIT_REFUSED, &who, ":1.1", "door", ACCESS_SEE, NULL };
        Journal j;

        REQUIRE(journal_open(&j));
        for (uint64_t i = 0; i < 300; i++)
                audit_say(&j.audit, &e, (1000 + i) * NSEC_PER_SEC);
        CHECK(journal_count(&j) >= 1);
        journal_close(&j);
}

TEST_MAIN
