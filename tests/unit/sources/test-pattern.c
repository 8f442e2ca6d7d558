/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draws pictures in every format and reads the number back as a test at the other end of the bus does. */
#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "check.h"
#include "sources/pattern/knobs.h"
#include "sources/pattern/picture.h"
#include "sources/pattern/strip.h"

static const struct {
        const char *name;
        uint32_t fourcc;
        size_t step, first; /* bytes from pixel to pixel, and before the first sample */
        size_t size;        /* of 64x48 */
} formats[] = {
        { "NV12", DRM_FORMAT_NV12, 1, 0, 64 * 48 * 3 / 2 },
        { "I420", DRM_FORMAT_YUV420, 1, 0, 64 * 48 * 3 / 2 },
        { "YUYV", DRM_FORMAT_YUYV, 2, 0, 64 * 48 * 2 },
        { "RGB", DRM_FORMAT_BGR888, 3, 1, 64 * 48 * 3 },
};

static const uint32_t sizes[][2] = {
        { 32, 32 },   { 78, 40 },     { 80, 32 },   { 64, 48 },   { 96, 34 },
        { 640, 480 }, { 1920, 1080 }, { 34, 4096 }, { 4096, 34 },
};

static const uint64_t numbers[] = {
                0, 1, 2, 255, 256, 12345, UINT32_MAX, UINT64_MAX, 0xaaaaaaaaaaaaaaaa, 0x123456789abcdef0};

static void check_number(const char *name, const Canvas *c, const uint8_t *data, size_t i, uint64_t number) {
        uint64_t upper = ~number, lower = ~number;
        size_t stride = c->planes[0].stride;

        CHECK_AT(name, strip_read(data + formats[i].first, stride, formats[i].step, c->width, c->height,
                                  false, &upper));
        CHECK_AT(name, strip_read(data + formats[i].first, stride, formats[i].step, c->width, c->height, true,
                                  &lower));
        CHECK_AT(name, upper == number && lower == number);
}

static void test_numbers(void) {
        for (size_t f = 0; f < FB_ELEMENTSOF(formats); f++)
                for (size_t s = 0; s < FB_ELEMENTSOF(sizes); s++) {
                        Picture *p = NULL;

                        CHECK_INT(formats[f].name,
                                  picture_new(formats[f].fourcc, sizes[s][0], sizes[s][1], &p), 0);
                        for (size_t n = 0; p && n < FB_ELEMENTSOF(numbers); n++) {
                                const uint8_t *data = picture_draw(p, numbers[n], 1234567890123456789ull);

                                check_number(formats[f].name, picture_get_canvas(p), data, f, numbers[n]);
                        }
                        picture_free(p);
                }
}

static void test_checksum(void) {
        bool blocks[STRIP_BLOCKS];
        uint64_t number = 7;

        /* the standard check value: CRC-16/CCITT-FALSE of "12345678" is 0xa12b */
        strip_encode(0x3132333435363738, blocks);
        for (unsigned i = 0; i < 16; i++)
                CHECK_INT("check value", blocks[64 + i], 0xa12b >> (15 - i) & 1);
        for (unsigned i = 0; i < STRIP_BLOCKS; i++) { /* every single block that is wrong is noticed */
                blocks[i] = !blocks[i];
                CHECK(!strip_decode(blocks, &number));
                blocks[i] = !blocks[i];
        }
        CHECK_INT("untouched", number, 7);
        CHECK(strip_decode(blocks, &number) && number == 0x3132333435363738);
        memset(blocks, 0, sizeof blocks);
        CHECK(!strip_decode(blocks, &number));
        memset(blocks, 1, sizeof blocks);
        CHECK(!strip_decode(blocks, &number));
}

static void test_torn(void) {
        Picture *a = NULL, *b = NULL;
        uint64_t upper = 0, lower = 0;

        if (picture_new(DRM_FORMAT_NV12, 640, 480, &a) < 0 || picture_new(DRM_FORMAT_NV12, 640, 480, &b) < 0)
                abort();
        (void)picture_draw(b, 5, 0);
        uint8_t *first = (uint8_t *)picture_draw(a, 4, 0);
        memcpy(first + 640 * 240, picture_draw(b, 5, 0) + 640 * 240, 640 * 240);
        CHECK(strip_read(first, 640, 1, 640, 480, false, &upper) &&
              strip_read(first, 640, 1, 640, 480, true, &lower));
        CHECK(upper == 4 && lower == 5);
        picture_free(a);
        picture_free(b);
}

/* Redrawing only what changes must give what drawing all of it gives. */
static void test_redrawn(void) {
        for (size_t f = 0; f < FB_ELEMENTSOF(formats); f++) {
                Picture *a = NULL, *b = NULL;
                const uint8_t *x, *y;
                size_t size;

                if (picture_new(formats[f].fourcc, 322, 240, &a) < 0 ||
                    picture_new(formats[f].fourcc, 322, 240, &b) < 0)
                        abort();
                for (uint64_t n = 1; n < 400; n++)
                        (void)picture_draw(a, n, n * 33333333);
                x = picture_draw(a, 400, 400 * 33333333ull);
                y = picture_draw(b, 400, 400 * 33333333ull);
                size = picture_get_canvas(a)->size;
                CHECK_AT(formats[f].name, memcmp(x, y, size) == 0);
                y = picture_draw(b, 401, 400 * 33333333ull);
                CHECK_AT(formats[f].name, memcmp(x, y, size) != 0); /* something moves */
                picture_free(a);
                picture_free(b);
        }
}

