/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The units of an H.264 or HEVC stream with start codes (Annex B), as far as it takes to know where decoding
 * can begin. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAL_SETS_MAX 1024u /* bytes of all parameter sets of a kind; what is more is not remembered */
enum { NAL_VPS, NAL_SPS, NAL_PPS, NAL_KINDS };

/* The parameter sets that were seen last, without which no picture can be decoded. */
typedef struct NalSets {
        uint8_t data[NAL_KINDS][NAL_SETS_MAX];
        size_t sizes[NAL_KINDS];
        uint8_t prefix[NAL_KINDS * NAL_SETS_MAX];
} NalSets;

/* What has to go into a frame so that decoding can begin with it. */
typedef struct NalPrefix {
        size_t at;        /* behind so many bytes of the frame: a delimiter stays in front */
        const void *data; /* in the NalSets */
        size_t size;      /* 0: nothing */
} NalPrefix;

/* Whether a V4L2 format is such a stream. */
bool nal_is_stream(uint32_t v4l2);

/* Whether the first picture in a frame needs no other one (IDR; HEVC: any IRAP). */
bool nal_is_intra(uint32_t v4l2, const void *data, size_t size);

/*
 * Remembers the parameter sets of a frame. For one that decoding could begin with, so far as its picture
 * goes, says what is missing in it. False: sets are missing that were never seen.
 */
bool nal_complete(NalSets *s, uint32_t v4l2, const void *data, size_t size, NalPrefix *ret_prefix);
