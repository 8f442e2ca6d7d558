/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames in memory that is not sealed. */
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "subscribed.h"

/* A pool's slot: the producer goes on writing by the mapping that it has. */
static int slot_new(unsigned char **ret_data) {
        int fd = memfd_create("slot", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (ftruncate(fd, FAKE_SIZE) < 0)
                abort();
        *ret_data = mmap(NULL, FAKE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (*ret_data == MAP_FAILED || memfd_seal_pool(fd) < 0)
                abort();
        return fd;
}

TEST(leased_frames) {
        for (size_t i = 0; i < FB_ELEMENTSOF(transports); i++) {
                unsigned char *written;
                int fd = slot_new(&written);
                framebus_frame *frame;
                uint64_t buffer = 0;
                const void *data;
                size_t size;
                Rig rig;

                ROW("transport %zu", i);
                REQUIRE(subscribed(&rig, transports[i]));
                rig.hold = true;
                rig.fake.memory = FB_MEMORY_LEASED;
                rig.fake.buffer = 33;
                memset(written, 1, FAKE_SIZE);
                fake_frame_fd(&rig.fake, 1, fd_dup_cloexec(fd), FAKE_SIZE);
                rig.fake.memory = FB_MEMORY_SEALED;
                rig.fake.buffer = 0;
                fake_frame(&rig.fake, 2); /* its list has sealed, too */
                CHECK(rig_until(&rig, rig.n_held == 2));
                CHECK_INT(framebus_frame_get_memory(rig.held[1]), FRAMEBUS_MEMORY_SEALED);
                CHECK(!framebus_frame_get_buffer(rig.held[1], &buffer));
                frame = rig.held[0];
                CHECK_INT(framebus_frame_get_memory(frame), FRAMEBUS_MEMORY_LEASED);
                CHECK(framebus_frame_get_buffer(frame, &buffer));
                CHECK_INT(buffer, 33);
                REQUIRE_INT(framebus_frame_map(frame, 0, &data, &size), 0);
                CHECK_INT(((const unsigned char *)data)[FAKE_SIZE - 1], 1);
                /* retired meanwhile: its owner can seal it although we look at it */
                CHECK_INT(munmap(written, FAKE_SIZE), 0);
                CHECK_INT(memfd_seal(fd), 0);
                CHECK_INT(((const unsigned char *)data)[0], 1);
                close(fd);
                rig_stop(&rig);
        }
}

/* It is mapped once, shows what is written between two frames, and stays as long as one of them is held. */
TEST(leased_buffer_keeps_its_mapping) {
        const void *data[3] = { NULL };
        framebus_subscription *sub;
        unsigned char *written;
        int fd = slot_new(&written);
        size_t size;
        Rig rig;

        sub = subscribed(&rig, FRAMEBUS_TRANSPORT_PEER);
        REQUIRE(sub);
        rig.hold = true;
        rig.fake.memory = FB_MEMORY_LEASED;
        rig.fake.buffer = 33;
        for (uint64_t seq = 1; seq <= 3; seq++) {
                memset(written, (int)seq, FAKE_SIZE);
                fake_frame_fd(&rig.fake, seq, fd_dup_cloexec(fd), FAKE_SIZE);
                CHECK(rig_until(&rig, rig.n_held == 1));
                if (seq == 3)
                        framebus_subscription_close(sub); /* too late to keep anything */
                REQUIRE_INT(framebus_frame_map(rig.held[0], 0, &data[seq - 1], &size), 0);
                CHECK_INT(((const unsigned char *)data[seq - 1])[FAKE_SIZE - 1], seq);
                if (seq == 3) /* retired, as by a broker */
                        (void)munmap(written, FAKE_SIZE);
                framebus_frame_unref(rig.held[--rig.n_held]);
        }
        CHECK(data[0] == data[1]);
        CHECK_INT(memfd_seal(fd), 0);
        close(fd);
        rig_stop(&rig);
}

static long count_faults(void) {
        struct rusage usage;

        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_minflt + usage.ru_majflt;
}

/* When each buffer was looked at once, nothing is mapped and no page comes in any more: each time would cost
 * a fault at least. */
TEST(leased_buffers_cost_no_page_faults) {
        long least = LONG_MAX;
        unsigned char *written[2];
        int fds[2];
        Rig rig;

        REQUIRE(subscribed(&rig, FRAMEBUS_TRANSPORT_PEER));
        rig.hold = true;
        rig.fake.memory = FB_MEMORY_LEASED;
        for (int i = 0; i < 2; i++)
                fds[i] = slot_new(&written[i]);
        for (uint64_t seq = 1; seq <= 12; seq++) {
                const void *data = NULL;
                size_t size = 0, sum = 0;
                long before;

                rig.fake.buffer = 33 + seq % 2;
                memset(written[seq % 2], (int)seq, FAKE_SIZE);
                fake_frame_fd(&rig.fake, seq, fd_dup_cloexec(fds[seq % 2]), FAKE_SIZE);
                CHECK(rig_until(&rig, rig.n_held == 1));
                before = count_faults();
                CHECK_INT(framebus_frame_map(rig.held[0], 0, &data, &size), 0);
                for (size_t i = 0; i < size; i++)
                        sum += ((const volatile unsigned char *)data)[i];
                if (seq > 2)
                        least = FB_MIN(least, count_faults() - before);
                CHECK_INT(sum, size * seq);
                framebus_frame_unref(rig.held[--rig.n_held]);
        }
        CHECK_INT(least, 0);
        for (int i = 0; i < 2; i++) {
                (void)munmap(written[i], FAKE_SIZE);
                close(fds[i]);
        }
        rig_stop(&rig);
}

/* Only what was asked for, and what its kind promises. */
TEST(memory_of_another_kind_is_bad_payload) {
        static const struct {
                uint32_t memory;
                uint64_t buffer;
                int seals;
        } rows[] = {
                { FB_MEMORY_LEASED, 0, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE }, /* no number */
                { FB_MEMORY_LEASED, 1, F_SEAL_SHRINK | F_SEAL_GROW },
                { FB_MEMORY_LEASED, 1, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE },
                { FB_MEMORY_SEALED, 1, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE },
                { FB_MEMORY_DMABUF, 1, SEALS }, /* neither asked for nor one */
                { 3, 1, SEALS },
        };
        struct framebus_subscription_stats stats;
        framebus_subscription *sub;
        Rig rig;

        sub = subscribed(&rig, FRAMEBUS_TRANSPORT_PEER);
        REQUIRE(sub);
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                rig.fake.memory = rows[i].memory;
                rig.fake.buffer = rows[i].buffer;
                fake_frame_fd(&rig.fake, i + 1, memory_with_seals(rows[i].seals, FAKE_SIZE), FAKE_SIZE);
        }
        CHECK(rig_until(&rig, rig.fake.n_released == FB_ELEMENTSOF(rows)));
        CHECK(!strstr(rig.log, "frame:"));
        framebus_subscription_get_stats(sub, &stats);
        CHECK_INT(stats.bad_payload, FB_ELEMENTSOF(rows));
        rig_stop(&rig);
}

/* Who asked for sealed memory alone is sure of it. */
TEST(leased_frame_for_a_sealed_subscription_is_bad_payload) {
        static const enum framebus_memory sealed = FRAMEBUS_MEMORY_SEALED;
        struct framebus_subscribe_options options = { .version = 1, .memories = &sealed, .n_memories = 1 };
        framebus_subscription *sub;
        unsigned char *written;
        int fd = slot_new(&written);
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_subscribe(rig.fb, "cam", &options, &rig_events, &rig, &sub), 0);
        rig_until_log(&rig, "attached ");
        CHECK(rig_until(&rig, rig.fake.opened));
        CHECK_INT(fake_format(&rig.fake, 7), 1);
        rig.fake.memory = FB_MEMORY_LEASED;
        rig.fake.buffer = 33;
        fake_frame_fd(&rig.fake, 1, fd, FAKE_SIZE);
        rig_until_log(&rig, "lost:1:bad-payload ");
        (void)munmap(written, FAKE_SIZE);
        rig_stop(&rig);
}

TEST_MAIN
