/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Known pixels in every format, through the conversions to PNG and back out of it, and into y4m.
 *
 * The picture is 8 by 4 (an odd-sized one is tried as well): left half red, right half blue; for YUV with the
 * BT.601 values of these. Strides are wider than the lines, and what is between is garbage.
 */
#include <errno.h>
#include <fcntl.h>
#include <png.h>
#include <sys/mman.h>
#include <unistd.h>

#include <drm_fourcc.h>

#include "base/cleanup.h"
#include "tests/unit/tools/check.h"
#include "tools/jpeg.h"
#include "tools/mode-arg.h"
#include "tools/planar.h"
#include "tools/png-writer.h"
#include "tools/rgb.h"
#include "tools/y4m-writer.h"

#define W       8u
#define H       4u
#define PADDING 24u

static const uint8_t red[3] = { 81, 90, 240 }, blue[3] = { 41, 240, 110 }; /* Y, Cb, Cr */

/* One sample group of a plane, for the left and the right half. */
typedef struct PlaneSpec {
        uint32_t columns; /* pixels a group covers */
        uint32_t lines;   /* likewise */
        uint32_t bytes;   /* a group */
        uint8_t left[8], right[8];
} PlaneSpec;

typedef struct FormatSpec {
        uint32_t fourcc;
        Chroma chroma;
        unsigned depth;
        int tolerance;
        size_t n_planes;
        PlaneSpec planes[3];
} FormatSpec;

#define Y8      { 1, 1, 1, { 81 }, { 41 } }
#define CB(w, h) { w, h, 1, { 90 }, { 240 } }
#define CR(w, h) { w, h, 1, { 240 }, { 110 } }
#define CBCR(w, h) { w, h, 2, { 90, 240 }, { 240, 110 } }
#define CRCB(w, h) { w, h, 2, { 240, 90 }, { 110, 240 } }
#define PLANAR(fourcc, chroma, a, b) { fourcc, chroma, 8, 3, 3, { Y8, a, b } }
#define SEMI(fourcc, chroma, c)      { fourcc, chroma, 8, 3, 2, { Y8, c } }
#define PACKED(fourcc, ...)          { fourcc, CHROMA_422, 8, 3, 1, { { 2, 1, 4, __VA_ARGS__ } } }
#define RGB(fourcc, bytes, tolerance, ...)                                                                   \
        {                                                                                                    \
                fourcc, CHROMA_444, 8, tolerance, 1, {                                                       \
                        { 1, 1, bytes, __VA_ARGS__ }                                                         \
                }                                                                                            \
        }

