/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/access/match.h"

#include <string.h>

typedef enum Fit { FIT_NO, FIT_UNKNOWN, FIT_YES } Fit;

bool pattern_fits(const char *pattern, const char *text) {
        const char *star = NULL, *behind = NULL; /* the last *, and where it was tried to end */

        while (*text) {
                if (*pattern == '*') {
                        star = pattern++;
                        behind = text;
                } else if (*pattern == '?' || *pattern == *text) {
                        pattern++;
                        text++;
                } else if (star) {
                        pattern = star + 1;
                        text = ++behind;
                } else
                        return false;
        }
        while (*pattern == '*')
                pattern++;
        return !*pattern;
}

static Fit text_fits(bool known, const char *pattern, const char *text) {
        if (!known)
                return FIT_UNKNOWN;
        return text && pattern_fits(pattern, text) ? FIT_YES : FIT_NO;
}

static Fit gid_fits(const Term *t, const Subject *who) {
        for (size_t i = 0; i < who->n_gids; i++)
                if (who->gids[i] >= t->low && who->gids[i] <= t->high)
                        return FIT_YES;
        return who->gids_known ? FIT_NO : FIT_UNKNOWN;
}

/* At @path or below. */
static Fit cgroup_fits(const char *path, const Subject *who) {
        size_t n = strlen(path);

        if (!who->unit_known)
                return FIT_UNKNOWN;
        while (n > 1 && path[n - 1] == '/')
                n--;
        if (!who->cgroup || strncmp(who->cgroup, path, n) != 0)
                return FIT_NO;
        return n == 1 || who->cgroup[n] == '/' || !who->cgroup[n] ? FIT_YES : FIT_NO;
}

static Fit term_fits(const Term *t, const Subject *who) {
        switch (t->kind) {
        case TERM_UID:
                return who->uid >= t->low && who->uid <= t->high ? FIT_YES : FIT_NO;
        case TERM_GID:
                return gid_fits(t, who);
        case TERM_UNIT:
                return text_fits(who->unit_known, t->text, who->unit);
        case TERM_CGROUP:
                return cgroup_fits(t->text, who);
        case TERM_APP:
                return text_fits(who->app_known, t->text, who->app);
        case TERM_ENDPOINT:
                return text_fits(true, t->text, who->endpoint);
        }
        return FIT_UNKNOWN;
}

static bool subject_fits(const Rule *rule, const Subject *who) {
        Fit all = FIT_YES;

        for (size_t i = 0; i < rule->n_terms; i++) {
                Fit fit = term_fits(&rule->terms[i], who);

                if (fit < all)
                        all = fit;
        }
        return all == FIT_YES || (all == FIT_UNKNOWN && rule->decision != ACCESS_ALLOW);
}

static bool source_fits(const Rule *rule, const AccessSource *what) {
        if (!what)
                return strcmp(rule->source, "*") == 0;
        if (pattern_fits(rule->source, what->name))
                return true;
        for (char *const *a = what->aliases; a && *a; a++)
                if (pattern_fits(rule->source, *a))
                        return true;
        return false;
}

/* Whether @rule has a say about @verb, and which. */
static bool decides(const Rule *rule, AccessVerb verb, AccessDecision *ret) {
        if (rule->verbs & 1u << verb) {
                *ret = rule->decision;
                return true;
        }
        if (verb != ACCESS_SEE || !(rule->verbs & 1u << ACCESS_WATCH) || rule->decision == ACCESS_DENY)
                return false;
        *ret = ACCESS_ALLOW;
        return true;
}

const Rule *rules_find(const Rules *r, const Subject *who, const AccessSource *what, AccessVerb verb,
                       AccessDecision *ret) {
        for (size_t i = 0; i < r->n; i++)
                if (decides(&r->rules[i], verb, ret) && source_fits(&r->rules[i], what) &&
                    subject_fits(&r->rules[i], who))
                        return &r->rules[i];
        return NULL;
}

bool rules_let_all_see(const Rules *r, const AccessSource *what) {
        AccessDecision decision;

        for (size_t i = 0; i < r->n; i++) {
                if (!decides(&r->rules[i], ACCESS_SEE, &decision) || !source_fits(&r->rules[i], what))
                        continue;
                if (decision == ACCESS_DENY)
                        return false;
                if (r->rules[i].n_terms == 0)
                        return true;
        }
        return false;
}
