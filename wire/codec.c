/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Frame message, both ways. One encoding serves all receivers on channels: nothing in it differs between
 * them. Decoding copies numbers and borrows descriptors: no dup, no mmap, one allocation.
 */
#include "wire/codec.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

static int append_meta(sd_bus_message *m, const FrameMeta *meta) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0 && (meta->present & FRAME_META_DEVICE_SEQUENCE))
                r = sd_bus_message_append(m, "{sv}", FB_META_DEVICE_SEQUENCE, "u", meta->device_sequence);
        if (r >= 0 && (meta->present & FRAME_META_BUFFER))
                r = sd_bus_message_append(m, "{sv}", FB_META_BUFFER, "t", meta->buffer);
        if (r >= 0 && (meta->present & FRAME_META_MODIFIER))
                r = sd_bus_message_append(m, "{sv}", FB_META_MODIFIER, "t", meta->modifier);
        if (r >= 0 && (meta->present & FRAME_META_CROP))
                r = sd_bus_message_append(m, "{sv}", FB_META_CROP, "(uuuu)", meta->crop[0], meta->crop[1],
                                          meta->crop[2], meta->crop[3]);
        if (r >= 0 && (meta->present & FRAME_META_TRANSFORM))
                r = sd_bus_message_append(m, "{sv}", FB_META_TRANSFORM, "u", meta->transform);
        if (r >= 0 && (meta->present & FRAME_META_COLORIMETRY))
                r = sd_bus_message_append(m, "{sv}", FB_META_COLORIMETRY, "(uuuu)", meta->colorimetry[0],
                                          meta->colorimetry[1], meta->colorimetry[2], meta->colorimetry[3]);
        if (r >= 0 && (meta->present & FRAME_META_FIELD))
                r = sd_bus_message_append(m, "{sv}", FB_META_FIELD, "u", meta->field);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int codec_append_frame(sd_bus_message *m, const Frame *f, uint32_t extra_flags) {
        uint64_t order = extra_flags & FB_FRAME_REPLAYED ? 0 : f->order;
        int r;

        r = sd_bus_message_append(m, "tttuu", f->seq, order, f->pts_ns, f->format, f->flags | extra_flags);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "h");
        for (uint32_t i = 0; r >= 0 && i < f->n_fds; i++)
                r = sd_bus_message_append_basic(m, SD_BUS_TYPE_UNIX_FD, &f->fds[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "(uttu)");
        for (uint32_t i = 0; r >= 0 && i < f->n_planes; i++)
                r = sd_bus_message_append(m, "(uttu)", f->planes[i].memory, f->planes[i].offset,
                                          f->planes[i].size, f->planes[i].stride);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : append_meta(m, &f->meta);
}

static int read_fds(sd_bus_message *m, Frame *f, const char **ret_why) {
        int r, fd;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "h");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read_basic(m, SD_BUS_TYPE_UNIX_FD, &fd)) > 0) {
                if (f->n_fds == FB_MEMORIES_MAX)
                        return *ret_why = "more than 4 memories", FB_E_INVALID_FRAME;
                f->fds[f->n_fds++] = fd;
        }
        if (r < 0)
                return r;
        if (f->n_fds == 0)
                return *ret_why = "no memory", FB_E_INVALID_FRAME;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

static int read_planes(sd_bus_message *m, Frame *f, const char **ret_why) {
        Plane p;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "(uttu)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "(uttu)", &p.memory, &p.offset, &p.size, &p.stride)) > 0) {
                if (f->n_planes == FB_PLANES_MAX)
                        return *ret_why = "more than 4 planes", FB_E_INVALID_FRAME;
                if (p.memory >= f->n_fds)
                        return *ret_why = "a plane names a memory that is not there", FB_E_INVALID_FRAME;
                f->planes[f->n_planes++] = p;
        }
        if (r < 0)
                return r;
        if (f->n_planes == 0)
                return *ret_why = "no plane", FB_E_INVALID_FRAME;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

static int one(int r) {
        return r < 0 ? r : 0;
}

static int meta_device_sequence(sd_bus_message *m, void *userdata) {
        FrameMeta *meta = userdata;

        meta->present |= FRAME_META_DEVICE_SEQUENCE;
        return one(sd_bus_message_read(m, "u", &meta->device_sequence));
}

static int meta_buffer(sd_bus_message *m, void *userdata) {
        FrameMeta *meta = userdata;

        meta->present |= FRAME_META_BUFFER;
        return one(sd_bus_message_read(m, "t", &meta->buffer));
}

static int meta_modifier(sd_bus_message *m, void *userdata) {
        FrameMeta *meta = userdata;

        meta->present |= FRAME_META_MODIFIER;
        return one(sd_bus_message_read(m, "t", &meta->modifier));
}

