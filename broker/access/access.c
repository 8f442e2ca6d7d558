/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/access/access.h"

#include "interfaces/wire.h"

/* What one builds on. */
static const AccessVerb needs[_ACCESS_VERB_MAX] = {
        [ACCESS_SEE] = ACCESS_SEE,     [ACCESS_WATCH] = ACCESS_SEE, [ACCESS_PUBLISH] = ACCESS_PUBLISH,
        [ACCESS_CONTROL] = ACCESS_SEE, [ACCESS_ADMIN] = ACCESS_ADMIN, [ACCESS_RAW] = ACCESS_WATCH,
        [ACCESS_LEASE] = ACCESS_WATCH,
};

static bool is_own(const Access *a, const Subject *who) {
        return !a->system && !who->endpoint && (who->uid == 0 || who->uid == a->own);
}

static AccessDecision judge_without_rule(const Access *a, const Subject *who, AccessVerb verb) {
        if (verb == ACCESS_RAW || verb == ACCESS_LEASE)
                return ACCESS_DENY;
        return is_own(a, who) ? ACCESS_ALLOW : ACCESS_DENY;
}

Verdict access_judge(const Access *a, const Subject *who, const AccessSource *what, AccessVerb verb) {
        Verdict v = { .decision = ACCESS_DENY, .verb = verb };

        if (a->broken)
                return v;
        if (needs[verb] != verb) {
                v = access_judge(a, who, what, needs[verb]);
                if (v.decision == ACCESS_DENY)
                        return v;
        }
        v = (Verdict){ .verb = verb };
        v.rule = rules_find(&a->rules, who, what, verb, &v.decision);
        if (!v.rule)
                v.decision = judge_without_rule(a, who, verb);
        return v;
}

bool access_allows(const Access *a, const Subject *who, const AccessSource *what, AccessVerb verb) {
        return access_judge(a, who, what, verb).decision == ACCESS_ALLOW;
}

bool access_is_public(const Access *a, const AccessSource *what) {
        if (a->broken)
                return false;
        /* without rules: who is let on a session's bus by others than the session's user is not our guest */
        return (!a->system && a->rules.n == 0) || rules_let_all_see(&a->rules, what);
}

bool access_allows_memory(const Access *a, const Subject *who, const AccessSource *what, bool configured,
                          uid_t publisher, uint32_t kind) {
        bool same_user = !configured && publisher == who->uid;
        AccessVerb verb = kind == FB_MEMORY_LEASED ? ACCESS_LEASE : ACCESS_RAW;
        Verdict v;

        if (kind == FB_MEMORY_SEALED)
                return true;
        v = access_judge(a, who, what, verb);
        if (v.rule || v.verb != verb || a->broken)
                return v.decision == ACCESS_ALLOW;
        if (kind == FB_MEMORY_LEASED)
                return configured || same_user;
        return who->uid == 0 || is_own(a, who) || same_user;
}
