/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judges the header of a D-Bus message, at least as strictly as sd-bus does. sd-bus (252) drops a message
 * with a bad header, but leaves its descriptors open, and goes on to the next one; so it must never see any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_FIXED_BYTES 16u

typedef struct Header {
        uint64_t total;    /* bytes of the message */
        uint64_t n_header; /* of these, the header's, with what fills it up to the body */
        uint32_t serial;
        uint32_t n_fds; /* after header_check() */
} Header;

/* The first HEADER_FIXED_BYTES. False: that is no D-Bus. */
bool header_read(const uint8_t *bytes, Header *ret);

/* The rest: @h->n_header bytes. False: sd-bus might not take it. */
bool header_check(const uint8_t *bytes, Header *h);
