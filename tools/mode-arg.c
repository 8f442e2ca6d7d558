/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Modes on the command line. What `show` prints is what `--mode` takes.
 *
 * Decimal rates are taken as they are written, as a fraction of powers of ten: 29.97 is 2997/100 and not the
 * 30000/1001 that somebody may mean by it, since only a source knows which it has.
 */
#include "tools/mode-arg.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <drm_fourcc.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define SIZE_MAX_PIXELS 65535u
#define SWAPPED_SUFFIX  "-BE"
#define SECONDS_MAX     (10ull * 366 * 24 * 3600)

int uint_parse(const char *s, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;

        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                if (!isdigit((unsigned char)*s))
                        return -EINVAL;
                if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
                        return -ERANGE;
        }
        if (v < min || v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

/* Digits with at most one point among them, as @ret_num / 10^k. At most @places digits behind the point. */
static int decimal_parse(const char *s, unsigned places, uint64_t *ret_num, uint64_t *ret_den) {
        uint64_t num = 0, den = 1;
        bool point = false, digit = false;

        for (; *s; s++) {
                if (*s == '.' && !point) {
                        point = true;
                        continue;
                }
                if (!isdigit((unsigned char)*s))
                        return -EINVAL;
                digit = true;
                if (point && places-- == 0)
                        return -ERANGE;
                if (__builtin_mul_overflow(num, 10u, &num) ||
                    __builtin_add_overflow(num, (uint64_t)(*s - '0'), &num))
                        return -ERANGE;
                if (point)
                        den *= 10;
        }
        if (!digit)
                return -EINVAL;
        *ret_num = num;
        *ret_den = den;
        return 0;
}

int seconds_parse(const char *s, uint64_t *ret_ns) {
        uint64_t num, den;
        int r;

        r = decimal_parse(s, 9, &num, &den);
        if (r < 0)
                return r;
        if (num == 0 || num / den > SECONDS_MAX)
                return -ERANGE;
        *ret_ns = num / den * NSEC_PER_SEC + num % den * (NSEC_PER_SEC / den);
        return 0;
}

int rate_parse(const char *s, struct framebus_fraction *ret) {
        const char *slash = strchr(s, '/');
        uint64_t num, den;
        int r;

        if (slash) {
                char left[16];
                size_t n = (size_t)(slash - s);

                if (n == 0 || n >= sizeof(left))
                        return -EINVAL;
                memcpy(left, s, n);
                left[n] = 0;
                r = uint_parse(left, 1, UINT32_MAX, &num);
                if (r >= 0)
                        r = uint_parse(slash + 1, 1, UINT32_MAX, &den);
        } else
                r = decimal_parse(s, 6, &num, &den);
        if (r < 0)
                return r;
        if (num == 0 || num > UINT32_MAX)
                return -ERANGE;
        while (!slash && den > 1 && num % 10 == 0) { /* 29.970 */
                num /= 10;
                den /= 10;
        }
        *ret = (struct framebus_fraction){ (uint32_t)num, (uint32_t)den };
        return 0;
}

/* "640x480"; false: something else */
static bool size_parse(const char *s, uint32_t *ret_width, uint32_t *ret_height) {
        const char *x = strchr(s, 'x');
        char left[8];
        uint64_t w, h;

        if (!x || x == s || (size_t)(x - s) >= sizeof(left))
                return false;
        memcpy(left, s, (size_t)(x - s));
        left[x - s] = 0;
        if (uint_parse(left, 1, SIZE_MAX_PIXELS, &w) < 0 || uint_parse(x + 1, 1, SIZE_MAX_PIXELS, &h) < 0)
                return false;
        *ret_width = (uint32_t)w;
        *ret_height = (uint32_t)h;
        return true;
}

/* What other programs call a format whose fourcc has another name here. */
static const char *fourcc_canonical(const char *s) {
        static const char *const names[][2] = {
                { "I420", "YU12" }, { "IYUV", "YU12" }, { "I422", "YU16" }, { "Y42B", "YU16" },
                { "I444", "YU24" }, { "Y444", "YU24" }, { "YUY2", "YUYV" }, { "MJPEG", "MJPG" },
                { "GREY", "R8" },   { "GRAY8", "R8" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(names); i++)
                if (strcmp(s, names[i][0]) == 0)
                        return names[i][1];
        return s;
}

static bool is_number(const char *s) {
        return strncmp(s, "0x", 2) == 0 && strlen(s) == 10 && strspn(s + 2, "0123456789abcdefABCDEF") == 8;
}

/* "NV12", "I420"; "RG16-BE" with the bytes swapped, as v4l2-ctl writes it; or the number: "0x3231564e". 0:
 * no. */
static uint32_t fourcc_parse(const char *s) {
        size_t n = strlen(s), n_name = n > 3 && strcmp(s + n - 3, SWAPPED_SUFFIX) == 0 ? n - 3 : n;
        uint32_t fourcc;
        char name[32];

        if (is_number(s))
                return (uint32_t)strtoul(s, NULL, 16);
        if (n_name >= sizeof(name))
                return 0;
        memcpy(name, s, n_name);
        name[n_name] = 0;
        fourcc = framebus_fourcc_from_string(fourcc_canonical(name));
        return fourcc && n_name < n ? fourcc | DRM_FORMAT_BIG_ENDIAN : fourcc;
}

/* A pixel format, and behind a colon its modifier: "NV12:0x0400000000000001". */
static int format_parse(const char *s, struct framebus_mode *m) {
        const char *colon = strchr(s, ':');
        char name[32] = "";
        char *end;

        if (!colon) {
                m->fourcc = fourcc_parse(s);
                return m->fourcc == 0 ? -EINVAL : 0;
        }
        if (colon - s >= (ptrdiff_t)sizeof(name) || strncmp(colon + 1, "0x", 2) != 0 ||
            !isxdigit((unsigned char)colon[3]) || strlen(colon + 3) > 16)
                return -EINVAL;
        memcpy(name, s, (size_t)(colon - s));
        m->fourcc = fourcc_parse(name);
        m->modifier = strtoull(colon + 1, &end, 16);
        return m->fourcc == 0 || *end ? -EINVAL : 0;
}

static int part_parse(const char *s, struct framebus_mode *m, const char **ret_why) {
        uint32_t width, height;

        if (size_parse(s, &width, &height)) {
                if (m->width > 0) {
                        *ret_why = "two sizes";
                        return -EINVAL;
                }
                m->width = width;
                m->height = height;
                return 0;
        }

        if (s[strspn(s, "0123456789x")] == 0 && strchr(s, 'x') && !is_number(s)) {
                *ret_why = "not a size: WIDTHxHEIGHT, each from 1 to 65535";
                return -EINVAL;
        }

        if (s[strspn(s, "0123456789./")] == 0) {
                if (m->rate.num > 0) {
                        *ret_why = "two rates";
                        return -EINVAL;
                }
                *ret_why = "not a rate: frames a second, as 30, 29.97 or 30000/1001";
                return rate_parse(s, &m->rate) < 0 ? -EINVAL : 0;
        }

        if (m->fourcc != 0) {
                *ret_why = "two pixel formats";
                return -EINVAL;
        }
        *ret_why = "neither a pixel format of four characters, nor a size like 640x480, nor a rate like 30";
        return format_parse(s, m);
}

int mode_parse(const char *s, struct framebus_mode *ret, const char **ret_why) {
        struct framebus_mode m = {};
        const char *why = "empty";
        bool any = false;

        while (*s) {
                size_t n = strcspn(s, ",");
                char part[32];

                if (n >= sizeof(part)) {
                        *ret_why = "too long";
                        return -EINVAL;
                }
                memcpy(part, s, n);
                part[n] = 0;
                if (n > 0) {
                        if (part_parse(part, &m, &why) < 0) {
                                *ret_why = why;
                                return -EINVAL;
                        }
                        any = true;
                }
                s += n + (s[n] == ',');
        }
        if (!any) {
                *ret_why = "empty";
                return -EINVAL;
        }
        *ret = m;
        return 0;
}

const char *fourcc_format(uint32_t fourcc, char ret[static FOURCC_STRING_MAX]) {
        bool swapped = fourcc & DRM_FORMAT_BIG_ENDIAN;

        framebus_fourcc_to_string(fourcc & ~DRM_FORMAT_BIG_ENDIAN, ret);
        for (size_t n = strlen(ret); n > 1 && ret[n - 1] == ' '; n--)
                ret[n - 1] = 0;
        return swapped ? strcat(ret, SWAPPED_SUFFIX) : ret;
}

const char *rate_format(struct framebus_fraction rate, char ret[static RATE_STRING_MAX]) {
        if (rate.num == 0 || rate.den == 0)
                snprintf(ret, RATE_STRING_MAX, "any");
        else if (rate.num % rate.den == 0)
                snprintf(ret, RATE_STRING_MAX, "%u", rate.num / rate.den);
        else
                snprintf(ret, RATE_STRING_MAX, "%u/%u", rate.num, rate.den);
        return ret;
}

/* " (16-1920x16-1080 by 2x2, 1-60 fps)", as far as there are ranges */
static void ranges_format(const struct framebus_mode *m, char *buffer, size_t size) {
        bool sizes = m->width_range.max > 0 || m->height_range.max > 0;
        char least[RATE_STRING_MAX], most[RATE_STRING_MAX];
        int n = 0;

        buffer[0] = 0;
        if (sizes)
                n = snprintf(buffer, size, " (%u-%ux%u-%u by %ux%u", m->width_range.min, m->width_range.max,
                             m->height_range.min, m->height_range.max, m->width_range.step,
                             m->height_range.step);
        if (m->rate_max.num > 0)
                n += snprintf(buffer + n, size - (size_t)n, "%s%s-%s fps", sizes ? ", " : " (",
                              rate_format(m->rate_min, least), rate_format(m->rate_max, most));
        if (n > 0)
                snprintf(buffer + n, size - (size_t)n, ")");
}

const char *mode_format(const struct framebus_mode *mode, char ret[static MODE_ARG_MAX]) {
        char fourcc[FOURCC_STRING_MAX], rate[RATE_STRING_MAX], size[24] = "", ranges[128], modifier[20] = "";

        if (mode->fourcc == 0) {
                snprintf(ret, MODE_ARG_MAX, "-");
                return ret;
        }
        if (mode->width > 0 && mode->height > 0)
                snprintf(size, sizeof(size), "%ux%u", mode->width, mode->height);
        if (mode->rate.num > 0)
                rate_format(mode->rate, rate);
        else
                rate[0] = 0;
        ranges_format(mode, ranges, sizeof(ranges));
        if (mode->modifier != 0)
                snprintf(modifier, sizeof(modifier), ":0x%016" PRIx64, mode->modifier);
        snprintf(ret, MODE_ARG_MAX, "%s%s%s%s%s%s%s", fourcc_format(mode->fourcc, fourcc), modifier,
                 size[0] || rate[0] ? "," : "", size, rate[0] ? "," : "", rate, ranges);
        return ret;
}
