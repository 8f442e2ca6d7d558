/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each message is one write(2), so that lines of several processes on one stderr do not mix. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static struct {
        const char *name;
        int level;
        int to_journal; /* -1: not looked yet */
} log_state = { .level = LOG_LEVEL_INFO, .to_journal = -1 };

/* JOURNAL_STREAM names the device and inode of the journal's stream, see systemd.exec(5). */
static bool log_stderr_is_journal(void) {
        unsigned long long dev, ino;
        const char *e = getenv("JOURNAL_STREAM");
        struct stat st;

        return e && sscanf(e, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) >= 0 &&
               st.st_dev == dev && st.st_ino == ino;
}

void log_init(const char *name, int level) {
        log_state.name = name;
        log_state.level = level;
        log_state.to_journal = log_stderr_is_journal();
}

bool log_is_journal(void) {
        if (log_state.to_journal < 0)
                log_state.to_journal = log_stderr_is_journal();
        return log_state.to_journal;
}

int log_level_from_string(const char *s) {
        static const char *const names[] = { "error", "warning", "notice", "info", "debug" };

        for (int i = 0; i < 5; i++)
                if (strcmp(s, names[i]) == 0 || (s[0] == '3' + i && !s[1]))
                        return LOG_LEVEL_ERROR + i;
        return -EINVAL;
}

/* Text of others is in it: one message stays one line, and a terminal is told nothing, also not by one of the
 * control characters beyond ASCII. */
static void make_printable(char *text, size_t n) {
        unsigned char *s = (unsigned char *)text;

        for (size_t i = 0; i < n; i++) {
                if (s[i] == '\t' || s[i] == '\n')
                        s[i] = ' ';
                else if (s[i] < ' ' || s[i] == 0x7f)
                        s[i] = '?';
                else if (s[i] == 0xc2 && i + 1 < n && s[i + 1] >= 0x80 && s[i + 1] < 0xa0)
                        s[i] = s[i + 1] = '?';
        }
}

void log_print(int level, const char *format, ...) {
        char line[1024];
        size_t n = 0, text;
        va_list ap;
        int r;

        if (level > log_state.level)
                return;
        if (log_is_journal())
                n = (size_t)snprintf(line, sizeof line, "<%d>", level);
        else if (log_state.name)
                n = (size_t)snprintf(line, sizeof line, "%s: ", log_state.name);

        text = n;
        va_start(ap, format);
        r = vsnprintf(line + n, sizeof line - n - 1, format, ap);
        va_end(ap);
        if (r < 0)
                return;
        n += (size_t)r < sizeof line - n - 1 ? (size_t)r : sizeof line - n - 2;
        make_printable(line + text, n - text);
        line[n++] = '\n';
        r = errno; /* a message is no reason to lose the errno that it may be about */
        (void)!write(STDERR_FILENO, line, n);
        errno = r;
}

void log_client_at(uint64_t now_ns, const char *format, ...) {
        static uint64_t room_ns = LOG_CLIENTS_BURST * NSEC_PER_SEC, last_ns;
        static unsigned int untold;
        char text[512];
        va_list ap;

        room_ns += last_ns > 0 ? now_ns - last_ns : 0;
        if (room_ns > LOG_CLIENTS_BURST * NSEC_PER_SEC)
                room_ns = LOG_CLIENTS_BURST * NSEC_PER_SEC;
        last_ns = now_ns;
        if (room_ns < NSEC_PER_SEC) {
                untold++;
                return;
        }
        room_ns -= NSEC_PER_SEC;
        va_start(ap, format);
        vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        if (untold > 0)
                log_warning("%s (%u more were not told)", text, untold);
        else
                log_warning("%s", text);
        untold = 0;
}
