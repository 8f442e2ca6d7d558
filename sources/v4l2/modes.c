/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First every combination is written down, at most CANDIDATES_MAX of them, then the list is made to fit:
 * rates become ranges, beginning with the formats that are wanted least. A range says more than the device
 * can: one of its own rates is then what frames come at. So what fits is left as it is.
 * Rates are frames a second here and seconds a frame in V4L2: each fraction is turned over on its way in.
 */
#include "sources/v4l2/modes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "sources/common/options.h"
#include "sources/v4l2/formats.h"

#define CANDIDATES_MAX 16384u
#define BIG_ENDIAN_BIT (1u << 31)
#define RANK_COMPRESSED 1u /* before all raw ones when it comes to keeping rates apart */
#define FAST           24u /* frames a second: less is a slide show */

typedef struct Candidates {
        struct framebus_mode *modes;
        size_t n;
} Candidates;

static const struct framebus_fraction rate_unknown = { 30, 1 };

static int candidates_add(Candidates *c, const struct framebus_mode *m) {
        struct framebus_mode *modes;

        if (c->n == CANDIDATES_MAX)
                return -E2BIG;
        if (c->n % 64 == 0) {
                modes = reallocarray(c->modes, c->n + 64, sizeof *modes);
                if (!modes)
                        return -ENOMEM;
                c->modes = modes;
        }
        c->modes[c->n++] = *m;
        return 0;
}

static struct framebus_fraction rate_from_interval(struct v4l2_fract interval) {
        struct framebus_fraction f = { interval.denominator, interval.numerator };

        return f.num && f.den ? fraction_reduce(f) : (struct framebus_fraction){ 0, 0 };
}

/* The rate that is set now, for devices that do not list any. */
static struct framebus_fraction get_current_rate(const Device *d) {
        struct v4l2_streamparm parm = { .type = d->buf_type };
        struct framebus_fraction rate = { 0, 0 };

        if (device_ioctl(d, VIDIOC_G_PARM, &parm) >= 0)
                rate = rate_from_interval(parm.parm.capture.timeperframe);
        return rate.num ? rate : rate_unknown;
}

static int add_rates(const Device *d, Candidates *c, uint32_t pixelformat, struct framebus_mode m) {
        struct v4l2_frmivalenum e = { .pixel_format = pixelformat, .width = m.width, .height = m.height };
        size_t before = c->n;

        for (; device_ioctl(d, VIDIOC_ENUM_FRAMEINTERVALS, &e) >= 0; e.index++) {
                int r = 0;

                if (e.type == V4L2_FRMIVAL_TYPE_DISCRETE)
                        m.rate = rate_from_interval(e.discrete);
                else {
                        m.rate_min = rate_from_interval(e.stepwise.max);
                        m.rate_max = m.rate = rate_from_interval(e.stepwise.min);
                        if (!m.rate_min.num)
                                m.rate_min = m.rate;
                }
                if (m.rate.num)
                        r = candidates_add(c, &m);
                if (r < 0)
                        return r;
                if (e.type != V4L2_FRMIVAL_TYPE_DISCRETE)
                        break;
        }
        if (c->n > before)
                return 0;
        m.rate = get_current_rate(d);
        m.rate_min = m.rate_max = (struct framebus_fraction){ 0, 0 };
        return candidates_add(c, &m);
}

static uint32_t clamp_to_range(uint32_t value, struct framebus_range range) {
        if (value <= range.min)
                return range.min;
        if (value >= range.max)
                value = range.max;
        return range.min + (value - range.min) / range.step * range.step;
}

/* That of the signal, where there is one; what is set may be left over from somebody's wish. */
static void get_current_size(const Device *d, uint32_t *ret_width, uint32_t *ret_height) {
        struct v4l2_format f = { .type = d->buf_type }; /* both kinds begin with the size */
        struct v4l2_dv_timings t = { 0 };
        bool known = device_ioctl(d, VIDIOC_G_FMT, &f) >= 0 && f.fmt.pix.width && f.fmt.pix.height;

        *ret_width = known ? f.fmt.pix.width : 640;
        *ret_height = known ? f.fmt.pix.height : 480;
        if (device_ioctl(d, VIDIOC_G_DV_TIMINGS, &t) < 0 || !t.bt.width || !t.bt.height)
                return;
        *ret_width = t.bt.width;
        *ret_height = t.bt.height;
}

