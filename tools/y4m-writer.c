/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * yuv4mpeg2, as mjpegtools(5) has it, with the names of colour spaces that ffmpeg reads and writes.
 */
#include "tools/y4m-writer.h"

#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"

const char *y4m_colorspace(Chroma chroma, unsigned depth) {
        static const struct {
                Chroma chroma;
                unsigned depth;
                const char *name;
        } names[] = {
                { CHROMA_420, 8, "420jpeg" }, { CHROMA_420, 10, "420p10" }, { CHROMA_420, 12, "420p12" },
                { CHROMA_420, 16, "420p16" }, { CHROMA_422, 8, "422" },     { CHROMA_422, 10, "422p10" },
                { CHROMA_422, 12, "422p12" }, { CHROMA_422, 16, "422p16" }, { CHROMA_444, 8, "444" },
                { CHROMA_444, 10, "444p10" }, { CHROMA_444, 12, "444p12" }, { CHROMA_444, 16, "444p16" },
                { CHROMA_411, 8, "411" },     { CHROMA_410, 8, "410" },     { CHROMA_MONO, 8, "mono" },
                { CHROMA_MONO, 10, "mono10" }, { CHROMA_MONO, 12, "mono12" }, { CHROMA_MONO, 16, "mono16" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(names); i++)
                if (names[i].chroma == chroma && names[i].depth == depth)
                        return names[i].name;
        return NULL;
}

int y4m_writer_start(Y4mWriter *w, const Planar *format, struct framebus_fraction rate) {
        const char *colorspace = y4m_colorspace(format->chroma, format->depth);
        char header[128];
        int n, r;

        if (!colorspace)
                return -ENOTSUP;
        if (rate.num == 0 || rate.den == 0)
                return -EINVAL;
        n = snprintf(header, sizeof(header), "YUV4MPEG2 W%u H%u F%u:%u Ip A1:1 C%s\n", format->width,
                     format->height, rate.num, rate.den, colorspace);
        r = output_write(w->output, header, (size_t)n, NULL, 0, 1);
        if (r < 0)
                return r;
        w->size_complete = (uint64_t)n;
        return 0;
}

int y4m_writer_frame(Y4mWriter *w, const Planar *picture, uint64_t copies) {
        int r;

        r = output_write(w->output, "FRAME\n", 6, picture->data, picture->size, copies);
        if (r < 0)
                return r;
        w->n_frames += copies;
        w->size_complete += copies * (6 + picture->size);
        return 0;
}

uint64_t y4m_frames_due(uint64_t first_pts_ns, uint64_t pts_ns, struct framebus_fraction rate) {
        __uint128_t n;

        if (pts_ns <= first_pts_ns || rate.den == 0)
                return 1;
        n = (__uint128_t)(pts_ns - first_pts_ns) * rate.num;
        n = (n + (__uint128_t)rate.den * NSEC_PER_SEC / 2) / ((__uint128_t)rate.den * NSEC_PER_SEC);
        return 1 + (uint64_t)n;
}
