/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that a publisher lends: which of it goes out, and the one copy for those who need sealed memory. */
#include <errno.h>

#include "base/fd.h"
#include "lender.h"

/* An older broker refuses a Describe with a key that it does not know: all of it. */
TEST(older_broker_gets_its_description_and_sealed_frames) {
        struct framebus_publish_options options = { .version = 1,
                                                    .description = "for tests",
                                                    .memories = kinds,
                                                    .n_memories = FB_ELEMENTSOF(kinds) };
        framebus_publisher *pub;
        unsigned char *data;
        int ours, theirs, fd = slot_new(5, FAKE_SIZE, &data);
        Rig rig;

        REQUIRE(rig_start(&rig));
        rig.fake.describe_error = FB_ERROR_UNKNOWN_OPTION;
        rig.fake.keep_frames = true;
        REQUIRE_INT(fd_socketpair(&ours, &theirs), 0);
        REQUIRE_INT(fake_adopt(&rig.fake, ours), 0);
        REQUIRE_INT(framebus_publisher_new_from_fd(rig.fb, theirs, &options, &events, &rig, &pub), 0);
        CHECK_INT(framebus_publisher_set_modes(pub, &mode, 1), 0);
        CHECK(rig_until(&rig, rig.fake.n_modes == 1));
        CHECK_STR(rig.fake.described, "description=for tests memory=leased,dmabuf ");
        fake_start_publisher(&rig.fake);
        rig_until_log(&rig, "start:16x8 ");
        CHECK_STR(rig.log, "memories:1:0 start:16x8 ");
        CHECK_INT(push(pub, fd, 7), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 1));
        CHECK(is_copy(rig.fake.frames[0], FAKE_SIZE, 0, 5));
        rig_until_log(&rig, "released:7 ");
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

/* Two memories: one sealed memory with both, and planes that say where. */
TEST(copy_for_those_who_need_it_goes_first) {
        for (int mapped = 0; mapped < 2; mapped++) {
                struct framebus_push_info info = info_of(7);
                framebus_publisher *pub;
                unsigned char *data[2];
                int fds[2];
                Frame **f;
                Rig rig;

                ROW("mapped %d", mapped);
                pub = started(&rig, SEALED | LEASED);
                REQUIRE(pub);
                fds[0] = slot_new(1, 2 * FAKE_SIZE, &data[0]);
                fds[1] = slot_new(2, FAKE_SIZE, &data[1]);
                info.n_planes = 2;
                info.planes[0] = (struct framebus_plane){
                        .memory = 0, .offset = 16, .size = FAKE_SIZE, .stride = 32
                };
                info.planes[1] =
                                (struct framebus_plane){ .memory = 1, .offset = 4, .size = 60, .stride = 30 };
                if (mapped)
                        memcpy(info.data, data, sizeof data);
                for (uint64_t round = 1; round <= 2; round++) {
                        data[0][16] = (unsigned char)(10 * round);
                        data[1][4] = (unsigned char)(11 * round);
                        CHECK_INT(framebus_publisher_push_fds(pub, fds, 2, &info), 0);
                        CHECK(rig_until(&rig, rig.fake.n_published == 2 * round));
                        f = &rig.fake.frames[2 * round - 2];
                        CHECK_INT(f[0]->seq, round);
                        CHECK_INT(f[1]->seq, round);
                        CHECK_INT(f[0]->pts_ns, f[1]->pts_ns);
                        CHECK_INT(f[0]->flags, FB_FRAME_PAIRED);
                        CHECK_INT(f[1]->flags, FB_MEMORY_LEASED << FB_FRAME_MEMORY_SHIFT);
                        CHECK(is_copy(f[0], 16 + FAKE_SIZE + 64, 16, (unsigned char)(10 * round)));
                        CHECK(is_copy(f[0], 16 + FAKE_SIZE + 64, 16 + FAKE_SIZE + 4,
                                      (unsigned char)(11 * round)));
                        CHECK_INT(f[0]->n_planes, 2);
                        CHECK_INT(f[0]->planes[0].offset, 16);
                        CHECK_INT(f[0]->planes[1].offset, 16 + FAKE_SIZE + 4);
                        CHECK_INT(f[0]->planes[1].memory, 0);
                        CHECK_INT(f[0]->planes[1].stride, 30);
                        CHECK_INT(f[1]->planes[1].memory, 1);
                        CHECK(same_file(f[1]->fds[1], fds[1]));
                        release(&rig, round);
                        rig_until_log(&rig, "released:7 ");
                        CHECK_STR(rig.log, "released:7 ");
                        rig.log[0] = 0;
                }
                CHECK_INT(copied(pub), 2);
                slot_free(fds[0], data[0], 2 * FAKE_SIZE);
                slot_free(fds[1], data[1], FAKE_SIZE);
                rig_stop(&rig);
        }
}

