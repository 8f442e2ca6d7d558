/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which rule decides. Pure. */
#pragma once

#include <stdbool.h>

#include "broker/access/rules.h"

/* Somebody. What is not known of somebody fits no rule that allows, and every rule that denies or asks. */
typedef struct Subject {
        uid_t uid;
        gid_t *gids; /* all of them */
        size_t n_gids;
        bool gids_known;
        char *unit;   /* NULL: none */
        char *cgroup; /* NULL: none */
        bool unit_known; /* and the cgroup */
        char *app;    /* NULL: in no sandbox */
        bool app_known;
        char *endpoint; /* NULL: on the bus */
} Subject;

/* A source, by all of its names. */
typedef struct AccessSource {
        const char *name;
        char *const *aliases; /* NULL-terminated; NULL: none */
} AccessSource;

/*
 * The rule that says whether @who may do @verb with @what, and what it says; NULL: none does.
 * @what NULL: with all that there is: rules for the source * decide.
 *
 * allow watch allows to see, too, and so does ask watch: who is not to know of a source cannot ask for it.
 * Everything else needs what it builds on to be asked for by itself (see access_judge()).
 */
const Rule *rules_find(const Rules *r, const Subject *who, const AccessSource *what, AccessVerb verb,
                       AccessDecision *ret);

/* Whether rules let everybody see @what, whoever that is. */
bool rules_let_all_see(const Rules *r, const AccessSource *what);

/* Shell-like: * is any text, ? any character. */
bool pattern_fits(const char *pattern, const char *text);
