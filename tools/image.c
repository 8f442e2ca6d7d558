/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a picture has to have.
 *
 * The library has checked that planes lie inside of their memory. The conversions read lines by stride and
 * height, so that is checked again here, where it is relied upon: nothing is read that image_check() did not
 * count.
 */
#include "tools/image.h"

#include <errno.h>
#include <stdbool.h>

/* strides and sizes are ints for libyuv */
#define DIMENSION_MAX 32767u

static bool plane_is_large_enough(const ImagePlane *p, const struct framebus_plane *tight) {
        uint64_t lines = tight->size / tight->stride;

        return p->stride >= tight->stride && p->stride <= INT32_MAX &&
               p->size >= p->stride * (lines - 1) + tight->stride;
}

int image_check(const Image *image) {
        struct framebus_mode mode = { .fourcc = image->fourcc,
                                      .width = image->width,
                                      .height = image->height };
        struct framebus_plane tight[4];
        size_t n_planes, size;
        int r;

        if (image->width > DIMENSION_MAX || image->height > DIMENSION_MAX)
                return -EOVERFLOW;
        r = framebus_mode_get_layout(&mode, tight, &n_planes, &size);
        if (r < 0)
                return r == -EINVAL ? -EBADMSG : r;
        if (image->n_planes != n_planes)
                return -EBADMSG;
        for (size_t i = 0; i < n_planes; i++)
                if (!plane_is_large_enough(&image->planes[i], &tight[i]))
                        return -EBADMSG;
        return 0;
}