/* Any size in a range: the one that is set now is the preferred one. */
static int add_size_range(const Device *d, Candidates *c, const struct v4l2_frmsizeenum *e,
                          struct framebus_mode m) {
        m.width_range = (struct framebus_range){ e->stepwise.min_width, e->stepwise.max_width,
                                                 FB_MAX(e->stepwise.step_width, 1u) };
        m.height_range = (struct framebus_range){ e->stepwise.min_height, e->stepwise.max_height,
                                                  FB_MAX(e->stepwise.step_height, 1u) };
        if (!m.width_range.min || !m.height_range.min || m.width_range.min > m.width_range.max ||
            m.height_range.min > m.height_range.max)
                return 0;
        get_current_size(d, &m.width, &m.height);
        m.width = clamp_to_range(m.width, m.width_range);
        m.height = clamp_to_range(m.height, m.height_range);
        return add_rates(d, c, e->pixel_format, m);
}

static int add_sizes(const Device *d, Candidates *c, const PixelFormat *f) {
        struct framebus_mode m = { .fourcc = f->fourcc, .modifier = f->modifier };
        struct v4l2_frmsizeenum e = { .pixel_format = f->v4l2 };
        size_t before = c->n;

        for (; device_ioctl(d, VIDIOC_ENUM_FRAMESIZES, &e) >= 0; e.index++) {
                int r;

                if (e.type != V4L2_FRMSIZE_TYPE_DISCRETE)
                        return add_size_range(d, c, &e, m);
                m.width = e.discrete.width;
                m.height = e.discrete.height;
                r = m.width && m.height ? add_rates(d, c, f->v4l2, m) : 0;
                if (r < 0)
                        return r;
        }
        if (c->n > before)
                return 0;
        get_current_size(d, &m.width, &m.height);
        return add_rates(d, c, f->v4l2, m);
}

/* Whether a DRM format is there already, made with another V4L2 format that says the same. */
static bool table_has(const ModeTable *t, const PixelFormat *f) {
        return modes_get_pixelformat(t, f->fourcc, f->modifier) != 0;
}

static int add_formats(const Device *d, Candidates *c, ModeTable *t) {
        struct v4l2_fmtdesc desc = { .type = d->buf_type };
        int r = 0;

        for (; r >= 0 && device_ioctl(d, VIDIOC_ENUM_FMT, &desc) >= 0; desc.index++) {
                const PixelFormat *f = pixel_format_find(desc.pixelformat);

                if (desc.flags & V4L2_FMT_FLAG_EMULATED)
                        continue;
                if (!f)
                        t->n_unknown++;
                if (!f || table_has(t, f))
                        continue;
                if (t->n_formats == MODES_FORMATS_MAX) {
                        t->n_left_out++;
                        continue;
                }
                t->formats[t->n_formats++] = f->v4l2;
                r = add_sizes(d, c, f);
        }
        if (r == -E2BIG)
                t->n_left_out++; /* at least */
        return r == -E2BIG ? 0 : r;
}

static int compare_bools(bool a, bool b) {
        return a == b ? 0 : a ? -1 : 1; /* true first */
}

/* Only compressed formats have the same code on both sides and no planes. */
static bool is_compressed(uint32_t fourcc) {
        const PixelFormat *f = pixel_format_find(fourcc);

        return f && f->fourcc == fourcc && pixel_format_is_compressed(f);
}

static int compare_modes(const void *x, const void *y) {
        const struct framebus_mode *a = x, *b = y;
        uint64_t area_a = (uint64_t)a->width * a->height, area_b = (uint64_t)b->width * b->height;
        size_t rank_a = pixel_format_get_rank_of_fourcc(a->fourcc),
               rank_b = pixel_format_get_rank_of_fourcc(b->fourcc);
        struct framebus_fraction fast = { FAST, 1 };
        int r = compare_bools(a->modifier == 0, b->modifier == 0); /* who can show tiles asks for them */

        if (r == 0)
                r = compare_bools(!is_compressed(a->fourcc), !is_compressed(b->fourcc));
        if (r == 0)
                r = compare_bools(fraction_compare(a->rate, fast) >= 0, fraction_compare(b->rate, fast) >= 0);
        if (r == 0 && area_a != area_b)
                r = area_a > area_b ? -1 : 1;
        if (r == 0 && rank_a != rank_b)
                r = rank_a < rank_b ? -1 : 1;
        if (r == 0)
                r = fraction_compare(b->rate, a->rate);
        return r != 0 ? r : a->width > b->width ? -1 : a->width < b->width;
}

