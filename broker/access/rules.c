/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parser. One rule a line: decision, who, which source, verbs; a comment begins with # where a word could
 * begin. Nothing is guessed: what is not understood refuses the whole set.
 */
#include "broker/access/rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "interfaces/wire.h"

#define WORDS 4
#define BLANK " \t"

static const char *const verb_words[_ACCESS_VERB_MAX] = {
        [ACCESS_SEE] = "see",         [ACCESS_WATCH] = "watch", [ACCESS_PUBLISH] = "publish",
        [ACCESS_CONTROL] = "control", [ACCESS_ADMIN] = "admin", [ACCESS_RAW] = "raw",
        [ACCESS_LEASE] = "lease",
};

static const char *const decision_words[] = {
        [ACCESS_DENY] = "deny",
        [ACCESS_ASK] = "ask",
        [ACCESS_ALLOW] = "allow",
};

#define VERBS_TO_ASK (1u << ACCESS_WATCH | 1u << ACCESS_PUBLISH | 1u << ACCESS_CONTROL)

const char *access_verb_to_string(AccessVerb verb) {
        return verb_words[verb];
}

const char *access_decision_to_string(AccessDecision decision) {
        return decision_words[decision];
}

static int find_word(const char *const *words, size_t n, const char *s) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(words[i], s) == 0)
                        return (int)i;
        return -EINVAL;
}

AccessVerb access_verb_from_string(const char *s) {
        return (AccessVerb)find_word(verb_words, _ACCESS_VERB_MAX, s);
}

static void rule_clear(Rule *rule) {
        for (size_t i = 0; i < RULE_TERMS_MAX; i++)
                free(rule->terms[i].text);
        free(rule->source);
        free(rule->text);
        free(rule->where);
        *rule = (Rule){};
}

static void truncate_rules(Rules *r, size_t n) {
        while (r->n > n)
                rule_clear(&r->rules[--r->n]);
}

void rules_clear(Rules *r) {
        truncate_rules(r, 0);
        free(r->rules);
        *r = (Rules){};
}

/* ---- one line ---- */

/* What is wrong with a line, for people; @subject is put behind it. */
typedef struct Wrong {
        const char *why;
        const char *what;
} Wrong;

static int wrong(Wrong *w, const char *why, const char *what) {
        *w = (Wrong){ why, what };
        return -EINVAL;
}

static int read_number(const char **s, uint32_t *ret) {
        unsigned long long v = 0;
        const char *p = *s;

        if (!isdigit((unsigned char)*p))
                return -EINVAL;
        for (; isdigit((unsigned char)*p); p++) {
                v = v * 10 + (unsigned)(*p - '0');
                if (v >= UINT32_MAX) /* which is nobody's */
                        return -EINVAL;
        }
        *ret = (uint32_t)v;
        *s = p;
        return 0;
}

/* "N" or "N-M" */
static int read_range(Term *t, TermKind kind, const char *s, Wrong *w) {
        const char *p = s;

        if (read_number(&p, &t->low) < 0)
                return wrong(w, "not a number of a user or group, or a range N-M of them", s);
        t->high = t->low;
        if (*p == '-') {
                p++;
                if (read_number(&p, &t->high) < 0)
                        return wrong(w, "not a range N-M", s);
        }
        if (*p)
                return wrong(w, "not a number of a user or group, or a range N-M of them", s);
        if (t->high < t->low)
                return wrong(w, "a range that ends before it begins", s);
        t->kind = kind;
        return 0;
}

static int read_user(Term *t, const RulesNames *names, const char *s, Wrong *w) {
        uid_t uid;

        if (names->user(s, &uid) < 0)
                return wrong(w, "there is no such user", s);
        t->kind = TERM_UID;
        t->low = t->high = uid;
        return 0;
}

static int read_group(Term *t, const RulesNames *names, const char *s, Wrong *w) {
        gid_t gid;

        if (names->group(s, &gid) < 0)
                return wrong(w, "there is no such group", s);
        t->kind = TERM_GID;
        t->low = t->high = gid;
        return 0;
}

static int read_text(Term *t, TermKind kind, const char *s, Wrong *w) {
        if (kind == TERM_CGROUP && s[0] != '/')
                return wrong(w, "a path of a cgroup begins with /", s);
        if (kind == TERM_CGROUP && (strchr(s, '*') || strchr(s, '?')))
                return wrong(w, "a path of a cgroup is no pattern: what is below it counts", s);
        t->kind = kind;
        t->text = strdup(s);
        return t->text ? 0 : -ENOMEM;
}

static int read_term(Term *t, char *s, const RulesNames *names, Wrong *w) {
        char *value = strchr(s, ':');

        if (!value)
                return wrong(w,
                             "not 'world', and not one of user: uid: group: gid: unit: cgroup: app: "
                             "endpoint: with a value",
                             s);
        *value++ = 0;
        if (!*value)
                return wrong(w, "a value is missing behind", s);
        if (strcmp(s, "user") == 0)
                return read_user(t, names, value, w);
        if (strcmp(s, "group") == 0)
                return read_group(t, names, value, w);
        if (strcmp(s, "uid") == 0)
                return read_range(t, TERM_UID, value, w);
        if (strcmp(s, "gid") == 0)
                return read_range(t, TERM_GID, value, w);
        if (strcmp(s, "unit") == 0)
                return read_text(t, TERM_UNIT, value, w);
        if (strcmp(s, "cgroup") == 0)
                return read_text(t, TERM_CGROUP, value, w);
        if (strcmp(s, "app") == 0)
                return read_text(t, TERM_APP, value, w);
        if (strcmp(s, "endpoint") == 0)
                return read_text(t, TERM_ENDPOINT, value, w);
        return wrong(w, "no kind of subject", s);
}

