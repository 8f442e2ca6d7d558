/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers, rates and modes: what is taken, what is not, and that what is shown can be given back. */
#include "tools/mode-arg.h"

#include <errno.h>

#include <drm_fourcc.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/unit/tools/check.h"

static const struct {
        const char *text;
        uint32_t fourcc, width, height, num, den;
} good[] = {
        { "NV12,1280x720,30", DRM_FORMAT_NV12, 1280, 720, 30, 1 },
        { "NV12", DRM_FORMAT_NV12, 0, 0, 0, 0 },
        { "1280x720", 0, 1280, 720, 0, 0 },
        { "30", 0, 0, 0, 30, 1 },
        { ",,30000/1001", 0, 0, 0, 30000, 1001 },
        { "YUYV,,29.97", DRM_FORMAT_YUYV, 0, 0, 2997, 100 },
        { ",640x480", 0, 640, 480, 0, 0 },
        { "640x480,NV12", DRM_FORMAT_NV12, 640, 480, 0, 0 },
        { "R8", DRM_FORMAT_R8, 0, 0, 0, 0 },
        { "I420", DRM_FORMAT_YUV420, 0, 0, 0, 0 },
        { "YUY2,65535x1,0.5", DRM_FORMAT_YUYV, 65535, 1, 5, 10 },
        { "0x3231564e,8x8", DRM_FORMAT_NV12, 8, 8, 0, 0 },
        { "YUY2-BE", DRM_FORMAT_YUYV | DRM_FORMAT_BIG_ENDIAN, 0, 0, 0, 0 },
        { "MJPEG", fourcc_code('M', 'J', 'P', 'G'), 0, 0, 0, 0 },
};
static const char *const bad[] = {
        "",
        ",",
        ",,",
        "NV123",
        "640x",
        "x480",
        "0x480",
        "65536x1",
        "NV12,0",
        "NV12,30/0",
        "NV12,/",
        "NV12,YUYV",
        "30,25",
        "1x1,2x2",
        "NV12,-30",
        "30/1/1",
        "1.2.3",
        "99999999999",
        "0.0",
        "640x480x3",
        "640 x480",
        "NV12,1e3",
        "0x123456789",
        "NV12:",
        "NV12:5",
        "NV12:0x",
        "NV12:0x5z",
        "NV12:0x00000000000000001",
        ":0x5",
        "0x",
        "0x3231564eg",
        "NV123-BE",
        "\xc3\xa4\xc3\xb6\xc3\xbc",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

static void test_mode_parse(void) {
        struct framebus_mode m;
        const char *why;

        for (size_t i = 0; i < FB_ELEMENTSOF(good); i++) {
                why = NULL;
                CHECK_INT(good[i].text, mode_parse(good[i].text, &m, &why), 0);
                CHECK_INT(good[i].text, m.fourcc, good[i].fourcc);
                CHECK_INT(good[i].text, m.width, good[i].width);
                CHECK_INT(good[i].text, m.height, good[i].height);
                CHECK_INT(good[i].text, m.rate.num, good[i].num);
                CHECK_INT(good[i].text, m.rate.den, good[i].den);
        }
        for (size_t i = 0; i < FB_ELEMENTSOF(bad); i++) {
                why = NULL;
                CHECK_INT(bad[i], mode_parse(bad[i], &m, &why), -EINVAL);
                CHECK_AT(bad[i], why);
        }
}

static void test_mode_format(void) {
        static const struct {
                struct framebus_mode mode;
                const char *text;
        } table[] = {
                { { 0 }, "-" },
                { { .fourcc = DRM_FORMAT_NV12 }, "NV12" },
                { { .fourcc = DRM_FORMAT_R8, .width = 8, .height = 4, .rate = { 30, 1 } }, "R8,8x4,30" },
                { { .fourcc = DRM_FORMAT_NV12, .width = 8, .height = 4, .rate = { 30000, 1001 } },
                  "NV12,8x4,30000/1001" },
                { { .fourcc = DRM_FORMAT_NV12, .rate = { 60, 2 } }, "NV12,,30" },
                { { .fourcc = DRM_FORMAT_NV12,
                    .modifier = DRM_FORMAT_MOD_SAMSUNG_64_32_TILE,
                    .rate = { 5, 1 } },
                  "NV12:0x0400000000000001,,5" },
                { { .fourcc = DRM_FORMAT_R16 | DRM_FORMAT_BIG_ENDIAN }, "R16-BE" },
                { { .fourcc = DRM_FORMAT_RGB565 | DRM_FORMAT_BIG_ENDIAN, .width = 8, .height = 4 },
                  "RG16-BE,8x4" },
                { { .fourcc = DRM_FORMAT_NV12,
                    .width = 640,
                    .height = 480,
                    .rate = { 30, 1 },
                    .width_range = { 16, 1920, 2 },
                    .height_range = { 16, 1080, 2 },
                    .rate_min = { 1, 1 },
                    .rate_max = { 60, 1 } },
                  "NV12,640x480,30 (16-1920x16-1080 by 2x2, 1-60 fps)" },
        };
        char text[MODE_ARG_MAX], again[MODE_ARG_MAX];
        struct framebus_mode m;
        const char *why;

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                CHECK_STR("format", mode_format(&table[i].mode, text), table[i].text);
                if (table[i].mode.fourcc == 0 || table[i].mode.rate_max.num > 0)
                        continue;
                CHECK_INT(text, mode_parse(text, &m, &why), 0);
                CHECK_STR("and back", mode_format(&m, again), text);
        }
}

