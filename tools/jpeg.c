/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JPEG by libjpeg. The size is known from the mode, so that a picture which claims to be larger costs
 * nothing. libjpeg reports errors by a longjmp: what must survive it lives in a struct, not in locals of the
 * function it leaves.
 */
#include "tools/jpeg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "base/cleanup.h"

typedef struct Decoder {
        struct jpeg_decompress_struct jpeg;
        struct jpeg_error_mgr errors;
        jmp_buf failed;
        uint8_t *rgb;
} Decoder;

static void on_error(j_common_ptr jpeg) {
        Decoder *d = jpeg->client_data;

        longjmp(d->failed, 1);
}

static void on_message(j_common_ptr jpeg) {
}

static int decoder_run(Decoder *d, const uint8_t *data, size_t size, uint32_t width, uint32_t height) {
        if (setjmp(d->failed))
                return -EBADMSG;

        jpeg_create_decompress(&d->jpeg);
        jpeg_mem_src(&d->jpeg, data, size);
        if (jpeg_read_header(&d->jpeg, TRUE) != JPEG_HEADER_OK)
                return -EBADMSG;
        if (d->jpeg.image_width != width || d->jpeg.image_height != height)
                return -EBADMSG;

        d->jpeg.out_color_space = JCS_RGB;
        d->rgb = malloc((size_t)width * height * 3);
        if (!d->rgb)
                return -ENOMEM;
        jpeg_start_decompress(&d->jpeg);
        while (d->jpeg.output_scanline < height) {
                JSAMPROW row = d->rgb + (size_t)d->jpeg.output_scanline * width * 3;

                jpeg_read_scanlines(&d->jpeg, &row, 1);
        }
        jpeg_finish_decompress(&d->jpeg);
        return 0;
}

int jpeg_decode(const uint8_t *data, size_t size, uint32_t width, uint32_t height, uint8_t **ret_rgb) {
        Decoder d = {};
        int r;

        if (size == 0)
                return -EBADMSG;
        d.jpeg.client_data = &d;
        d.jpeg.err = jpeg_std_error(&d.errors);
        d.errors.error_exit = on_error;
        d.errors.output_message = on_message;

        r = decoder_run(&d, data, size, width, height);
        jpeg_destroy_decompress(&d.jpeg);
        if (r < 0) {
                free(d.rgb);
                return r;
        }
        *ret_rgb = d.rgb;
        return 0;
}
