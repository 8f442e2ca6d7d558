/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that a publisher lends: what is said about it, and when it comes back. */
#include <errno.h>

#include "lender.h"

TEST(kinds_are_said_before_the_modes) {
        static const enum framebus_memory wrong[] = { (enum framebus_memory)3 };
        struct framebus_publish_options options = publish_options;
        framebus_publisher *pub;
        Rig rig;

        REQUIRE(rig_start(&rig));
        options.memories = wrong;
        options.n_memories = 1;
        CHECK_INT(framebus_publish(rig.fb, "cam", &options, &events, &rig, &pub), -EINVAL);
        REQUIRE_INT(framebus_publish(rig.fb, "cam", &publish_options, &events, &rig, &pub), 0);
        CHECK(rig_until(&rig, rig.fake.n_modes == 1));
        CHECK_STR(rig.fake.described, "memory=leased,dmabuf ");
        CHECK_INT(framebus_publisher_set_memories(pub, wrong, 1), -EINVAL);
        CHECK_INT(framebus_publisher_set_memories(pub, kinds, 1), 0);
        CHECK_INT(framebus_publisher_set_memories(pub, NULL, 0), 0);
        CHECK(rig_until(&rig, strstr(rig.fake.described, "memory= ")));
        CHECK_STR(rig.fake.described, "memory=leased,dmabuf memory=leased memory= ");
        rig_stop(&rig);
}

TEST(what_is_needed_is_told_when_it_changes) {
        framebus_publisher *pub;
        Rig rig;

        pub = started(&rig, SEALED | LEASED);
        REQUIRE(pub);
        fake_start_with(&rig.fake, LEASED, 12); /* the same mode: not started anew */
        fake_start_with(&rig.fake, LEASED, 16);
        fake_start_with(&rig.fake, LEASED, 16); /* says nothing new: a start, as ever */
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "Stop", "");
        fake_start_with(&rig.fake, LEASED, 16);
        rig_settle(&rig);
        CHECK_STR(rig.log, "memories:2:12 memories:2:16 start:16x8 stop memories:2:16 start:16x8 ");
        rig_stop(&rig);
}

/* What an event of an older version was, is not called beyond its end. */
TEST(a_keyframe_is_wanted) {
        for (uint32_t version = 2; version <= 3; version++) {
                struct framebus_publisher_events e = events;
                Rig rig;

                e.version = version;
                REQUIRE(started_with(&rig, SEALED, &e));
                fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "KeyframeWanted", "");
                fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "Stop", "");
                fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "KeyframeWanted", ""); /* said too late */
                rig_settle(&rig);
                CHECK_STR(rig.log, version < 3 ? "stop " : "keyframe stop ");
                rig_stop(&rig);
        }
}

TEST(lent_until_it_is_released) {
        framebus_publisher *pub;
        unsigned char *data;
        const Frame *f;
        int fd = slot_new(1, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, LEASED);
        REQUIRE(pub);
        CHECK_INT(push(pub, fd, 7), 0);
        CHECK_INT(push(pub, fd, 7), -EBUSY);
        CHECK_INT(lent(pub), 1);
        CHECK(rig_until(&rig, rig.fake.n_published == 1));
        f = rig.fake.frames[0];
        CHECK_INT(f->flags, FB_MEMORY_LEASED << FB_FRAME_MEMORY_SHIFT);
        CHECK(f->meta.present & FRAME_META_BUFFER);
        CHECK_INT(f->meta.buffer, 7);
        CHECK(same_file(f->fds[0], fd));
        release(&rig, 99);
        rig_settle(&rig);
        CHECK_STR(rig.log, "");
        release(&rig, 1);
        release(&rig, 1);
        rig_until_log(&rig, "released:7 ");
        rig_settle(&rig);
        CHECK_STR(rig.log, "released:7 ");
        CHECK_INT(lent(pub), 0);
        CHECK_INT(push(pub, fd, 7), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 2));
        CHECK_INT(rig.fake.published[1], 2); /* no number was spent on what was refused here */
        CHECK_INT(copied(pub), 0);
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

