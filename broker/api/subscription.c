/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/api/subscription.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "broker/api/charges.h"
#include "broker/api/errors.h"
#include "broker/api/memory.h"
#include "broker/api/order.h"
#include "broker/api/rights.h"
#include "interfaces/names.h"

static Subscription *of_subscriber(Subscriber *s) {
        return fb_container_of(s, Subscription, subscriber);
}

/* ---- the subscriber's way out ---- */

static int out_check_room(Subscriber *sub, uint32_t n_fds, LossReason *ret_why) {
        Subscription *s = of_subscriber(sub);
        int r = s->conduit.ops->check_room(&s->conduit, n_fds);

        if (r >= 0 && charges_allow_frame(&s->charge, s->source, sub))
                return 0;
        if (r >= 0)
                r = -EDQUOT;
        *ret_why = r == -EDQUOT ? LOSS_QUOTA : LOSS_NO_CREDIT;
        return FB_E_LIMIT;
}

static int out_send_frame(Subscriber *sub, Frame *f, uint32_t extra_flags, uint64_t *ret_cookie) {
        Conduit *c = &of_subscriber(sub)->conduit;

        return c->ops->send_frame(c, f, extra_flags, ret_cookie);
}

static int out_send_format(Subscriber *sub, uint64_t order, uint32_t format, const Mode *mode) {
        return conduit_send_format(&of_subscriber(sub)->conduit, order, format, mode);
}

static int out_send_lost(Subscriber *sub, uint64_t count, LossReason reason) {
        return conduit_send_lost(&of_subscriber(sub)->conduit, count, loss_reason_to_string(reason));
}

static int out_send_suspended(Subscriber *sub, const char *reason) {
        Subscription *s = of_subscriber(sub);
        int r = conduit_send_suspended(&s->conduit, reason);

        order_suspended(s);
        return r;
}

static int out_send_resumed(Subscriber *sub) {
        Subscription *s = of_subscriber(sub);
        int r = conduit_send_resumed(&s->conduit);

        order_resumed(s);
        return r;
}

static int out_send_committed(Subscriber *sub, uint64_t order) {
        return order_tell_committed(of_subscriber(sub), order);
}

static void out_send_ended(Subscriber *sub, uint64_t order, const char *reason) {
        (void)conduit_send_ended(&of_subscriber(sub)->conduit, order, reason);
}

static void detach(Subscription *s) {
        if (!s->source)
                return;
        order_close(s);
        stream_remove(&s->source->stream, &s->subscriber);
        s->source = NULL;
        subscriber_deinit(&s->subscriber);
        api_activity(s->api);
}

void subscription_end(Subscription *s) {
        if (!s->channel) {
                subscription_free(s);
                return;
        }
        detach(s);
        /* what is unread stays on the books until hang-up; a channel not opened yet is told the end when it
         * is */
        if (channel_is_open(s->channel))
                channel_finish(s->channel);
}

static void out_over(Subscriber *sub) {
        subscription_end(of_subscriber(sub));
}

/* Ended before the channel was opened: kept for then. */
static void remember_end(Subscription *s, uint64_t order, const char *reason) {
        snprintf(s->ended_reason, sizeof s->ended_reason, "%s", reason);
        s->ended_order = order;
}

static void out_ended(Subscriber *sub, uint64_t order, const char *reason) {
        Subscription *s = of_subscriber(sub);

        if (s->channel && !channel_is_open(s->channel))
                remember_end(s, order, reason);
        else
                out_send_ended(sub, order, reason);
}

static const SubscriberOps subscriber_ops = {
        .check_room = out_check_room, .send_frame = out_send_frame,         .send_format = out_send_format,
        .send_lost = out_send_lost,   .send_suspended = out_send_suspended, .send_resumed = out_send_resumed,
        .send_ended = out_ended,      .over = out_over,
        .send_committed = out_send_committed,
};

/* ---- the channel ---- */

/* The other end's first byte has come. */
static int on_setup(Channel *c, sd_bus *bus, void *userdata) {
        Subscription *s = userdata;
        Caller *maker = callers_find(&s->api->callers, s->client);

        if (maker && s->reply_mark > 0)
                caller_read_reply(maker, s->reply_mark);
        return subscription_add_vtable(s, bus);
}

/* It ended before there was anybody to tell. */
static void tell_end(Subscription *s) {
        for (LossReason i = 0; i < _LOSS_MAX; i++)
                if (s->subscriber.untold[i] > 0)
                        (void)conduit_send_lost(&s->conduit, s->subscriber.untold[i],
                                                loss_reason_to_string(i));
        (void)conduit_send_ended(&s->conduit, s->ended_order, s->ended_reason);
        if (s->subscriber.options.causal)
                (void)conduit_send_committed(&s->conduit, s->ended_order);
}

