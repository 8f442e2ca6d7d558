/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parser, fed whole, byte by byte and in random pieces: what it says must not depend on how the bytes
 * arrive. */
#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "check.h"
#include "sources/y4m/parser.h"

/* What came out, as text: "H640x480 YU12 30/1 p3 460800;" for the header, "F<sum>;" a frame, "E:<message>" at
 * last. */
static void run(const char *data, size_t size, size_t piece, struct framebus_fraction rate,
                char out[static 4096]) {
        Y4mParser *p = NULL;
        size_t done = 0;
        int r = 0;

        out[0] = 0;
        CHECK(y4m_parser_new(rate, &p) == 0);
        while (done < size && r >= 0) {
                size_t wanted = piece ? piece : (size_t)rand() % 7 + 1, n = FB_MIN(wanted, size - done),
                       used = 0;
                const Y4mInfo *i = y4m_parser_get_info(p);
                char *end = out + strlen(out), fourcc[5] = "";

                r = y4m_parser_feed(p, data + done, n, &used);
                done += used;
                CHECK(used <= n && (r != Y4M_MORE || used == n));
                memcpy(fourcc, &i->fourcc, 4);
                if (r == Y4M_HEADER)
                        sprintf(end, "H%ux%u %s %u/%u p%zu %zu;", i->width, i->height, fourcc, i->rate.num,
                                i->rate.den, i->n_planes, i->frame_size);
                else if (r == Y4M_FRAME) {
                        unsigned sum = 0;

                        for (size_t k = 0; k < i->frame_size; k++)
                                sum = sum * 31 + ((const uint8_t *)y4m_parser_get_frame(p))[k];
                        sprintf(end, "F%u;", sum);
                }
        }
        if (r >= 0)
                r = y4m_parser_end(p);
        if (r < 0) {
                CHECK_INT("error", r, -EBADMSG);
                sprintf(out + strlen(out), "E:%s", y4m_parser_get_error(p));
                CHECK_INT("after an error", y4m_parser_feed(p, "x", 1, &(size_t){ 0 }), -EBADMSG);
        }
        y4m_parser_free(p);
}

