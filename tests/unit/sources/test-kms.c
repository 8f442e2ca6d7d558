/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of framebus-kms that need no device: what is copied, which screen, and when. */
#include <drm_fourcc.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "check.h"
#include "sources/kms/copyplan.h"
#include "sources/kms/pace.h"
#include "sources/kms/screens.h"

/* ---- what is copied ---- */

static const FramebufferInfo nv12 = {
        .fourcc = DRM_FORMAT_NV12,
        .width = 16,
        .height = 8,
        .pitches = { 20, 18 },
        .offsets = { 8, 200 },
};

static void test_refusals(void) {
        static const struct {
                const char *what;
                uint32_t fourcc, pitch;
                bool has_modifier;
                uint64_t modifier;
                Viewport view;
                int result;
        } rows[] = {
                { "good", DRM_FORMAT_XRGB8888, 256, false, 0, { 0, 0, 64, 32 }, 0 },
                { "linear", DRM_FORMAT_XRGB8888, 256, true, DRM_FORMAT_MOD_LINEAR, { 0, 0, 64, 32 }, 0 },
                { "tiled", DRM_FORMAT_XRGB8888, 256, true, I915_FORMAT_MOD_X_TILED, {0, 0, 9, 9}, -ENOTSUP },
                { "no name", DRM_FORMAT_XRGB8888, 256, true, DRM_FORMAT_MOD_INVALID, {0, 0, 9, 9}, -ENOTSUP },
                { "not said", DRM_FORMAT_XRGB8888, 256, false, DRM_FORMAT_MOD_INVALID, { 0, 0, 64, 32 }, 0 },
                { "no such format", 0x3f3f3f3f, 256, false, 0, { 0, 0, 64, 32 }, -ENOSYS },
                { "short lines", DRM_FORMAT_XRGB8888, 255, false, 0, { 0, 0, 64, 32 }, -EINVAL },
                { "short right of x", DRM_FORMAT_XRGB8888, 240, false, 0, { 8, 0, 64, 32 }, -EINVAL },
                { "right of it", DRM_FORMAT_XRGB8888, 256, false, 0, { 64, 0, 64, 32 }, -EINVAL },
                { "below it", DRM_FORMAT_XRGB8888, 256, false, 0, { 0, 32, 64, 32 }, -EINVAL },
                { "nothing", DRM_FORMAT_XRGB8888, 256, false, 0, { 0, 0, 0, 32 }, -EINVAL },
        };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                FramebufferInfo fb = {
                        .fourcc = rows[i].fourcc,
                        .has_modifier = rows[i].has_modifier,
                        .modifier = rows[i].modifier,
                        .width = 64,
                        .height = 32,
                        .pitches = { rows[i].pitch },
                };
                CopyPlan plan;

                CHECK_INT(rows[i].what, copyplan_make(&fb, &rows[i].view, &plan), rows[i].result);
        }
}

static void test_viewport(void) {
        static const FramebufferInfo fb = {
                .fourcc = DRM_FORMAT_RGB565,
                .width = 100,
                .height = 50,
                .pitches = { 256 },
                .offsets = { 64 },
        };
        CopyPlan p;

        CHECK_INT("inside", copyplan_make(&fb, &(Viewport){ 10, 5, 20, 10 }, &p), 0);
        CHECK_INT("width", p.width, 20);
        CHECK_INT("offset", p.from[0].offset, 64 + 5 * 256 + 20);
        CHECK_INT("line", p.from[0].line, 40);
        CHECK_INT("lines", p.from[0].n_lines, 10);
        CHECK_INT("end", p.from[0].end, 64 + 14 * 256 + 60);
        CHECK_INT("size", p.size, 400);
        CHECK_INT("over the edge", copyplan_make(&fb, &(Viewport){ 90, 45, 1920, 1080 }, &p), 0);
        CHECK_INT("width", p.width, 10);
        CHECK_INT("height", p.height, 5);
        CHECK_INT("end", p.from[0].end, 64 + 49 * 256 + 200);
}

