/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes wrong with a device's picture: by name, counted, and news only when it begins and ends. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum Fault {
        FAULT_NONE = 0,
        FAULT_DAMAGED,   /* the driver says so */
        FAULT_EMPTY,     /* a buffer without a byte */
        FAULT_SHORT,     /* fewer bytes than the picture has */
        FAULT_OVERRUN,   /* more than the buffer has */
        FAULT_TRUNCATED, /* a JPEG without its end, or without its beginning */
        FAULT_SKIPPED,   /* the device's own counter skips; counts frames */
        FAULT_TIME,      /* a time of no use; the frame is good */
        FAULT_QUEUE,     /* a buffer was not taken at once */
        FAULT_BROKEN,    /* the stream fails */
        FAULT_STALLED,   /* no frames, and no reason */
        FAULT_SIGNAL,    /* there is none, or it changed */
        _FAULT_MAX,
} Fault;

/* A fault that was not seen for so long is over. */
#define FAULTS_OVER_NS 5000000000ull

typedef struct Faults {
        uint64_t counts[_FAULT_MAX];
        uint64_t last_ns[_FAULT_MAX];
        uint32_t present; /* bits: begun and not over */
} Faults;

/* The name under which it is counted, and what it means for people. */
const char *fault_get_name(Fault f);
const char *fault_get_words(Fault f);

/* Counts. True: it was not present before, which is news. */
bool faults_add(Faults *f, Fault fault, uint64_t n, uint64_t now_ns);

/* The faults that are over since the last call, as bits. */
uint32_t faults_expire(Faults *f, uint64_t now_ns);

/* When the next one may be over; UINT64_MAX: none is present. */
uint64_t faults_get_due_ns(const Faults *f);

/* "damaged=3 skipped=1", or "none". Always terminated. */
const char *faults_describe(const Faults *f, char *buffer, size_t size);
