/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests of what a channel's client says: how the broker's end takes it. */
#pragma once

#include "tests/unit/channel-fixture.h"

/* The loop has nothing to do, and goes on having nothing to do. */
static inline bool sleeps(Fixture *f) {
        settle(f);
        for (int i = 0; i < 10; i++)
                if (sd_event_run(f->event, 0) != 0)
                        return false;
        return true;
}

static inline bool closes(Fixture *f) {
        bool closed = reaches(f, &f->n_closed, 1);

        settle(f);
        return closed && f->n_closed == 1;
}

/* A call of Take, as long as is wanted. The caller's to free. */
static inline char *long_call_new(size_t size) {
        char *call = calloc(1, size + 256);
        size_t at = put_call(call, 1), text;

        memcpy(memmem(call, at, "Call", 5), "Take", 4);
        memcpy(call + at, "\10\1g\0\1s", 7);
        put_u32(call + 12, (uint32_t)(at + 7 - 16));
        at += 8;
        text = size - at - 5;
        put_u32(call + 4, (uint32_t)(size - at));
        put_u32(call + at, (uint32_t)text);
        memset(call + at + 4, 'x', text);
        return call;
}