static int meta_crop(sd_bus_message *m, void *userdata) {
        FrameMeta *meta = userdata;

        meta->present |= FRAME_META_CROP;
        return one(sd_bus_message_read(m, "(uuuu)", &meta->crop[0], &meta->crop[1], &meta->crop[2],
                                       &meta->crop[3]));
}

static int meta_transform(sd_bus_message *m, void *userdata) {
        FrameMeta *meta = userdata;

        meta->present |= FRAME_META_TRANSFORM;
        if (sd_bus_message_read(m, "u", &meta->transform) < 0)
                return -EBADMSG;
        return meta->transform > 7 ? FB_E_INVALID_OPTION : 0;
}

static int meta_colorimetry(sd_bus_message *m, void *userdata) {
        FrameMeta *meta = userdata;
        uint32_t *c = meta->colorimetry;

        meta->present |= FRAME_META_COLORIMETRY;
        return one(sd_bus_message_read(m, "(uuuu)", &c[0], &c[1], &c[2], &c[3]));
}

/* As enum v4l2_field, from "none" on. */
static int meta_field(sd_bus_message *m, void *userdata) {
        FrameMeta *meta = userdata;

        meta->present |= FRAME_META_FIELD;
        if (sd_bus_message_read(m, "u", &meta->field) < 0)
                return -EBADMSG;
        return meta->field < 1 || meta->field > 9 ? FB_E_INVALID_OPTION : 0;
}

static const VardictKey meta_keys[] = {
        { FB_META_DEVICE_SEQUENCE, "u", meta_device_sequence },
        { FB_META_BUFFER, "t", meta_buffer },
        { FB_META_MODIFIER, "t", meta_modifier },
        { FB_META_CROP, "(uuuu)", meta_crop },
        { FB_META_TRANSFORM, "u", meta_transform },
        { FB_META_COLORIMETRY, "(uuuu)", meta_colorimetry },
        { FB_META_FIELD, "u", meta_field },
};

static void message_give_back(Frame *f, void *userdata) {
        sd_bus_message_unref(userdata);
        free(f);
}

static const FrameHome message_home = { .give_back = message_give_back };

FB_DEFINE_CLEANUP(Frame *, frame_unref)

int codec_read_frame(sd_bus_message *m, Frame **ret_frame, const char **ret_why) {
        _cleanup_(frame_unrefp) Frame *f = NULL;
        VardictError error = {};
        int r;

        f = frame_new(&message_home, m);
        if (!f)
                return -ENOMEM;
        sd_bus_message_ref(m);

        r = sd_bus_message_read(m, "tttuu", &f->seq, &f->order, &f->pts_ns, &f->format, &f->flags);
        if (r < 0)
                return r;
        fb_try(read_fds(m, f, ret_why));
        fb_try(read_planes(m, f, ret_why));
        r = vardict_read_bounded(m, meta_keys, FB_ELEMENTSOF(meta_keys), FB_META_BYTES_MAX, &f->meta, &error);
        if (r > 0)
                return *ret_why = "meta: a key of the wrong type, out of range, given twice or with a "
                                  "descriptor, or more than 1024 bytes",
                       FB_E_INVALID_FRAME;
        if (r < 0)
                return r;
        *ret_frame = take_ptr(f);
        return 0;
}

int codec_append_format(sd_bus_message *m, uint64_t order, uint32_t format, const Mode *mode) {
        int r = sd_bus_message_append(m, "tu", order, format);

        return r < 0 ? r : codec_append_mode(m, mode);
}

int codec_read_format(sd_bus_message *m, uint64_t *ret_order, uint32_t *ret_format, Mode *ret_mode) {
        VardictError error = {};
        uint64_t order;
        uint32_t format;
        Mode mode;
        int r;

        r = sd_bus_message_read(m, "tu", &order, &format);
        if (r < 0)
                return r;
        fb_try(codec_read_mode(m, false, &mode, &error));
        if (!mode_is_fixed(&mode))
                return FB_E_INVALID_OPTION;
        *ret_order = order;
        *ret_format = format;
        *ret_mode = mode;
        return 0;
}

int codec_read_seqs(sd_bus_message *m, const uint64_t **ret_seqs, size_t *ret_n) {
        const void *p;
        size_t size;
        int r = sd_bus_message_read_array(m, SD_BUS_TYPE_UINT64, &p, &size);

        if (r < 0)
                return r;
        if (size / sizeof(uint64_t) > FB_SEQS_MAX)
                return FB_E_INVALID_OPTION;
        *ret_seqs = p;
        *ret_n = size / sizeof(uint64_t);
        return 0;
}