static bool same_picture(const struct framebus_mode *a, const struct framebus_mode *b) {
        return a->fourcc == b->fourcc && a->modifier == b->modifier && a->width == b->width &&
               a->height == b->height && !a->width_range.max && !b->width_range.max;
}

/* Makes the rates of each size of a format one mode with a range, in place; candidates of one size stand
 * together as enumerated. */
static void candidates_merge_rates(Candidates *c, uint32_t fourcc) {
        size_t n = 0;

        for (size_t i = 0; i < c->n; i++) {
                struct framebus_mode *last = n ? &c->modes[n - 1] : NULL, m = c->modes[i];

                if (m.fourcc != fourcc) {
                        c->modes[n++] = m;
                        continue;
                }
                if (!m.rate_max.num)
                        m.rate_min = m.rate_max = m.rate;
                if (!last || !same_picture(last, &m)) {
                        c->modes[n++] = m;
                        continue;
                }
                if (fraction_compare(m.rate_min, last->rate_min) < 0)
                        last->rate_min = m.rate_min;
                if (fraction_compare(m.rate_max, last->rate_max) > 0)
                        last->rate_max = last->rate = m.rate_max;
        }
        c->n = n;
}

/* Where a format stands among those that keep their rates apart. */
static size_t get_merge_rank(uint32_t v4l2) {
        const PixelFormat *f = pixel_format_find(v4l2);

        return pixel_format_is_compressed(f) ? 0 : RANK_COMPRESSED + pixel_format_get_rank(f);
}

static int compare_merge_ranks(const void *x, const void *y) {
        size_t a = get_merge_rank(*(const uint32_t *)x), b = get_merge_rank(*(const uint32_t *)y);

        return a > b ? -1 : a < b; /* the last one first */
}

static void make_fit(Candidates *c, ModeTable *t) {
        uint32_t formats[MODES_FORMATS_MAX];

        memcpy(formats, t->formats, t->n_formats * sizeof *formats);
        qsort(formats, t->n_formats, sizeof *formats, compare_merge_ranks);
        for (; c->n > FB_MODES_MAX && t->n_merged < t->n_formats; t->n_merged++)
                candidates_merge_rates(c, pixel_format_find(formats[t->n_merged])->fourcc);
        qsort(c->modes, c->n, sizeof *c->modes, compare_modes);
        t->n_modes = FB_MIN(c->n, FB_MODES_MAX);
        t->n_left_out += c->n - t->n_modes;
        memcpy(t->modes, c->modes, t->n_modes * sizeof *t->modes);
}

int modes_enumerate(const Device *d, ModeTable *ret_table) {
        _cleanup_free_ struct framebus_mode *owned = NULL;
        Candidates c = { 0 };
        ModeTable t = { 0 };
        int r = add_formats(d, &c, &t);

        owned = c.modes;
        if (r < 0)
                return r;
        if (c.n == 0)
                return -ENODATA;
        make_fit(&c, &t);
        *ret_table = t;
        return 0;
}

void modes_log(const ModeTable *t, const char *path) {
        for (size_t i = 0; i < t->n_unknown; i++)
                log_debug("%s: %.4s is not offered: %s", path,
                          (const char *)&(uint32_t){ t->unknown[i] & ~BIG_ENDIAN_BIT },
                          pixel_format_why_not(t->unknown[i]));
        if (t->n_merged)
                log_debug("%s: so many modes that of %zu formats, out of %zu, the rates are told as ranges",
                          path, t->n_merged, t->n_formats);
        if (t->n_left_out)
                log_warning("%s: %zu modes or more are not offered: there are too many", path, t->n_left_out);
}

uint32_t modes_get_pixelformat(const ModeTable *t, uint32_t fourcc, uint64_t modifier) {
        for (size_t i = 0; i < t->n_formats; i++) {
                const PixelFormat *f = pixel_format_find(t->formats[i]);

                if (f && f->fourcc == fourcc && f->modifier == modifier)
                        return f->v4l2;
        }
        return 0;
}