/* A corner where not all planes have a sample moves to one where they have. */
static void test_corner(void) {
        static const struct {
                const char *what;
                uint32_t fourcc, x, y, offset_0, offset_1;
        } rows[] = {
                {"even", DRM_FORMAT_NV12, 2, 2, 8 + 2 * 20 + 2, 200 + 1 * 18 + 2},
                {"odd", DRM_FORMAT_NV12, 3, 3, 8 + 2 * 20 + 2, 200 + 1 * 18 + 2},
                {"half as wide", DRM_FORMAT_NV16, 3, 3, 8 + 3 * 20 + 2, 200 + 3 * 18 + 2},
                {"four pixels in five bytes", DRM_FORMAT_NV15, 7, 1, 8 + 5, 200 + 5},
        };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                FramebufferInfo fb = nv12;
                CopyPlan p = { 0 };

                fb.fourcc = rows[i].fourcc;
                CHECK_INT(rows[i].what, copyplan_make(&fb, &(Viewport){ rows[i].x, rows[i].y, 4, 2 }, &p), 0);
                CHECK_INT(rows[i].what, p.from[0].offset, rows[i].offset_0);
                CHECK_INT(rows[i].what, p.from[1].offset, rows[i].offset_1);
        }
}

/* Both planes of a framebuffer in one memory, with padding that must not be seen. */
static void test_copy(void) {
        uint8_t memory[400], out[100];
        const uint8_t *const maps[4] = { memory, memory };
        CopyPlan p = { 0 };
        size_t at = 0;

        for (size_t i = 0; i < sizeof memory; i++)
                memory[i] = (uint8_t)(i * 7 + i / 256);
        memset(out, 0xee, sizeof out);
        CHECK_INT("plan", copyplan_make(&nv12, &(Viewport){ 4, 2, 8, 4 }, &p), 0);
        CHECK_INT("size", p.size, 48);
        CHECK_INT("planes", p.n_planes, 2);
        CHECK_INT("stride", p.planes[1].stride, 8);
        copyplan_run(&p, maps, out);
        for (size_t y = 0; y < 4; y++, at += 8)
                CHECK(memcmp(out + at, memory + 8 + (2 + y) * 20 + 4, 8) == 0);
        for (size_t y = 0; y < 2; y++, at += 8)
                CHECK(memcmp(out + at, memory + 200 + (1 + y) * 18 + 4, 8) == 0);
        CHECK_INT("not more", out[at], 0xee);
}

/* Three planes in a memory each, without padding: a plane is one piece. */
static void test_copy_whole(void) {
        static const FramebufferInfo fb = {
                .fourcc = DRM_FORMAT_YUV420,
                .width = 8,
                .height = 4,
                .pitches = { 8, 4, 4 },
        };
        uint8_t y[32], u[8], v[8], out[48];
        const uint8_t *const maps[4] = { y, u, v };
        CopyPlan p = { 0 };

        memset(y, 1, sizeof y);
        memset(u, 2, sizeof u);
        memset(v, 3, sizeof v);
        CHECK_INT("plan", copyplan_make(&fb, &(Viewport){ 0, 0, 8, 4 }, &p), 0);
        CHECK_INT("size", p.size, sizeof out);
        copyplan_run(&p, maps, out);
        CHECK(memcmp(out, y, 32) == 0 && memcmp(out + 32, u, 8) == 0 && memcmp(out + 40, v, 8) == 0);
}

/* ---- which screen ---- */

