/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sources/pattern/strip.h"

#include "base/cleanup.h"

static uint16_t strip_checksum(uint64_t number) {
        uint16_t crc = 0xffff;

        for (int bit = 63; bit >= 0; bit--) {
                bool carry = (crc >> 15 & 1) != (number >> bit & 1);

                crc = (uint16_t)(crc << 1) ^ (carry ? 0x1021 : 0);
        }
        return crc;
}

Strip strip_get_geometry(uint32_t width, uint32_t height) {
        Strip s = { .columns = width >= 80 ? 40 : 16, .rows = width >= 80 ? 2 : 5 };
        uint32_t side = FB_MIN(width / s.columns, height / (6 * s.rows));

        s.side = FB_MAX(FB_MIN(side & ~1u, 16u), 2u);
        s.lower_y = height - s.rows * s.side;
        return s;
}

void strip_encode(uint64_t number, bool ret_blocks[static STRIP_BLOCKS]) {
        uint16_t checksum = strip_checksum(number);

        for (unsigned i = 0; i < 64; i++)
                ret_blocks[i] = number >> (63 - i) & 1;
        for (unsigned i = 0; i < 16; i++)
                ret_blocks[64 + i] = checksum >> (15 - i) & 1;
}

bool strip_decode(const bool blocks[static STRIP_BLOCKS], uint64_t *ret_number) {
        uint16_t checksum = 0;
        uint64_t number = 0;

        for (unsigned i = 0; i < 64; i++)
                number = number << 1 | blocks[i];
        for (unsigned i = 64; i < STRIP_BLOCKS; i++)
                checksum = (uint16_t)(checksum << 1 | blocks[i]);
        if (checksum != strip_checksum(number))
                return false;
        *ret_number = number;
        return true;
}

bool strip_read(const uint8_t *samples, size_t stride, size_t step, uint32_t width, uint32_t height,
                bool lower, uint64_t *ret_number) {
        Strip s = strip_get_geometry(width, height);
        bool blocks[STRIP_BLOCKS];

        for (uint32_t i = 0; i < STRIP_BLOCKS; i++) {
                uint32_t x = (i % s.columns) * s.side + s.side / 2;
                uint32_t y = (i / s.columns) * s.side + s.side / 2 + (lower ? s.lower_y : 0);

                blocks[i] = samples[y * stride + x * step] >= 128;
        }
        return strip_decode(blocks, ret_number);
}
