/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The promise is that for every subscription gaps in seq equal the sum of the Lost notices. Whoever watches
 * gets it checked for nothing.
 */
#include "tools/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void tally_attached(Tally *t, uint64_t seq) {
        t->seq = seq;
        t->lost_since = 0;
}

void tally_lost(Tally *t, uint64_t count, const char *reason) {
        size_t i;

        t->lost += count;
        t->lost_since += count;
        for (i = 0; i < t->n_reasons; i++)
                if (strncmp(t->reasons[i].reason, reason, TALLY_REASON_SIZE - 1) == 0)
                        break;
        if (i == t->n_reasons) {
                if (i < TALLY_REASONS_MAX)
                        snprintf(t->reasons[t->n_reasons++].reason, TALLY_REASON_SIZE, "%s",
                                 i == TALLY_REASONS_MAX - 1 ? "other" : reason);
                else
                        i--;
        }
        t->reasons[i].count += count;
}

uint64_t tally_frame(Tally *t, uint64_t seq, uint32_t memory) {
        uint64_t missing = seq > t->seq ? seq - t->seq - 1 : 0;

        t->unexplained += missing > t->lost_since ? missing - t->lost_since : t->lost_since - missing;
        t->frames++;
        if (memory < FB_MEMORY_KINDS)
                t->by_memory[memory]++;
        t->seq = seq;
        t->lost_since = 0;
        return missing;
}

const char *tally_frames_format(const Tally *t, char *buffer, size_t size) {
        int n = snprintf(buffer, size, "%" PRIu64, t->frames);
        const char *before = " (";

        if (t->by_memory[FB_MEMORY_SEALED] == t->frames)
                return buffer;
        for (uint32_t kind = FB_MEMORY_KINDS; kind-- > 0 && n >= 0 && (size_t)n < size;) {
                if (t->by_memory[kind] == 0)
                        continue;
                n += snprintf(buffer + n, size - (size_t)n, "%s%s %" PRIu64, before,
                              fb_memory_to_string(kind), t->by_memory[kind]);
                before = ", ";
        }
        if (n >= 0 && (size_t)n < size)
                snprintf(buffer + n, size - (size_t)n, ")");
        return buffer;
}

const char *tally_lost_format(const Tally *t, char *buffer, size_t size) {
        int n = snprintf(buffer, size, "%" PRIu64, t->lost);

        for (size_t i = 0; i < t->n_reasons && n >= 0 && (size_t)n < size; i++)
                n += snprintf(buffer + n, size - (size_t)n, "%s%s %" PRIu64 "%s", i == 0 ? " (" : ", ",
                              t->reasons[i].reason, t->reasons[i].count, i + 1 == t->n_reasons ? ")" : "");
        return buffer;
}