static const Screen screens[] = {
        { .card = 0, .connector_id = 10, .name = "VGA-1" },
        { .card = 0, .connector_id = 11, .name = "DP-1", .connected = true },
        { .card = 0, .connector_id = 12, .name = "DP-2", .connected = true, .crtc_id = 40, .active = true },
        { .card = 1, .connector_id = 10, .name = "HDMI-A-1", .connected = true, .crtc_id = 40, .active = true,
          .fb_id = 5 },
        { .card = 1, .name = "crtc-41", .connected = true, .crtc_id = 41, .active = true, .fb_id = 6 },
        { .card = 1, .connector_id = 12, .name = "HDMI-A-2", .connected = true, .crtc_id = 42, .active = true,
          .fb_id = 7 },
};

static void test_pick(void) {
        static const struct {
                const char *what;
                size_t n;
                ScreenWish wish;
                PickResult result;
                int index; /* -1: none */
                const char *reason;
        } rows[] = {
                { "the first that shows something", 6, { 0 }, PICK_SHOWN, 3, "" },
                { "without a framebuffer", 3, { 0 }, PICK_NO_SIGNAL, 2, "DP-2 shows no framebuffer" },
                { "off", 2, { 0 }, PICK_NO_SIGNAL, 1, "DP-1 is off" },
                { "unplugged", 1, { 0 }, PICK_ABSENT, 0, "nothing is connected to any connector" },
                { "none", 0, { 0 }, PICK_ABSENT, -1, "there is no connector at all" },
                { "by name", 6, { .connector = "HDMI-A-2" }, PICK_SHOWN, 5, "" },
                { "in any case", 6, { .connector = "hdmi-a-2" }, PICK_SHOWN, 5, "" },
                { "not what begins so",
                  6,
                  { .connector = "HDMI-A" },
                  PICK_ABSENT,
                  -1,
                  "there is no connector HDMI-A; there are: VGA-1, DP-1, DP-2, HDMI-A-1, HDMI-A-2" },
                { "that one or none",
                  6,
                  { .connector = "VGA-1" },
                  PICK_ABSENT,
                  0,
                  "nothing is connected to VGA-1" },
                { "that is off", 6, { .connector = "DP-1" }, PICK_NO_SIGNAL, 1, "DP-1 is off" },
                { "a CRTC without a connector", 6, { .crtc_id = 41 }, PICK_SHOWN, 4, "" },
                { "numbers are a device's own", 6, { .crtc_id = 40 }, PICK_SHOWN, 3, "" },
                { "no such CRTC", 6, { .crtc_id = 99 }, PICK_ABSENT, -1, "there is no CRTC 99" },
                { "both",
                  6,
                  { .connector = "DP-2", .crtc_id = 40 },
                  PICK_NO_SIGNAL,
                  2,
                  "DP-2 shows no framebuffer" },
        };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                const Screen *s = NULL;
                char reason[128] = "?";

                CHECK_INT(rows[i].what,
                          screens_pick(screens, rows[i].n, &rows[i].wish, &s, reason, sizeof reason),
                          rows[i].result);
                CHECK_INT(rows[i].what, s ? s - screens : -1, rows[i].index);
                CHECK_STR(rows[i].what, reason, rows[i].reason);
        }
}

static void test_rate(void) {
        static const struct {
                const char *what;
                ModeTiming timing;
                uint32_t num, den;
        } rows[] = {
                {"1080p60", {148500, 2200, 1125, 0, false, false}, 60, 1},
                {"1080p59.94", {148352, 2200, 1125, 0, false, false}, 1186816, 19800},
                {"1080i60: fields", {74250, 2200, 1125, 0, true, false}, 60, 1},
                {"doubled lines", {25200, 800, 262, 0, false, true}, 15750, 262},
                {"lines three times", {25200, 800, 350, 3, false, false}, 30, 1},
                {"8K120 does not fit", {4752000, 9000, 4400, 0, false, false}, 120, 1},
                {"nothing", {0, 800, 525, 0, false, false}, 0, 0},
                {"no lines", {25200, 800, 0, 0, false, false}, 0, 0},
        };

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct framebus_fraction f = timing_get_rate(&rows[i].timing);

                CHECK_INT(rows[i].what, (uint64_t)f.num * (rows[i].den ?: 1),
                          (uint64_t)rows[i].num * (f.den ?: 1));
                CHECK_INT(rows[i].what, f.den != 0, rows[i].den != 0);
        }
}

