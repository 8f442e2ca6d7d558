/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where decoding can begin, in streams written by hand; and that keyframes get what they lack. */
#include <linux/videodev2.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "check.h"
#include "fake-device.h"
#include "sources/v4l2/nal.h"
#include "sources/v4l2/stream.h"

#define H264  V4L2_PIX_FMT_H264
#define HEVC  V4L2_PIX_FMT_HEVC
#define START "\0\0\0\1"
#define SHORT "\0\0\1"
#define AUD   START "\x09\xf0"
#define SPS   START "\x67sps1"
#define SPS_2 START "\x67sps2"
#define PPS   START "\x68pps1"
#define PPS_2 START "\x68pps2"
#define SEI   START "\x06sei"
#define IDR   START "\x65\x88picture"
#define P     START "\x41\x9apicture"

#define H_AUD START "\x46\x01\x50"
#define H_VPS START "\x40\x01vps"
#define H_SPS START "\x42\x01sps"
#define H_PPS START "\x44\x01pps"
#define H_IDR START "\x26\x01picture"
#define H_CRA START "\x2a\x01picture"
#define H_P   START "\x02\x01picture"

/* A frame of a stream, and what is to become of it. */
typedef struct Row {
        const char *name;
        const char *frame;
        size_t size;
        bool intra, complete;
        const char *prefix; /* NULL: nothing is missing */
        size_t prefix_size, at;
} Row;
#define FRAME(s)  s, sizeof s - 1
#define PREFIX(s, at) s, sizeof s - 1, at

static const Row h264[] = {
        { "nothing known", FRAME(IDR), true, false },
        { "nothing known, no keyframe", FRAME(P), false, false },
        { "only the sequence's set", FRAME(SPS IDR), true, false },
        { "the other one alone", FRAME(PPS), false, true, PREFIX(SPS, 0) },
        { "both are known by now", FRAME(IDR), true, true, PREFIX(SPS PPS, 0) },
        { "a delimiter stays in front", FRAME(AUD IDR), true, true, PREFIX(SPS PPS, 6) },
        { "and what else there is behind it", FRAME(AUD SEI IDR), true, true, PREFIX(SPS PPS, 6) },
        { "all there", FRAME(AUD SPS PPS SEI IDR), true, true },
        { "one is there", FRAME(AUD PPS IDR), true, true, PREFIX(SPS, 6) },
        { "a second one comes later", FRAME(PPS_2 P), false, true, PREFIX(SPS, 0) },
        { "it is remembered, too", FRAME(IDR), true, true, PREFIX(SPS PPS PPS_2, 0) },
        { "and not twice", FRAME(PPS_2 PPS P), false, true, PREFIX(SPS, 0) },
        { "really", FRAME(IDR), true, true, PREFIX(SPS PPS PPS_2, 0) },
        { "another sequence: the old ones are gone", FRAME(SPS_2 PPS IDR), true, true },
        { "as can be seen", FRAME(IDR P), true, true, PREFIX(SPS_2 PPS, 0) },
        { "short start codes", FRAME(SHORT "\x67S" SHORT "\x68P" SHORT "\x65I"), true, true },
        { "become long ones", FRAME(IDR), true, true, PREFIX(START "\x67S" START "\x68P", 0) },
        { "what comes after a picture is not looked at", FRAME(IDR SPS PPS), true, true,
          PREFIX(START "\x67S" START "\x68P", 0) },
        { "no start code at all", FRAME("\x65\x88picture"), false, true,
          PREFIX(START "\x67S" START "\x68P", 0) },
        { "a start code and nothing more", FRAME(START), false, true,
          PREFIX(START "\x67S" START "\x68P", 0) },
};

static const Row hevc[] = {
        { "two of three", FRAME(H_SPS H_PPS H_IDR), true, false },
        { "three of three", FRAME(H_AUD H_VPS H_SPS H_PPS H_IDR), true, true },
        { "none", FRAME(H_AUD H_CRA), true, true, PREFIX(H_VPS H_SPS H_PPS, 7) },
        { "no keyframe", FRAME(H_P), false, true, PREFIX(H_VPS H_SPS H_PPS, 0) },
};

static void test_rows(uint32_t v4l2, const Row *rows, size_t n) {
        NalSets sets = { 0 };

        for (size_t i = 0; i < n; i++) {
                const Row *r = &rows[i];
                NalPrefix p = { 0 };
                bool complete = nal_complete(&sets, v4l2, r->frame, r->size, &p);

                CHECK_INT(r->name, nal_is_intra(v4l2, r->frame, r->size), r->intra);
                CHECK_INT(r->name, complete, r->complete);
                CHECK_INT(r->name, p.size, r->prefix_size);
                if (!complete || p.size != r->prefix_size)
                        continue;
                CHECK_INT(r->name, p.at, r->complete ? r->at + (r->prefix ? 0 : p.at) : 0);
                CHECK_AT(r->name, p.size == 0 || memcmp(p.data, r->prefix, p.size) == 0);
        }
}

