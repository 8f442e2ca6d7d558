/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * yuv4mpeg2, as ffmpeg and mjpegtools write it, fed in pieces of any size. Pure.
 *
 * What is understood: C420jpeg, C420mpeg2, C420paldv, C420, C422, C444, C411, C410, Cmono, Cmono10, Cmono12,
 * Cmono16 (and the same in an XYSCSS= tag where there is no C). Everything else is refused with its reason.
 * Planes lie tightly packed one after the other; an odd size rounds chroma up. Interlacing, aspect and
 * comments are not looked at.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "libframebus/framebus.h"

#define Y4M_LINE_MAX  1024u               /* bytes of a header line */
#define Y4M_SIDE_MAX  16384u              /* pixels */
#define Y4M_FRAME_MAX (256u * 1024 * 1024) /* bytes: no more is ever allocated */
#define Y4M_RATE_MAX  1000u               /* frames a second */
#define Y4M_PERIOD_MAX 86400u             /* seconds a frame */

typedef struct Y4mInfo {
        uint32_t fourcc, width, height;
        struct framebus_fraction rate; /* frames a second */
        struct framebus_plane planes[4];
        size_t n_planes;
        size_t frame_size; /* bytes */
} Y4mInfo;

typedef struct Y4mParser Y4mParser;

enum {
        Y4M_MORE = 0, /* all was taken and nothing is complete yet */
        Y4M_HEADER,   /* y4m_parser_get_info() is valid from now on */
        Y4M_FRAME,    /* y4m_parser_get_frame() is valid until the next call */
};

/* @rate  used instead of the file's own; 0/0: the file's, which must have one */
int y4m_parser_new(struct framebus_fraction rate, Y4mParser **ret_parser);
/* NULL is ignored. Returns NULL. */
Y4mParser *y4m_parser_free(Y4mParser *p);

/*
 * Takes bytes until something is complete.
 * @ret_consumed  how many were taken; the rest is for the next call
 * Returns Y4M_*; -EBADMSG: not such a file (y4m_parser_get_error()); -ENOMEM. After an error, nothing else is
 * taken.
 */
int y4m_parser_feed(Y4mParser *p, const void *data, size_t size, size_t *ret_consumed);

/* The end of the file. Returns 0; -EBADMSG: it ends too early. */
int y4m_parser_end(Y4mParser *p);

/* Why it failed, for people. Valid as long as the parser. */
const char *y4m_parser_get_error(const Y4mParser *p);

const Y4mInfo *y4m_parser_get_info(const Y4mParser *p);
const void *y4m_parser_get_frame(const Y4mParser *p);
/* How many frames were complete so far. */
uint64_t y4m_parser_get_n_frames(const Y4mParser *p);
