/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.framebus.Subscription1: one vtable for all conduits. On the bus an object exists for its subscriber
 * alone. A handler may end the subscription it serves, so that nothing of it is touched afterwards.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "broker/api/charges.h"
#include "broker/api/errors.h"
#include "broker/api/order.h"
#include "broker/api/subscription.h"
#include "interfaces/names.h"
#include "wire/codec.h"

static int method_release(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Subscription *s = userdata;
        const uint64_t *seqs;
        size_t n;
        int r;

        r = codec_read_seqs(m, &seqs, &n);
        if (r < 0)
                return r;
        if (r > 0)
                return api_error(ret_error, r, "at most %u numbers in one Release", FB_SEQS_MAX);
        if (s->source) {
                Stream *stream = &s->source->stream;

                subscriber_release(&s->subscriber, seqs, n, clock_now_ns());
                charges_settle(&s->charge, s->source, &s->subscriber);
                stream_reap(stream);
        }
        return sd_bus_reply_method_return(m, NULL);
}

static int method_release_up_to(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Subscription *s = userdata;
        uint64_t seq;
        int r;

        r = sd_bus_message_read(m, "t", &seq);
        if (r < 0)
                return r;
        if (s->source) {
                Stream *stream = &s->source->stream;

                subscriber_release_up_to(&s->subscriber, seq, clock_now_ns());
                charges_settle(&s->charge, s->source, &s->subscriber);
                stream_reap(stream);
        }
        return sd_bus_reply_method_return(m, NULL);
}

static void emit_window(Subscription *s) {
        sd_bus *bus = s->channel ? channel_get_bus(s->channel) : NULL;

        /* on the bus it would be a broadcast; there the reply says it */
        if (bus)
                (void)sd_bus_emit_properties_changed(bus, s->path, FB_IFACE_SUBSCRIPTION, "Window", NULL);
}

static int method_set_options(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Subscription *s = userdata;
        Options o = { .window = s->subscriber.options.window,
                      .latest = s->subscriber.options.latest,
                      .causal = s->subscriber.options.causal,
                      .max_rate = s->subscriber.options.max_rate };
        uint32_t window = o.window;
        FdRefusal why;
        Stream *stream;
        int r;

        r = options_read_changes(m, &o, ret_error);
        if (r < 0)
                return r;
        if (!s->source)
                return api_error(ret_error, FB_E_GONE, "the subscription has ended");
        r = options_check_bounds(&o, &s->bounds, ret_error);
        if (r >= 0 && o.commits)
                r = order_judge_answer(s, o.commits, ret_error);
        if (r < 0)
                return r;
        r = charges_set_window(&s->charge, s->source, &s->subscriber, o.window, ret_error);
        if (r < 0)
                return r;
        if (!s->channel && bus_conduit_set_window(&s->bus, o.window, &why) != 0) {
                charges_settle(&s->charge, s->source, &s->subscriber);
                return subscription_refuse(&why, ret_error);
        }
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = options_append_granted(reply, &o, NULL);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        stream = &s->source->stream;
        subscriber_set_options(&s->subscriber, o.window, o.latest, o.max_rate, clock_now_ns());
        if (o.window != window)
                emit_window(s);
        if (o.commits)
                order_answered(s);
        else
                stream_reap(stream);
        return r;
}

static int method_close(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        int r = sd_bus_reply_method_return(m, NULL);

        subscription_end(userdata);
        return r < 0 ? r : 1;
}