static const FormatSpec formats[] = {
        PLANAR(DRM_FORMAT_YUV420, CHROMA_420, CB(2, 2), CR(2, 2)),
        PLANAR(DRM_FORMAT_YVU420, CHROMA_420, CR(2, 2), CB(2, 2)),
        PLANAR(DRM_FORMAT_YUV422, CHROMA_422, CB(2, 1), CR(2, 1)),
        PLANAR(DRM_FORMAT_YVU422, CHROMA_422, CR(2, 1), CB(2, 1)),
        PLANAR(DRM_FORMAT_YUV444, CHROMA_444, CB(1, 1), CR(1, 1)),
        PLANAR(DRM_FORMAT_YVU444, CHROMA_444, CR(1, 1), CB(1, 1)),
        PLANAR(DRM_FORMAT_YUV411, CHROMA_411, CB(4, 1), CR(4, 1)),
        PLANAR(DRM_FORMAT_YVU411, CHROMA_411, CR(4, 1), CB(4, 1)),
        PLANAR(DRM_FORMAT_YUV410, CHROMA_410, CB(4, 4), CR(4, 4)),
        PLANAR(DRM_FORMAT_YVU410, CHROMA_410, CR(4, 4), CB(4, 4)),
        SEMI(DRM_FORMAT_NV12, CHROMA_420, CBCR(2, 2)),
        SEMI(DRM_FORMAT_NV21, CHROMA_420, CRCB(2, 2)),
        SEMI(DRM_FORMAT_NV16, CHROMA_422, CBCR(2, 1)),
        SEMI(DRM_FORMAT_NV61, CHROMA_422, CRCB(2, 1)),
        SEMI(DRM_FORMAT_NV24, CHROMA_444, CBCR(1, 1)),
        SEMI(DRM_FORMAT_NV42, CHROMA_444, CRCB(1, 1)),
        PACKED(DRM_FORMAT_YUYV, { 81, 90, 81, 240 }, { 41, 240, 41, 110 }),
        PACKED(DRM_FORMAT_YVYU, { 81, 240, 81, 90 }, { 41, 110, 41, 240 }),
        PACKED(DRM_FORMAT_UYVY, { 90, 81, 240, 81 }, { 240, 41, 110, 41 }),
        PACKED(DRM_FORMAT_VYUY, { 240, 81, 90, 81 }, { 110, 41, 240, 41 }),
        /* 10 bits in the high bits of 16: the 8-bit value times 256 */
        { DRM_FORMAT_P010, CHROMA_420, 10, 3, 2,
          { { 1, 1, 2, { 0, 81 }, { 0, 41 } }, { 2, 2, 4, { 0, 90, 0, 240 }, { 0, 240, 0, 110 } } } },
        { DRM_FORMAT_P012, CHROMA_420, 12, 3, 2,
          { { 1, 1, 2, { 0, 81 }, { 0, 41 } }, { 2, 2, 4, { 0, 90, 0, 240 }, { 0, 240, 0, 110 } } } },
        { DRM_FORMAT_P016, CHROMA_420, 16, 3, 2,
          { { 1, 1, 2, { 0, 81 }, { 0, 41 } }, { 2, 2, 4, { 0, 90, 0, 240 }, { 0, 240, 0, 110 } } } },
        RGB(DRM_FORMAT_RGB888, 3, 0, { 0, 0, 255 }, { 255, 0, 0 }),
        RGB(DRM_FORMAT_BGR888, 3, 0, { 255, 0, 0 }, { 0, 0, 255 }),
        RGB(DRM_FORMAT_XRGB8888, 4, 0, { 0, 0, 255, 7 }, { 255, 0, 0, 7 }),
        RGB(DRM_FORMAT_ARGB8888, 4, 0, { 0, 0, 255, 7 }, { 255, 0, 0, 7 }),
        RGB(DRM_FORMAT_XBGR8888, 4, 0, { 255, 0, 0, 7 }, { 0, 0, 255, 7 }),
        RGB(DRM_FORMAT_ABGR8888, 4, 0, { 255, 0, 0, 7 }, { 0, 0, 255, 7 }),
        RGB(DRM_FORMAT_RGBX8888, 4, 0, { 7, 0, 0, 255 }, { 7, 255, 0, 0 }),
        RGB(DRM_FORMAT_RGBA8888, 4, 0, { 7, 0, 0, 255 }, { 7, 255, 0, 0 }),
        RGB(DRM_FORMAT_BGRX8888, 4, 0, { 7, 255, 0, 0 }, { 7, 0, 0, 255 }),
        RGB(DRM_FORMAT_BGRA8888, 4, 0, { 7, 255, 0, 0 }, { 7, 0, 0, 255 }),
        RGB(DRM_FORMAT_RGB565, 2, 0, { 0x00, 0xf8 }, { 0x1f, 0x00 }),
        RGB(DRM_FORMAT_XRGB1555, 2, 0, { 0x00, 0x7c }, { 0x1f, 0x00 }),
        RGB(DRM_FORMAT_ARGB1555, 2, 0, { 0x00, 0x7c }, { 0x1f, 0x00 }),
        RGB(DRM_FORMAT_XRGB4444, 2, 0, { 0x00, 0x0f }, { 0x0f, 0x00 }),
        RGB(DRM_FORMAT_ARGB4444, 2, 0, { 0x00, 0x0f }, { 0x0f, 0x00 }),
        RGB(DRM_FORMAT_XRGB2101010, 4, 0, { 0x00, 0x00, 0xf0, 0x3f }, { 0xff, 0x03, 0x00, 0x00 }),
        RGB(DRM_FORMAT_ARGB2101010, 4, 0, { 0x00, 0x00, 0xf0, 0x3f }, { 0xff, 0x03, 0x00, 0x00 }),
        RGB(DRM_FORMAT_XBGR2101010, 4, 0, { 0xff, 0x03, 0x00, 0x00 }, { 0x00, 0x00, 0xf0, 0x3f }),
        RGB(DRM_FORMAT_ABGR2101010, 4, 0, { 0xff, 0x03, 0x00, 0x00 }, { 0x00, 0x00, 0xf0, 0x3f }),
        { DRM_FORMAT_R8, CHROMA_MONO, 8, 0, 1, { { 1, 1, 1, { 255 }, { 0 } } } },
        { DRM_FORMAT_R10, CHROMA_MONO, 10, 0, 1, { { 1, 1, 2, { 0xff, 0x03 }, { 0, 0 } } } },
        { DRM_FORMAT_R12, CHROMA_MONO, 12, 0, 1, { { 1, 1, 2, { 0xff, 0x0f }, { 0, 0 } } } },
        { DRM_FORMAT_R16, CHROMA_MONO, 16, 0, 1, { { 1, 1, 2, { 0x12, 255 }, { 0x12, 0 } } } },
};

