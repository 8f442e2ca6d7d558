/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams of which frames build on others: nobody is sent what cannot be decoded. */
#include <linux/videodev2.h>

#include "tests/unit/stream-fixture.h"

static const Mode h264 = { V4L2_PIX_FMT_H264, .width = 640, .height = 480, .rate = { 100, 1 } };
static const Mode mjpeg = { V4L2_PIX_FMT_MJPEG, .width = 640, .height = 480, .rate = { 100, 1 } };

/* Frames 10 ms apart: K a keyframe, d one that builds on those before, - one lost at the source. */
static void play(Source *source, const char *frames) {
        uint64_t n_skipped = 0;

        for (; *frames; frames++) {
                source->now += 10 * MS;
                if (*frames == '-') {
                        n_skipped++;
                        continue;
                }
                source_publish_flags(source, n_skipped, *frames == 'K' ? FB_FRAME_KEYFRAME : 0);
                n_skipped = 0;
        }
}

static bool begin_with(Source *source, Sink *k, const Mode *mode, const SubscriberOptions *options,
                       bool activate) {
        source_init(source, mode, 1);
        if (!sink_add(k, source, options, activate))
                return false;
        stream_set_format(&source->stream, mode);
        return true;
}

static bool begin(Source *source, Sink *k, uint32_t window, bool latest) {
        SubscriberOptions options = { .window = window, .latest = latest };

        return begin_with(source, k, &h264, &options, true);
}

TEST(after_a_loss_the_next_is_a_keyframe) {
        static const struct {
                const char *frames, *want;
        } rows[] = {
                { "Kd-dddKd", "f1 1 2 -3:keyframe -1:source 7 8" },
                { "Kd-Kd", "f1 1 2 -1:source 4 5" },
                { "KdK-d", "f1 1 2 3" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                _cleanup_source_ Source source;
                _cleanup_sink_ Sink a = { 0 };

                ROW("%s", rows[i].frames);
                REQUIRE(begin(&source, &a, 16, false));
                play(&source, rows[i].frames);
                CHECK_SINK(&a, rows[i].want);
        }
}

TEST(without_credit) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        REQUIRE(begin(&source, &a, 2, false));
        play(&source, "Kddd");
        sink_release(&a, 1);
        play(&source, "dd");
        CHECK_SINK(&a, "f1 1 2");
        CHECK_INT(source.n_asked, 1);
        play(&source, "Kd");
        CHECK_SINK(&a, "-1:no-credit -3:keyframe 7");
        CHECK_INT(a.sub.lost[LOSS_NO_CREDIT], 2); /* the last one, again */
}

/* With drop=latest the newest that can be decoded is held: a keyframe, or what goes on from what is there. */
TEST(latest_holds_what_can_be_decoded) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        REQUIRE(begin(&source, &a, 1, true));
        play(&source, "Kddd");
        sink_release(&a, 1);
        CHECK_SINK(&a, "f1 1 2");
        play(&source, "dKdd");
        sink_release(&a, 2);
        CHECK_SINK(&a, "-1:no-credit -2:keyframe 6");
        play(&source, "KK");
        sink_release(&a, 6);
        CHECK_SINK(&a, "-1:no-credit -1:superseded -1:keyframe 10");
        sink_release(&a, 10);
        play(&source, "d");
        CHECK_SINK(&a, "11");
}

TEST(a_frame_that_waits_for_room_is_not_overtaken) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        REQUIRE(begin(&source, &a, 4, true));
        a.room = FB_E_LIMIT;
        a.room_why = LOSS_NO_CREDIT;
        play(&source, "Kd");
        a.room = 0;
        play(&source, "d");
        CHECK_SINK(&a, "");
        subscriber_room(&a.sub, source.now);
        play(&source, "dK");
        CHECK_SINK(&a, "f1 1 -1:no-credit -2:keyframe 5");
}

TEST(a_newcomer_begins_with_a_keyframe) {
        static const struct {
                const char *before, *after, *want;
                unsigned n_asked;
        } rows[] = {
                { "K", "dd", "f1 1r 2 3", 0 },           /* the replayed one is what the next builds on */
                { "Kd", "ddKd", "f1 1r -2:keyframe 5 6", 1 },
                { "Kd-", "Kd", "f1 1r 3 4", 1 },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                SubscriberOptions options = { .window = 8, .replay = true };
                _cleanup_source_ Source source;
                _cleanup_sink_ Sink a = { 0 }, b = { 0 };

                ROW("%s, %s", rows[i].before, rows[i].after);
                REQUIRE(begin(&source, &a, 16, false));
                play(&source, rows[i].before);
                REQUIRE(sink_add(&b, &source, &options, true));
                CHECK_INT(source.n_asked, rows[i].n_asked);
                play(&source, rows[i].after);
                CHECK_SINK(&b, rows[i].want);
        }
}

