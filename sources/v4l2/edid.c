/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EDID 1.3 (VESA E-EDID, release A, 2000): one block, digital, 1080p60 preferred, 720p60 as well. */
#include <string.h>

#include "sources/v4l2/input.h"

static const uint8_t header[8] = { 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00 };

static const uint8_t block[EDID_BLOCK_SIZE - 1] = {
        0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, /* header */
        0x18, 0x53, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, /* "FBS", product 1, no serial number */
        0x01, 0x20, 0x01, 0x03,                         /* week 1 of 2022; version 1.3 */
        /* digital, no size, gamma 2.2, RGB, timing 1 is preferred */
        0x80, 0x00, 0x00, 0x78, 0x0a, 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54, /* sRGB */
        0x20, 0x00, 0x00, /* 640x480 at 60 */
        0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
        /* 148.50 MHz: 1920 + 280, 1080 + 45; front 88 and 4, sync 44 and 5; both positive */
        0x02, 0x3a, 0x80, 0x18, 0x71, 0x38, 0x2d, 0x40, 0x58, 0x2c, 0x45, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x1e,
        /* 74.25 MHz: 1280 + 370, 720 + 30; front 110 and 5, sync 40 and 5; both positive */
        0x01, 0x1d, 0x00, 0x72, 0x51, 0xd0, 0x1e, 0x20, 0x6e, 0x28, 0x55, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x1e,
        /* 24 to 75 Hz, 15 to 85 kHz, up to 170 MHz */
        0x00, 0x00, 0x00, 0xfd, 0x00, 0x18, 0x4b, 0x0f, 0x55, 0x11, 0x00, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20,
        0x20, 0x00, 0x00, 0x00, 0xfc, 0x00, 'F', 'r', 'a', 'm', 'e', 'b', 'u', 's', '\n', ' ', ' ', ' ', ' ',
        0x00, /* no extension */
};

void edid_make(uint8_t ret[EDID_BLOCK_SIZE]) {
        uint8_t sum = 0;

        memcpy(ret, block, sizeof block);
        for (size_t i = 0; i < sizeof block; i++)
                sum = (uint8_t)(sum + block[i]);
        ret[EDID_BLOCK_SIZE - 1] = (uint8_t)-sum;
}

bool edid_is_valid(const uint8_t *edid, size_t size) {
        if (size < EDID_BLOCK_SIZE || size > EDID_BLOCKS_MAX * EDID_BLOCK_SIZE || size % EDID_BLOCK_SIZE ||
            memcmp(edid, header, sizeof header) != 0)
                return false;
        for (size_t i = 0; i < size; i += EDID_BLOCK_SIZE) {
                uint8_t sum = 0;

                for (size_t k = 0; k < EDID_BLOCK_SIZE; k++)
                        sum = (uint8_t)(sum + edid[i + k]);
                if (sum != 0)
                        return false;
        }
        return true;
}