static const char *name_of(uint32_t fourcc) {
        static char name[FOURCC_STRING_MAX];

        return fourcc_format(fourcc, name);
}

/* The exact size of each plane: the sanitizers then see a byte read too many. */
static void image_make(const FormatSpec *f, uint32_t width, uint32_t height, Image *ret) {
        *ret = (Image){ .fourcc = f->fourcc, .width = width, .height = height, .n_planes = f->n_planes };
        for (size_t i = 0; i < f->n_planes; i++) {
                const PlaneSpec *p = &f->planes[i];
                uint32_t columns = (width + p->columns - 1) / p->columns,
                         lines = (height + p->lines - 1) / p->lines;
                size_t stride = columns * p->bytes + PADDING, size = stride * lines - PADDING;
                uint8_t *data = malloc(size);

                memset(data, 0xa5, size);
                for (uint32_t y = 0; y < lines; y++)
                        for (uint32_t x = 0; x < columns; x++)
                                memcpy(data + y * stride + x * p->bytes,
                                       x * p->columns < W / 2 ? p->left : p->right, p->bytes);
                ret->planes[i] = (ImagePlane){ data, size, (uint32_t)stride };
        }
}

static void image_free(Image *image) {
        for (size_t i = 0; i < image->n_planes; i++)
                free((void *)image->planes[i].data);
}

static bool is_near(int a, int b, int tolerance) {
        return abs(a - b) <= tolerance;
}

static void check_rgb(const FormatSpec *f, const uint8_t *rgb, uint32_t width, uint32_t height) {
        bool grey = f->chroma == CHROMA_MONO;

        for (uint32_t y = 0; y < height; y++)
                for (uint32_t x = 0; x < width; x++) {
                        const uint8_t *p = rgb + (y * width + x) * 3;
                        int left = x < W / 2 ? 255 : 0;

                        /* chroma of a neighbour may bleed into a pixel beside the border */
                        if ((x == W / 2 - 1 || x == W / 2) && f->n_planes > 1)
                                continue;
                        CHECK_AT(name_of(f->fourcc), is_near(p[0], left, f->tolerance));
                        CHECK_AT(name_of(f->fourcc), is_near(p[1], grey ? left : 0, f->tolerance));
                        CHECK_AT(name_of(f->fourcc), is_near(p[2], grey ? left : 255 - left, f->tolerance));
                }
}

static void check_png(const FormatSpec *f, const uint8_t *rgb, uint32_t width, uint32_t height) {
        png_image image = { .version = PNG_IMAGE_VERSION };
        _cleanup_free_ uint8_t *png = NULL, *back = NULL;
        size_t size;

        CHECK_INT(name_of(f->fourcc), png_encode(rgb, width, height, &png, &size), 0);
        CHECK(png && png_image_begin_read_from_memory(&image, png, size));
        CHECK_INT("width", image.width, width);
        CHECK_INT("height", image.height, height);
        image.format = PNG_FORMAT_RGB;
        back = malloc(PNG_IMAGE_SIZE(image));
        CHECK(png_image_finish_read(&image, NULL, back, 0, NULL));
        CHECK_AT(name_of(f->fourcc), memcmp(back, rgb, (size_t)width * height * 3) == 0);
}