TEST(copy_alone_where_nobody_needs_the_other) {
        struct framebus_publisher_stats stats;
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, SEALED);
        REQUIRE(pub);
        CHECK_INT(push(pub, fd, 7), 0);
        CHECK_STR(rig.log, ""); /* not from inside of the push */
        CHECK_INT(push(pub, fd, 7), -EBUSY);
        CHECK_INT(framebus_get_timeout(rig.fb), 0);
        CHECK(framebus_process(rig.fb) > 0);
        CHECK_STR(rig.log, "released:7 ");
        memset(data, 4, FAKE_SIZE); /* at once: the copy is made */
        CHECK(rig_until(&rig, rig.fake.n_published == 1));
        CHECK_INT(rig.fake.frames[0]->flags, 0);
        CHECK(is_copy(rig.fake.frames[0], FAKE_SIZE, 0, 3));
        framebus_publisher_get_stats(pub, &stats);
        CHECK_INT(stats.copied, 1);
        CHECK_INT(stats.copied_bytes, FAKE_SIZE);
        CHECK_INT(stats.unreleased, 1);
        CHECK_INT(push(pub, fd, 7), 0);
        CHECK_INT(framebus_publisher_forget(pub, 7), 0); /* takes the event back */
        rig_settle(&rig);
        CHECK_STR(rig.log, "released:7 ");
        CHECK_INT(rig.fake.n_forgotten, 0); /* the broker never knew of it */
        CHECK(is_copy(rig.fake.frames[1], FAKE_SIZE, 0, 4));
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

TEST(dropped_buffer_stays_with_its_owner) {
        static const unsigned char picture[FAKE_SIZE];
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, SEALED | LEASED);
        REQUIRE(pub);
        for (unsigned i = 0; i < FB_PUBLISHER_WINDOW; i++)
                CHECK_INT(framebus_publisher_push_data(pub, picture, sizeof picture, NULL), 0);
        CHECK_INT(push(pub, fd, 7), -EAGAIN);
        CHECK_INT(lent(pub), 0);
        CHECK_INT(copied(pub), FB_PUBLISHER_WINDOW);
        CHECK(rig_until(&rig, rig.fake.n_published == FB_PUBLISHER_WINDOW));
        release(&rig, 1);
        rig_settle(&rig);
        CHECK_STR(rig.log, "");
        CHECK_INT(push(pub, fd, 7), 0);
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

/* The library's own mapping must not keep the owner from sealing what was retired. */
TEST(retired_buffer_can_be_sealed) {
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, SEALED | LEASED);
        REQUIRE(pub);
        CHECK_INT(push(pub, fd, 7), 0);
        retire(&rig, 7);
        release(&rig, 1);
        rig_until_log(&rig, "retired:7 ");
        CHECK_INT(munmap(data, FAKE_SIZE), 0);
        CHECK_INT(memfd_seal(fd), 0);
        close(fd);
        rig_stop(&rig);
}

/* The library judges nothing that a dma-buf is, so any file will do where no copy is made. */
TEST(volatile_dmabuf) {
        struct framebus_push_info info = { .version = 2,
                                           .memory = FRAMEBUS_MEMORY_DMABUF,
                                           .buffer = 9,
                                           .flags = FRAMEBUS_FRAME_VOLATILE };
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        pub = started(&rig, DMABUF);
        REQUIRE(pub);
        CHECK_INT(framebus_publisher_push_fds(pub, &fd, 1, &info), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 1));
        CHECK_INT(rig.fake.frames[0]->flags,
                  FB_FRAME_VOLATILE | FB_MEMORY_DMABUF << FB_FRAME_MEMORY_SHIFT);
        release(&rig, 1);
        rig_until_log(&rig, "released:9 ");
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

TEST_MAIN
