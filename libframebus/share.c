/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subscription1.Share. One call at a time; its callback runs once: with the answer, or when the attachment is
 * over before that.
 */
#include "libframebus/share.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "interfaces/names.h"
#include "libframebus/export.h"

static void share_tell(framebus_subscription *sub, int fd, const struct framebus_error *error) {
        framebus_share_callback callback = take_ptr(sub->share_callback);

        sub->share_call = sd_bus_slot_unref(sub->share_call);
        if (callback && !sub->closed)
                callback(sub, fd, error, sub->share_userdata);
        else
                fb_close(fd);
}

static void share_tell_failure(framebus_subscription *sub, const char *name, int r) {
        struct framebus_error error = { .name = name, .message = strerror(-r), .error = -r };

        share_tell(sub, -1, &error);
}

void share_forget(framebus_subscription *sub) {
        sub->share_call = sd_bus_slot_unref(sub->share_call);
}

void share_tell_forgotten(framebus_subscription *sub) {
        if (sub->share_callback && !sub->share_call)
                share_tell_failure(sub, SD_BUS_ERROR_DISCONNECTED, -ENOTCONN);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;
        struct framebus_error error;
        int r, fd;

        if (message_get_error(m, &error)) {
                share_tell(sub, -1, &error);
                return 0;
        }
        r = sd_bus_message_read(m, "h", &fd);
        if (r >= 0)
                r = fd_dup_cloexec(fd);
        if (r < 0)
                share_tell_failure(sub, SD_BUS_ERROR_FAILED, r);
        else
                share_tell(sub, r, NULL);
        return 0;
}

static int on_share_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;

        if (!sub->causal.on)
                return on_answer(m, sub, ret_error);
        order_keep_reply(sub, m, on_answer);
        return 0;
}

FB_PUBLIC int framebus_subscription_share(framebus_subscription *sub,
                                          const struct framebus_share_options *options,
                                          framebus_share_callback callback, void *userdata) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        if (!callback)
                return -EINVAL;
        if (sub->share_call)
                return -EBUSY;
        if (!connection_can_take_fd(sub->fb))
                return -EMFILE;
        r = subscription_new_call(sub, "Share", &m);
        if (r >= 0)
                r = options_append_share(m, options);
        if (r >= 0)
                r = sd_bus_call_async(sub->channel ? channel_get_bus(sub->channel) : sub->fb->bus,
                                      &sub->share_call, m, on_share_reply, sub, CALL_DEADLINE_USEC);
        if (r < 0)
                return r;
        sub->share_callback = callback;
        sub->share_userdata = userdata;
        return 0;
}