static void on_opened(Channel *c, void *userdata) {
        Subscription *s = userdata;

        if (s->source && !channel_can_pass_fds(c))
                stream_end_subscriber(&s->source->stream, &s->subscriber, "fd-passing-required",
                                      clock_now_ns());
        else if (s->source && !s->subscriber.options.causal)
                subscription_activate(s);
        else if (!s->source) {
                tell_end(s);
                subscription_end(s);
        }
}

static void on_closed(Channel *c, void *userdata) {
        subscription_free(userdata);
}

static void on_overrun(Channel *c, const char *why, void *userdata) {
        Subscription *s = userdata;

        log_client("source %s: a channel of user %u, process %d, is ended: %s", s->source_name, s->uid,
                   (int)s->pid, why);
        subscription_end(s);
}

static const ChannelHandler channel_handler = {
        .setup = on_setup,
        .opened = on_opened,
        .closed = on_closed,
        .overrun = on_overrun,
};

/* ---- beginning and end ---- */

static void subscription_release(Subscription *s) {
        if (s->path && !s->channel)
                bus_conduit_deinit(&s->bus);
        if (s->channel)
                peer_conduit_deinit(&s->peer);
        channel_free(s->channel);
        list_remove(&s->link);
        quota_charge_clear(&s->charge);
        free(s->source_path);
        free(s->source_name);
        free(s->path);
        free(s->client);
        identity_unref(s->identity);
        free(s);
}

static void subscription_releasep(Subscription **s) {
        if (*s)
                subscription_release(*s);
}

Subscription *subscription_free(Subscription *s) {
        Api *api;

        if (!s)
                return NULL;
        api = s->api;
        detach(s);
        if (s->counted) {
                Caller *c = callers_find(&api->callers, s->client);

                if (c) {
                        c->n_channels--;
                        fd_account_ask(&c->account); /* the answer may lie there unread */
                }
        }
        subscription_release(s);
        api_activity(api);
        return NULL;
}

static int subscription_alloc(Source *source, Caller *c, Subscription **ret) {
        _cleanup_(subscription_releasep) Subscription *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        s->api = source->api;
        s->uid = c->uid;
        s->pid = c->pid;
        s->identity = identity_ref(c->identity);
        s->since_ns = clock_now_ns();
        s->granted_seq = source->stream.seq;
        s->source_path = strdup(source->path);
        s->source_name = strdup(source->name);
        s->client = strdup(c->unique_name);
        if (!s->source_path || !s->source_name || !s->client)
                return -ENOMEM;
        *ret = take_ptr(s);
        return 0;
}

/* The last step: from here on it is in the sequence. */
static void subscription_add(Subscription *s, Source *source, Options *o, const Mode *mode) {
        SubscriberOptions options = {
                .window = o->window,
                .latest = o->latest,
                .max_rate = o->max_rate,
                .replay = o->replay,
                .causal = o->causal,
                .must_release_first = !s->channel,
                .memories = memory_get_accepted(o),
                .wishes = take_ptr(o->wishes),
                .n_wishes = o->n_wishes,
        };

        o->n_wishes = 0;
        s->source = source;
        subscriber_init(&s->subscriber, &subscriber_ops, &options);
        list_append(&s->api->subscriptions, &s->link);
        stream_add(&source->stream, &s->subscriber, mode);
        rights_granted(s->api, s->identity, s->client, s->source_name, ACCESS_WATCH);
        api_activity(s->api);
}

static int make_path(Subscription *s) {
        char id[SD_ID128_STRING_MAX];
        sd_id128_t random;
        int r = sd_id128_randomize(&random);

        if (r < 0)
                return r;
        return asprintf(&s->path, "%s/%s", FB_PATH_SUBSCRIPTION, sd_id128_to_string(random, id)) < 0 ? -ENOMEM
                                                                                                     : 0;
}

int subscription_refuse(const FdRefusal *why, sd_bus_error *ret_error) {
        if (why->limit == FD_LIMIT_WINDOWS)
                return api_error(ret_error, FB_E_LIMIT,
                                 "windows of %u frames are granted on the bus, %u of them to user %u, and "
                                 "all together may be %u: ask for a smaller window, or use Attach",
                                 why->used, why->most, why->most_uid, why->max);
        if (why->limit == FD_LIMIT_SHARE)
                return api_error(ret_error, FB_E_LIMIT,
                                 "user %u has %u file descriptors on the bus that are granted or not read "
                                 "yet, and its share is %u: ask for a smaller window, or use Attach",
                                 why->uid, why->used, why->max);
        return api_error(ret_error, FB_E_LIMIT,
                         "%u of %u file descriptors on the bus are granted or not read yet, %u of them of "
                         "user %u: ask for a smaller window, or use Attach",
                         why->used, why->max, why->most, why->most_uid);
}

