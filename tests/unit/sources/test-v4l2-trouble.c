/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What framebus-v4l2 makes of damaged pictures, times of no use, and inputs without a signal. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "check.h"
#include "fake-device.h"
#include "sources/v4l2/faults.h"
#include "sources/v4l2/input.h"
#include "sources/v4l2/payload.h"

/* ---- payload ---- */

#define BYTES(...) (const unsigned char[]){ __VA_ARGS__ }, sizeof((const unsigned char[]){ __VA_ARGS__ })
#define THUMBNAIL  0xff, 0xe1, 0, 8, 0xff, 0xd8, 1, 2, 0xff, 0xd9 /* an embedded picture with its own end */
#define SCAN       0xff, 0xda, 0, 3, 7, 0x12, 0xff, 0x00, 0x34

static void test_jpeg(void) {
        const struct {
                const char *what;
                const unsigned char *data;
                size_t size;
                Fault fault;
        } table[] = {
                { "whole", BYTES(0xff, 0xd8, SCAN, 0xff, 0xd9), FAULT_NONE },
                { "padded", BYTES(0xff, 0xd8, SCAN, 0xff, 0xd9, 0, 0, 0), FAULT_NONE },
                { "padded with fill bytes", BYTES(0xff, 0xd8, SCAN, 0xff, 0xd9, 0xff, 0xff), FAULT_NONE },
                { "something behind", BYTES(0xff, 0xd8, SCAN, 0xff, 0xd9, 'm', 'e', 't', 'a'), FAULT_NONE },
                { "restarts", BYTES(0xff, 0xd8, SCAN, 0xff, 0xd0, 5, 0xff, 0xd9), FAULT_NONE },
                { "two fields", BYTES(0xff, 0xd8, SCAN, 0xff, 0xd9, 0xff, 0xd8, SCAN, 0xff, 0xd9),
                  FAULT_NONE },
                { "a thumbnail", BYTES(0xff, 0xd8, THUMBNAIL, SCAN, 0xff, 0xd9), FAULT_NONE },
                { "no end", BYTES(0xff, 0xd8, SCAN), FAULT_TRUNCATED },
                { "no end, padded", BYTES(0xff, 0xd8, SCAN, 0, 0, 0), FAULT_TRUNCATED },
                { "half an end", BYTES(0xff, 0xd8, SCAN, 0xff), FAULT_TRUNCATED },
                { "only the thumbnail's end", BYTES(0xff, 0xd8, THUMBNAIL, SCAN), FAULT_TRUNCATED },
                { "no second end", BYTES(0xff, 0xd8, SCAN, 0xff, 0xd9, 0xff, 0xd8, SCAN), FAULT_TRUNCATED },
                { "no beginning", BYTES(SCAN, 0xff, 0xd9), FAULT_TRUNCATED },
                { "no scan", BYTES(0xff, 0xd8, THUMBNAIL, 0xff, 0xd9), FAULT_TRUNCATED },
                { "a segment beyond the end", BYTES(0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff, 0xff, 0xd9),
                  FAULT_TRUNCATED },
                { "nearly nothing", BYTES(0xff, 0xd8), FAULT_TRUNCATED },
                { "nothing", BYTES(0), FAULT_TRUNCATED },
        };
        const PixelFormat *mjpeg = pixel_format_find(V4L2_PIX_FMT_MJPEG);

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                void *exact = malloc(table[i].size); /* for the sanitizers: not a byte more is read */

                memcpy(exact, table[i].data, table[i].size);
                CHECK_INT(table[i].what, payload_judge(mjpeg, exact, table[i].size, 4096, 0), table[i].fault);
                free(exact);
        }
}

