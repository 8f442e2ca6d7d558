/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/frame.h"

#include <stdlib.h>

Frame *frame_new(const FrameHome *home, void *home_userdata) {
        Frame *f = calloc(1, sizeof *f);

        if (!f)
                return NULL;
        f->n_refs = 1;
        f->home = home;
        f->home_userdata = home_userdata;
        return f;
}

Frame *frame_ref(Frame *f) {
        f->n_refs++;
        return f;
}

Frame *frame_unref(Frame *f) {
        if (!f || --f->n_refs > 0)
                return NULL;
        f->sealed = frame_unref(f->sealed);
        if (f->encoded)
                f->encoded_free(f->encoded);
        f->home->give_back(f, f->home_userdata);
        return NULL;
}
