/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three states: the header line, a frame's line, a frame's bytes. The only allocation whose size the file
 * decides is one frame, made once the header has passed all limits.
 */
#include "sources/y4m/parser.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sources/common/options.h"
#include "sources/y4m/formats.h"

#define MAGIC "YUV4MPEG2"

struct Y4mParser {
        enum {
                PARSER_HEADER,
                PARSER_FRAME_LINE,
                PARSER_FRAME_DATA,
                PARSER_FAILED,
        } state;
        struct framebus_fraction rate; /* given by hand; 0/0: not */
        Y4mInfo info;
        char line[Y4M_LINE_MAX + 1];
        size_t line_size;
        uint8_t *frame;
        size_t frame_filled;
        uint64_t n_frames;
        char error[256];
};

/* What the tags of the header say, as text. */
typedef struct Tags {
        const char *width, *height, *rate, *format, *old_format;
} Tags;

__attribute__((format(printf, 2, 3))) static int y4m_fail(Y4mParser *p, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(p->error, sizeof p->error, format, ap);
        va_end(ap);
        p->state = PARSER_FAILED;
        return -EBADMSG;
}

int y4m_parser_new(struct framebus_fraction rate, Y4mParser **ret_parser) {
        Y4mParser *p = calloc(1, sizeof(Y4mParser));

        if (!p)
                return -ENOMEM;
        p->rate = rate;
        *ret_parser = p;
        return 0;
}

Y4mParser *y4m_parser_free(Y4mParser *p) {
        if (!p)
                return NULL;
        free(p->frame);
        free(p);
        return NULL;
}

static int y4m_parse_side(Y4mParser *p, const char *what, const char *text, uint32_t *ret_side) {
        if (!text)
                return y4m_fail(p, "the header does not say the %s", what);
        if (option_parse_u32(text, ret_side) < 0)
                return y4m_fail(p, "the header's %s, '%.32s', is not a size", what, text);
        if (*ret_side == 0 || *ret_side > Y4M_SIDE_MAX)
                return y4m_fail(p, "the header's %s, %" PRIu32 ", is not 1 to %u", what, *ret_side,
                                Y4M_SIDE_MAX);
        return 0;
}

static int y4m_parse_rate(Y4mParser *p, const char *text) {
        struct framebus_fraction rate = p->rate;
        uint32_t ignored;

        if (!rate.num && !text)
                return y4m_fail(p, "the header does not say the rate; give --rate");
        if (!rate.num && option_parse_rate(text, &rate) < 0) {
                if (text[0] == '0' && (text[1] == ':' || option_parse_u32(text, &ignored) >= 0))
                        return y4m_fail(p, "the header's rate, '%.32s', is zero; give --rate", text);
                return y4m_fail(p, "the header's rate, '%.32s', is not a rate; give --rate", text);
        }
        if (fraction_compare(rate, (struct framebus_fraction){ Y4M_RATE_MAX, 1 }) > 0 ||
            fraction_compare(rate, (struct framebus_fraction){ 1, Y4M_PERIOD_MAX }) < 0)
                return y4m_fail(p, "the rate, %" PRIu32 ":%" PRIu32 ", is not between 1:%u and %u:1",
                                rate.num, rate.den, Y4M_PERIOD_MAX, Y4M_RATE_MAX);
        p->info.rate = rate;
        return 0;
}

static int y4m_parse_format(Y4mParser *p, const Tags *tags, const Y4mFormat **ret_format) {
        const char *name = tags->format ? tags->format : tags->old_format ? tags->old_format : "420jpeg";
        const Y4mFormat *f = y4m_format_find(name);

        if (!f)
                return y4m_fail(p, "unknown pixel format 'C%.32s'", name);
        if (!f->fourcc)
                return y4m_fail(p, "pixel format C%s: %s", f->name, f->refused);
        p->info.fourcc = f->fourcc;
        *ret_format = f;
        return 0;
}

/* Sides are at most 16384 and there are at most 3 planes of 2 bytes: this cannot overflow 64 bits. */
static int y4m_lay_out(Y4mParser *p, const Y4mFormat *f) {
        Y4mInfo *info = &p->info;
        uint64_t size = 0;

        info->n_planes = f->hsub ? 3 : 1;
        for (size_t i = 0; i < info->n_planes; i++) {
                uint32_t hsub = i ? f->hsub : 1, vsub = i ? f->vsub : 1;
                uint32_t stride = (info->width + hsub - 1) / hsub * f->sample;
                uint64_t bytes = (uint64_t)stride * ((info->height + vsub - 1) / vsub);

                info->planes[i] = (struct framebus_plane){ .stride = stride, .offset = size, .size = bytes };
                size += bytes;
        }
        if (size > Y4M_FRAME_MAX)
                return y4m_fail(p, "a frame of %" PRIu32 "x%" PRIu32 " has %" PRIu64 " bytes, more than %u",
                                info->width, info->height, size, Y4M_FRAME_MAX);
        info->frame_size = size;
        p->frame = malloc(size);
        return p->frame ? 0 : -ENOMEM;
}

static void y4m_take_tag(Tags *tags, const char *tag) {
        switch (tag[0]) {
        case 'W':
                tags->width = tag + 1;
                break;
        case 'H':
                tags->height = tag + 1;
                break;
        case 'F':
                tags->rate = tag + 1;
                break;
        case 'C':
                tags->format = tag + 1;
                break;
        case 'X':
                if (strncmp(tag, "XYSCSS=", 7) == 0)
                        tags->old_format = tag + 7;
                break;
        default: /* I, A and what is not known yet change nothing */
                break;
        }
}