static void test_sizes(void) {
        const PixelFormat *raw = pixel_format_find(V4L2_PIX_FMT_YUYV);

        CHECK_INT("whole", payload_judge(raw, "", 100, 128, 100), FAULT_NONE);
        CHECK_INT("padded", payload_judge(raw, "", 128, 128, 100), FAULT_NONE);
        CHECK_INT("short", payload_judge(raw, "", 99, 128, 100), FAULT_SHORT);
        CHECK_INT("empty", payload_judge(raw, "", 0, 128, 100), FAULT_EMPTY);
        CHECK_INT("overrun", payload_judge(raw, "", 129, 128, 100), FAULT_OVERRUN);
}

static void test_keyframes(void) {
        const struct {
                const char *what;
                uint32_t v4l2, flags;
                const unsigned char *data;
                size_t size;
                bool key;
        } table[] = {
                { "raw", V4L2_PIX_FMT_YUYV, V4L2_BUF_FLAG_KEYFRAME, BYTES(0), false },
                { "jpeg", V4L2_PIX_FMT_MJPEG, 0, BYTES(0), true },
                { "the driver says so", V4L2_PIX_FMT_H264, V4L2_BUF_FLAG_KEYFRAME, BYTES(0, 0, 1, 0x41),
                  true },
                { "the driver says no", V4L2_PIX_FMT_H264, V4L2_BUF_FLAG_PFRAME, BYTES(0, 0, 1, 0x65),
                  false },
                { "IDR behind SPS, PPS, SEI", V4L2_PIX_FMT_H264, 0,
                  BYTES(0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 1, 6, 3, 0, 0, 1, 0x65, 9), true },
                { "P", V4L2_PIX_FMT_H264, 0, BYTES(0, 0, 0, 1, 9, 0x30, 0, 0, 1, 0x41, 0, 0, 1, 0x65),
                  false },
                { "no picture", V4L2_PIX_FMT_H264, 0, BYTES(0, 0, 1, 0x67, 0, 0, 1), false },
                { "HEVC IDR", V4L2_PIX_FMT_HEVC, 0, BYTES(0, 0, 1, 0x40, 1, 0, 0, 1, 19 << 1, 1), true },
                { "HEVC CRA", V4L2_PIX_FMT_HEVC, 0, BYTES(0, 0, 1, 21 << 1, 1), true },
                { "HEVC trailing", V4L2_PIX_FMT_HEVC, 0, BYTES(0, 0, 1, 1 << 1, 1), false },
                { "VP8", V4L2_PIX_FMT_VP8, 0, BYTES(0, 0, 1, 0x65), false },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++)
                CHECK_INT(table[i].what,
                          payload_is_keyframe(pixel_format_find(table[i].v4l2), table[i].flags, table[i].data,
                                              table[i].size),
                          table[i].key);
}

/* ---- times ---- */

static void test_times(void) {
        const uint64_t begun = 100 * NSEC_PER_SEC, now = 110 * NSEC_PER_SEC;
        const uint32_t mono = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        const struct {
                const char *what;
                uint32_t flags;
                int64_t sec, usec;
                uint64_t last, pts;
                bool bad;
        } table[] = {
                { "good", mono, 109, 5, 0, 109 * NSEC_PER_SEC + 5000, false },
                { "the same again", mono, 109, 5, 109 * NSEC_PER_SEC + 5000, 109 * NSEC_PER_SEC + 5000,
                  false },
                { "zero", mono, 0, 0, 0, now, true },
                { "another clock", V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN, 109, 0, 0, now, true },
                { "a copied time", V4L2_BUF_FLAG_TIMESTAMP_COPY, 109, 0, 0, now, true },
                { "negative", mono, -16, 0, 0, now, true },
                { "a little ahead", mono, 110, 50000, 0, now, false },
                { "in the future", mono, 111, 0, 0, now, true },
                { "after 2^31 seconds", mono, (1ll << 31) + 109, 0, 0, now, true },
                { "after 2^63 ns", mono, (int64_t)((1ull << 63) / NSEC_PER_SEC), 0, 0, now, true },
                { "exposed before the start", mono, 99, 500000, 0, 99 * NSEC_PER_SEC + 500 * NSEC_PER_MSEC,
                  false },
                { "of another life", mono, 50, 0, 0, now, true },
                { "backwards", mono, 108, 0, 109 * NSEC_PER_SEC, now, true },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                struct v4l2_buffer b = { .flags = table[i].flags };
                Times t = { .begun_ns = begun, .last_ns = table[i].last };
                bool bad = !table[i].bad;

                b.timestamp.tv_sec = table[i].sec;
                b.timestamp.tv_usec = table[i].usec;
                CHECK_INT(table[i].what, times_judge(&t, &b, now, &bad), table[i].pts);
                CHECK_INT(table[i].what, bad, table[i].bad);
                CHECK_INT(table[i].what, t.last_ns, table[i].pts);
        }
}

