/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line a message, to stderr; with the "<N>" priority prefix of sd-daemon(3) when stderr is the journal's,
 * so that levels survive. The library and the layers below the broker's API never log above debug.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

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

/*
 * For what others can cause as often as they like: at most LOG_CLIENTS_BURST of these at once and one a
 * second after that, of all together. How many were left out is said with the next one.
 */
#define LOG_CLIENTS_BURST 20u
void log_client_at(uint64_t now_ns, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_client(...) log_client_at(clock_now_ns(), __VA_ARGS__)

#define log_error(...)   log_print(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_print(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_print(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_print(LOG_LEVEL_DEBUG, __VA_ARGS__)
