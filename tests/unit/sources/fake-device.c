/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-device.h"

#include <errno.h>
#include <unistd.h>

#include "check.h"

Fake fake;

void fake_reset(void) {
        for (unsigned i = 0; i < FAKE_CHUNKS; i++)
                if (fake.chunk_fds[i])
                        (void)close(fake.chunk_fds[i]);
        memset(&fake, 0, sizeof fake);
        fake_reset_memory();
        fake.buffer_capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP;
        fake.capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        fake.device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        fake.n_sizes = fake.n_rates = 1;
        fake.interval = (struct v4l2_fract){ 1, 25 };
        fake.n_memories = 1;
        fake.width = 640;
        fake.height = 480;
}

static int fake_open(const char *path) {
        if (strcmp(path, "gone") == 0)
                return -ENOENT;
        fake.n_open++;
        return 77;
}

static int fake_close(int fd) {
        CHECK_INT("close", fd, 77);
        fake.n_open--;
        return 0;
}

static int fake_enum_sizes(struct v4l2_frmsizeenum *e) {
        if (fake.sizes == SIZES_NONE)
                return -ENOTTY;
        if (fake.sizes == SIZES_CONTINUOUS) {
                e->type = V4L2_FRMSIZE_TYPE_CONTINUOUS;
                e->stepwise = (struct v4l2_frmsize_stepwise){ 48, 1920, 1, 32, 1080, 1 };
                return e->index ? -EINVAL : 0;
        }
        if (fake.sizes == SIZES_STEPWISE) {
                e->type = V4L2_FRMSIZE_TYPE_STEPWISE;
                e->stepwise = (struct v4l2_frmsize_stepwise){ 48, 1920, 16, 32, 1080, 4 };
                return e->index ? -EINVAL : 0;
        }
        e->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        if (e->index >= fake.n_sizes)
                return -EINVAL;
        if (fake.sizes == SIZES_LADDER)
                e->discrete = (struct v4l2_frmsize_discrete){ 320 + 160 * e->index, 180 + 90 * e->index };
        else
                e->discrete = (struct v4l2_frmsize_discrete){ 320u << e->index, 180u << e->index };
        return 0;
}

static int fake_enum_rates(struct v4l2_frmivalenum *e) {
        if (fake.rates == RATES_NONE)
                return -ENOTTY;
        CHECK(e->width && e->height);
        if (fake.rates == RATES_STEPWISE) {
                e->type = V4L2_FRMIVAL_TYPE_CONTINUOUS;
                e->stepwise = (struct v4l2_frmival_stepwise){ { 1, 60 }, { 2, 10 }, { 1, 1 } };
                return e->index ? -EINVAL : 0;
        }
        e->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        e->discrete = (struct v4l2_fract){ (e->index + 1) * 1000, 60000 };
        return e->index < fake.n_rates ? 0 : -EINVAL;
}

static int fake_set_format_mplane(struct v4l2_pix_format_mplane *f) {
        fake.pixelformat = f->pixelformat;
        f->num_planes = (uint8_t)fake.n_memories;
        for (unsigned i = 0; i < fake.n_memories; i++)
                f->plane_fmt[i] = (struct v4l2_plane_pix_format){ .bytesperline = fake.bytesperline,
                                                                  .sizeimage = FAKE_CHUNK };
        f->colorspace = fake.colorimetry[0];
        f->quantization = (uint8_t)fake.colorimetry[3];
        return 0;
}

static int fake_set_format(struct v4l2_format *f) {
        if (fake_is_multiplanar())
                return fake_set_format_mplane(&f->fmt.pix_mp);
        CHECK_INT("field", f->fmt.pix.field, V4L2_FIELD_NONE);
        fake.pixelformat = f->fmt.pix.pixelformat;
        if (fake.pixelformat_given)
                f->fmt.pix.pixelformat = fake.pixelformat_given;
        if (fake.width_given)
                f->fmt.pix.width = fake.width_given;
        f->fmt.pix.bytesperline = fake.bytesperline;
        f->fmt.pix.sizeimage = FAKE_CHUNK;
        if (fake.field_given)
                f->fmt.pix.field = fake.field_given;
        f->fmt.pix.colorspace = fake.colorimetry[0];
        f->fmt.pix.xfer_func = fake.colorimetry[1];
        f->fmt.pix.ycbcr_enc = fake.colorimetry[2];
        f->fmt.pix.quantization = fake.colorimetry[3];
        fake.width = f->fmt.pix.width;
        fake.height = f->fmt.pix.height;
        return 0;
}

static int fake_parm(struct v4l2_streamparm *p, bool set) {
        if (!fake.interval.denominator)
                return -ENOTTY;
        if (set)
                fake.interval = p->parm.capture.timeperframe;
        p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        p->parm.capture.timeperframe = fake.interval;
        return 0;
}