/* Of what is lent the broker is told how much it should know. */
TEST(a_buffer_is_wanted) {
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, LEASED);
        REQUIRE(pub);
        CHECK_INT(framebus_publisher_want_buffer(pub), 0); /* nobody has any */
        CHECK_INT(push(pub, fd, 7), 0);
        CHECK_INT(push(pub, fd, 8), 0);
        CHECK_INT(framebus_publisher_want_buffer(pub), 0);
        CHECK(rig_until(&rig, rig.fake.n_wanted == 1));
        CHECK_INT(rig.fake.lent, 2);
        release(&rig, 1);
        rig_until_log(&rig, "released:7 ");
        CHECK_INT(framebus_publisher_want_buffer(pub), 0);
        CHECK(rig_until(&rig, rig.fake.n_wanted == 2));
        CHECK_INT(rig.fake.lent, 1);
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

/* What receivers hold is not what the broker has not taken yet. */
TEST(lent_frames_need_no_window) {
        framebus_publisher *pub;
        unsigned char *data[64];
        int fds[64];
        Rig rig;

        pub = started(&rig, LEASED);
        REQUIRE(pub);
        for (uint64_t i = 0; i < FB_BUFFERS_MAX; i++) {
                fds[i] = slot_new(1, FAKE_SIZE, &data[i]);
                CHECK_INT(push(pub, fds[i], i + 1), 0);
        }
        CHECK_INT(lent(pub), FB_BUFFERS_MAX);
        CHECK_INT(push(pub, fds[0], 1000), -ENOBUFS);
        CHECK(rig_until(&rig, rig.fake.n_published == FB_BUFFERS_MAX));
        CHECK_INT(framebus_publisher_forget(pub, 3), 0);
        CHECK_INT(framebus_publisher_forget(pub, 2000), 0);
        CHECK_INT(lent(pub), FB_BUFFERS_MAX - 1);
        CHECK_INT(push(pub, fds[0], 1000), 0);
        CHECK(rig_until(&rig, rig.fake.n_forgotten == 1));
        CHECK_INT(rig.fake.forgotten[0], 3);
        release(&rig, 3); /* of what was forgotten: not told */
        release(&rig, 4);
        rig_until_log(&rig, "released:4 ");
        CHECK_STR(rig.log, "released:4 ");
        for (size_t i = 0; i < FB_BUFFERS_MAX; i++)
                slot_free(fds[i], data[i], FAKE_SIZE);
        rig_stop(&rig);
}

TEST(retired_buffers_go_for_good) {
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, LEASED);
        REQUIRE(pub);
        CHECK_INT(push(pub, fd, 7), 0); /* lent when it is retired, */
        CHECK_INT(push(pub, fd, 8), 0); /* and not */
        retire(&rig, 7);
        retire(&rig, 99);
        release(&rig, 2);
        rig_until_log(&rig, "released:8 ");
        CHECK_STR(rig.log, "released:8 ");
        retire(&rig, 8);
        release(&rig, 1);
        rig_until_log(&rig, "retired:7 ");
        CHECK_STR(rig.log, "released:8 retired:8 retired:7 ");
        rig.log[0] = 0;
        CHECK_INT(push(pub, fd, 8), 0); /* a device was at it: once more */
        release(&rig, 3);
        rig_until_log(&rig, "retired:8 ");
        CHECK_STR(rig.log, "retired:8 ");
        CHECK_INT(lent(pub), 0);
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

static void refuse(Rig *rig, uint64_t seq) {
        fake_signal(&rig->fake, FB_IFACE_PUBLICATION, "Refused", "tss", seq, FB_ERROR_INVALID_MEMORY, "why");
}

