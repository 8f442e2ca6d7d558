/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One working memory that keeps the last picture; the box is taken away by copying back what is below it. */
#include "sources/pattern/picture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sources/pattern/strip.h"

struct Picture {
        Canvas canvas;
        Strip strip;
        uint32_t box_side, box_y, box_x; /* where the box is now */
        uint32_t step;                   /* pixels that it moves from one picture to the next */
        uint32_t dot, text_y;
        bool has_place;
        uint64_t place;
        unsigned color;
        uint8_t *background, *work;
};

/* White, yellow, cyan, green, magenta, red, blue, black: 75 %. */
static const Color bars[] = {
        { 180, 128, 128, 191, 191, 191 }, { 162, 44, 142, 191, 191, 0 }, { 131, 156, 44, 0, 191, 191 },
        { 112, 72, 58, 0, 191, 0 },       { 84, 184, 198, 191, 0, 191 }, { 65, 100, 212, 191, 0, 0 },
        { 35, 212, 114, 0, 0, 191 },      { 16, 128, 128, 0, 0, 0 },
};

/* no bar has them */
const char *const picture_colors[PICTURE_N_COLORS] = { "Orange", "Violet", "Grey" };
static const Color box_colors[PICTURE_N_COLORS] = {
        { 144, 54, 184, 255, 128, 0 }, { 74, 221, 166, 128, 0, 255 }, { 126, 128, 128, 128, 128, 128 },
};

static void picture_draw_background(Picture *p) {
        uint32_t w = p->canvas.width, h = p->canvas.height, n = (uint32_t)FB_ELEMENTSOF(bars);

        for (uint32_t i = 0; i < n; i++) {
                uint32_t from = w * i / n & ~1u, to = i + 1 == n ? w : w * (i + 1) / n & ~1u;

                canvas_fill(&p->canvas, p->background, from, 0, to - from, h, bars[i]);
        }
        memcpy(p->work, p->background, p->canvas.size);
}

int picture_new(uint32_t fourcc, uint32_t width, uint32_t height, Picture **ret_picture) {
        Picture *p;

        if (width < STRIP_SIZE_MIN || height < STRIP_SIZE_MIN)
                return -EINVAL;
        p = calloc(1, sizeof(Picture));
        if (!p)
                return -ENOMEM;
        if (canvas_init(&p->canvas, fourcc, width, height) < 0) {
                picture_free(p);
                return -EINVAL;
        }
        p->background = malloc(p->canvas.size);
        p->work = malloc(p->canvas.size);
        if (!p->background || !p->work) {
                picture_free(p);
                return -ENOMEM;
        }
        p->strip = strip_get_geometry(width, height);
        p->box_side = FB_MAX(FB_MIN(width, height) / 8 & ~1u, 4u);
        p->step = FB_MAX(width / 160 & ~1u, 2u);
        p->dot = FB_MAX(FB_MIN(width / (6 * 14), height / 60) & ~1u, 2u);
        p->text_y = (p->strip.rows * p->strip.side + p->dot * 2) & ~1u;
        p->box_y = FB_MIN(height / 2 & ~1u, p->strip.lower_y - p->box_side);
        picture_draw_background(p);
        *ret_picture = p;
        return 0;
}

Picture *picture_free(Picture *p) {
        if (!p)
                return NULL;
        free(p->background);
        free(p->work);
        free(p);
        return NULL;
}

/* To the right edge and back: without picture_set_box() the place depends on the number alone, so that a
 * frame that is lost shows as a jump. */
static uint32_t picture_get_box_x(const Picture *p, uint64_t number) {
        uint32_t way = (p->canvas.width - p->box_side) / p->step;
        uint32_t at;

        if (way == 0)
                return 0;
        at = (uint32_t)(number % (2 * way));
        return (at <= way ? at : 2 * way - at) * p->step;
}

static void picture_move_box(Picture *p, uint64_t number) {
        canvas_copy(&p->canvas, p->work, p->background, p->box_x, p->box_y, p->box_side, p->box_side);
        p->box_x = picture_get_box_x(p, p->has_place ? p->place : number);
        canvas_fill(&p->canvas, p->work, p->box_x, p->box_y, p->box_side, p->box_side,
                    box_colors[p->color]);
}

static void picture_write_text(Picture *p, uint64_t number, uint64_t realtime_ns) {
        uint64_t ms = realtime_ns / NSEC_PER_MSEC, s = ms / 1000;
        char text[32];

        snprintf(text, sizeof text, "#%" PRIu64, number);
        canvas_write(&p->canvas, p->work, p->dot * 2, p->text_y, p->dot, text);
        snprintf(text, sizeof text, "%02u:%02u:%02u.%03u", (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60), (unsigned)(ms % 1000));
        canvas_write(&p->canvas, p->work, p->dot * 2, p->text_y + p->dot * 8, p->dot, text);
}

static void picture_draw_strips(Picture *p, uint64_t number) {
        bool blocks[STRIP_BLOCKS];

        strip_encode(number, blocks);
        for (uint32_t i = 0; i < STRIP_BLOCKS; i++) {
                uint32_t x = i % p->strip.columns * p->strip.side, y = i / p->strip.columns * p->strip.side;
                Color color = blocks[i] ? color_white : color_black;

                canvas_fill(&p->canvas, p->work, x, y, p->strip.side, p->strip.side, color);
                canvas_fill(&p->canvas, p->work, x, y + p->strip.lower_y, p->strip.side, p->strip.side,
                            color);
        }
}

const uint8_t *picture_draw(Picture *p, uint64_t number, uint64_t realtime_ns) {
        picture_move_box(p, number);
        picture_write_text(p, number, realtime_ns);
        /* in small pictures the text is over the box, and the strips are over all */
        picture_draw_strips(p, number);
        return p->work;
}

void picture_set_box(Picture *p, uint64_t place, unsigned color) {
        p->has_place = true;
        p->place = place;
        p->color = color;
}

const Canvas *picture_get_canvas(const Picture *p) {
        return &p->canvas;
}