/* Sets that are too large are not remembered, in whatever pieces they come. */
static void test_too_large(void) {
        static uint8_t frame[NAL_SETS_MAX + 64];
        NalSets sets = { 0 };
        NalPrefix p = { 0 };

        memset(frame, 'x', sizeof frame);
        memcpy(frame, START "\x67", 5);
        CHECK(!nal_complete(&sets, H264, frame, sizeof frame, &p));
        CHECK_INT("forgotten", sets.sizes[NAL_SPS], 0);
        CHECK(!nal_complete(&sets, H264, FRAME(PPS IDR), &p));
        for (int i = 0; i < 2000; i++) {
                char pps[] = PPS "....";

                snprintf(pps + 9, 5, "%04d", i);
                CHECK(!nal_complete(&sets, H264, pps, 13, &p));
                CHECK(sets.sizes[NAL_PPS] <= NAL_SETS_MAX);
        }
}

static size_t put_together(const StreamFrame *f, char *buffer) {
        size_t n = 0;

        for (size_t i = 0; i < f->n_parts; i++) {
                memcpy(buffer + n, f->parts[i].data, f->parts[i].size);
                n += f->parts[i].size;
        }
        return n;
}

/* From a device that says its sets once: a keyframe is one only when they are known, and then has them. */
static void test_stream(void) {
        static const struct {
                const char *frame;
                size_t size;
                uint32_t flags;
                bool keyframe;
                const char *result;
                size_t result_size;
        } table[] = {
                { FRAME(IDR), 0, false, FRAME(IDR) },
                { FRAME(SPS PPS), 0, false, FRAME(SPS PPS) },
                { FRAME(AUD IDR), V4L2_BUF_FLAG_KEYFRAME, true, FRAME(AUD SPS PPS IDR) },
                { FRAME(AUD P), V4L2_BUF_FLAG_PFRAME, false, FRAME(AUD P) },
                { FRAME(IDR), 0, true, FRAME(SPS PPS IDR) },
                { FRAME(SPS_2 PPS IDR), 0, true, FRAME(SPS_2 PPS IDR) },
                /* the driver knows better: an intra refresh begins with pictures of another type */
                { FRAME(P), V4L2_BUF_FLAG_KEYFRAME, true, FRAME(SPS_2 PPS P) },
        };
        const struct framebus_mode mode = { .fourcc = H264, .width = 64, .height = 48, .rate = { 30, 1 } };
        static Stream stream;
        Device device = DEVICE_NULL;
        const char *step = "";

        fake_reset();
        CHECK_INT("open", device_open(&device, &fake_ops, "fake"), 0);
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++)
                fake.queue[i] = (FakeBuffer){ .sequence = (uint32_t)i, .bytesused = (uint32_t)table[i].size,
                                              .flags = table[i].flags | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC,
                                              .pts_ns = clock_now_ns() };
        fake.n_queue = FB_ELEMENTSOF(table);
        CHECK_INT("start",
                  stream_start(&stream, &device, H264, &mode, &(StreamPlan){ WAY_COPY, 0 }, &step), 0);
        for (size_t i = 0; i < FB_ELEMENTSOF(table); i++) {
                char buffer[256], row[16];
                StreamFrame f = { 0 };

                sprintf(row, "frame %zu", i);
                memcpy(fake.memory[i % stream.pool.n_slots], table[i].frame, table[i].size);
                CHECK_INT(row, stream_read(&stream, &f), STREAM_FRAME);
                CHECK_INT(row, f.keyframe, table[i].keyframe);
                CHECK_INT(row, f.size, table[i].result_size);
                CHECK_INT(row, put_together(&f, buffer), table[i].result_size);
                CHECK_AT(row, memcmp(buffer, table[i].result, table[i].result_size) == 0);
                CHECK_INT(row, stream_return(&stream, &f), 0);
        }
        stream_stop(&stream);
        device_close(&device);
}

int main(void) {
        CHECK(nal_is_stream(H264) && nal_is_stream(HEVC) && !nal_is_stream(V4L2_PIX_FMT_H264_NO_SC));
        test_rows(H264, h264, FB_ELEMENTSOF(h264));
        test_rows(HEVC, hevc, FB_ELEMENTSOF(hevc));
        test_too_large();
        test_stream();
        return check_end();
}