/* Of a pair the broker refuses the second, or both. */
TEST(refused_buffers_come_back) {
        struct framebus_publisher_stats stats;
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, LEASED);
        REQUIRE(pub);
        CHECK_INT(push(pub, fd, 7), 0);
        refuse(&rig, 1);
        rig_until_log(&rig, "released:7 ");
        CHECK_STR(rig.log, "refused:1 released:7 ");
        rig.log[0] = 0;
        fake_start_with(&rig.fake, SEALED | LEASED, 12);
        rig_until_log(&rig, "memories:3:12 ");
        CHECK_INT(push(pub, fd, 7), 0);
        refuse(&rig, 2);
        refuse(&rig, 2);
        rig_until_log(&rig, "released:7 ");
        rig_settle(&rig);
        CHECK_STR(rig.log, "memories:3:12 refused:2 released:7 ");
        CHECK_INT(push(pub, fd, 7), 0);
        framebus_publisher_get_stats(pub, &stats);
        CHECK_INT(stats.refused, 2);
        CHECK_INT(stats.lent, 1);
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

TEST(end_tells_of_no_buffer) {
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, LEASED);
        REQUIRE(pub);
        CHECK_INT(push(pub, fd, 7), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 1));
        fake_hang_up(&rig.fake);
        rig_until_log(&rig, "ended:closed ");
        rig_settle(&rig);
        CHECK_STR(rig.log, "ended:closed ");
        CHECK_INT(lent(pub), 0);
        CHECK_INT(push(pub, fd, 7), -ENOLINK);
        CHECK_INT(framebus_publisher_forget(pub, 7), 0);
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

static int pushed_again;

static void push_again(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        rig_log(userdata, "released:%llu ", (unsigned long long)buffer);
        if (copied(pub) < 3)
                CHECK_INT(push(pub, pushed_again, buffer), 0);
}

static void close_at_once(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        rig_log(userdata, "released:%llu ", (unsigned long long)buffer);
        (void)framebus_publisher_close(pub);
}

TEST(callbacks_may_push_and_close) {
        struct framebus_publisher_events pushing = events, closing = events;
        framebus_publisher *pub;
        unsigned char *data;
        Rig rig;

        pushing.released = push_again;
        closing.released = close_at_once;
        pushed_again = slot_new(3, FAKE_SIZE, &data);
        pub = started_with(&rig, SEALED, &pushing);
        REQUIRE(pub);
        CHECK_INT(push(pub, pushed_again, 7), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 3));
        CHECK_STR(rig.log, "released:7 released:7 released:7 ");
        rig_stop(&rig);

        pub = started_with(&rig, SEALED | LEASED, &closing);
        REQUIRE(pub);
        CHECK_INT(push(pub, pushed_again, 7), 0);
        CHECK_INT(push(pub, pushed_again, 8), 0);
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "Release", "at", 2, (uint64_t)1, (uint64_t)2);
        CHECK(rig_until(&rig, rig.fake.hung_up));
        CHECK_STR(rig.log, "released:7 ");
        slot_free(pushed_again, data, FAKE_SIZE);
        rig_stop(&rig);
}

TEST(wrong_pushes) {
        struct framebus_push_info infos[] = {
                { .version = 2, .memory = (enum framebus_memory)3, .buffer = 1 },
                { .version = 2, .memory = FRAMEBUS_MEMORY_LEASED },
                { .version = 2,
                  .memory = FRAMEBUS_MEMORY_LEASED,
                  .buffer = 1,
                  .flags = FRAMEBUS_FRAME_VOLATILE },
                { .version = 2,
                  .memory = FRAMEBUS_MEMORY_LEASED,
                  .buffer = 1,
                  .n_planes = 1,
                  .planes = { { .offset = 1, .size = FAKE_SIZE } } },
                { .version = 2,
                  .memory = FRAMEBUS_MEMORY_LEASED,
                  .buffer = 1,
                  .n_planes = 1,
                  .planes = { { .memory = 1, .size = 1 } } },
        };
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, SEALED | LEASED);
        REQUIRE(pub);
        for (size_t i = 0; i < FB_ELEMENTSOF(infos); i++) {
                ROW("info %zu", i);
                CHECK_INT(framebus_publisher_push_fds(pub, &fd, 1, &infos[i]), -EINVAL);
        }
        ROW("data");
        CHECK_INT(framebus_publisher_push_data(pub, data, FAKE_SIZE, &infos[1]), -EINVAL);
        rig_settle(&rig);
        CHECK_STR(rig.log, "");
        CHECK_INT(lent(pub), 0);
        CHECK_INT(rig.fake.n_published, 0);
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}


TEST_MAIN
