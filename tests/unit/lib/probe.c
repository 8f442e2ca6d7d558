/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib-probe ADDRESS list|watch|negotiate|attach|subscribe [SOURCE]: what the library tells, a line each, for
 * tests whose broker is another program. Ends with the last thing there is to tell; watching, when standard
 * input ends.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "libframebus/framebus.h"

static bool over;

static void on_list(framebus *fb, const struct framebus_source_info *info, const struct framebus_error *error,
                    void *userdata) {
        if (info)
                printf("source %s %s modes=%zu width=%u\n", info->name, info->state, info->n_modes,
                       info->n_modes ? info->modes[0].width : 0);
        else
                printf("%s\n", error ? error->name : "done");
        over = !info;
}

static void on_changed(framebus *fb, const struct framebus_source_info *info, void *userdata) {
        printf("changed %s %s\n", info->name, info->state);
}

static void on_removed(framebus *fb, const char *name, void *userdata) {
        printf("removed %s\n", name);
}

static void on_failed(framebus *fb, const struct framebus_error *error, void *userdata) {
        printf("failed %s\n", error->name);
}

static void on_negotiated(framebus *fb, const struct framebus_granted *granted,
                          const struct framebus_error *error, void *userdata) {
        if (granted)
                printf("granted window=%u width=%u\n", granted->window, granted->mode.width);
        else
                printf("%s: %s\n", error->name, error->message);
        over = true;
}

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        printf("attached window=%u\n", granted->window);
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        const void *data = "";
        size_t size = 0;
        int r = framebus_frame_map(frame, 0, &data, &size);

        printf("frame %llu %d %zu %.8s\n", (unsigned long long)framebus_frame_get_seq(frame), r, size,
               (const char *)data);
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        printf("lost %llu %s\n", (unsigned long long)count, reason);
}

static void on_disconnected(framebus_subscription *sub, uint64_t retry_ns, void *userdata) {
        printf("disconnected\n");
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        printf("ended %s %s\n", reason, error ? error->name : "-");
        over = true;
}

static const struct framebus_watch_events watch_events = { .changed = on_changed,
                                                           .removed = on_removed,
                                                           .failed = on_failed };
static const struct framebus_subscription_events subscription_events = { .attached = on_attached,
                                                                         .frame = on_frame,
                                                                         .lost = on_lost,
                                                                         .disconnected = on_disconnected,
                                                                         .ended = on_ended };

static int begin(framebus *fb, const char *verb, const char *source) {
        struct framebus_subscribe_options options = { .transport = FRAMEBUS_TRANSPORT_BUS };
        framebus_subscription *sub;

        if (strcmp(verb, "list") == 0)
                return framebus_list(fb, on_list, NULL);
        if (strcmp(verb, "watch") == 0)
                return framebus_watch(fb, &watch_events, NULL);
        if (strcmp(verb, "negotiate") == 0)
                return framebus_negotiate(fb, source, NULL, on_negotiated, NULL);
        return framebus_subscribe(fb, source, strcmp(verb, "attach") == 0 ? NULL : &options,
                                  &subscription_events, NULL, &sub);
}

int main(int argc, char **argv) {
        struct pollfd p[2] = { { .fd = 0, .events = POLLIN }, { 0 } };
        framebus *fb;
        int r;

        setvbuf(stdout, NULL, _IOLBF, 0);
        r = argc >= 3 ? framebus_open(&fb, argv[1]) : -1;
        if (r < 0)
                return 2;
        r = begin(fb, argv[2], argc > 3 ? argv[3] : "cam");
        while (r >= 0 && !over && !p[0].revents) {
                uint64_t timeout = framebus_get_timeout(fb);

                p[1] = (struct pollfd){ .fd = framebus_get_fd(fb), .events = (short)framebus_get_events(fb) };
                (void)poll(p, 2, timeout == UINT64_MAX ? -1 : 0);
                r = framebus_process(fb);
        }
        framebus_close(fb);
        return r < 0;
}