#define H "YUV4MPEG2 W2 H2 F25:1"
#define T(t) (t), sizeof(t) - 1
static const struct {
        const char *data;
        size_t size;
        const char *out;
} table[] = {
                /* good ones */
        { T(H "\nFRAME\n\1\0\0\0\0\0"), "H2x2 YU12 25/1 p3 6;F28629151;" },
        { T(H " Ip A1:1 C420jpeg XYSCSS=420JPEG "
          "XCOLORRANGE=LIMITED\nFRAME\n\0\0\0\0\0\1FRAME\n\0\0\0\0\1\0"), "H2x2 YU12 25/1 p3 6;F1;F31;" },
        { T(H " Cmono\nFRAME Ip Xfoo\n\0\0\0\1"), "H2x2 R8   25/1 p1 4;F1;" },
        { T(H " Cmono10\nFRAME\n\0\0\0\0\0\0\0\1"), "H2x2 R10  25/1 p1 8;F1;" },
        { T(H " Cmono12\nFRAME\n\0\0\0\0\0\0\0\1"), "H2x2 R12  25/1 p1 8;F1;" },
        { T(H " Cmono16\nFRAME\n\0\0\0\0\0\0\0\1"), "H2x2 R16  25/1 p1 8;F1;" },
        { T(H " C422\nFRAME\n\0\0\0\0\0\0\0\1"), "H2x2 YU16 25/1 p3 8;F1;" },
        { T(H " C444\nFRAME\n\0\0\0\0\0\0\0\0\0\0\0\1"), "H2x2 YU24 25/1 p3 12;F1;" },
        { T(H " C411\nFRAME\n\0\0\0\0\0\0\0\1"), "H2x2 YU11 25/1 p3 8;F1;" },
        { T(H " C410\nFRAME\n\0\0\0\0\0\1"), "H2x2 YUV9 25/1 p3 6;F1;" },
        { T(H " C420paldv\nFRAME\n\0\0\0\0\0\1"), "H2x2 YU12 25/1 p3 6;F1;" },
        { T(H " C420mpeg2\nFRAME\n\0\0\0\0\0\1"), "H2x2 YU12 25/1 p3 6;F1;" },
        { T(H " XYSCSS=411\nFRAME\n\0\0\0\0\0\0\0\1"), "H2x2 YU11 25/1 p3 8;F1;" },
        { T("YUV4MPEG2 F30000:1001 W3 H1\nFRAME\n\0\0\0\0\1"),
          "H3x1 YU12 30000/1001 p3 7;E:the file ends in frame 1, after 5 of 7 bytes" },
        { T("YUV4MPEG2  W2  H2  F50:2  Zfuture\nFRAME\n\0\0\0\0\0\1"), "H2x2 YU12 25/1 p3 6;F1;" },
                /* truncated */
        { T(""), "E:the file is empty" },
        { T("YUV4"), "E:the file ends in its header" },
        { T(H), "E:the file ends in its header" },
        { T(H "\n"), "H2x2 YU12 25/1 p3 6;E:there is no frame in the file" },
        { T(H "\nFRA"), "H2x2 YU12 25/1 p3 6;E:the file ends in the line before frame 1" },
        { T(H "\nFRAME\n"), "H2x2 YU12 25/1 p3 6;E:the file ends in frame 1, after 0 of 6 bytes" },
        { T(H "\nFRAME\n\0\0\0\0\0\1FRAME\n\0\0\0\0\1"),
          "H2x2 YU12 25/1 p3 6;F1;E:the file ends in frame 2, after 5 of 6 bytes" },
                /* lying */
        { T("RIFF"), "E:not a yuv4mpeg2 file: it does not begin with YUV4MPEG2" },
        { T("YUV4MPEG3 W2 H2 F1:1\n"), "E:not a yuv4mpeg2 file: it does not begin with YUV4MPEG2" },
        { T("YUV4MPEG2X W2 H2 F1:1\n"), "E:not a yuv4mpeg2 file: it does not begin with YUV4MPEG2" },
        { T("\nYUV4MPEG2 W2 H2 F1:1\n"), "E:not a yuv4mpeg2 file: it does not begin with YUV4MPEG2" },
        { T(H "\nFRANE\n\0\0\0\0\0\1"), "H2x2 YU12 25/1 p3 6;E:frame 1 does not begin with FRAME: the "
          "header lies about the frames' size, or the file is damaged" },
        { T(H "\nFRAMES\n\0\0\0\0\0\1"),
          "H2x2 YU12 25/1 p3 6;E:frame 1 does not begin with FRAME: the header lies about the frames' "
          "size, or the file is damaged" },
        { T(H "\nFRAME\n\0\0\0\0\0\1\0FRAME\n"), "H2x2 YU12 25/1 p3 6;F1;E:a header line has a NUL byte" },
        { T(H "\nFRAME\n\0\0\0\0\0\1xFRAME\n"),
          "H2x2 YU12 25/1 p3 6;F1;E:frame 2 does not begin with FRAME: the header lies about the "
          "frames' size, or the file is damaged" },
        { T("YUV4MPEG2 W2\0 H2 F1:1\n"), "E:a header line has a NUL byte" },
        { T("YUV4MPEG2\n"), "E:the header does not say the width" },
        { T("YUV4MPEG2 H2 F1:1\n"), "E:the header does not say the width" },
        { T("YUV4MPEG2 W2 F1:1\n"), "E:the header does not say the height" },
        { T("YUV4MPEG2 W0 H2 F1:1\n"), "E:the header's width, 0, is not 1 to 16384" },
        { T("YUV4MPEG2 W2 H-2 F1:1\n"), "E:the header's height, '-2', is not a size" },
        { T("YUV4MPEG2 W2 H F1:1\n"), "E:the header's height, '', is not a size" },
        { T("YUV4MPEG2 W16385 H2 F1:1\n"), "E:the header's width, 16385, is not 1 to 16384" },
        { T("YUV4MPEG2 W4294967298 H2 F1:1\n"), "E:the header's width, '4294967298', is not a size" },
        { T("YUV4MPEG2 W16384 H16384 F1:1 C444\n"),
          "E:a frame of 16384x16384 has 805306368 bytes, more than 268435456" },
        { T("YUV4MPEG2 W2 H2\n"), "E:the header does not say the rate; give --rate" },
        { T("YUV4MPEG2 W2 H2 F0:0\n"), "E:the header's rate, '0:0', is zero; give --rate" },
        { T("YUV4MPEG2 W2 H2 F0:1\n"), "E:the header's rate, '0:1', is zero; give --rate" },
        { T("YUV4MPEG2 W2 H2 F0\n"), "E:the header's rate, '0', is zero; give --rate" },
        { T("YUV4MPEG2 W2 H2 F25:0\n"), "E:the header's rate, '25:0', is not a rate; give --rate" },
        { T("YUV4MPEG2 W2 H2 F-25:1\n"), "E:the header's rate, '-25:1', is not a rate; give --rate" },
        { T("YUV4MPEG2 W2 H2 F1001:1\n"), "E:the rate, 1001:1, is not between 1:86400 and 1000:1" },
        { T("YUV4MPEG2 W2 H2 F1:4294967295\n"), "E:the rate, 1:4294967295, is not between 1:86400 and 1000:1"
          },
        { T(H " C420p10\n"), "E:pixel format C420p10: DRM has no planar format with samples in the "
          "low bits; use 8, e.g. ffmpeg -pix_fmt yuv420p" },
        { T(H " C444alpha\n"), "E:pixel format C444alpha: DRM has no planar format with alpha; drop "
          "it, e.g. ffmpeg -pix_fmt yuv444p" },
        { T(H " Cmono9\n"), "E:pixel format Cmono9: DRM has no grey format of 9 bits; convert to "
          "gray, gray10le or gray12le" },
        { T(H " C999\n"), "E:unknown pixel format 'C999'" },
        { T(H " C\n"), "E:unknown pixel format 'C'" },
};

