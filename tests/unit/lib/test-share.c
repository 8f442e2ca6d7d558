/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A channel is asked for on behalf of another process, and one that came from another is watched. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "fake.h"
#include "interfaces/names.h"

static void on_shared(framebus_subscription *sub, int channel, const struct framebus_error *error,
                      void *userdata) {
        if (error)
                rig_log(userdata, "refused:%s ", error->name);
        else
                rig_log(userdata, "shared:%s ", channel >= 0 ? "yes" : "no");
        fb_close(channel);
}

static bool begin(Rig *rig, enum framebus_transport transport, framebus_subscription **ret_sub) {
        const struct framebus_subscribe_options options = { .transport = transport };

        if (!rig_start(rig) || framebus_subscribe(rig->fb, "cam", &options, &rig_events, rig, ret_sub) != 0)
                return false;
        rig_until_log(rig, "attached ");
        return transport == FRAMEBUS_TRANSPORT_BUS || rig_until(rig, rig->fake.opened);
}

TEST(a_share_is_asked_for) {
        static const enum framebus_memory sealed[] = { FRAMEBUS_MEMORY_SEALED };
        const struct framebus_share_options options = { .window = 2,
                                                        .set_drop = true,
                                                        .drop = FRAMEBUS_DROP_NEWEST,
                                                        .max_rate = { 5, 1 },
                                                        .no_replay = true,
                                                        .memories = sealed,
                                                        .n_memories = 1 };

        for (enum framebus_transport t = FRAMEBUS_TRANSPORT_PEER; t <= FRAMEBUS_TRANSPORT_BUS; t++) {
                framebus_subscription *sub;
                Rig rig;

                REQUIRE(begin(&rig, t, &sub));
                REQUIRE_INT(framebus_subscription_share(sub, NULL, on_shared, &rig), 0);
                CHECK_INT(framebus_subscription_share(sub, NULL, on_shared, &rig), -EBUSY);
                rig_until_log(&rig, "shared:yes ");
                CHECK_STR(rig.fake.options, "");
                REQUIRE_INT(framebus_subscription_share(sub, &options, on_shared, &rig), 0);
                rig_until_log(&rig, "shared:yes shared:yes ");
                CHECK_STR(rig.fake.options, "memory=sealed window=2 drop=newest max-rate=5/1 replay=0 ");
                rig_stop(&rig);
        }
}

TEST(a_refusal_and_an_end_are_told) {
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(begin(&rig, FRAMEBUS_TRANSPORT_PEER, &sub));
        rig.fake.attach_error = FB_ERROR_LIMITS_EXCEEDED;
        REQUIRE_INT(framebus_subscription_share(sub, NULL, on_shared, &rig), 0);
        rig_until_log(&rig, "refused:" FB_ERROR_LIMITS_EXCEEDED);
        rig.fake.silent = true;
        REQUIRE_INT(framebus_subscription_share(sub, NULL, on_shared, &rig), 0);
        rig_settle(&rig);
        fake_hang_up(&rig.fake);
        rig_until_log(&rig, "refused:org.freedesktop.DBus.Error.");
        CHECK_INT(framebus_subscription_share(sub, NULL, on_shared, &rig), -ENOTCONN);
        rig_stop(&rig);
}

TEST(wrong_options_are_refused_at_once) {
        static const struct framebus_share_options rows[] = { { .version = 2 },
                                                              { .window = 17 },
                                                              { .set_drop = true, .drop = 2 },
                                                              { .max_rate = { 1, 0 } } };
        framebus_subscription *sub;
        Rig rig;

        REQUIRE(begin(&rig, FRAMEBUS_TRANSPORT_PEER, &sub));
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++)
                CHECK_INT(framebus_subscription_share(sub, &rows[i], on_shared, &rig), -EINVAL);
        CHECK_INT(framebus_subscription_share(sub, NULL, NULL, &rig), -EINVAL);
        rig_stop(&rig);
}

/* What another process was given is all there is: nothing is asked for on the bus. */
TEST(a_channel_of_somebody_else) {
        framebus_subscription *sub;
        int ours, theirs;
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(fd_socketpair(&ours, &theirs), 0);
        REQUIRE_INT(fake_adopt(&rig.fake, theirs), 0);
        REQUIRE_INT(framebus_subscribe_fd(rig.fb, ours, NULL, 0, &rig_events, &rig, &sub), 0);
        rig_until_log(&rig, "attached ");
        CHECK(rig_until(&rig, rig.fake.opened));
        REQUIRE(fake_format(&rig.fake, 1) >= 0 && fake_frame(&rig.fake, 7) >= 0);
        CHECK(rig_until(&rig, rig.fake.n_released == 1 && rig.fake.released[0] == 7));
        fake_hang_up(&rig.fake);
        rig_until_log(&rig, "ended:disconnected");
        rig_settle(&rig);
        CHECK_INT(rig.fake.n_resolve + rig.fake.n_attach, 0);
        CHECK(!framebus_subscription_close(sub));
        rig_stop(&rig);
}

TEST(a_descriptor_that_is_no_channel) {
        framebus_subscription *sub;
        int pipes[2];
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(pipe2(pipes, O_CLOEXEC), 0);
        if (framebus_subscribe_fd(rig.fb, pipes[0], NULL, 0, &rig_events, &rig, &sub) == 0)
                rig_until_log(&rig, "ended:");
        fb_close(pipes[1]);
        rig_stop(&rig);
}

TEST_MAIN
