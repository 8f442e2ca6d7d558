/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library does with dma-bufs. Few machines have one to try; here base/dmabuf.h is played by this
 * file, for which every memfd is one, and which notes when the processor says that it reads.
 */
#include "base/dmabuf.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "lender.h"
#include "subscribed.h"

static char syncs[64]; /* a letter each */
static int sync_result;

bool dmabuf_is(int fd_borrow) {
        return true;
}

int dmabuf_judge(int fd_borrow, uint64_t *ret_size, const char **ret_why) {
        off_t size = lseek(fd_borrow, 0, SEEK_END);

        *ret_size = size < 0 ? 0 : (uint64_t)size;
        return 0;
}

int dmabuf_sync_read(int fd_borrow, bool begin) {
        strncat(syncs, begin ? "b" : "e", sizeof syncs - strlen(syncs) - 1);
        return sync_result;
}

static framebus_subscription *subscribed_to_dmabufs(Rig *rig) {
        static const enum framebus_memory memories[] = { FRAMEBUS_MEMORY_DMABUF, FRAMEBUS_MEMORY_SEALED };
        struct framebus_subscribe_options options = { .version = 1, .memories = memories, .n_memories = 2 };
        framebus_subscription *sub;

        syncs[0] = 0;
        sync_result = 0;
        if (!CHECK(rig_start(rig)) ||
            !CHECK_INT(framebus_subscribe(rig->fb, "cam", &options, &rig_events, rig, &sub), 0))
                return NULL;
        rig_until_log(rig, "attached ");
        CHECK(rig_until(rig, rig->fake.opened));
        CHECK_STR(rig->fake.options, "memory=dmabuf,sealed ");
        CHECK_INT(fake_format(&rig->fake, 7), 1);
        rig->hold = true;
        rig->fake.memory = FB_MEMORY_DMABUF;
        rig->fake.buffer = 5;
        return sub;
}

TEST(reading_is_announced_from_the_mapping_to_the_last_reference) {
        unsigned char *written;
        const void *data, *again;
        uint64_t buffer = 0;
        size_t size;
        Rig rig;

        REQUIRE(subscribed_to_dmabufs(&rig));
        fake_frame_fd(&rig.fake, 1, slot_new(6, FAKE_SIZE, &written), FAKE_SIZE);
        CHECK(rig_until(&rig, rig.n_held == 1));
        CHECK_INT(framebus_frame_get_memory(rig.held[0]), FRAMEBUS_MEMORY_DMABUF);
        CHECK(framebus_frame_get_buffer(rig.held[0], &buffer));
        CHECK_INT(buffer, 5);
        CHECK_STR(syncs, ""); /* who imports it and does not read */
        REQUIRE_INT(framebus_frame_map(rig.held[0], 0, &data, &size), 0);
        CHECK_INT(*(const unsigned char *)data, 6);
        REQUIRE_INT(framebus_frame_map(rig.held[0], 0, &again, &size), 0);
        CHECK(data == again);
        CHECK_STR(syncs, "b");
        framebus_frame_ref(rig.held[0]);
        framebus_frame_unref(rig.held[0]);
        CHECK_STR(syncs, "b");
        framebus_frame_unref(rig.held[--rig.n_held]);
        CHECK_STR(syncs, "be");
        (void)munmap(written, FAKE_SIZE);
        rig_stop(&rig);
}

TEST(device_that_does_not_let_it_be_read) {
        unsigned char *written;
        const void *data;
        size_t size;
        Rig rig;

        REQUIRE(subscribed_to_dmabufs(&rig));
        fake_frame_fd(&rig.fake, 1, slot_new(6, FAKE_SIZE, &written), FAKE_SIZE);
        CHECK(rig_until(&rig, rig.n_held == 1));
        sync_result = -EIO;
        CHECK_INT(framebus_frame_map(rig.held[0], 0, &data, &size), -EIO);
        framebus_frame_unref(rig.held[--rig.n_held]);
        CHECK_STR(syncs, "b");
        (void)munmap(written, FAKE_SIZE);
        rig_stop(&rig);
}

TEST(copy_is_read_in_brackets) {
        struct framebus_push_info info = { .version = 2,
                                           .memory = FRAMEBUS_MEMORY_DMABUF,
                                           .buffer = 9,
                                           .flags = FRAMEBUS_FRAME_VOLATILE };
        framebus_publisher *pub;
        unsigned char *data;
        int fd = slot_new(3, FAKE_SIZE, &data);
        Rig rig;

        syncs[0] = 0;
        sync_result = 0;
        pub = started(&rig, SEALED | DMABUF);
        REQUIRE(pub);
        CHECK_INT(framebus_publisher_push_fds(pub, &fd, 1, &info), 0);
        CHECK(rig_until(&rig, rig.fake.n_published == 2));
        CHECK_STR(syncs, "be");
        CHECK(is_copy(rig.fake.frames[0], FAKE_SIZE, 0, 3));
        CHECK_INT(rig.fake.frames[0]->flags, FB_FRAME_PAIRED);
        CHECK_INT(rig.fake.frames[1]->flags,
                  FB_FRAME_VOLATILE | FB_MEMORY_DMABUF << FB_FRAME_MEMORY_SHIFT);
        release(&rig, 1);
        rig_until_log(&rig, "released:9 ");
        sync_result = -EIO;
        CHECK_INT(framebus_publisher_push_fds(pub, &fd, 1, &info), -EIO);
        rig_settle(&rig);
        CHECK_INT(rig.fake.n_published, 2);
        CHECK_INT(lent(pub), 0);
        slot_free(fd, data, FAKE_SIZE);
        rig_stop(&rig);
}

TEST_MAIN
