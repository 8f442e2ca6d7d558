/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What yuv4mpeg2 calls its pixel formats, and which DRM format has the same bytes. */
#pragma once

#include <stdint.h>

typedef struct Y4mFormat {
        const char *name;    /* as in the C tag; case does not matter */
        uint32_t fourcc;     /* 0: there is none */
        const char *refused; /* then: why */
        uint8_t hsub, vsub;  /* chroma is so many times smaller; 0: no chroma */
        uint8_t sample;      /* bytes */
} Y4mFormat;

/* NULL: no such format. */
const Y4mFormat *y4m_format_find(const char *name);