/* ---- faults ---- */

static void test_faults(void) {
        char text[64], little[8];
        Faults f = { 0 };

        CHECK_STR("none", faults_describe(&f, text, sizeof text), "none");
        CHECK_INT("none", faults_get_due_ns(&f), UINT64_MAX);
        CHECK_INT("news", faults_add(&f, FAULT_DAMAGED, 1, 100), true);
        CHECK_INT("no news", faults_add(&f, FAULT_DAMAGED, 2, 200), false);
        CHECK_INT("another", faults_add(&f, FAULT_SKIPPED, 40, 300), true);
        CHECK_STR("counts", faults_describe(&f, text, sizeof text), "damaged=3 skipped=40");
        CHECK_STR("cut off", faults_describe(&f, little, sizeof little), "damaged");
        CHECK_INT("due", faults_get_due_ns(&f), 200 + FAULTS_OVER_NS);
        CHECK_INT("not over", faults_expire(&f, 199 + FAULTS_OVER_NS), 0);
        CHECK_INT("over", faults_expire(&f, 200 + FAULTS_OVER_NS), 1u << FAULT_DAMAGED);
        CHECK_INT("told once", faults_expire(&f, 200 + FAULTS_OVER_NS), 0);
        CHECK_INT("news again", faults_add(&f, FAULT_DAMAGED, 1, 900), true);
        CHECK_INT("all", f.counts[FAULT_DAMAGED], 4);
        for (unsigned i = 1; i < _FAULT_MAX; i++)
                CHECK(fault_get_name(i) && fault_get_words(i));
}

/* ---- input ---- */

static Device open_input(uint32_t capabilities) {
        Device d = DEVICE_NULL;

        fake_reset();
        fake.has_input = true;
        fake.input_capabilities = capabilities;
        fake.n_edid_blocks = 2;
        CHECK_INT("open", device_open(&d, &fake_ops, "fake"), 0);
        return d;
}

static void test_webcam(void) {
        Device d = DEVICE_NULL;

        fake_reset();
        CHECK_INT("open", device_open(&d, &fake_ops, "fake"), 0);
        CHECK_INT("prepare", input_prepare(&d, NULL, 0), 0);
        CHECK(!input_get_trouble(&d) && !input_can_tell(&d) && !input_take_events(&d));
        device_close(&d);
}

static void test_timings(void) {
        Device d = open_input(V4L2_IN_CAP_DV_TIMINGS);

        fake.found_timings = (struct v4l2_dv_timings){ .bt = { .width = 1920, .height = 1080 } };
        fake.timings = fake.found_timings;
        CHECK_INT("prepare", input_prepare(&d, NULL, 0), 0);
        CHECK(fake.n_subscribed == 1 && fake.subscribed_id == 2);
        CHECK_INT("as they are", fake.n_set_timings, 0);
        fake.found_timings.bt.height = 720;
        input_adjust(&d);
        CHECK(fake.n_set_timings == 1 && fake.timings.bt.height == 720);
        CHECK(input_can_tell(&d) && !input_get_trouble(&d));
        fake.found_error = -ENOLINK;
        fake.found_timings.bt.height = 0;
        input_adjust(&d);
        CHECK_INT("left as they are", fake.n_set_timings, 1);
        CHECK_STR("no signal", input_get_trouble(&d), "there is no signal at the input");
        fake.found_error = -ENOLCK;
        CHECK_STR("no lock", input_get_trouble(&d), "the signal at the input is not stable");
        fake.found_error = -ERANGE;
        CHECK(strstr(input_get_trouble(&d), "beyond"));
        fake.found_error = -ENODATA; /* cannot ask */
        CHECK(!input_get_trouble(&d));
        fake.input_status = V4L2_IN_ST_NO_POWER;
        CHECK_STR("no power", input_get_trouble(&d), "the input has no power");
        device_close(&d);
}