static void test_layout(void) {
        Canvas c;

        for (size_t f = 0; f < FB_ELEMENTSOF(formats); f++) {
                CHECK_INT(formats[f].name, canvas_init(&c, formats[f].fourcc, 64, 48), 0);
                CHECK_INT(formats[f].name, c.size, formats[f].size);
                CHECK_INT(formats[f].name, canvas_fourcc_from_name(formats[f].name), formats[f].fourcc);
        }
        CHECK_INT("unknown format", canvas_init(&c, DRM_FORMAT_XRGB8888, 64, 48), -EINVAL);
        CHECK_INT("odd width", canvas_init(&c, DRM_FORMAT_NV12, 63, 48), -EINVAL);
        CHECK_INT("no height", canvas_init(&c, DRM_FORMAT_NV12, 64, 0), -EINVAL);
        CHECK_INT("huge", canvas_init(&c, DRM_FORMAT_NV12, 1u << 31, 1u << 31), -EINVAL);
        CHECK_INT("unknown name", canvas_fourcc_from_name("NV13"), 0);
}

/* One colour in every format, at one place: the order of the bytes. */
static void test_bytes(void) {
        static const Color color = { 1, 2, 3, 4, 5, 6 };
        static const struct {
                uint32_t fourcc;
                uint8_t bytes[24]; /* what the lower right quarter of 4x4 pixels is filled with */
                size_t offsets[24];
                unsigned n;
        } table[] = {
                { DRM_FORMAT_NV12, { 1, 1, 1, 1, 2, 3 }, { 10, 11, 14, 15, 22, 23 }, 6 },
                { DRM_FORMAT_YUV420, { 1, 1, 1, 1, 2, 3 }, { 10, 11, 14, 15, 19, 23 }, 6 },
                { DRM_FORMAT_YUYV, { 1, 2, 1, 3, 1, 2, 1, 3 }, { 20, 21, 22, 23, 28, 29, 30, 31 }, 8 },
                { DRM_FORMAT_BGR888, { 4, 5, 6, 4, 5, 6, 4, 5, 6, 4, 5, 6 }, { 30, 31, 32, 33, 34, 35, 42, 43,
                  44, 45, 46, 47 }, 12 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                uint8_t memory[64] = { 0 };
                unsigned touched = 0;
                Canvas c;

                CHECK_INT("layout", canvas_init(&c, table[i].fourcc, 4, 4), 0);
                canvas_fill(&c, memory, 2, 2, 100, 100, color); /* clipped */
                canvas_fill(&c, memory, 4, 0, 2, 2, color);     /* outside */
                for (unsigned k = 0; k < table[i].n; k++)
                        CHECK_INT("byte", memory[table[i].offsets[k]], table[i].bytes[k]);
                for (size_t k = 0; k < sizeof memory; k++)
                        touched += memory[k] != 0;
                CHECK_INT("bytes touched", touched, table[i].n);
        }
}

static bool draws_the_same(uint64_t place, unsigned color) {
        Picture *a, *b;
        bool same;

        if (picture_new(DRM_FORMAT_NV12, 320, 240, &a) < 0 || picture_new(DRM_FORMAT_NV12, 320, 240, &b) < 0)
                return false;
        picture_set_box(b, place, color);
        same = memcmp(picture_draw(a, 40, 0), picture_draw(b, 40, 0), picture_get_canvas(a)->size) == 0;
        picture_free(a);
        picture_free(b);
        return same;
}

static void test_box(void) {
        Knobs k;
        const struct framebus_control_value values[] = { { .id = "speed", .value = 5 },
                                                         { .id = "color", .value = 2 },
                                                         { .id = "else", .value = 9 } };
        const struct framebus_control_value pause = { .id = "pause", .value = 1 };

        CHECK(draws_the_same(40, 0));
        CHECK(!draws_the_same(41, 0));
        CHECK(!draws_the_same(40, 1));
        knobs_init(&k);
        CHECK_INT("speed", knobs_get_speed(&k), 1);
        knobs_set(&k, values, 3);
        CHECK_INT("speed", knobs_get_speed(&k), 5);
        CHECK_INT("color", knobs_get_color(&k), 2);
        knobs_set(&k, &pause, 1);
        CHECK_INT("speed", knobs_get_speed(&k), 0);
}

int main(void) {
        Picture *p = NULL;

        test_checksum();
        test_layout();
        test_bytes();
        test_numbers();
        test_torn();
        test_redrawn();
        test_box();
        CHECK_INT("too small", picture_new(DRM_FORMAT_NV12, 30, 480, &p), -EINVAL);
        CHECK(!p && !picture_free(NULL));
        return check_end();
}