int subscription_new_bus(Source *source, Caller *c, Options *o, const Mode *mode, Subscription **ret,
                         sd_bus_error *ret_error) {
        _cleanup_(subscription_releasep) Subscription *s = NULL;
        FdRefusal why;
        Api *api = source->api;
        int r;

        r = subscription_alloc(source, c, &s);
        if (r >= 0)
                r = make_path(s);
        if (r < 0)
                return api_error(ret_error, r, "%s", "");
        r = bus_conduit_init(&s->bus, api->bus, &c->account, s->client, s->path, o->window, &why);
        if (r > 0)
                return subscription_refuse(&why, ret_error);
        r = charges_begin(&s->charge, source, c->uid, false, o->window, mode, ret_error);
        if (r < 0)
                return r;
        subscription_add(s, source, o, mode);
        if (o->causal && (r = order_open(s)) < 0)
                return subscription_free(take_ptr(s)), api_error(ret_error, r, "%s", "");
        *ret = take_ptr(s);
        return 0;
}

static int refuse_channel(const PeerRefusal *why, const Caller *c, sd_bus_error *ret_error) {
        if (why->share)
                return api_error(ret_error, FB_E_LIMIT,
                                 "user %u has %u channels that were not hung up, and its share is %u of "
                                 "the %u in all",
                                 c->uid, why->used, why->max, FB_PEER_FDS_MAX);
        return api_error(ret_error, FB_E_LIMIT,
                         "%u of %u file descriptors on channels are not read yet, or kept for channels that "
                         "have read everything",
                         why->used, why->max);
}

int subscription_new_peer(Source *source, Caller *c, Options *o, const Mode *mode, int fd_consume,
                          Subscription **ret, sd_bus_error *ret_error) {
        _cleanup_(subscription_releasep) Subscription *s = NULL;
        _cleanup_close_ int fd = fd_consume;
        Api *api = source->api;
        PeerRefusal why;
        int r;

        if (c->n_channels >= FB_CHANNELS_PER_CONNECTION)
                return api_error(ret_error, FB_E_LIMIT,
                                 "your bus connection has %u channels that were not hung up, the most that "
                                 "one may have",
                                 c->n_channels);
        r = subscription_alloc(source, c, &s);
        if (r >= 0)
                s->path = strdup(FB_PATH_SUBSCRIPTION);
        if (r >= 0 && s->path)
                r = channel_new_server(api->event, take_fd(fd), SD_EVENT_PRIORITY_NORMAL, &channel_handler, s,
                                       &s->channel);
        if (r < 0 || !s->path)
                return api_error(ret_error, r < 0 ? r : -ENOMEM, "%s", "");
        r = peer_conduit_init(&s->peer, &api->peer_budget, c->uid, s->channel, api->bus, &why);
        if (r > 0)
                return refuse_channel(&why, c, ret_error);
        if (r < 0)
                return api_error(ret_error, r, "%s", "");
        r = charges_begin(&s->charge, source, c->uid, true, o->window, mode, ret_error);
        if (r < 0)
                return r;
        if (o->causal)
                peer_conduit_send_at_once(&s->peer);
        c->n_channels++;
        s->counted = true;
        subscription_add(s, source, o, mode);
        *ret = take_ptr(s);
        return 0;
}

void subscription_activate(Subscription *s) {
        Stream *stream = &s->source->stream;

        subscriber_activate(&s->subscriber, clock_now_ns());
        stream_reap(stream);
}

const char *subscription_get_path(const Subscription *s) {
        return s->path;
}

void subscriptions_caller_gone(Api *api, const char *client) {
        Subscription *s;
        bool again;

        do { /* the end of one may bring the end of others: look from the beginning */
                again = false;
                list_for_each(s, &api->subscriptions, link)
                        if (!s->channel && strcmp(s->client, client) == 0) {
                                subscription_free(s);
                                again = true;
                                break;
                        }
        } while (again);
}

void subscriptions_caller_room(Api *api, const char *client) {
        Subscription *s, *tmp;

        list_for_each_safe(s, tmp, &api->subscriptions, link)
                if (!s->channel && s->source && strcmp(s->client, client) == 0)
                        subscriber_room(&s->subscriber, clock_now_ns());
        /* what failed meanwhile is reaped with the stream's next frame */
}

int subscriptions_on_error(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Api *api = userdata;
        const char *sender = sd_bus_message_get_sender(m);
        uint64_t cookie;
        Subscription *s;

        if (sd_bus_message_is_method_error(m, NULL) <= 0 || !sender ||
            sd_bus_message_get_reply_cookie(m, &cookie) < 0)
                return 0;
        list_for_each(s, &api->subscriptions, link)
                if (!s->channel && s->source && window_has_cookie(&s->subscriber.window, cookie)) {
                        /* from the bus, or from the receiver itself: nobody ends another's subscription */
                        if (strcmp(sender, "org.freedesktop.DBus") != 0 && strcmp(sender, s->client) != 0)
                                return 0;
                        stream_end_subscriber(&s->source->stream, &s->subscriber, "undeliverable",
                                              clock_now_ns());
                        return 1;
                }
        return 0;
}
