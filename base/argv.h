/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Splits a command line into words, with quotes but without any expansion: no variables, globs, pipes,
 * substitution. */
#pragma once

#define ARGV_WORDS_MAX 64u

/*
 * Words are separated by blanks. 'single quotes' take everything literally; in "double quotes" a backslash
 * takes the next character literally if it is one of " \ and stays otherwise; outside of quotes a backslash
 * takes any character literally. Quoted and bare parts that touch are one word; '' is an empty word.
 *
 * @ret_argv   words, NULL-terminated, possibly none; owned by the caller: argv_free()
 * @ret_error  a constant string for people; only set with -EINVAL and -E2BIG; may be NULL
 * Returns the number of words; -EINVAL: a quote that does not end, or a backslash at the end; -E2BIG: more
 * than ARGV_WORDS_MAX words; -ENOMEM.
 */
int argv_split(const char *line, char ***ret_argv, const char **ret_error);

/* Frees the words and the array. NULL is ignored. Returns NULL. */
char **argv_free(char **argv);

static inline void argv_freep(char ***argv) {
        argv_free(*argv);
}
