/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules of access: what is one, which decides, and what holds without any. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "broker/access/access.h"
#include "interfaces/wire.h"
#include "tests/unit/test.h"

/* alice 1000 and bob 1001; groups video 44 and staff 50. */
static int find_user(const char *name, uid_t *ret) {
        static const char *const names[] = { "alice", "bob" };

        for (unsigned int i = 0; i < FB_ELEMENTSOF(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return *ret = 1000 + i, 0;
        return -ESRCH;
}

static int find_group(const char *name, gid_t *ret) {
        *ret = strcmp(name, "video") == 0 ? 44 : 50;
        return strcmp(name, "video") == 0 || strcmp(name, "staff") == 0 ? 0 : -ESRCH;
}

static const RulesNames names = { find_user, find_group };

static int parse(Rules *r, const char *text, char **ret_error) {
        return rules_parse(r, "x.rules", text, strlen(text), &names, ret_error);
}

TEST(good_rules) {
        static const char *const texts[] = {
                "",
                "\n\n# nothing\n   \t\n",
                "allow world * watch",
                "allow world * watch # behind a rule",
                "allow world * watch\n",
                "  allow\tuser:alice   door-*  see,watch,publish,control,admin,raw,lease  ",
                "deny uid:0 ? see",
                "deny uid:1000-1999 a see",
                "deny uid:7-7 a see",
                "deny gid:44-50+uid:4294967294 usb:046d:0825.* see",
                "ask app:org.gnome.* * watch,publish,control",
                "allow unit:cam@*.service+user:alice+group:video+app:x * see",
                "allow cgroup:/system.slice/x.service * see",
                "allow endpoint:box cam0 watch",
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(texts); i++) {
                _cleanup_free_ char *error = NULL;
                Rules r = {};

                ROW("%s", texts[i]);
                CHECK_INT(parse(&r, texts[i], &error), 0);
                CHECK_STR(error, NULL);
                rules_clear(&r);
        }
}

static const struct {
        const char *text, *error;
} wrong[] = {
        { "permit world * watch", "x.rules:1: not one of allow, deny, ask: 'permit'" },
        { "Allow world * watch", "x.rules:1: not one of allow, deny, ask: 'Allow'" },
        { "allow", "x.rules:1: a rule is: allow, deny or ask, who, a source, verbs; here it ends "
                   "with: 'allow'" },
        { "\n\nallow world *", "x.rules:3: a rule is: allow, deny or ask, who, a source, verbs; here "
                               "it ends with: '*'" },
        { "allow world * # watch", "x.rules:1: a rule is: allow, deny or ask, who, a source, verbs; "
                                   "here it ends with: '*'" },
        { "allow world * watch control", "x.rules:1: more than four words: 'control'" },
        { "allow world * watch, control", "x.rules:1: more than four words: 'control'" },
        { "allow world * look", "x.rules:1: not one of see, watch, publish, control, admin, raw, "
                                "lease: 'look'" },
        { "allow world * watch,", "x.rules:1: not one of see, watch, publish, control, admin, raw, "
                                  "lease: ''" },
        { "ask world * see", "x.rules:1: asked can be for watch, publish and control, not for: "
                             "'see'" },
        { "ask world * watch,raw", "x.rules:1: asked can be for watch, publish and control, not for: "
                                   "'raw'" },
        { "allow alice * watch",
          "x.rules:1: not 'world', and not one of user: uid: group: gid: unit: "
          "cgroup: app: endpoint: with a value: 'alice'" },
        { "allow user:carol * watch", "x.rules:1: there is no such user: 'carol'" },
        { "allow user: * watch", "x.rules:1: a value is missing behind: 'user'" },
        { "allow group:wheel * watch", "x.rules:1: there is no such group: 'wheel'" },
        { "allow host:x * watch", "x.rules:1: no kind of subject: 'host'" },
        { "allow uid:alice * watch", "x.rules:1: not a number of a user or group, or a range N-M of "
                                     "them: 'alice'" },
        { "allow uid:-1 * watch", "x.rules:1: not a number of a user or group, or a range N-M of "
                                  "them: '-1'" },
        { "allow uid:4294967295 * watch", "x.rules:1: not a number of a user or group, or a range "
                                          "N-M of them: '4294967295'" },
        { "allow uid:18446744073709551617 * watch", "x.rules:1: not a number of a user or group, or "
                                                    "a range N-M of them: '18446744073709551617'" },
        { "allow uid:5- * watch", "x.rules:1: not a range N-M: '5-'" },
        { "allow uid:5-x * watch", "x.rules:1: not a range N-M: '5-x'" },
        { "allow uid:5-6x * watch", "x.rules:1: not a number of a user or group, or a range N-M of "
                                    "them: '5-6x'" },
        { "allow gid:6-5 * watch", "x.rules:1: a range that ends before it begins: '6-5'" },
        { "allow cgroup:system.slice * see", "x.rules:1: a path of a cgroup begins with /: "
                                             "'system.slice'" },
        { "allow cgroup:/a* * see", "x.rules:1: a path of a cgroup is no pattern: what is below it "
                                    "counts: '/a*'" },
        { "allow world+uid:5 * see", "x.rules:1: not 'world', and not one of user: uid: group: gid: "
                                     "unit: cgroup: app: endpoint: with a value: 'world'" },
        { "allow uid:5+ * see", "x.rules:1: not 'world', and not one of user: uid: group: gid: "
                                "unit: cgroup: app: endpoint: with a value: ''" },
        { "allow uid:1+uid:2+uid:3+uid:4+uid:5 * see", "x.rules:1: more than four of them are "
                                                       "joined by: '+'" },
        { "allow world cam/0 see", "x.rules:1: no source's name can be like that: 'cam/0'" },
        { "allow world [a-z] see", "x.rules:1: no source's name can be like that: '[a-z]'" },
        { "allow world caf\xc3\xa9 see",
          "x.rules:1: no source's name can be like that: 'caf\xc3\xa9'" },
        { "allow world * watch\nallow world\x01 * watch", "x.rules:2: a control character" },
        { "allow world * watch\r\n", "x.rules:1: a control character" },
};

TEST(wrong_rules) {
        for (size_t i = 0; i < FB_ELEMENTSOF(wrong); i++) {
                _cleanup_free_ char *error = NULL, *ignored = NULL;
                Rules r = {};

                ROW("%s", wrong[i].text);
                REQUIRE_INT(parse(&r, "deny uid:1 kept see", &ignored), 0);
                CHECK_INT(parse(&r, wrong[i].text, &error), -EINVAL);
                CHECK_STR(error, wrong[i].error);
                CHECK_INT(r.n, 1); /* nothing of it is taken */
                rules_clear(&r);
        }
}

TEST(a_zero_byte) {
        _cleanup_free_ char *error = NULL;
        Rules r = {};

        CHECK_INT(rules_parse(&r, "x.rules", "allow world * watch\n\0deny", 25, &names, &error), -EINVAL);
        CHECK_STR(error, "x.rules:1: a byte of zero is in it");
        CHECK_INT(r.n, 0);
}

TEST(too_many) {
        static char text[(RULES_MAX + 1) * 17 + 1];
        _cleanup_free_ char *error = NULL;
        Rules r = {};

        for (size_t i = 0; i < RULES_MAX + 1; i++)
                memcpy(text + i * 17, "deny uid:1 * see\n", 17);
        CHECK_INT(parse(&r, text, &error), -EINVAL);
        CHECK_STR(error, "x.rules:4097: more rules than 4096");
        rules_clear(&r);
}

TEST(patterns) {
        static const struct {
                const char *pattern, *text;
                bool fits;
        } rows[] = {
                { "*", "", true },
                { "*", "x", true },
                { "", "", true },
                { "", "x", false },
                { "x", "", false },
                { "?", "x", true },
                { "?", "", false },
                { "a*b", "ab", true },
                { "a*b", "axxb", true },
                { "a*b", "axxbc", false },
                { "a*b*c", "a.b.b.c", true },
                { "*b", "aab", true },
                { "cam-?", "cam-10", false },
                { "a**b", "ab", true },
                { "*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaa", false },
                { "x", "X", false },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                ROW("%s on %s", rows[i].pattern, rows[i].text);
                CHECK_INT(pattern_fits(rows[i].pattern, rows[i].text), rows[i].fits);
        }
}

/* ---- who may do what ---- */

static const char set[] =
        "allow user:alice                      *        admin\n"
        "deny  user:bob+unit:ssh*              *        see\n"
        "deny  app:org.evil                    *        watch\n"
        "ask   app:*                           *        watch,control\n"
        "allow group:video                     cam*     watch,lease\n"
        "deny  group:video                     cam*     control\n"
        "allow uid:1000-1001                   door     watch\n"
        "deny  world                           door     see\n"
        "allow unit:rec.service                rec-?    watch,publish,raw\n"
        "allow cgroup:/machine.slice           yard     watch\n"
        "allow endpoint:box                    box      watch\n"
        "allow uid:3000                        *        see\n"
        "deny  uid:3001                        *        see\n"
        "allow uid:3001                        *        watch,control\n"
        "allow world                           public   watch\n"
        "allow world                           lobby    see\n"
        "deny  gid:50                          usb-7    watch\n"
        "allow world                           usb-*    watch\n";

enum { HOST = 0, BROKEN_UNIT = 1, UNKNOWN_APP = 2, UNKNOWN_GROUPS = 4, ENDPOINT = 8 };

typedef struct Case {
        uint32_t uid, gid; /* gid 0: none */
        const char *unit, *app, *cgroup;
        unsigned int unknown;
        const char *source; /* NULL: all */
        AccessVerb verb;
        const char *system, *session; /* decision; on a session bus uid 1000's broker */
} Case;

#define SEE     ACCESS_SEE
#define WATCH   ACCESS_WATCH
#define PUBLISH ACCESS_PUBLISH
#define CONTROL ACCESS_CONTROL
#define ADMIN   ACCESS_ADMIN
#define RAW     ACCESS_RAW
#define LEASE   ACCESS_LEASE

static const Case cases[] = {
        /* nobody known to a rule */
        { 2000, 0, NULL, NULL, NULL, 0, "cam0", SEE, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "cam0", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "cam0", PUBLISH, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "cam0", CONTROL, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "cam0", ADMIN, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, NULL, ADMIN, "deny", "deny" },
        /* root and the own user, where no rule fits */
        { 0, 0, NULL, NULL, NULL, 0, "cam0", WATCH, "deny", "allow" },
        { 0, 0, NULL, NULL, NULL, 0, "cam0", PUBLISH, "deny", "allow" },
        { 1000, 0, NULL, NULL, NULL, 0, "yard", WATCH, "deny", "allow" },
        { 1000, 0, NULL, NULL, NULL, 0, "yard", CONTROL, "deny", "allow" },
        { 1000, 0, NULL, NULL, NULL, 0, "yard", RAW, "deny", "deny" },
        { 1001, 0, NULL, NULL, NULL, 0, "yard", WATCH, "deny", "deny" },
        /* rules bind them, too */
        { 0, 0, NULL, NULL, NULL, 0, "door", SEE, "deny", "deny" },
        { 0, 0, NULL, NULL, NULL, 0, "door", WATCH, "deny", "deny" },
        { 0, 0, NULL, NULL, NULL, 0, "door", CONTROL, "deny", "deny" },
        { 0, 0, NULL, NULL, NULL, 0, "door", ADMIN, "deny", "allow" },
        /* a user */
        { 1000, 0, NULL, NULL, NULL, 0, "cam0", ADMIN, "allow", "allow" },
        { 1000, 0, NULL, NULL, NULL, 0, NULL, ADMIN, "allow", "allow" },
        { 1001, 0, NULL, NULL, NULL, 0, NULL, ADMIN, "deny", "deny" },
        { 1000, 0, NULL, NULL, NULL, 0, "door", WATCH, "allow", "allow" },
        { 1001, 0, NULL, NULL, NULL, 0, "door", SEE, "allow", "allow" },
        { 1002, 0, NULL, NULL, NULL, 0, "door", WATCH, "deny", "deny" },
        { 999, 0, NULL, NULL, NULL, 0, "door", WATCH, "deny", "deny" },
        /* two things of one */
        { 1001, 0, "ssh.service", NULL, NULL, 0, "door", WATCH, "deny", "deny" },
        { 1001, 0, "ssh.service", NULL, NULL, 0, "public", WATCH, "deny", "deny" },
        { 1001, 0, "cron.service", NULL, NULL, 0, "door", WATCH, "allow", "allow" },
        { 1000, 0, "ssh.service", NULL, NULL, 0, "door", WATCH, "allow", "allow" },
        /* a group */
        { 2000, 44, NULL, NULL, NULL, 0, "cam0", SEE, "allow", "allow" },
        { 2000, 44, NULL, NULL, NULL, 0, "cam0", WATCH, "allow", "allow" },
        { 2000, 44, NULL, NULL, NULL, 0, "cam0", LEASE, "allow", "allow" },
        { 2000, 44, NULL, NULL, NULL, 0, "cam0", RAW, "deny", "deny" },
        { 2000, 44, NULL, NULL, NULL, 0, "cam0", CONTROL, "deny", "deny" },
        { 1000, 44, NULL, NULL, NULL, 0, "cam0", CONTROL, "deny", "deny" },
        { 2000, 44, NULL, NULL, NULL, 0, "yard", WATCH, "deny", "deny" },
        { 2000, 45, NULL, NULL, NULL, 0, "cam0", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, UNKNOWN_GROUPS, "cam0", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, UNKNOWN_GROUPS, "usb-7", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, UNKNOWN_GROUPS, "usb-8", WATCH, "allow", "allow" },
        { 2000, 50, NULL, NULL, NULL, 0, "usb-7", WATCH, "deny", "deny" },
        { 2000, 50, NULL, NULL, NULL, 0, "usb-7", SEE, "allow", "allow" },
        { 2000, 44, NULL, NULL, NULL, 0, "usb-7", WATCH, "allow", "allow" },
        /* a unit and a control group */
        { 2000, 0, "rec.service", NULL, NULL, 0, "rec-1", WATCH, "allow", "allow" },
        { 2000, 0, "rec.service", NULL, NULL, 0, "rec-1", PUBLISH, "allow", "allow" },
        { 2000, 0, "rec.service", NULL, NULL, 0, "rec-1", RAW, "allow", "allow" },
        { 2000, 0, "rec.service", NULL, NULL, 0, "rec-1", LEASE, "deny", "deny" },
        { 2000, 0, "rec.service", NULL, NULL, 0, "rec-10", WATCH, "deny", "deny" },
        { 2000, 0, "rec.service.d", NULL, NULL, 0, "rec-1", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, BROKEN_UNIT, "rec-1", WATCH, "deny", "deny" },
        { 1001, 0, NULL, NULL, NULL, BROKEN_UNIT, "door", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, "/machine.slice", 0, "yard", WATCH, "allow", "allow" },
        { 2000, 0, NULL, NULL, "/machine.slice/a/b", 0, "yard", WATCH, "allow", "allow" },
        { 2000, 0, NULL, NULL, "/machine.slices", 0, "yard", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, "/user.slice/machine.slice", 0, "yard", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "yard", WATCH, "deny", "deny" },
        /* sandboxes */
        { 1000, 0, NULL, "org.evil", NULL, 0, "door", WATCH, "deny", "deny" },
        { 1000, 0, NULL, "org.good", NULL, 0, "door", SEE, "allow", "allow" },
        { 1000, 0, NULL, "org.good", NULL, 0, "door", WATCH, "ask", "ask" },
        { 1000, 0, NULL, "org.good", NULL, 0, "yard", CONTROL, "ask", "ask" },
        { 2000, 0, NULL, "org.good", NULL, 0, "yard", WATCH, "ask", "ask" },
        { 1000, 0, NULL, NULL, NULL, UNKNOWN_APP, "door", WATCH, "deny", "deny" },
        { 1000, 0, NULL, NULL, NULL, UNKNOWN_APP, "door", CONTROL, "ask", "ask" },
        /* an endpoint counts nobody as its own */
        { 1000, 0, NULL, NULL, NULL, ENDPOINT, "box", WATCH, "allow", "allow" },
        { 1000, 0, NULL, NULL, NULL, ENDPOINT, "yard", WATCH, "deny", "deny" },
        { 0, 0, NULL, NULL, NULL, ENDPOINT, "cam0", SEE, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "box", WATCH, "deny", "deny" },
        /* seeing is not watching, and nothing without seeing */
        { 3000, 0, NULL, NULL, NULL, 0, "cam0", SEE, "allow", "allow" },
        { 3000, 0, NULL, NULL, NULL, 0, "cam0", WATCH, "deny", "deny" },
        { 3000, 0, NULL, NULL, NULL, 0, "door", SEE, "deny", "deny" },
        { 3001, 0, NULL, NULL, NULL, 0, "cam0", SEE, "deny", "deny" },
        { 3001, 0, NULL, NULL, NULL, 0, "cam0", WATCH, "deny", "deny" },
        { 3001, 0, NULL, NULL, NULL, 0, "cam0", CONTROL, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "lobby", SEE, "allow", "allow" },
        { 2000, 0, NULL, NULL, NULL, 0, "lobby", WATCH, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "public", WATCH, "allow", "allow" },
        { 2000, 0, NULL, NULL, NULL, 0, "public", CONTROL, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "public", LEASE, "deny", "deny" },
        { 2000, 0, NULL, NULL, NULL, 0, "publi", WATCH, "deny", "deny" },
};

static Subject make_subject(const Case *c, gid_t *gids) {
        gids[0] = c->gid;
        return (Subject){ .uid = c->uid,
                          .gids = gids,
                          .n_gids = c->gid > 0,
                          .gids_known = !(c->unknown & UNKNOWN_GROUPS),
                          .unit = (char *)c->unit,
                          .cgroup = (char *)c->cgroup,
                          .unit_known = !(c->unknown & BROKEN_UNIT),
                          .app = (char *)c->app,
                          .app_known = !(c->unknown & UNKNOWN_APP),
                          .endpoint = (c->unknown & ENDPOINT) ? (char *)"box" : NULL };
}

static void check_cases(const Access *a) {
        for (size_t i = 0; i < FB_ELEMENTSOF(cases); i++) {
                const Case *c = &cases[i];
                const AccessSource what = { c->source, NULL };
                gid_t gids[1];
                Subject who = make_subject(c, gids);
                Verdict v = access_judge(a, &who, c->source ? &what : NULL, c->verb);

                ROW("%zu: %s: uid %u gid %u unit %s app %s: %s %s", i, a->system ? "system" : "session",
                    c->uid, c->gid, c->unit, c->app, access_verb_to_string(c->verb), c->source);
                CHECK_STR(access_decision_to_string(v.decision), a->system ? c->system : c->session);
        }
}

TEST(decisions) {
        Access a = { .system = true, .own = 500 };
        _cleanup_free_ char *error = NULL;

        REQUIRE_INT(parse(&a.rules, set, &error), 0);
        check_cases(&a);
        a.system = false;
        a.own = 1000;
        check_cases(&a);
        rules_clear(&a.rules);
}

TEST(without_rules) {
        const AccessSource what = { "cam0", NULL };
        Subject own = { .uid = 1000 }, root = {}, other = { .uid = 1001 };
        Access a = { .own = 1000 };

        for (AccessVerb verb = ACCESS_SEE; verb <= ACCESS_ADMIN; verb++) {
                ROW("%s", access_verb_to_string(verb));
                a.system = false;
                CHECK(access_allows(&a, &own, &what, verb));
                CHECK(access_allows(&a, &root, &what, verb));
                CHECK(!access_allows(&a, &other, &what, verb));
                a.system = true;
                CHECK(!access_allows(&a, &own, &what, verb));
                CHECK(!access_allows(&a, &root, &what, verb));
        }
}

TEST(broken_rules_allow_nothing) {
        const AccessSource what = { "cam0", NULL };
        Subject own = { .uid = 1000 };
        Access a = { .own = 1000, .broken = true };

        for (AccessVerb verb = 0; verb < _ACCESS_VERB_MAX; verb++)
                CHECK(!access_allows(&a, &own, &what, verb));
        CHECK(!access_allows_memory(&a, &own, &what, true, 0, FB_MEMORY_LEASED));
        CHECK(!access_is_public(&a, &what));
}

TEST(the_rule_that_decides) {
        Subject who = { .uid = 3001, .gids_known = true, .unit_known = true, .app_known = true };
        const AccessSource what = { "cam0", NULL };
        _cleanup_free_ char *error = NULL;
        Access a = { .system = true };
        Verdict v;

        REQUIRE_INT(parse(&a.rules, set, &error), 0);
        v = access_judge(&a, &who, &what, ACCESS_WATCH);
        CHECK_INT(v.verb, ACCESS_SEE);
        REQUIRE(v.rule);
        CHECK_STR(v.rule->where, "x.rules:13");
        CHECK_STR(v.rule->text, "deny uid:3001 * see");
        rules_clear(&a.rules);
}

TEST(other_names_count) {
        char *aliases[] = { (char *)"video9", (char *)"usb-7", NULL };
        const AccessSource what = { "cam", aliases };
        Subject who = { .uid = 2000, .gids_known = true, .unit_known = true, .app_known = true };
        _cleanup_free_ char *error = NULL;
        Access a = { .system = true };

        REQUIRE_INT(parse(&a.rules, "deny uid:2001 usb-? watch\nallow world video* watch", &error), 0);
        CHECK(access_allows(&a, &who, &what, ACCESS_WATCH));
        who.uid = 2001;
        CHECK(!access_allows(&a, &who, &what, ACCESS_WATCH));
        rules_clear(&a.rules);
}

TEST(what_may_be_broadcast) {
        static const struct {
                const char *rules;
                bool system, session;
        } rows[] = {
                { "", false, true },
                { "allow uid:5 other watch", false, false },
                { "allow uid:5 cam watch", false, false },
                { "allow world cam watch", true, true },
                { "allow world * see", true, true },
                { "allow world cam control", false, false },
                { "ask world cam watch", true, true },
                { "deny world cam watch\nallow world cam see", true, true },
                { "deny uid:5 cam see\nallow world cam see", false, false },
                { "allow uid:5 cam see\nallow world c* see", true, true },
                { "deny uid:5 other see\nallow world cam see", true, true },
        };
        const AccessSource what = { "cam", NULL };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_free_ char *error = NULL;
                Access a = { .own = 1000 };

                ROW("%s", rows[i].rules);
                REQUIRE_INT(parse(&a.rules, rows[i].rules, &error), 0);
                CHECK_INT(access_is_public(&a, &what), rows[i].session);
                a.system = true;
                CHECK_INT(access_is_public(&a, &what), rows[i].system);
                rules_clear(&a.rules);
        }
}

TEST(memory) {
        static const struct {
                const char *rules;
                bool system, configured;
                uid_t uid, publisher;
                bool leased, dmabuf;
        } rows[] = {
                { "allow world cam watch", true, true, 2000, 0, true, false },
                { "allow world cam watch", true, false, 2000, 2001, false, false },
                { "allow world cam watch", true, false, 2000, 2000, true, true },
                { "allow world cam watch", true, true, 0, 0, true, true },
                { "allow world cam watch", false, true, 1000, 0, true, true },
                { "allow world cam watch\nallow uid:2000 cam raw,lease", true, false, 2000, 2001, true,
                  true },
                { "allow world cam watch\ndeny uid:2000 cam raw,lease", true, false, 2000, 2000, false,
                  false },
                { "allow world cam watch\ndeny world cam lease", true, true, 0, 0, false, true },
                { "deny world cam watch\nallow world cam raw,lease", true, true, 0, 0, false, false },
                { "", true, true, 2000, 0, false, false },
        };
        const AccessSource what = { "cam", NULL };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                Access a = { .system = rows[i].system, .own = 1000 };
                Subject who = { .uid = rows[i].uid, .gids_known = true };
                _cleanup_free_ char *error = NULL;

                ROW("%zu: %s", i, rows[i].rules);
                REQUIRE_INT(parse(&a.rules, rows[i].rules, &error), 0);
                CHECK_INT(access_allows_memory(&a, &who, &what, rows[i].configured, rows[i].publisher,
                                               FB_MEMORY_LEASED),
                          rows[i].leased);
                CHECK_INT(access_allows_memory(&a, &who, &what, rows[i].configured, rows[i].publisher,
                                               FB_MEMORY_DMABUF),
                          rows[i].dmabuf);
                CHECK(access_allows_memory(&a, &who, &what, rows[i].configured, rows[i].publisher,
                                           FB_MEMORY_SEALED));
                rules_clear(&a.rules);
        }
}

TEST_MAIN