static void test_table(void) {
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                static const size_t pieces[] = { 65536, 1, 2, 3, 0, 0, 0 };

                for (size_t k = 0; k < FB_ELEMENTSOF(pieces); k++) {
                        char out[4096];

                        run(table[i].data, table[i].size, pieces[k], (struct framebus_fraction){ 0, 0 }, out);
                        CHECK_STR(table[i].data, out, table[i].out);
                }
        }
}

static void test_long_lines(void) {
        char data[4096], out[4096];
        int n = sprintf(data, H " X");

        memset(data + n, 'x', 3000);
        run(data, (size_t)n + 3000, 0, (struct framebus_fraction){ 0, 0 }, out);
        CHECK_STR("header", out, "E:a header line is longer than 1024 bytes");
        data[Y4M_LINE_MAX - 1] = '\n'; /* the longest that there can be */
        run(data, Y4M_LINE_MAX, 0, (struct framebus_fraction){ 0, 0 }, out);
        CHECK_STR("longest", out, "H2x2 YU12 25/1 p3 6;E:there is no frame in the file");
        n = sprintf(data, H "\nFRAME ");
        memset(data + n, 'x', 3000);
        run(data, (size_t)n + 3000, 0, (struct framebus_fraction){ 0, 0 }, out);
        CHECK_STR("frame", out, "H2x2 YU12 25/1 p3 6;E:a header line is longer than 1024 bytes");
}

/* A rate given by hand stands for a missing, zero or other one. */
static void test_rate(void) {
        static const char *const headers[] = {"YUV4MPEG2 W2 H2\n", "YUV4MPEG2 W2 H2 F0:0\n",
                                              "YUV4MPEG2 W2 H2 F25:1\n"};

        for (size_t i = 0; i < FB_ELEMENTSOF(headers); i++) {
                char out[4096];

                run(headers[i], strlen(headers[i]), 0, (struct framebus_fraction){ 30000, 1001 }, out);
                CHECK_STR(headers[i], out, "H2x2 YU12 30000/1001 p3 6;E:there is no frame in the file");
        }
}

/* Chroma of an odd size is rounded up, as ffmpeg does it. */
static void test_planes(void) {
        static const struct {
                const char *format;
                uint64_t offset1, offset2, size2;
                uint32_t stride1;
        } planes[] = {
                { "420", 35, 47, 12, 4 }, { "422", 35, 55, 20, 4 }, { "444", 35, 70, 35, 7 },
                { "411", 35, 45, 10, 2 }, { "410", 35, 39, 4, 2 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(planes); i++) {
                char header[64];
                size_t used;
                Y4mParser *p = NULL;
                const struct framebus_plane *plane;

                CHECK(y4m_parser_new((struct framebus_fraction){ 0, 0 }, &p) == 0);
                sprintf(header, "YUV4MPEG2 W7 H5 F1:1 C%s\n", planes[i].format);
                CHECK_INT(header, y4m_parser_feed(p, header, strlen(header), &used), Y4M_HEADER);
                plane = y4m_parser_get_info(p)->planes;
                CHECK_INT(header, plane[0].stride, 7);
                CHECK_INT(header, plane[0].size, 35);
                CHECK_INT(header, plane[1].stride, planes[i].stride1);
                CHECK_INT(header, plane[1].offset, planes[i].offset1);
                CHECK_INT(header, plane[2].offset, planes[i].offset2);
                CHECK_INT(header, plane[2].size, planes[i].size2);
                CHECK_INT(header, y4m_parser_get_info(p)->frame_size, planes[i].offset2 + planes[i].size2);
                y4m_parser_free(p);
        }
}

/* Damage of any kind ends in a message or in frames, never anywhere else: for the sanitizers. */
static void test_damaged(void) {
        for (unsigned i = 0; i < 20000; i++) {
                char data[] = H " C422 Ip A1:1\nFRAME Ip\n01234567FRAME\n01234567FRAME\n01234567", out[4096];

                for (int k = rand() % 4; k >= 0; k--)
                        data[(size_t)rand() % (sizeof data - 1)] =
                                        (char)(rand() % 2 ? rand() : "\n 0:FWH"[rand() % 7]);
                run(data, (size_t)rand() % sizeof data, 0, (struct framebus_fraction){ 0, 0 }, out);
                CHECK(out[0]);
        }
}

int main(void) {
        srand(1);
        test_table();
        test_long_lines();
        test_rate();
        test_planes();
        test_damaged();
        CHECK(!y4m_parser_free(NULL));
        return check_end();
}