/* the longest of everything must fit, or at least end */
static void test_mode_format_long(void) {
        struct framebus_mode m = { .fourcc = UINT32_MAX, .width = UINT32_MAX, .height = UINT32_MAX,
                                   .rate = { UINT32_MAX, UINT32_MAX - 1 },
                                   .width_range = { UINT32_MAX, UINT32_MAX, UINT32_MAX },
                                   .height_range = { UINT32_MAX, UINT32_MAX, UINT32_MAX },
                                   .rate_min = { UINT32_MAX, UINT32_MAX - 1 },
                                   .rate_max = { UINT32_MAX, UINT32_MAX - 1 } };
        char text[MODE_ARG_MAX];

        mode_format(&m, text);
        CHECK(strlen(text) < MODE_ARG_MAX);
}

static void test_numbers(void) {
        struct framebus_fraction f;
        uint64_t v;

        CHECK_INT("seconds", seconds_parse("2.5", &v), 0);
        CHECK_INT("seconds", v, 2500000000ll);
        CHECK_INT("seconds", seconds_parse("0.000000001", &v), 0);
        CHECK_INT("seconds", v, 1);
        CHECK_INT("seconds", seconds_parse("10", &v), 0);
        CHECK_INT("seconds", v, 10 * (long long)NSEC_PER_SEC);
        CHECK_INT("seconds", seconds_parse(".", &v), -EINVAL);
        CHECK_INT("seconds", seconds_parse("-1", &v), -EINVAL);
        CHECK_INT("seconds", seconds_parse("0", &v), -ERANGE);
        CHECK_INT("seconds", seconds_parse("0.0000000001", &v), -ERANGE);
        CHECK_INT("seconds", seconds_parse("18446744073709551616", &v), -ERANGE);
        CHECK_INT("seconds", seconds_parse("999999999999", &v), -ERANGE);
        CHECK_INT("uint", uint_parse("17", 1, 16, &v), -ERANGE);
        CHECK_INT("uint", uint_parse("16", 1, 16, &v), 0);
        CHECK_INT("uint", uint_parse(" 1", 1, 16, &v), -EINVAL);
        CHECK_INT("uint", uint_parse("", 0, 16, &v), -EINVAL);
        CHECK_INT("uint", uint_parse("18446744073709551615", 0, UINT64_MAX, &v), 0);
        CHECK_INT("uint", uint_parse("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
        CHECK_INT("rate", rate_parse("29.970", &f), 0);
        CHECK_INT("rate", f.num, 2997);
        CHECK_INT("rate", f.den, 100);
        CHECK_INT("rate", rate_parse("4294967296/1", &f), -ERANGE);
        CHECK_INT("rate", rate_parse("1/4294967296", &f), -ERANGE);
}

int main(void) {
        test_mode_parse();
        test_mode_format();
        test_mode_format_long();
        test_numbers();
        return check_end();
}