static int fake_ioctl_format(unsigned long request, void *a) {
        struct v4l2_capability *cap = a;
        struct v4l2_fmtdesc *desc = a;
        struct v4l2_format *format = a;

        switch (request) {
        case VIDIOC_QUERYCAP:
                *cap = (struct v4l2_capability){ .card = "Fake", .driver = "fake",
                                                 .capabilities = fake.capabilities,
                                                 .device_caps = fake.device_caps };
                return 0;
        case VIDIOC_ENUM_FMT:
                if (desc->index >= fake.n_formats)
                        return -EINVAL;
                desc->pixelformat = fake.formats[desc->index].pixelformat;
                desc->flags = fake.formats[desc->index].flags;
                return 0;
        case VIDIOC_ENUM_FRAMESIZES:
                return fake_enum_sizes(a);
        case VIDIOC_ENUM_FRAMEINTERVALS:
                return fake_enum_rates(a);
        case VIDIOC_G_FMT:
                if (fake_is_multiplanar()) {
                        format->fmt.pix_mp.pixelformat = fake.pixelformat;
                        return fake_set_format_mplane(&format->fmt.pix_mp);
                }
                format->fmt.pix.sizeimage = FAKE_CHUNK;
                format->fmt.pix.width = fake.width;
                format->fmt.pix.height = fake.height;
                return 0;
        case VIDIOC_S_FMT:
                return fake_set_format(a);
        default:
                return -ENOTTY;
        }
}

static int fake_edid(struct v4l2_edid *e, bool set) {
        if (set) {
                memcpy(fake.edid, e->edid, (size_t)e->blocks * 128);
                fake.n_edid_blocks = e->blocks;
                fake.n_set_edid++;
                return 0;
        }
        if (fake.edid_error)
                return fake.edid_error;
        if (e->blocks)
                memcpy(e->edid, fake.edid, (size_t)e->blocks * 128);
        else
                e->blocks = fake.n_edid_blocks;
        return 0;
}

static int fake_ioctl_signal(unsigned long request, void *a) {
        switch (request) {
        case VIDIOC_QUERY_DV_TIMINGS:
                *(struct v4l2_dv_timings *)a = fake.found_timings;
                return fake.found_error;
        case VIDIOC_G_DV_TIMINGS:
                *(struct v4l2_dv_timings *)a = fake.timings;
                return 0;
        case VIDIOC_S_DV_TIMINGS:
                CHECK_INT("no buffers", fake.n_requested, 0);
                fake.timings = *(struct v4l2_dv_timings *)a;
                fake.n_set_timings++;
                return 0;
        case VIDIOC_QUERYSTD:
                *(v4l2_std_id *)a = fake.found_std;
                return 0;
        case VIDIOC_G_STD:
                *(v4l2_std_id *)a = fake.std;
                return 0;
        case VIDIOC_S_STD:
                fake.std = *(v4l2_std_id *)a;
                fake.n_set_std++;
                return 0;
        default:
                return -ENOTTY;
        }
}

static int fake_ioctl_input(unsigned long request, void *a) {
        struct v4l2_event_subscription *events = a;
        struct v4l2_input *input = a;

        switch (request) {
        case VIDIOC_G_INPUT:
                *(int *)a = 2;
                return 0;
        case VIDIOC_ENUMINPUT:
                CHECK_INT("input", input->index, 2);
                input->capabilities = fake.input_capabilities;
                input->status = fake.input_status;
                return 0;
        case VIDIOC_G_EDID:
        case VIDIOC_S_EDID:
                CHECK_INT("pad", ((struct v4l2_edid *)a)->pad, 2);
                return fake_edid(a, request == VIDIOC_S_EDID);
        case VIDIOC_SUBSCRIBE_EVENT:
                CHECK_INT("event", events->type, V4L2_EVENT_SOURCE_CHANGE);
                fake.subscribed_id = events->id;
                fake.n_subscribed++;
                return 0;
        case VIDIOC_DQEVENT:
                if (fake.next_event == fake.n_events)
                        return -ENOENT;
                ((struct v4l2_event *)a)->type = fake.events[fake.next_event++];
                return 0;
        default:
                return fake_ioctl_signal(request, a);
        }
}

static int fake_ioctl(int fd, unsigned long request, void *a) {
        int r;

        CHECK_INT("fd", fd, 77);
        if (request == fake.fail_request && fake.fail_times) {
                fake.fail_times--;
                return fake.fail_errno;
        }
        if (request == VIDIOC_G_PARM || request == VIDIOC_S_PARM)
                return fake_parm(a, request == VIDIOC_S_PARM);
        r = fake.has_input ? fake_ioctl_input(request, a) : -ENOTTY;
        if (r != -ENOTTY)
                return r;
        r = fake_ioctl_format(request, a);
        return r == -ENOTTY ? fake_ioctl_stream(request, a) : r;
}

const DeviceOps fake_ops = {
        .open = fake_open,
        .close = fake_close,
        .ioctl = fake_ioctl,
        .mmap = fake_mmap,
        .munmap = fake_munmap,
};

void fake_fail(unsigned long request, int error, int times) {
        fake.fail_request = request;
        fake.fail_errno = error;
        fake.fail_times = times;
}
