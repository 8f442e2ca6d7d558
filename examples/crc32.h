/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The CRC-32 of zlib, gzip and Python's zlib.crc32(), without the library. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline uint32_t crc32_of(const void *data, size_t size) {
        static uint32_t table[256];
        const uint8_t *p = data;
        uint32_t crc = 0xffffffffu;

        for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
                uint32_t v = i;

                for (int bit = 0; bit < 8; bit++)
                        v = v & 1 ? v >> 1 ^ 0xedb88320u : v >> 1;
                table[i] = v;
        }
        while (size-- > 0)
                crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
        return ~crc;
}