static unsigned sample(const Planar *p, size_t plane, uint32_t x, uint32_t y) {
        const uint8_t *line = p->plane[plane] + y * p->stride[plane];

        return p->depth == 8 ? line[x] : (unsigned)(line[2 * x] | line[2 * x + 1] << 8) >> (p->depth - 8);
}

static void check_planar(const FormatSpec *f, const Planar *p) {
        int tolerance = f->planes[0].bytes > 2 && f->chroma == CHROMA_444 ? 2 : f->n_planes == 1 ? 2 : 0;
        uint32_t cw = planar_chroma_width(p->chroma, p->width),
                 ch = planar_chroma_height(p->chroma, p->height);

        CHECK_INT(name_of(f->fourcc), p->chroma, f->chroma);
        CHECK_INT(name_of(f->fourcc), p->depth, f->depth);
        if (f->chroma == CHROMA_MONO) {
                CHECK_INT(name_of(f->fourcc), sample(p, 0, 0, 0), 255);
                CHECK_INT(name_of(f->fourcc), sample(p, 0, p->width - 1, p->height - 1), 0);
                return;
        }
        CHECK_INT(name_of(f->fourcc), p->size,
                  (p->width * p->height + 2 * cw * ch) * (p->depth > 8 ? 2 : 1));
        CHECK_AT(name_of(f->fourcc), is_near((int)sample(p, 0, 0, 0), red[0], tolerance));
        CHECK_AT(name_of(f->fourcc),
                 is_near((int)sample(p, 0, p->width - 1, p->height - 1), blue[0], tolerance));
        for (size_t i = 1; i < 3; i++) {
                CHECK_AT(name_of(f->fourcc), is_near((int)sample(p, i, 0, 0), red[i], tolerance));
                CHECK_AT(name_of(f->fourcc), is_near((int)sample(p, i, cw - 1, ch - 1), blue[i], tolerance));
        }
}

static void test_formats(uint32_t width, uint32_t height) {
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++) {
                const FormatSpec *f = &formats[i];
                _cleanup_(planar_deinit) Planar planar = {};
                _cleanup_(image_free) Image image = {};
                _cleanup_free_ uint8_t *rgb = NULL;

                image_make(f, width, height, &image);
                CHECK_INT(name_of(f->fourcc), image_check(&image), 0);
                CHECK_INT(name_of(f->fourcc), rgb_from_image(&image, &rgb), 0);
                if (!rgb)
                        continue;
                check_rgb(f, rgb, width, height);
                check_png(f, rgb, width, height);

                CHECK_INT(name_of(f->fourcc), planar_init(&planar, f->fourcc, width, height), 0);
                CHECK_INT(name_of(f->fourcc), planar_convert(&planar, &image), 0);
                check_planar(f, &planar);
        }
}

/* What is offered is what is supported, each once; all of it is tried in tests/bus/test_pictures.py. */
static void test_complete(void) {
        uint32_t fourcc;
        size_t n = 0;

        for (; (fourcc = planar_get_fourcc(n)) != 0; n++) {
                CHECK_AT(name_of(fourcc), planar_is_supported(fourcc));
                for (size_t i = 0; i < n; i++)
                        CHECK_AT(name_of(fourcc), planar_get_fourcc(i) != fourcc);
        }
        CHECK(n > 100);
        CHECK(planar_is_supported(fourcc_code('M', 'J', 'P', 'G')));
        CHECK(!planar_is_supported(DRM_FORMAT_C8) && !planar_is_supported(fourcc_code('H', '2', '6', '4')));
        CHECK(!planar_is_supported(DRM_FORMAT_NV12 | DRM_FORMAT_BIG_ENDIAN));
}