int subscription_append_lost(sd_bus_message *m, const uint64_t lost[static _LOSS_MAX]) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{st}");

        for (LossReason i = 0; r >= 0 && i < _LOSS_MAX; i++)
                if (lost[i] > 0)
                        r = sd_bus_message_append(m, "{st}", loss_reason_to_string(i), lost[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int get_source(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append(reply, "o", ((Subscription *)userdata)->source_path);
}

static int get_numbers(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Subscriber *s = &((Subscription *)userdata)->subscriber;

        if (strcmp(property, "Window") == 0)
                return sd_bus_message_append(reply, "u", s->options.window);
        if (strcmp(property, "InFlight") == 0)
                return sd_bus_message_append(reply, "u", window_in_flight(&s->window));
        return sd_bus_message_append(reply, "t", s->delivered);
}

static int get_lost(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return subscription_append_lost(reply, ((Subscription *)userdata)->subscriber.lost);
}

static int get_latency(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        static const double percent[] = { 50, 90, 99 };
        uint64_t v[3];

        sampler_percentiles(&((Subscription *)userdata)->subscriber.latency, percent, 3, v);
        return sd_bus_message_append(reply, "(ttt)", v[0], v[1], v[2]);
}

#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable subscription_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_ARGS("at", seqs), SD_BUS_NO_RESULT, method_release,
                                        UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
                SD_BUS_METHOD_WITH_ARGS("ReleaseUpTo", SD_BUS_ARGS("t", seq), SD_BUS_NO_RESULT,
                                        method_release_up_to, UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
                SD_BUS_METHOD_WITH_ARGS("SetOptions", SD_BUS_ARGS("a{sv}", options),
                                        SD_BUS_RESULT("a{sv}", granted), method_set_options, UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Share", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", channel),
                                        subscription_method_share, UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("GetOrder", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", page),
                                        order_method_get, UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Close", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_close,
                                        UNPRIVILEGED),
                SD_BUS_SIGNAL_WITH_ARGS("Frame",
                                        SD_BUS_ARGS("t", seq, "t", order, "t", pts_ns, "u", format, "u",
                                                    flags, "ah", memory, "a(uttu)", planes, "a{sv}", meta),
                                        0),
                SD_BUS_SIGNAL_WITH_ARGS("FormatChanged", SD_BUS_ARGS("t", order, "u", format, "a{sv}", mode),
                                        0),
                SD_BUS_SIGNAL_WITH_ARGS("Lost", SD_BUS_ARGS("t", count, "s", reason), 0),
                SD_BUS_SIGNAL_WITH_ARGS("Suspended", SD_BUS_ARGS("s", reason), 0),
                SD_BUS_SIGNAL_WITH_ARGS("Resumed", SD_BUS_NO_ARGS, 0),
                SD_BUS_SIGNAL_WITH_ARGS("Committed", SD_BUS_ARGS("t", order), 0),
                SD_BUS_SIGNAL_WITH_ARGS("CommitsMoved", SD_BUS_ARGS("o", path), 0),
                SD_BUS_SIGNAL_WITH_ARGS("Ended", SD_BUS_ARGS("t", order, "s", reason), 0),
                SD_BUS_PROPERTY("Source", "o", get_source, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("Window", "u", get_numbers, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("InFlight", "u", get_numbers, 0, 0),
                SD_BUS_PROPERTY("Delivered", "t", get_numbers, 0, 0),
                SD_BUS_PROPERTY("Lost", "a{st}", get_lost, 0, 0),
                SD_BUS_PROPERTY("Latency", "(ttt)", get_latency, 0, 0),
                SD_BUS_VTABLE_END,
};

int subscription_add_vtable(Subscription *s, sd_bus *bus) {
        return sd_bus_add_object_vtable(bus, NULL, s->path, FB_IFACE_SUBSCRIPTION, subscription_vtable, s);
}

/* Its subscriber's object, and nobody else's. */
static int find_own(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                    sd_bus_error *ret_error) {
        sd_bus_message *m = sd_bus_get_current_message(bus);
        const char *sender = m ? sd_bus_message_get_sender(m) : NULL;
        Api *api = userdata;
        Subscription *s;

        list_for_each(s, &api->subscriptions, link)
                if (!s->channel && sender && strcmp(s->path, path) == 0 && strcmp(s->client, sender) == 0) {
                        *ret_found = s;
                        return 1;
                }
        return 0;
}

int subscriptions_add_vtable(Api *api, sd_bus_slot **slot) {
        return sd_bus_add_fallback_vtable(api->bus, slot, FB_PATH_SUBSCRIPTION, FB_IFACE_SUBSCRIPTION,
                                          subscription_vtable, find_own, api);
}