static int read_subject(Rule *rule, char *s, const RulesNames *names, Wrong *w) {
        if (strcmp(s, "world") == 0)
                return 0;
        for (char *next; s; s = next) {
                int r;

                next = strchr(s, '+');
                if (next)
                        *next++ = 0;
                if (rule->n_terms >= RULE_TERMS_MAX)
                        return wrong(w, "more than four of them are joined by", "+");
                r = read_term(&rule->terms[rule->n_terms], s, names, w);
                if (r < 0)
                        return r;
                rule->n_terms++;
        }
        return 0;
}

static int read_source(Rule *rule, const char *s, Wrong *w) {
        for (const char *p = s; *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr("._:-*?", *p))
                        return wrong(w, "no source's name can be like that", s);
        if (strlen(s) > 2 * FB_NAME_MAX)
                return wrong(w, "longer than a source's name can be", s);
        rule->source = strdup(s);
        return rule->source ? 0 : -ENOMEM;
}

static int read_verbs(Rule *rule, char *s, Wrong *w) {
        for (char *next; s; s = next) {
                int verb;

                next = strchr(s, ',');
                if (next)
                        *next++ = 0;
                verb = find_word(verb_words, _ACCESS_VERB_MAX, s);
                if (verb < 0)
                        return wrong(w, "not one of see, watch, publish, control, admin, raw, lease", s);
                if (rule->decision == ACCESS_ASK && !(VERBS_TO_ASK & 1u << verb))
                        return wrong(w, "asked can be for watch, publish and control, not for", s);
                rule->verbs |= 1u << verb;
        }
        return 0;
}

/* Splits @line; more than @max: what is too much is in the last. */
static size_t split(char *line, char *words[static WORDS + 1]) {
        size_t n = 0;

        for (char *p = line + strspn(line, BLANK); *p && *p != '#' && n <= WORDS; p += strspn(p, BLANK)) {
                words[n++] = p;
                p += strcspn(p, BLANK);
                if (*p)
                        *p++ = 0;
        }
        return n;
}

static int read_rule(Rule *rule, char *words[static WORDS + 1], size_t n, const RulesNames *names, Wrong *w) {
        int decision = find_word(decision_words, FB_ELEMENTSOF(decision_words), words[0]), r;

        if (decision < 0)
                return wrong(w, "not one of allow, deny, ask", words[0]);
        if (n < WORDS)
                return wrong(w, "a rule is: allow, deny or ask, who, a source, verbs; here it ends with",
                             words[n - 1]);
        if (n > WORDS)
                return wrong(w, "more than four words", words[WORDS]);
        if (asprintf(&rule->text, "%s %s %s %s", words[0], words[1], words[2], words[3]) < 0)
                return rule->text = NULL, -ENOMEM;
        rule->decision = (AccessDecision)decision;
        r = read_subject(rule, words[1], names, w);
        if (r >= 0)
                r = read_source(rule, words[2], w);
        return r < 0 ? r : read_verbs(rule, words[3], w);
}

/* ---- a file ---- */

static int complain(const char *path, unsigned int line, const Wrong *w, char **ret_error) {
        if (asprintf(ret_error, "%s:%u: %s%s%s%s", path, line, w->why, w->what ? ": '" : "", w->what ?: "",
                     w->what ? "'" : "") < 0)
                return *ret_error = NULL, -ENOMEM;
        return -EINVAL;
}

static bool is_printable(const char *s) {
        for (; *s; s++)
                if ((unsigned char)*s < ' ' && *s != '\t')
                        return false;
        return true;
}

static int add_line(Rules *r, const char *path, unsigned int line, char *text, const RulesNames *names,
                    char **ret_error) {
        char *words[WORDS + 1];
        Rule *grown, *rule;
        Wrong w = {};
        size_t n;
        int e;

        if (!is_printable(text))
                return complain(path, line, &(Wrong){ "a control character", NULL }, ret_error);
        n = split(text, words);
        if (n == 0)
                return 0;
        if (r->n >= RULES_MAX)
                return complain(path, line, &(Wrong){ "more rules than 4096", NULL }, ret_error);
        grown = reallocarray(r->rules, r->n + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        r->rules = grown;
        rule = &r->rules[r->n++];
        *rule = (Rule){};
        if (asprintf(&rule->where, "%s:%u", path, line) < 0)
                return rule->where = NULL, -ENOMEM;
        e = read_rule(rule, words, n, names, &w);
        return e == -EINVAL ? complain(path, line, &w, ret_error) : e;
}

int rules_parse(Rules *r, const char *path, const char *text, size_t size, const RulesNames *names,
                char **ret_error) {
        _cleanup_free_ char *copy = strndup(text, size);
        unsigned int line = 1;
        size_t before = r->n;
        int e = 0;

        *ret_error = NULL;
        if (!copy)
                return -ENOMEM;
        if (strlen(copy) < size)
                return complain(path, 1, &(Wrong){ "a byte of zero is in it", NULL }, ret_error);
        for (char *s = copy, *next; s && e >= 0; s = next, line++) {
                next = strchr(s, '\n');
                if (next)
                        *next++ = 0;
                e = add_line(r, path, line, s, names, ret_error);
        }
        if (e < 0)
                truncate_rules(r, before);
        return e;
}