/* Halves: what is beyond 0 to 1 is cut off. */
static void test_half_floats(void) {
        static const struct {
                uint16_t half;
                uint8_t byte;
        } table[] = {
                { 0x3c00, 255 }, { 0x3800, 128 }, { 0x3400, 64 },  { 0x0000, 0 },
                { 0x8000, 0 },   { 0x4000, 255 }, { 0x7c00, 255 }, { 0x7c01, 0 },
                { 0xbc00, 0 },   { 0x0001, 0 },   { 0x1c04, 1 },   { 0x3bff, 255 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                uint16_t pixel[4] = { 0, table[i].half, 0x3c00, 0 };
                Image image = { DRM_FORMAT_XRGB16161616F, 1, 1, 1, { { (uint8_t *)pixel, 8, 8 } } };
                _cleanup_free_ uint8_t *rgb = NULL;
                char what[16];

                sprintf(what, "0x%04x", table[i].half);
                CHECK_INT(what, image_check(&image), 0);
                CHECK_INT(what, rgb_from_image(&image, &rgb), 0);
                CHECK_AT(what, rgb && rgb[0] == 255 && rgb[1] == table[i].byte && rgb[2] == 0);
        }
}

static void test_image_check(void) {
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++) {
                const FormatSpec *f = &formats[i];
                _cleanup_(image_free) Image image = {};

                image_make(f, W, H, &image);
                for (size_t k = 0; k < image.n_planes; k++) {
                        Image bad = image;

                        bad.planes[k].size--;
                        CHECK_INT(name_of(f->fourcc), image_check(&bad), -EBADMSG);
                        bad = image;
                        bad.planes[k].stride = bad.planes[k].stride - PADDING - 1;
                        CHECK_INT(name_of(f->fourcc), image_check(&bad), -EBADMSG);
                        bad = image;
                        bad.planes[k].stride = UINT32_MAX;
                        CHECK_INT(name_of(f->fourcc), image_check(&bad), -EBADMSG);
                        bad = image;
                        bad.n_planes--;
                        CHECK_INT(name_of(f->fourcc), image_check(&bad), -EBADMSG);
                        bad = image;
                        bad.width = 40000;
                        CHECK_INT(name_of(f->fourcc), image_check(&bad), -EOVERFLOW);
                }
        }
}

/* 16 by 8, red, with and without its Huffman tables, which cameras leave out */
static const uint8_t jpeg[] = {
#include "tests/unit/tools/red.jpeg.h"
};

static void test_jpeg(void) {
        _cleanup_free_ uint8_t *bare = malloc(sizeof(jpeg));
        Image image = { .fourcc = fourcc_code('M', 'J', 'P', 'G'), .width = 16, .height = 8, .n_planes = 1,
                        .planes = { { jpeg, sizeof(jpeg), 0 } } };
        size_t n = 0;

        for (size_t i = 0; i < sizeof(jpeg);) { /* segments up to the scan */
                size_t size = i == 0 ? 2 : 2 + (size_t)(jpeg[i + 2] << 8 | jpeg[i + 3]);

                if (jpeg[i + 1] == 0xda)
                        size = sizeof(jpeg) - i;
                if (jpeg[i + 1] != 0xc4) {
                        memcpy(bare + n, jpeg + i, size);
                        n += size;
                }
                i += size;
        }
        CHECK(n < sizeof(jpeg));

        for (int without = 0; without < 2; without++) {
                _cleanup_free_ uint8_t *rgb = NULL;

                image.planes[0] = (ImagePlane){ without ? bare : jpeg, without ? n : sizeof(jpeg), 0 };
                CHECK_INT("decode", rgb_from_image(&image, &rgb), 0);
                CHECK(rgb && is_near(rgb[0], 255, 3) && is_near(rgb[1], 0, 3) && is_near(rgb[2], 0, 3));
                CHECK(rgb && memcmp(rgb, rgb + 3 * (16 * 8 - 1), 3) == 0);
        }
}

static void test_jpeg_bad(void) {
        _cleanup_free_ uint8_t *cut = NULL;
        uint8_t *rgb = NULL, garbage[64] = { 0xff, 0xd8, 0xff, 0xc0 };

        CHECK_INT("other height", jpeg_decode(jpeg, sizeof(jpeg), 16, 9, &rgb), -EBADMSG);
        CHECK_INT("other width", jpeg_decode(jpeg, sizeof(jpeg), 17, 8, &rgb), -EBADMSG);
        CHECK_INT("empty", jpeg_decode(jpeg, 0, 16, 8, &rgb), -EBADMSG);
        CHECK_INT("garbage", jpeg_decode(garbage, sizeof(garbage), 16, 8, &rgb), -EBADMSG);
        CHECK_INT("header only", jpeg_decode(jpeg, 40, 16, 8, &rgb), -EBADMSG);
        CHECK_INT("ends early", jpeg_decode(jpeg, sizeof(jpeg) - 4, 16, 8, &cut), 0);
        CHECK(!rgb);
}

