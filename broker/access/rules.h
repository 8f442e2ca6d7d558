/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules of who may do what with which source: files access.d/NAME.rules of one or more folders, one rule a
 * line. framebus.rules(5) is the manual.
 *
 *     allow group:video            *        watch
 *     ask   app:*                  *        watch
 *     deny  user:guest+unit:ssh*   door-*   see,control
 *
 * A set is read whole or not at all: a rule that was left out could be the one that keeps somebody away.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum AccessVerb {
        ACCESS_SEE,     /* know that a source exists, and all about it */
        ACCESS_WATCH,   /* get its frames */
        ACCESS_PUBLISH, /* be the source of that name */
        ACCESS_CONTROL, /* set its controls */
        ACCESS_ADMIN,   /* know who watches it; for all sources: reload the rules, and have them explained */
        ACCESS_RAW,     /* get its frames in dma-bufs */
        ACCESS_LEASE,   /* get its frames in leased memory */
        _ACCESS_VERB_MAX,
} AccessVerb;

/* Its word in a rule. */
const char *access_verb_to_string(AccessVerb verb);
/* Negative: no such word. */
AccessVerb access_verb_from_string(const char *s);

typedef enum AccessDecision {
        ACCESS_DENY,
        ACCESS_ASK, /* the user at the machine */
        ACCESS_ALLOW,
} AccessDecision;

const char *access_decision_to_string(AccessDecision decision);

typedef enum TermKind {
        TERM_UID,      /* low to high */
        TERM_GID,      /* low to high; supplementary groups count */
        TERM_UNIT,     /* text: a pattern */
        TERM_CGROUP,   /* text: an absolute path; what is below counts */
        TERM_APP,      /* text: a pattern */
        TERM_ENDPOINT, /* text: a pattern */
} TermKind;

typedef struct Term {
        TermKind kind;
        uint32_t low, high;
        char *text;
} Term;

#define RULE_TERMS_MAX 4

typedef struct Rule {
        AccessDecision decision;
        Term terms[RULE_TERMS_MAX]; /* all have to fit */
        size_t n_terms;             /* 0: world */
        char *source;               /* a pattern */
        unsigned int verbs;         /* 1u << AccessVerb */
        char *text;                 /* as it was written, with single blanks */
        char *where;                /* "FILE:LINE" */
} Rule;

typedef struct Rules {
        Rule *rules; /* the first that fits decides */
        size_t n;
} Rules;

#define RULES_MAX      4096u
#define RULES_FILE_MAX 65536u

/* How names of users and groups become numbers. 0, or negative if there is no such name. */
typedef struct RulesNames {
        int (*user)(const char *name, uid_t *ret);
        int (*group)(const char *name, gid_t *ret);
} RulesNames;

/* Those of the system. May wait for who knows them. */
extern const RulesNames rules_names;

/*
 * Adds the rules in @size bytes of @text to @r; @path is for messages.
 * -EINVAL: not rules, @ret_error is "FILE:LINE: why" (free()); -ENOMEM. Then @r is as it was.
 */
int rules_parse(Rules *r, const char *path, const char *text, size_t size, const RulesNames *names,
                char **ret_error);

/*
 * Reads access.d/NAME.rules of @folders, the most important first, in the order of the files' names. A file
 * in an earlier folder replaces one of the same name in a later one; a symbolic link to /dev/null there takes
 * it away. A folder that does not exist is an empty one. Files that do not end in .rules, or begin with a
 * dot, are not looked at.
 *
 * A file must belong to root or @own, and nobody else but its group may be able to write it.
 *
 * 0; -EINVAL: @ret_error says what is wrong, "FILE:LINE: why" or "FILE: why" (free()); -ENOMEM.
 */
int rules_load(const char *const *folders, size_t n, uid_t own, Rules *ret, char **ret_error);

/* Frees what it holds and leaves it empty. */
void rules_clear(Rules *r);
