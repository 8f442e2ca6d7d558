/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Says what it is told, as it is told, until it is ended. */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>

#include "ordered.h"

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        printf("{\"event\": \"attached\", \"epoch\": \"%s\", \"order\": \"%s\"}\n", granted->epoch,
               granted->order);
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        printf("{\"event\": \"frame\", \"seq\": %" PRIu64 ", \"order\": %" PRIu64 "}\n",
               framebus_frame_get_seq(frame), framebus_frame_get_order(frame));
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        printf("{\"event\": \"lost\", \"count\": %" PRIu64 ", \"reason\": \"%s\"}\n", count, reason);
}

static void on_disconnected(framebus_subscription *sub, uint64_t retry_ns, void *userdata) {
        printf("{\"event\": \"disconnected\"}\n");
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        printf("{\"event\": \"ended\", \"reason\": \"%s\"}\n", reason);
}

int watch(const Settings *s) {
        static const struct framebus_subscription_events events = { .version = 0,
                                                                    .attached = on_attached,
                                                                    .frame = on_frame,
                                                                    .lost = on_lost,
                                                                    .disconnected = on_disconnected,
                                                                    .ended = on_ended };
        framebus *fb = open_broker();
        framebus_subscription *sub = subscribe(fb, s->source, s, &events, NULL);

        setvbuf(stdout, NULL, _IOLBF, 0);
        /* standard input is the leash */
        while (!wait_both(fb, 0, -1))
                if (framebus_process(fb) < 0)
                        break;
        framebus_subscription_close(sub);
        framebus_close(fb);
        return 0;
}