static void test_y4m(void) {
        static const char header[] = "YUV4MPEG2 W8 H4 F30000:1001 Ip A1:1 C420jpeg\n";
        _cleanup_close_ int fd = memfd_create("y4m", MFD_CLOEXEC);
        _cleanup_(planar_deinit) Planar planar = {};
        _cleanup_(image_free) Image image = {};
        Output output;
        Y4mWriter w = { .output = &output };
        char file[512];
        ssize_t n;

        output_init(&output, fd);
        image_make(&formats[0], W, H, &image);
        CHECK_INT("init", planar_init(&planar, DRM_FORMAT_YUV420, W, H), 0);
        CHECK_INT("convert", planar_convert(&planar, &image), 0);
        CHECK_INT("no rate", y4m_writer_start(&w, &planar, (struct framebus_fraction){}), -EINVAL);
        CHECK_INT("start", y4m_writer_start(&w, &planar, (struct framebus_fraction){ 30000, 1001 }), 0);
        CHECK_INT("frame", y4m_writer_frame(&w, &planar, 1), 0);
        CHECK_INT("frame", y4m_writer_frame(&w, &planar, 1), 0);
        CHECK_INT("frames", w.n_frames, 2);

        n = pread(fd, file, sizeof(file), 0);
        CHECK_INT("size", n, strlen(header) + 2 * (6 + 48));
        CHECK_INT("complete", w.size_complete, n);
        CHECK(memcmp(file, header, strlen(header)) == 0);
        for (size_t i = 0; i < 2; i++) {
                const char *frame = file + strlen(header) + i * 54;

                CHECK(memcmp(frame, "FRAME\n", 6) == 0);
                CHECK(memcmp(frame + 6, "\x51\x51\x51\x51\x29\x29\x29\x29", 8) == 0);
                CHECK(memcmp(frame + 6 + 32,
                             "\x5a\x5a\xf0\xf0\x5a\x5a\xf0\xf0\xf0\xf0\x6e\x6e\xf0\xf0\x6e\x6e", 16) == 0);
        }
}

static void test_y4m_failures(void) {
        _cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        _cleanup_(planar_deinit) Planar planar = {};
        Output output;
        Y4mWriter w = { .output = &output };

        output_init(&output, full);
        CHECK_INT("init", planar_init(&planar, DRM_FORMAT_YUV420, W, H), 0);
        CHECK_INT("full", y4m_writer_start(&w, &planar, (struct framebus_fraction){ 30, 1 }), -ENOSPC);
        CHECK_INT("full", y4m_writer_frame(&w, &planar, 1), -ENOSPC);
        CHECK_INT("frames", w.n_frames, 0);
        for (size_t i = 0; i < FB_ELEMENTSOF(formats); i++)
                CHECK_AT(name_of(formats[i].fourcc), y4m_colorspace(formats[i].chroma, formats[i].depth));
        CHECK(!y4m_colorspace(CHROMA_422, 9));
}

static void test_y4m_time(void) {
        static const struct {
                uint64_t pts_ns;
                struct framebus_fraction rate;
                uint64_t due;
        } table[] = {
                { 1000, { 30, 1 }, 1 },
                { 0, { 30, 1 }, 1 }, /* before the first */
                { 1000 + 33333333, { 30, 1 }, 2 },
                { 1000 + 33366666, { 30000, 1001 }, 2 },
                { 1000 + 40000000, { 30, 1 }, 2 }, /* late by less than half a frame */
                { 1000 + 3600000000000, { 30000, 1001 }, 107893 },
                { 1000 + 66666667, { 30, 1 }, 3 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++)
                CHECK_INT("due", y4m_frames_due(1000, table[i].pts_ns, table[i].rate), table[i].due);
        CHECK(y4m_frames_due(0, UINT64_MAX, (struct framebus_fraction){ UINT32_MAX, 1 }) > 1);
}

int main(void) {
        test_formats(W, H);
        test_formats(W - 1, H - 1);
        test_complete();
        test_half_floats();
        test_image_check();
        test_jpeg();
        test_jpeg_bad();
        test_y4m();
        test_y4m_failures();
        test_y4m_time();
        return check_end();
}
