/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A broker sends a frame to each subscriber and then Committed to all, by one connection, so on the bus they
 * come in this order. It sends nothing before it was told, by SetOptions, that a match for the path stands:
 * AddMatch and that go one after the other, and the bus keeps them so.
 *
 * What is there when the answer comes was sent between two frames, and is committed.
 */
#include "libframebus/commits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "libframebus/attach.h"

/* The filter of the connection sees it before matches do, and those of just now miss some. */
static int on_match(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return 0;
}

static int on_matched(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;
        struct framebus_error error;

        if (message_get_error(m, &error))
                attach_failed(sub, &error);
        return 0;
}

static int match(framebus_subscription *sub, const char *path) {
        char rule[512];
        int n = snprintf(rule, sizeof rule,
                         "type='signal',sender='%s',path='%s',interface='" FB_IFACE_SUBSCRIPTION "',"
                         "member='Committed'",
                         sub->owner, path);

        if (n < 0 || (size_t)n >= sizeof rule || !sd_bus_object_path_is_valid(path))
                return -EBADMSG;
        return sd_bus_add_match_async(sub->fb->bus, &sub->causal.new_match, rule, on_match, on_matched, sub);
}

/* The old match has served: what it would bring comes by the new one, too. */
static int on_chosen(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;
        Causal *c = &sub->causal;
        struct framebus_error error;

        c->commits_call = sd_bus_slot_unref(c->commits_call);
        if (message_get_error(m, &error)) {
                attach_failed(sub, &error);
                return 0;
        }
        sd_bus_slot_unref(c->match);
        c->match = take_ptr(c->new_match);
        strcpy(c->former_path, c->path);
        c->committed = FB_MAX(c->committed, order_get_newest(sub));
        if (sub->state == SUBSCRIPTION_OPENING)
                order_settle(sub);
        else
                order_set_due(sub->fb);
        return 0;
}

static int commits_choose(framebus_subscription *sub, const char *path) {
        _cleanup_message_ sd_bus_message *m = NULL;
        Causal *c = &sub->causal;
        int r;

        if (strlen(path) >= sizeof c->path)
                return -EBADMSG;
        /* one that was on its way is superseded, whatever the answer */
        c->new_match = sd_bus_slot_unref(c->new_match);
        c->commits_call = sd_bus_slot_unref(c->commits_call);
        strcpy(c->path, path);
        r = match(sub, path);
        if (r >= 0)
                r = sd_bus_message_new_method_call(sub->fb->bus, &m, sub->owner, sub->path,
                                                   FB_IFACE_SUBSCRIPTION, "SetOptions");
        if (r >= 0)
                r = sd_bus_message_append(m, "a{sv}", 1, FB_KEY_COMMITS, "o", path);
        return r < 0 ? r : connection_call(sub->fb, &c->commits_call, m, on_chosen, sub);
}

int commits_begin(framebus_subscription *sub) {
        strcpy(sub->causal.former_path, sub->granted.commits);
        return commits_choose(sub, sub->granted.commits);
}

void commits_move(framebus_subscription *sub, sd_bus_message *m) {
        const char *path;

        if (!sub->channel && sd_bus_message_read(m, "o", &path) > 0 && commits_choose(sub, path) < 0)
                order_hang_up(sub);
}

static bool is_of(const framebus_subscription *sub, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m), *path = sd_bus_message_get_path(m);
        const Causal *c = &sub->causal;

        return c->on && !sub->closed && !sub->channel && sub->owner && sender &&
               strcmp(sender, sub->owner) == 0 &&
               (strcmp(path, c->path) == 0 || strcmp(path, c->former_path) == 0);
}

bool commits_take(framebus *fb, sd_bus_message *m) {
        framebus_subscription *sub;
        bool ours = false;
        uint64_t order;

        if (sd_bus_message_get_destination(m) || strcmp(sd_bus_message_get_member(m), "Committed") != 0)
                return false;
        if (sd_bus_message_read(m, "t", &order) <= 0)
                return true;
        list_for_each(sub, &fb->subscriptions, link)
                if (is_of(sub, m)) {
                        sub->causal.committed = FB_MAX(sub->causal.committed, order);
                        ours = true;
                }
        if (!ours)
                return true;
        order_turn(fb);
        fb->ordering.by_bus = FB_MAX(fb->ordering.by_bus, order);
        return true;
}
