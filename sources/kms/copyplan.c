/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Layouts come from the library, which says what a tightly packed picture of a size needs: the bytes left of
 * a picture that begins at x are a line of a picture x pixels wide, the lines above it those of one y high.
 */
#include "sources/kms/copyplan.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

typedef struct Layout {
        struct framebus_plane planes[COPYPLAN_PLANES_MAX];
        size_t n_planes, size;
} Layout;

static int layout_get(uint32_t fourcc, uint32_t width, uint32_t height, Layout *ret) {
        struct framebus_mode mode = { .fourcc = fourcc, .width = width, .height = height };
        int r = framebus_mode_get_layout(&mode, ret->planes, &ret->n_planes, &ret->size);

        return r == -ENOTSUP ? -ENOSYS : r;
}

static uint32_t layout_count_lines(const Layout *l, size_t plane) {
        return (uint32_t)(l->planes[plane].size / l->planes[plane].stride);
}

/* Of x or y, the largest value up to it where all planes have a byte, or line, of their own to begin at. */
static uint32_t align_down(uint32_t value, const Layout cells[3], bool lines) {
        uint32_t step = 1;

        for (size_t i = 0; i < cells[0].n_planes; i++)
                for (unsigned k = 0; k < 3; k++) { /* 1, 2, 4 pixels */
                        uint64_t part = lines ? layout_count_lines(&cells[k], i) : cells[k].planes[i].stride;
                        uint64_t all = lines ? layout_count_lines(&cells[2], i) : cells[2].planes[i].stride;

                        if (part << (2 - k) != all)
                                continue;
                        step = FB_MAX(step, 1u << k);
                        break;
                }
        return value - value % step;
}

/* Moves the corner to where all planes have a sample, and cuts off what is outside. */
static int viewport_fit(const FramebufferInfo *fb, const Viewport *view, Viewport *ret) {
        Layout cells[3];
        int r = 0;

        for (unsigned k = 0; k < 3 && r >= 0; k++)
                r = layout_get(fb->fourcc, 1u << k, 1u << k, &cells[k]);
        if (r < 0)
                return r;
        *ret = (Viewport){
                .x = align_down(view->x, cells, false),
                .y = align_down(view->y, cells, true),
        };
        if (ret->x >= fb->width || ret->y >= fb->height || !view->width || !view->height)
                return -EINVAL;
        ret->width = FB_MIN(view->width, fb->width - ret->x);
        ret->height = FB_MIN(view->height, fb->height - ret->y);
        return 0;
}

static int plan_plane(CopyPlan *p, size_t i, const FramebufferInfo *fb, const Layout *left,
                      const Layout *above, const Layout *picture) {
        uint64_t x = left ? left->planes[i].stride : 0, y = above ? layout_count_lines(above, i) : 0;
        uint64_t stride = picture->planes[i].stride;

        if (x + stride > fb->pitches[i])
                return -EINVAL;
        p->from[i].pitch = fb->pitches[i];
        p->from[i].line = (uint32_t)stride;
        p->from[i].n_lines = layout_count_lines(picture, i);
        p->from[i].offset = fb->offsets[i] + y * fb->pitches[i] + x;
        p->from[i].end = p->from[i].offset + (p->from[i].n_lines - 1) * p->from[i].pitch + stride;
        return 0;
}

int copyplan_make(const FramebufferInfo *fb, const Viewport *view, CopyPlan *ret_plan) {
        Layout left, above, picture;
        CopyPlan p = { 0 };
        Viewport v;
        int r;

        if (fb->has_modifier && fb->modifier != DRM_FORMAT_MOD_LINEAR)
                return -ENOTSUP;
        r = viewport_fit(fb, view, &v);
        if (r >= 0)
                r = layout_get(fb->fourcc, v.width, v.height, &picture);
        if (r >= 0 && v.x)
                r = layout_get(fb->fourcc, v.x, 1, &left);
        if (r >= 0 && v.y)
                r = layout_get(fb->fourcc, 1, v.y, &above);
        if (r < 0)
                return r;
        p.width = v.width;
        p.height = v.height;
        p.n_planes = picture.n_planes;
        p.size = picture.size;
        memcpy(p.planes, picture.planes, sizeof p.planes);
        for (size_t i = 0; i < p.n_planes; i++) {
                r = plan_plane(&p, i, fb, v.x ? &left : NULL, v.y ? &above : NULL, &picture);
                if (r < 0)
                        return r;
        }
        *ret_plan = p;
        return 0;
}

void copyplan_run(const CopyPlan *p, const uint8_t *const maps[COPYPLAN_PLANES_MAX], uint8_t *to) {
        for (size_t i = 0; i < p->n_planes; i++) {
                const uint8_t *from = maps[i] + p->from[i].offset;
                uint8_t *at = to + p->planes[i].offset;
                size_t line = p->from[i].line, n_lines = p->from[i].n_lines;

                if (p->from[i].pitch == line) {
                        line *= n_lines;
                        n_lines = 1;
                }
                for (size_t y = 0; y < n_lines; y++)
                        memcpy(at + y * line, from + y * p->from[i].pitch, line);
        }
}
