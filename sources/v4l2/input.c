/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capture devices do not follow their signal: its timings are asked for and set, while no buffers exist.
 * Setting what is set already is left out, as drivers reset their format by it.
 */
#include "sources/v4l2/input.h"

#include <errno.h>
#include <string.h>

#define EVENTS_MAX 32 /* at a time: a driver that always has one more must not keep the program */

/* False: the device has no inputs to choose from. */
static bool get_input(const Device *d, struct v4l2_input *ret) {
        int index = 0;

        *ret = (struct v4l2_input){ 0 };
        if (device_ioctl(d, VIDIOC_G_INPUT, &index) < 0 || index < 0)
                return false;
        ret->index = (uint32_t)index;
        return device_ioctl(d, VIDIOC_ENUMINPUT, ret) >= 0;
}

static bool timings_are_equal(const struct v4l2_bt_timings *a, const struct v4l2_bt_timings *b) {
        return a->width == b->width && a->height == b->height && a->interlaced == b->interlaced &&
               a->polarities == b->polarities && a->pixelclock == b->pixelclock &&
               a->hfrontporch == b->hfrontporch && a->hsync == b->hsync && a->hbackporch == b->hbackporch &&
               a->vfrontporch == b->vfrontporch && a->vsync == b->vsync && a->vbackporch == b->vbackporch;
}

static void adjust_timings(const Device *d) {
        struct v4l2_dv_timings found = { 0 }, set = { 0 };

        if (device_ioctl(d, VIDIOC_QUERY_DV_TIMINGS, &found) < 0)
                return;
        if (device_ioctl(d, VIDIOC_G_DV_TIMINGS, &set) >= 0 && set.type == found.type &&
            timings_are_equal(&set.bt, &found.bt))
                return;
        (void)device_ioctl(d, VIDIOC_S_DV_TIMINGS, &found);
}

/* A device finds a set of standards that it cannot tell apart; one that is set and among them is fine. */
static void adjust_standard(const Device *d) {
        v4l2_std_id found = 0, set = 0;

        if (device_ioctl(d, VIDIOC_QUERYSTD, &found) < 0 || found == 0)
                return;
        if (device_ioctl(d, VIDIOC_G_STD, &set) >= 0 && (set & found))
                return;
        (void)device_ioctl(d, VIDIOC_S_STD, &found);
}

void input_adjust(const Device *d) {
        struct v4l2_input input;

        if (!get_input(d, &input))
                return;
        if (input.capabilities & V4L2_IN_CAP_DV_TIMINGS)
                adjust_timings(d);
        else if (input.capabilities & V4L2_IN_CAP_STD)
                adjust_standard(d);
}

/* Sending devices see their display unplugged while an EDID is set: not without need. */
static bool has_edid(const Device *d, uint32_t pad, uint32_t n_blocks, const uint8_t *edid, size_t size) {
        uint8_t there[EDID_BLOCKS_MAX * EDID_BLOCK_SIZE];
        struct v4l2_edid e = { .pad = pad, .blocks = n_blocks, .edid = there };

        if (n_blocks * EDID_BLOCK_SIZE != size || n_blocks > EDID_BLOCKS_MAX)
                return false;
        return device_ioctl(d, VIDIOC_G_EDID, &e) >= 0 && memcmp(there, edid, size) == 0;
}

static int prepare_edid(const Device *d, uint32_t pad, const uint8_t *edid, size_t size) {
        struct v4l2_edid e = { .pad = pad };
        uint8_t common[EDID_BLOCK_SIZE];
        int r = device_ioctl(d, VIDIOC_G_EDID, &e); /* how many blocks there are */

        if (r < 0 && r != -ENODATA)
                return edid ? r : 0;
        if (r < 0)
                e.blocks = 0;
        if (edid ? has_edid(d, pad, e.blocks, edid, size) : e.blocks > 0)
                return 0;
        edid_make(common);
        e = (struct v4l2_edid){ .pad = pad, .edid = edid ? (uint8_t *)edid : common };
        e.blocks = (uint32_t)((edid ? size : sizeof common) / EDID_BLOCK_SIZE);
        r = device_ioctl(d, VIDIOC_S_EDID, &e);
        return r < 0 && edid ? r : 0;
}

int input_prepare(const Device *d, const uint8_t *edid, size_t edid_size) {
        struct v4l2_input input;
        bool known = get_input(d, &input);
        struct v4l2_event_subscription events = { .type = V4L2_EVENT_SOURCE_CHANGE,
                                                  .id = known ? input.index : 0 };
        int r = 0;

        (void)device_ioctl(d, VIDIOC_SUBSCRIBE_EVENT, &events);
        if (edid || (known && (input.capabilities & V4L2_IN_CAP_DV_TIMINGS)))
                r = prepare_edid(d, known ? input.index : 0, edid, edid_size);
        if (r < 0)
                return r;
        input_adjust(d);
        return 0;
}

static const char *get_timings_trouble(const Device *d) {
        struct v4l2_dv_timings t = { 0 };

        switch (-device_ioctl(d, VIDIOC_QUERY_DV_TIMINGS, &t)) {
        case ENOLINK:
                return "there is no signal at the input";
        case ENOLCK:
                return "the signal at the input is not stable";
        case ERANGE:
                return "the signal at the input is beyond what the device can take";
        default: /* a device that cannot ask */
                return NULL;
        }
}

/* The timings first: they tell a signal that is beyond the device from one that is not stable. */
const char *input_get_trouble(const Device *d) {
        const char *trouble = NULL;
        struct v4l2_input input;

        if (!get_input(d, &input))
                return NULL;
        if (input.status & V4L2_IN_ST_NO_POWER)
                return "the input has no power";
        if (input.capabilities & V4L2_IN_CAP_DV_TIMINGS)
                trouble = get_timings_trouble(d);
        if (trouble)
                return trouble;
        if (input.status & V4L2_IN_ST_NO_SIGNAL)
                return "there is no signal at the input";
        if (input.status & (V4L2_IN_ST_NO_H_LOCK | V4L2_IN_ST_NO_SYNC))
                return "the signal at the input is not stable";
        return NULL;
}

bool input_can_tell(const Device *d) {
        struct v4l2_input input;

        return get_input(d, &input) && (input.capabilities & (V4L2_IN_CAP_DV_TIMINGS | V4L2_IN_CAP_STD));
}

bool input_take_events(const Device *d) {
        struct v4l2_event e;
        bool changed = false;

        for (int i = 0; i < EVENTS_MAX; i++) {
                e = (struct v4l2_event){ 0 };
                if (device_ioctl(d, VIDIOC_DQEVENT, &e) < 0)
                        break;
                changed |= e.type == V4L2_EVENT_SOURCE_CHANGE;
        }
        return changed;
}