TEST(a_keyframe_that_is_too_old_is_not_replayed) {
        SubscriberOptions options = { .window = 8, .replay = true };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 };

        REQUIRE(begin(&source, &a, 2, false));
        play(&source, "Kd");
        source.now += FB_REPLAY_AGE_NS;
        play(&source, "d");
        REQUIRE(sink_add(&b, &source, &options, true));
        play(&source, "dK");
        CHECK_SINK(&b, "-1:keyframe f1 5");
}

TEST(a_conduit_that_opens_late) {
        SubscriberOptions options = { .window = 8, .replay = true };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        REQUIRE(begin_with(&source, &a, &h264, &options, false));
        play(&source, "KdKdd");
        CHECK_INT(source.n_asked, 0);
        subscriber_activate(&a.sub, source.now);
        CHECK_SINK(&a, "-2:no-credit f1 3");
        CHECK_INT(source.n_asked, 1);
        play(&source, "dK");
        CHECK_SINK(&a, "-1:no-credit -2:keyframe 7");
}

TEST(max_rate_leaves_keyframes_and_asks_for_none) {
        SubscriberOptions options = { .window = 16, .max_rate = { 50, 1 } };
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        REQUIRE(begin_with(&source, &a, &h264, &options, true));
        play(&source, "KdddddKKdd");
        CHECK_SINK(&a, "f1 1 -1:rate -4:keyframe 7");
        CHECK_INT(a.sub.lost[LOSS_RATE], 2);
        CHECK_INT(source.n_asked, 0);
        play(&source, "K-dd");
        CHECK(source.n_asked == 1); /* for what was lost otherwise */
}

/* Who is stuck is found out between keyframes, too. */
TEST(suspended_and_resumed) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        REQUIRE(begin(&source, &a, 1, false));
        a.quiet = true;
        play(&source, "K");
        for (unsigned i = 0; i < 210; i++)
                play(&source, "d");
        CHECK(a.is_suspended);
        CHECK_INT(source.n_asked, 0); /* it had no credit for one */
        CHECK_INT(a.sub.lost[LOSS_NO_CREDIT], 1);
        CHECK(a.sub.lost[LOSS_SUSPENDED] > 0);
        play(&source, "K");
        a.quiet = false;
        sink_release(&a, 1);
        play(&source, "d");
        CHECK_INT(source.n_asked, 1);
        CHECK_SINK(&a, "res");
        a.quiet = true;
        play(&source, "K");
        CHECK_INT(a.n_delivered, 2);
}

TEST(the_source_is_asked_for_all_at_once) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 }, b = { 0 }, c = { 0 };

        REQUIRE(begin(&source, &a, 16, false));
        REQUIRE(sink_add_plain(&b, &source, 16, false));
        a.quiet = b.quiet = c.quiet = true;
        play(&source, "Kd-d");
        CHECK_INT(source.n_asked, 1);
        REQUIRE(sink_add_plain(&c, &source, 16, false));
        play(&source, "dddd");
        CHECK_INT(source.n_asked, 1);
        source.now = source.asked_ns + FB_KEYFRAME_NS;
        play(&source, "d"); /* it did not hear, or cannot */
        CHECK_INT(source.n_asked, 2);
        play(&source, "K-d");
        CHECK_INT(source.n_asked, 2);
        source.now = source.asked_ns + FB_KEYFRAME_NS;
        play(&source, "d");
        CHECK_INT(source.n_asked, 3);
}

/* Who never flags a keyframe starves nobody, until one is flagged; and each mode is judged anew. */
TEST(without_keyframes_each_frame_is_complete) {
        Mode other = h264;
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };

        other.width = 320;
        REQUIRE(begin(&source, &a, 16, false));
        play(&source, "d-dK-dK");
        CHECK_SINK(&a, "f1 1 -1:source 3 4 -1:keyframe -1:source 7");
        stream_set_format(&source.stream, &other);
        play(&source, "-d");
        CHECK_SINK(&a, "-1:source f2 9");
        CHECK_INT(source.n_asked, 1);
}

TEST(formats_whose_frames_are_complete) {
        _cleanup_source_ Source source;
        _cleanup_sink_ Sink a = { 0 };
        SubscriberOptions options = { .window = 16 };

        REQUIRE(begin_with(&source, &a, &mjpeg, &options, true));
        play(&source, "K-dd");
        CHECK_SINK(&a, "f1 1 -1:source 3 4");
        CHECK_INT(source.n_asked, 0);
}

TEST_MAIN
