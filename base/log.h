/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line a message, to stderr; with the "<N>" priority prefix of sd-daemon(3) when stderr is the journal's,
 * so that levels survive. The library and the layers below the broker's API never log above debug.
 */
#pragma once

#include <stdbool.h>

enum {
        LOG_LEVEL_ERROR = 3,
        LOG_LEVEL_WARNING = 4,
        LOG_LEVEL_NOTICE = 5,
        LOG_LEVEL_INFO = 6,
        LOG_LEVEL_DEBUG = 7,
};

/* Sets the highest level that is printed (default LOG_LEVEL_INFO) and a name put in front of every line (not
 * copied; NULL: none). */
void log_init(const char *name, int level);

/* Whether stderr is the journal's. */
bool log_is_journal(void);

/* "error" … "debug" or "3" … "7"; negative: neither. */
int log_level_from_string(const char *s);

void log_print(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_print(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_print(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_print(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_print(LOG_LEVEL_DEBUG, __VA_ARGS__)
