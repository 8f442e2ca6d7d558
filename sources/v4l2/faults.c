/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/v4l2/faults.h"

#include <stdio.h>

#include "base/cleanup.h"

static const struct {
        const char *name, *words;
} faults[_FAULT_MAX] = {
        [FAULT_DAMAGED] = { "damaged", "frames that the driver says are damaged are left out" },
        [FAULT_EMPTY] = { "empty", "empty frames are left out" },
        [FAULT_SHORT] = { "short", "frames that are too short for their format are left out" },
        [FAULT_OVERRUN] = { "overrun", "frames that are longer than their buffer are left out" },
        [FAULT_TRUNCATED] = { "truncated", "JPEG pictures that are cut off are left out" },
        [FAULT_SKIPPED] = { "skipped", "the device skips frames" },
        [FAULT_TIME] = { "time", "the device's times are of no use; frames get the time of their arrival" },
        [FAULT_QUEUE] = { "queue", "the driver does not take a buffer at once" },
        [FAULT_BROKEN] = { "broken", "the stream broke" },
        [FAULT_STALLED] = { "stalled", "the device stopped sending frames" },
        [FAULT_SIGNAL] = { "signal", "the signal changed" },
};

const char *fault_get_name(Fault f) {
        return faults[f].name;
}

const char *fault_get_words(Fault f) {
        return faults[f].words;
}

bool faults_add(Faults *f, Fault fault, uint64_t n, uint64_t now_ns) {
        bool news = !(f->present & 1u << fault);

        f->counts[fault] += n;
        f->last_ns[fault] = now_ns;
        f->present |= 1u << fault;
        return news;
}

uint32_t faults_expire(Faults *f, uint64_t now_ns) {
        uint32_t over = 0;

        for (unsigned i = 0; i < _FAULT_MAX; i++)
                if ((f->present & 1u << i) && now_ns >= f->last_ns[i] + FAULTS_OVER_NS)
                        over |= 1u << i;
        f->present &= ~over;
        return over;
}

uint64_t faults_get_due_ns(const Faults *f) {
        uint64_t due_ns = UINT64_MAX;

        for (unsigned i = 0; i < _FAULT_MAX; i++)
                if (f->present & 1u << i)
                        due_ns = FB_MIN(due_ns, f->last_ns[i] + FAULTS_OVER_NS);
        return due_ns;
}

const char *faults_describe(const Faults *f, char *buffer, size_t size) {
        size_t n = 0;

        (void)snprintf(buffer, size, "none");
        for (unsigned i = 1; i < _FAULT_MAX && n < size; i++)
                if (f->counts[i])
                        n += (size_t)snprintf(buffer + n, size - n, "%s%s=%llu", n ? " " : "", faults[i].name,
                                              (unsigned long long)f->counts[i]);
        return buffer;
}
