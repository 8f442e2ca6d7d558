/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture in a frame. What the frame says about itself is judged by image_check(). */
#include <errno.h>

#include "tools/image.h"

int image_from_frame(framebus_frame *frame, Image *ret) {
        const struct framebus_mode *mode = framebus_frame_get_mode(frame);
        Image image = { .fourcc = mode->fourcc, .width = mode->width, .height = mode->height };
        int r;

        if (mode->modifier != 0)
                return -ENOTSUP;
        image.n_planes = framebus_frame_get_n_planes(frame);
        if (image.n_planes == 0 || image.n_planes > 4)
                return -EBADMSG;
        for (size_t i = 0; i < image.n_planes; i++) {
                const void *data;

                r = framebus_frame_map(frame, i, &data, &image.planes[i].size);
                if (r < 0)
                        return r;
                image.planes[i].data = data;
                image.planes[i].stride = framebus_frame_get_plane(frame, i)->stride;
        }
        r = image_check(&image);
        if (r == -ENOTSUP && image.planes[0].stride == 0)
                r = 0; /* compressed: decoders do their own checks */
        if (r < 0)
                return r;
        *ret = image;
        return 0;
}