static void test_standard(void) {
        Device d = open_input(V4L2_IN_CAP_STD);

        fake.found_std = V4L2_STD_PAL;
        fake.std = V4L2_STD_PAL_B;
        CHECK_INT("prepare", input_prepare(&d, NULL, 0), 0);
        CHECK_INT("among them", fake.n_set_std, 0);
        fake.std = V4L2_STD_NTSC_M;
        input_adjust(&d);
        CHECK(fake.n_set_std == 1 && fake.std == V4L2_STD_PAL);
        fake.found_std = 0;
        fake.input_status = V4L2_IN_ST_NO_SIGNAL;
        input_adjust(&d);
        CHECK_INT("nothing found", fake.n_set_std, 1);
        CHECK_STR("no signal", input_get_trouble(&d), "there is no signal at the input");
        device_close(&d);
}

static void test_events(void) {
        static const uint32_t events[] = { V4L2_EVENT_CTRL, V4L2_EVENT_SOURCE_CHANGE, V4L2_EVENT_CTRL };
        Device d = open_input(V4L2_IN_CAP_DV_TIMINGS);

        memcpy(fake.events, events, sizeof events);
        fake.n_events = 1;
        CHECK_INT("others", input_take_events(&d), false);
        fake.n_events = 3;
        CHECK_INT("among others", input_take_events(&d), true);
        CHECK_INT("all taken", fake.next_event, 3);
        CHECK_INT("none", input_take_events(&d), false);
        device_close(&d);
}

static void test_edid(void) {
        uint8_t mine[2 * EDID_BLOCK_SIZE] = { 0 };
        Device d = open_input(V4L2_IN_CAP_DV_TIMINGS);

        CHECK_INT("has one", input_prepare(&d, NULL, 0), 0);
        CHECK_INT("left alone", fake.n_set_edid, 0);
        fake.n_edid_blocks = 0;
        CHECK_INT("has none", input_prepare(&d, NULL, 0), 0);
        CHECK(fake.n_set_edid == 1 && fake.n_edid_blocks == 1 && edid_is_valid(fake.edid, EDID_BLOCK_SIZE));
        fake.edid_error = -ENODATA;
        CHECK_INT("has none", input_prepare(&d, NULL, 0), 0);
        CHECK_INT("given", fake.n_set_edid, 2);
        fake.edid_error = 0;
        edid_make(mine);
        mine[126] = 1;
        mine[127]--;
        CHECK(edid_is_valid(mine, sizeof mine) && !edid_is_valid(mine, sizeof mine - 1));
        CHECK_INT("mine", input_prepare(&d, mine, sizeof mine), 0);
        CHECK_INT("mine", input_prepare(&d, mine, sizeof mine), 0);
        CHECK_INT("the second time it has it", fake.n_set_edid, 3);
        fake.edid_error = -EPERM;
        CHECK_INT("mine, refused", input_prepare(&d, mine, sizeof mine), -EPERM);
        CHECK_INT("none, refused", input_prepare(&d, NULL, 0), 0);
        mine[20] ^= 1;
        CHECK(!edid_is_valid(mine, sizeof mine) && !edid_is_valid(mine, 0));
        device_close(&d);
}

int main(void) {
        test_jpeg();
        test_sizes();
        test_keyframes();
        test_times();
        test_faults();
        test_webcam();
        test_timings();
        test_standard();
        test_events();
        test_edid();
        return check_end();
}
