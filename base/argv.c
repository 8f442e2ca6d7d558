/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of a configuration file. One pass, one copy of the line as work space: a word is never
 * longer than what it came from.
 */
#include "base/argv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

static bool argv_is_blank(char c) {
        return c == ' ' || c == '\t';
}

/* Unquotes the word at *@p into @word and moves *@p behind it. */
static int argv_read_word(const char **p, char *word, const char **ret_error) {
        const char *c = *p;
        char quote = 0;

        for (; *c && (quote || !argv_is_blank(*c)); c++) {
                if (quote && *c == quote)
                        quote = 0;
                else if (!quote && (*c == '\'' || *c == '"'))
                        quote = *c;
                else if (*c != '\\' || quote == '\'')
                        *word++ = *c;
                else if (!c[1])
                        return *ret_error = "a backslash at the end", -EINVAL;
                else if (quote == '"' && c[1] != '"' && c[1] != '\\')
                        *word++ = *c;
                else
                        *word++ = *++c;
        }
        if (quote)
                return *ret_error = quote == '"' ? "a double quote that does not end"
                                                 : "a single quote that does not end",
                       -EINVAL;
        *word = 0;
        *p = c;
        return 0;
}

int argv_split(const char *line, char ***ret_argv, const char **ret_error) {
        _cleanup_(argv_freep) char **argv = calloc(ARGV_WORDS_MAX + 1, sizeof(char *));
        _cleanup_free_ char *word = malloc(strlen(line) + 1);
        const char *ignored;
        unsigned n = 0;

        if (!ret_error)
                ret_error = &ignored;
        if (!argv || !word)
                return -ENOMEM;
        for (;;) {
                while (argv_is_blank(*line))
                        line++;
                if (!*line)
                        break;
                if (n == ARGV_WORDS_MAX)
                        return *ret_error = "too many words", -E2BIG;
                fb_try(argv_read_word(&line, word, ret_error));
                argv[n] = strdup(word);
                if (!argv[n++])
                        return -ENOMEM;
        }
        *ret_argv = take_ptr(argv);
        return (int)n;
}

char **argv_free(char **argv) {
        for (char **a = argv; a && *a; a++)
                free(*a);
        free(argv);
        return NULL;
}
