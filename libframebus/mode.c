/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modes as programs see them, and helpers about formats. Pixel layouts are wire/format's business. */
#include "libframebus/mode.h"

#include <drm_fourcc.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "libframebus/export.h"
#include "wire/format.h"

static struct framebus_fraction fraction_to_public(Fraction f) {
        return (struct framebus_fraction){ f.num, f.den };
}

static struct framebus_range range_to_public(Range r) {
        return (struct framebus_range){ r.min, r.max, r.step };
}

static Fraction fraction_from_public(struct framebus_fraction f) {
        return (Fraction){ f.num, f.den };
}

static Range range_from_public(struct framebus_range r) {
        return (Range){ r.min, r.max, r.step };
}

void mode_to_public(const Mode *mode, struct framebus_mode *ret) {
        *ret = (struct framebus_mode){
                .fourcc = mode->fourcc,
                .width = mode->width,
                .height = mode->height,
                .modifier = mode->modifier,
                .rate = fraction_to_public(mode->rate),
                .width_range = range_to_public(mode->width_range),
                .height_range = range_to_public(mode->height_range),
                .rate_min = fraction_to_public(mode->rate_min),
                .rate_max = fraction_to_public(mode->rate_max),
        };
}

int mode_from_public(const struct framebus_mode *mode, bool wish, Mode *ret) {
        Mode m = {
                .fourcc = mode->fourcc,
                .any_modifier = wish && mode->fourcc == 0,
                .modifier = mode->modifier,
                .width = mode->width,
                .height = mode->height,
                .width_range = range_from_public(mode->width_range),
                .height_range = range_from_public(mode->height_range),
                .rate = fraction_from_public(mode->rate),
                .rate_min = fraction_from_public(mode->rate_min),
                .rate_max = fraction_from_public(mode->rate_max),
        };

        if (mode->reserved != 0 || (m.rate.num > 0 && m.rate.den == 0))
                return -EINVAL;
        if (wish && m.rate.num == 0)
                m.rate = (Fraction){ 0, 0 };
        if (!mode_is_valid(&m))
                return -EINVAL;
        *ret = m;
        return 0;
}

int modes_from_public(const struct framebus_mode *modes, size_t n, bool wish, Mode **ret_modes) {
        _cleanup_free_ Mode *list = NULL;
        int r;

        if (n > (wish ? FB_MODES_WISHED_MAX : FB_MODES_MAX) || (n > 0 && !modes))
                return -EINVAL;
        if (n > 0) {
                list = calloc(n, sizeof *list);
                if (!list)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++) {
                r = mode_from_public(&modes[i], wish, &list[i]);
                if (r < 0)
                        return r;
        }
        *ret_modes = take_ptr(list);
        return 0;
}

FormatRef *format_ref_new(uint32_t format, const Mode *mode) {
        FormatRef *f = calloc(1, sizeof *f);

        if (!f)
                return NULL;
        f->n_refs = 1;
        f->format = format;
        f->mode = *mode;
        mode_to_public(mode, &f->public_mode);
        return f;
}

FormatRef *format_ref_ref(FormatRef *f) {
        f->n_refs++;
        return f;
}

FormatRef *format_ref_unref(FormatRef *f) {
        if (f && --f->n_refs == 0)
                free(f);
        return NULL;
}

FB_PUBLIC int framebus_mode_get_layout(const struct framebus_mode *mode, struct framebus_plane ret_planes[4],
                                       size_t *ret_n_planes, size_t *ret_size) {
        const FormatInfo *info = format_get_info(mode->fourcc);
        Plane planes[FB_PLANES_MAX];
        uint64_t size;

        if (!info || mode->modifier != DRM_FORMAT_MOD_LINEAR)
                return -ENOTSUP;
        if (mode->width == 0 || mode->height == 0)
                return -EINVAL;
        if (!format_layout(info, mode->width, mode->height, planes, &size) || size > SIZE_MAX)
                return -EOVERFLOW;
        memset(ret_planes, 0, 4 * sizeof *ret_planes);
        for (size_t i = 0; i < info->n_planes; i++)
                ret_planes[i] = (struct framebus_plane){ .memory = planes[i].memory,
                                                         .stride = planes[i].stride,
                                                         .offset = planes[i].offset,
                                                         .size = planes[i].size };
        *ret_n_planes = info->n_planes;
        *ret_size = (size_t)size;
        return 0;
}

FB_PUBLIC const char *framebus_fourcc_to_string(uint32_t fourcc, char ret_string[5]) {
        return fourcc_to_string(fourcc, ret_string);
}

FB_PUBLIC uint32_t framebus_fourcc_from_string(const char *string) {
        size_t n = string ? strlen(string) : 0;
        uint32_t fourcc = 0;

        if (n == 0 || n > 4)
                return 0;
        for (size_t i = 0; i < 4; i++) {
                unsigned char c = i < n ? (unsigned char)string[i] : ' ';

                if (c < 0x20 || c > 0x7e)
                        return 0;
                fourcc |= (uint32_t)c << (8 * i);
        }
        return fourcc;
}