/* ---- when ---- */

#define MS NSEC_PER_MSEC
#define T0 (1000 * MS)

static const struct framebus_fraction none = { 0 }, at_50 = { 50, 1 };

static void test_flips(void) {
        Pace p;

        pace_init(&p, T0, at_50, none, none);
        CHECK_INT("shows nothing", pace_judge(&p, 0, T0), false);
        CHECK_INT("the first", pace_judge(&p, 7, T0), true);
        pace_note(&p, 7, T0);
        CHECK_INT("the same", pace_judge(&p, 7, T0 + 20 * MS), false);
        CHECK_INT("the same for ever", pace_judge(&p, 7, T0 + 3600000 * MS), false);
        CHECK_INT("another", pace_judge(&p, 8, T0 + 20 * MS), true);
        pace_note(&p, 8, T0 + 20 * MS);
        CHECK_INT("back again", pace_judge(&p, 7, T0 + 40 * MS), true);
}

static void test_in_place(void) {
        Pace p;

        pace_init(&p, T0, at_50, none, (struct framebus_fraction){ 5, 1 });
        pace_note(&p, 7, T0);
        CHECK_INT("too early", pace_judge(&p, 7, T0 + 180 * MS), false);
        CHECK_INT("a bit early is in time", pace_judge(&p, 7, T0 + 191 * MS), true);
        CHECK_INT("flips do not wait", pace_judge(&p, 8, T0 + 20 * MS), true);
        pace_init(&p, T0, at_50, (struct framebus_fraction){ 2, 1 }, (struct framebus_fraction){ 5, 1 });
        pace_note(&p, 7, T0);
        CHECK_INT("not more than wanted", pace_judge(&p, 7, T0 + 400 * MS), false);
        CHECK_INT("as much as wanted", pace_judge(&p, 7, T0 + 500 * MS), true);
}

/* With vblanks that are never quite in time, 25 of 50 are every second one. */
static void test_wanted(void) {
        Pace p;
        unsigned n = 0;

        pace_init(&p, T0, at_50, (struct framebus_fraction){ 25, 1 }, none);
        for (uint32_t i = 0; i < 100; i++) {
                uint64_t at = T0 + i * 20 * MS + (i * 7 % 5) * MS;

                if (pace_judge(&p, i + 1, at)) {
                        CHECK_INT("every second", i % 2, 0);
                        pace_note(&p, i + 1, at);
                        n++;
                }
        }
        CHECK_INT("frames", n, 50);
        CHECK_INT("more than there are", pace_get_rate(at_50, (struct framebus_fraction){ 60, 1 }).num, 50);
        CHECK_INT("not known", pace_get_rate(none, none).num, 60);
}

static void test_ticks(void) {
        uint64_t at;
        Pace p;

        pace_init(&p, T0, at_50, none, none);
        CHECK_INT("not yet", pace_take_tick(&p, T0 - 1, &at), false);
        CHECK_INT("at once", pace_take_tick(&p, T0, &at), true);
        CHECK_INT("next", pace_get_due_ns(&p), T0 + 20 * MS);
        CHECK_INT("late", pace_take_tick(&p, T0 + 39 * MS, &at), true);
        CHECK_INT("when it was due", at, T0 + 20 * MS);
        pace_note(&p, 7, at);
        CHECK_INT("in time again", pace_take_tick(&p, T0 + 40 * MS, &at), true);
        CHECK_INT("flips of one tick after the other", pace_judge(&p, 8, at), true);
}

int main(void) {
        test_refusals();
        test_viewport();
        test_corner();
        test_copy();
        test_copy_whole();
        test_pick();
        test_rate();
        test_flips();
        test_in_place();
        test_wanted();
        test_ticks();
        return check_end();
}