static int y4m_parse_header(Y4mParser *p) {
        const Y4mFormat *format = NULL;
        Tags tags = { 0 };
        char *rest = NULL;
        int r;

        if (strncmp(p->line, MAGIC, strlen(MAGIC)) != 0 || !strchr(" ", p->line[strlen(MAGIC)]))
                return y4m_fail(p, "not a yuv4mpeg2 file: it does not begin with %s", MAGIC);
        for (char *tag = strtok_r(p->line + strlen(MAGIC), " ", &rest); tag; tag = strtok_r(NULL, " ", &rest))
                y4m_take_tag(&tags, tag);
        r = y4m_parse_side(p, "width", tags.width, &p->info.width);
        if (r >= 0)
                r = y4m_parse_side(p, "height", tags.height, &p->info.height);
        if (r >= 0)
                r = y4m_parse_rate(p, tags.rate);
        if (r >= 0)
                r = y4m_parse_format(p, &tags, &format);
        if (r >= 0)
                r = y4m_lay_out(p, format);
        if (r < 0)
                return r;
        p->state = PARSER_FRAME_LINE;
        return Y4M_HEADER;
}

static int y4m_parse_frame_line(Y4mParser *p) {
        if (strcmp(p->line, "FRAME") != 0 && strncmp(p->line, "FRAME ", 6) != 0)
                return y4m_fail(p,
                                "frame %" PRIu64
                                " does not begin with FRAME: the header lies about the frames' size, "
                                "or the file is damaged",
                                p->n_frames + 1);
        p->state = PARSER_FRAME_DATA;
        p->frame_filled = 0;
        return Y4M_MORE;
}

/* What a line begins with is known long before its end: random data need not be read to the limit. */
static bool y4m_line_is_hopeless(const Y4mParser *p) {
        const char *start = p->state == PARSER_HEADER ? MAGIC : "FRAME";

        return strncmp(p->line, start, FB_MIN(p->line_size, strlen(start))) != 0;
}

static int y4m_feed_line(Y4mParser *p, const char *data, size_t size, size_t *ret_taken) {
        const char *newline = memchr(data, '\n', FB_MIN(size, Y4M_LINE_MAX - p->line_size));
        size_t n = newline ? (size_t)(newline - data) : FB_MIN(size, Y4M_LINE_MAX - p->line_size);

        memcpy(p->line + p->line_size, data, n);
        p->line_size += n;
        p->line[p->line_size] = 0;
        *ret_taken = n + (newline ? 1 : 0);
        if (strlen(p->line) != p->line_size)
                return y4m_fail(p, "a header line has a NUL byte");
        if (newline || y4m_line_is_hopeless(p)) {
                p->line_size = 0;
                return p->state == PARSER_HEADER ? y4m_parse_header(p) : y4m_parse_frame_line(p);
        }
        if (p->line_size == Y4M_LINE_MAX)
                return y4m_fail(p, "a header line is longer than %u bytes", Y4M_LINE_MAX);
        return Y4M_MORE;
}

static int y4m_feed_data(Y4mParser *p, const uint8_t *data, size_t size, size_t *ret_taken) {
        size_t n = FB_MIN(size, p->info.frame_size - p->frame_filled);

        memcpy(p->frame + p->frame_filled, data, n);
        p->frame_filled += n;
        *ret_taken = n;
        if (p->frame_filled < p->info.frame_size)
                return Y4M_MORE;
        p->n_frames++;
        p->state = PARSER_FRAME_LINE;
        return Y4M_FRAME;
}

int y4m_parser_feed(Y4mParser *p, const void *data, size_t size, size_t *ret_consumed) {
        size_t done = 0, n = 0;
        int r = p->state == PARSER_FAILED ? -EBADMSG : Y4M_MORE;

        while (r == Y4M_MORE && done < size) {
                const char *next = (const char *)data + done;

                if (p->state == PARSER_FRAME_DATA)
                        r = y4m_feed_data(p, (const uint8_t *)next, size - done, &n);
                else
                        r = y4m_feed_line(p, next, size - done, &n);
                done += n;
        }
        if (r < 0)
                p->state = PARSER_FAILED;
        else
                *ret_consumed = done;
        return r;
}

int y4m_parser_end(Y4mParser *p) {
        switch (p->state) {
        case PARSER_HEADER:
                return y4m_fail(p, p->line_size ? "the file ends in its header" : "the file is empty");
        case PARSER_FRAME_LINE:
                if (p->line_size)
                        return y4m_fail(p, "the file ends in the line before frame %" PRIu64,
                                        p->n_frames + 1);
                return p->n_frames ? 0 : y4m_fail(p, "there is no frame in the file");
        case PARSER_FRAME_DATA:
                return y4m_fail(p, "the file ends in frame %" PRIu64 ", after %zu of %zu bytes",
                                p->n_frames + 1, p->frame_filled, p->info.frame_size);
        default:
                return -EBADMSG;
        }
}

const char *y4m_parser_get_error(const Y4mParser *p) {
        return p->error;
}

const Y4mInfo *y4m_parser_get_info(const Y4mParser *p) {
        return &p->info;
}

const void *y4m_parser_get_frame(const Y4mParser *p) {
        return p->frame;
}

uint64_t y4m_parser_get_n_frames(const Y4mParser *p) {
        return p->n_frames;
}
