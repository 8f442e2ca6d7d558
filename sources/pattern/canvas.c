/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything is drawn on even coordinates, so that no chroma sample is shared by two colours. RGB is R, G, B
 * in memory, which DRM calls BGR888: its names count from the most significant bit of a little-endian word.
 */
#include "sources/pattern/canvas.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

const Color color_black = { 16, 128, 128, 0, 0, 0 };
const Color color_white = { 235, 128, 128, 255, 255, 255 };

const uint32_t canvas_formats[CANVAS_N_FORMATS] = {
        DRM_FORMAT_NV12,
        DRM_FORMAT_YUV420,
        DRM_FORMAT_YUYV,
        DRM_FORMAT_BGR888,
};

/* 5 by 7 dots, the highest bit of five is the left one. */
static const struct {
        char c;
        uint8_t rows[7];
} glyphs[] = {
        { '0', { 0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e } },
        { '1', { 0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e } },
        { '2', { 0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f } },
        { '3', { 0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e } },
        { '4', { 0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02 } },
        { '5', { 0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e } },
        { '6', { 0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e } },
        { '7', { 0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08 } },
        { '8', { 0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e } },
        { '9', { 0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c } },
        { '#', { 0x0a, 0x0a, 0x1f, 0x0a, 0x1f, 0x0a, 0x0a } },
        { ':', { 0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00 } },
        { '.', { 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c } },
        { '/', { 0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x00 } },
        { '-', { 0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00 } },
};

uint32_t canvas_fourcc_from_name(const char *name) {
        static const struct {
                const char *name;
                uint32_t fourcc;
        } names[] = {
                { "NV12", DRM_FORMAT_NV12 }, { "I420", DRM_FORMAT_YUV420 }, { "YU12", DRM_FORMAT_YUV420 },
                { "YUYV", DRM_FORMAT_YUYV }, { "RGB", DRM_FORMAT_BGR888 },  { "BG24", DRM_FORMAT_BGR888 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(names); i++)
                if (strcmp(name, names[i].name) == 0)
                        return names[i].fourcc;
        return 0;
}

static void canvas_add_plane(Canvas *c, uint32_t stride, uint32_t lines) {
        c->planes[c->n_planes++] = (struct framebus_plane){
                .stride = stride,
                .offset = c->size,
                .size = (uint64_t)stride * lines,
        };
        c->size += (size_t)stride * lines;
}

int canvas_init(Canvas *c, uint32_t fourcc, uint32_t width, uint32_t height) {
        if (!width || !height || width % 2 || height % 2 || width > 16384 || height > 16384)
                return -EINVAL;
        *c = (Canvas){ .fourcc = fourcc, .width = width, .height = height };
        switch (fourcc) {
        case DRM_FORMAT_NV12:
                canvas_add_plane(c, width, height);
                canvas_add_plane(c, width, height / 2);
                return 0;
        case DRM_FORMAT_YUV420:
                canvas_add_plane(c, width, height);
                canvas_add_plane(c, width / 2, height / 2);
                canvas_add_plane(c, width / 2, height / 2);
                return 0;
        case DRM_FORMAT_YUYV:
                canvas_add_plane(c, width * 2, height);
                return 0;
        case DRM_FORMAT_BGR888:
                canvas_add_plane(c, width * 3, height);
                return 0;
        default:
                return -EINVAL;
        }
}

/* The part of plane @i under a rectangle: first byte, bytes a line, lines. */
static uint64_t canvas_find(const Canvas *c, size_t i, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
                            size_t *ret_bytes, uint32_t *ret_lines) {
        uint32_t stride = c->planes[i].stride;
        bool chroma = i > 0;

        /* bytes of two pixels side by side are whole in all formats */
        *ret_bytes = (size_t)w / 2 * (stride / (c->width / 2));
        *ret_lines = chroma ? h / 2 : h;
        return c->planes[i].offset + (uint64_t)(chroma ? y / 2 : y) * stride +
               (uint64_t)x / 2 * (stride / (c->width / 2));
}

static bool canvas_clip(const Canvas *c, uint32_t x, uint32_t y, uint32_t *w, uint32_t *h) {
        if (x >= c->width || y >= c->height)
                return false;
        *w = FB_MIN(*w, c->width - x);
        *h = FB_MIN(*h, c->height - y);
        return *w > 0 && *h > 0;
}

/* What repeats along a line of plane @i; returns its length. */
static size_t canvas_get_pattern(const Canvas *c, size_t i, Color k, uint8_t ret[static 4]) {
        if (c->fourcc == DRM_FORMAT_YUYV)
                return ret[0] = ret[2] = k.y, ret[1] = k.u, ret[3] = k.v, 4;
        if (c->fourcc == DRM_FORMAT_BGR888)
                return ret[0] = k.r, ret[1] = k.g, ret[2] = k.b, 3;
        if (i == 0)
                return ret[0] = k.y, 1;
        if (c->fourcc == DRM_FORMAT_NV12)
                return ret[0] = k.u, ret[1] = k.v, 2;
        return ret[0] = i == 1 ? k.u : k.v, 1;
}

void canvas_fill(const Canvas *c, uint8_t *memory, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
                 Color color) {
        if (!canvas_clip(c, x, y, &w, &h))
                return;
        for (size_t i = 0; i < c->n_planes; i++) {
                size_t bytes, n;
                uint32_t lines;
                uint8_t *first = memory + canvas_find(c, i, x, y, w, h, &bytes, &lines), pattern[4];

                n = canvas_get_pattern(c, i, color, pattern);
                for (size_t b = 0; b < bytes; b++)
                        first[b] = pattern[b % n];
                for (uint32_t l = 1; l < lines; l++)
                        memcpy(first + (size_t)l * c->planes[i].stride, first, bytes);
        }
}

void canvas_copy(const Canvas *c, uint8_t *memory, const uint8_t *from, uint32_t x, uint32_t y, uint32_t w,
                 uint32_t h) {
        if (!canvas_clip(c, x, y, &w, &h))
                return;
        for (size_t i = 0; i < c->n_planes; i++) {
                size_t bytes;
                uint32_t lines;
                uint64_t offset = canvas_find(c, i, x, y, w, h, &bytes, &lines);

                for (uint32_t l = 0; l < lines; l++, offset += c->planes[i].stride)
                        memcpy(memory + offset, from + offset, bytes);
        }
}

static const uint8_t *glyph_find(char c) {
        for (size_t i = 0; i < FB_ELEMENTSOF(glyphs); i++)
                if (glyphs[i].c == c)
                        return glyphs[i].rows;
        return NULL;
}

void canvas_write(const Canvas *c, uint8_t *memory, uint32_t x, uint32_t y, uint32_t dot, const char *text) {
        canvas_fill(c, memory, x, y, (uint32_t)strlen(text) * 6 * dot, 8 * dot, color_black);
        for (; *text; text++, x += 6 * dot) {
                const uint8_t *rows = glyph_find(*text);

                for (uint32_t i = 0; rows && i < 35; i++)
                        if (rows[i / 5] >> (4 - i % 5) & 1)
                                canvas_fill(c, memory, x + i % 5 * dot, y + i / 5 * dot, dot, dot,
                                            color_white);
        }
}
