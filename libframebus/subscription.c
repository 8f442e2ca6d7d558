/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the broker says to a subscription, and the public functions.
 *
 * Signals become callbacks in the order in which they came. A frame is checked before anybody sees it; one
 * that fails is given back at once, so that a broken publisher costs no credit. Releases are gathered while
 * framebus_process() runs, but not beyond half of the window.
 */
#include "libframebus/subscription.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "libframebus/attach.h"
#include "libframebus/export.h"
#include "libframebus/frame.h"
#include "wire/codec.h"
#include "wire/import.h"

/* Which states may follow, as bits. */
#define BIT(state) (1u << SUBSCRIPTION_##state)
static const unsigned int transitions[_SUBSCRIPTION_STATE_MAX] = {
        [SUBSCRIPTION_WAITING] = BIT(RESOLVING) | BIT(BACKOFF) | BIT(OPENING),
        [SUBSCRIPTION_RESOLVING] = BIT(REQUESTING) | BIT(BACKOFF) | BIT(ENDED),
        [SUBSCRIPTION_REQUESTING] = BIT(OPENING) | BIT(ATTACHED) | BIT(BACKOFF) | BIT(ENDED),
        [SUBSCRIPTION_OPENING] = BIT(ATTACHED) | BIT(BACKOFF) | BIT(ENDED),
        [SUBSCRIPTION_ATTACHED] = BIT(BACKOFF) | BIT(ENDED),
        [SUBSCRIPTION_BACKOFF] = BIT(RESOLVING) | BIT(BACKOFF),
};
#undef BIT

void subscription_set_state(framebus_subscription *sub, SubscriptionState state) {
        assert(transitions[sub->state] & (1u << state));
        sub->state = state;
}

/* Towards the broker */

int subscription_new_call(framebus_subscription *sub, const char *member, sd_bus_message **ret) {
        if (sub->state != SUBSCRIPTION_ATTACHED)
                return -ENOTCONN;
        if (sub->channel)
                return sd_bus_message_new_method_call(channel_get_bus(sub->channel), ret, NULL,
                                                      FB_PATH_SUBSCRIPTION, FB_IFACE_SUBSCRIPTION, member);
        return sd_bus_message_new_method_call(sub->fb->bus, ret, sub->owner, sub->path, FB_IFACE_SUBSCRIPTION,
                                              member);
}

int subscription_send(framebus_subscription *sub, sd_bus_message *m) {
        int r = sd_bus_message_set_expect_reply(m, 0);

        if (r >= 0)
                r = sub->channel ? channel_send(sub->channel, m) : sd_bus_send(sub->fb->bus, m, NULL);
        return r < 0 ? r : 0;
}

void subscription_flush(framebus_subscription *sub) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        if (sub->n_releases == 0)
                return;
        if (sub->causal.on)
                order_drain(sub); /* sending to a channel that hung up drops what is in it */
        r = subscription_new_call(sub, "Release", &m);
        if (r >= 0)
                r = sd_bus_message_append_array(m, SD_BUS_TYPE_UINT64, sub->releases,
                                                sub->n_releases * sizeof *sub->releases);
        if (r >= 0)
                r = subscription_send(sub, m);
        if (r >= 0)
                sub->n_releases = 0; /* else with the next ones: the queue moves, or the channel ends */
}

void subscription_release(framebus_subscription *sub, uint64_t seq) {
        if (sub->n_releases == FB_ELEMENTSOF(sub->releases))
                subscription_flush(sub);
        if (sub->n_releases == FB_ELEMENTSOF(sub->releases))
                return; /* a broker that sends beyond any window and does not read */
        sub->releases[sub->n_releases++] = seq;
        if (!sub->fb->processing || 2 * sub->n_releases >= sub->granted.granted.window)
                subscription_flush(sub);
}

/* From the broker */

void subscription_lose(framebus_subscription *sub, uint64_t count, const char *reason) {
        sub->stats.lost += count;
        subscription_tell(sub, lost, count, reason);
}

unsigned int subscription_count_memories(const framebus_subscription *sub) {
        const Mode *mode = sub->format ? &sub->format->mode : NULL;
        const FormatInfo *info = mode && mode->modifier == 0 ? format_get_info(mode->fourcc) : NULL;

        if (sub->causal.n_kept > 0)
                return FB_MEMORIES_MAX; /* another format may be among it */
        if (info)
                return info->n_planes; /* at most one each */
        return mode && format_is_compressed(mode->fourcc) ? 1 : FB_MEMORIES_MAX;
}

/* The credit of a frame that could not be taken goes back; without its number only a new attachment helps. */
static void frame_reject(framebus_subscription *sub, sd_bus_message *m, const char *reason) {
        uint64_t seq;

        if (sd_bus_message_rewind(m, 1) < 0 || sd_bus_message_read(m, "t", &seq) <= 0) {
                attach_retry(sub);
                return;
        }
        subscription_release(sub, seq);
        subscription_lose(sub, 1, reason);
}

static int frame_read(framebus_subscription *sub, sd_bus_message *m, Frame **ret_frame) {
        const char *why = NULL;

        fb_try(codec_read_frame(m, ret_frame, &why));
        if (!sub->format || sub->format->format != (*ret_frame)->format)
                return FB_E_INVALID_FRAME;
        return import_judge_frame(*ret_frame, &sub->format->mode,
                                  memory_list_get_mask(&sub->options.memories), &why);
}

FB_DEFINE_CLEANUP(Frame *, frame_unref)

static void on_frame(framebus_subscription *sub, sd_bus_message *m) {
        _cleanup_(frame_unrefp) Frame *wire_frame = NULL;
        framebus_frame *frame;
        int r;

        r = frame_read(sub, m, &wire_frame);
        if (r > 0) {
                sub->stats.bad_payload++;
                frame_reject(sub, m, "bad-payload");
                return;
        }
        /* a frame that holds the last descriptors would cost the connection with the next message */
        frame = r < 0 || sub->fb->room.given ? NULL : held_frame_new(sub, wire_frame);
        if (!frame) {
                frame_reject(sub, m, "incomplete");
                return;
        }
        sub->attempt = 0;
        sub->stats.delivered++;
        subscription_tell(sub, frame, frame);
        framebus_frame_unref(frame);
}

static void on_format(framebus_subscription *sub, sd_bus_message *m) {
        uint64_t order;
        uint32_t format;
        FormatRef *ref;
        Mode mode;

        if (codec_read_format(m, &order, &format, &mode) != 0)
                return;
        ref = format_ref_new(format, &mode);
        if (!ref)
                return;
        format_ref_unref(sub->format);
        sub->format = ref;
        sub->maps = maps_free(sub->maps); /* other frames, other buffers */
        subscription_tell(sub, format, format, &ref->public_mode);
}

static void on_lost(framebus_subscription *sub, sd_bus_message *m) {
        const char *reason;
        uint64_t count;

        if (sd_bus_message_read(m, "ts", &count, &reason) > 0)
                subscription_lose(sub, count, reason);
}

static void on_suspended(framebus_subscription *sub, sd_bus_message *m) {
        const char *reason;

        if (sd_bus_message_read(m, "s", &reason) > 0)
                subscription_tell(sub, suspended, reason);
}

static void on_resumed(framebus_subscription *sub, sd_bus_message *m) {
        subscription_tell(sub, resumed);
}

static void on_ended(framebus_subscription *sub, sd_bus_message *m) {
        const char *reason;
        uint64_t order;

        if (sd_bus_message_read(m, "ts", &order, &reason) <= 0 || strcmp(reason, "shutdown") == 0)
                attach_retry(sub);
        else
                attach_end(sub, reason, NULL);
}

static const struct {
        const char *member;
        void (*handle)(framebus_subscription *sub, sd_bus_message *m);
} signals[] = {
        { "Frame", on_frame },         { "FormatChanged", on_format }, { "Lost", on_lost },
        { "Suspended", on_suspended }, { "Resumed", on_resumed },      { "Ended", on_ended },
};

void subscription_dispatch(framebus_subscription *sub, sd_bus_message *m) {
        if (sub->closed || sub->state != SUBSCRIPTION_ATTACHED)
                return;
        for (size_t i = 0; i < FB_ELEMENTSOF(signals); i++)
                if (strcmp(sd_bus_message_get_member(m), signals[i].member) == 0) {
                        signals[i].handle(sub, m);
                        break;
                }
}

bool subscription_on_bus_signal(framebus_subscription *sub, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m), *path = sd_bus_message_get_path(m);
        const char *destination = sd_bus_message_get_destination(m);

        if (!sub->path || strcmp(path, sub->path) != 0)
                return false;
        if (sender && destination && strcmp(sender, sub->owner) == 0) {
                if (sub->causal.on)
                        order_keep(sub, m);
                else
                        subscription_dispatch(sub, m);
        }
        return true;
}

/* For programs */

static framebus_subscription *subscription_free(framebus_subscription *sub) {
        if (!sub)
                return NULL;
        list_remove(&sub->waiter.link);
        list_remove(&sub->link);
        options_deinit(&sub->options);
        free(sub->source);
        free(sub);
        return NULL;
}

FB_DEFINE_CLEANUP(framebus_subscription *, subscription_free)

void subscription_reap(framebus_subscription *sub) {
        if (sub->closed)
                subscription_free(sub);
}

static int subscription_new(framebus *fb, const struct framebus_subscribe_options *options,
                            const struct framebus_subscription_events *events, void *userdata,
                            framebus_subscription **ret_sub) {
        _cleanup_(subscription_freep) framebus_subscription *sub = NULL;
        int r;

        if (!events || events->version > FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION)
                return -EINVAL;
        sub = calloc(1, sizeof *sub);
        if (!sub)
                return -ENOMEM;
        sub->fb = fb;
        sub->events = events;
        sub->userdata = userdata;
        list_init(&sub->frames);
        list_init(&sub->causal.kept);
        r = options_init(&sub->options, options);
        if (r < 0)
                return r;
        *ret_sub = take_ptr(sub);
        return 0;
}

FB_PUBLIC int framebus_subscribe(framebus *fb, const char *source,
                                 const struct framebus_subscribe_options *options,
                                 const struct framebus_subscription_events *events, void *userdata,
                                 framebus_subscription **ret_sub) {
        _cleanup_(subscription_freep) framebus_subscription *sub = NULL;
        int r;

        if (!source)
                return -EINVAL;
        r = connection_check(fb);
        if (r >= 0)
                r = subscription_new(fb, options, events, userdata, &sub);
        if (r < 0)
                return r;
        sub->source = strdup(source);
        if (!sub->source)
                return -ENOMEM;
        if (sub->options.order == FRAMEBUS_ORDER_CAUSAL) {
                r = order_enable(fb);
                if (r < 0)
                        return r;
        }
        list_append(&fb->subscriptions, &sub->link);
        fb->n_by_bus += sub->options.transport == FRAMEBUS_TRANSPORT_BUS;
        attach_begin(sub);
        *ret_sub = take_ptr(sub);
        return 0;
}

FB_PUBLIC int framebus_subscribe_fd(framebus *fb, int fd_consume, const enum framebus_memory *memories,
                                    size_t n_memories, const struct framebus_subscription_events *events,
                                    void *userdata, framebus_subscription **ret_sub) {
        const struct framebus_subscribe_options options = { .version = FRAMEBUS_SUBSCRIBE_OPTIONS_VERSION,
                                                            .memories = memories,
                                                            .n_memories = n_memories };
        _cleanup_(subscription_freep) framebus_subscription *sub = NULL;
        _cleanup_close_ int fd = fd_consume;
        struct framebus_granted *granted;
        int r;

        r = subscription_new(fb, &options, events, userdata, &sub);
        if (r < 0)
                return r;
        granted = &sub->granted.granted;
        granted->drop = granted->memory = granted->order = granted->epoch = "";
        r = attach_open(sub, take_fd(fd));
        if (r < 0)
                return r;
        list_append(&fb->subscriptions, &sub->link);
        *ret_sub = take_ptr(sub);
        return 0;
}

FB_PUBLIC framebus_subscription *framebus_subscription_close(framebus_subscription *sub) {
        _cleanup_message_ sd_bus_message *m = NULL;

        if (!sub || sub->closed)
                return NULL;
        if (!sub->channel && subscription_new_call(sub, "Close", &m) >= 0)
                (void)subscription_send(sub, m);
        sub->closed = true;
        sub->fb->n_by_bus -= sub->options.transport == FRAMEBUS_TRANSPORT_BUS;
        if (sub->options.order == FRAMEBUS_ORDER_CAUSAL)
                order_disable(sub->fb);
        held_frames_disown(sub);
        attach_forget(sub);
        list_remove(&sub->waiter.link);
        if (!sub->fb->processing)
                subscription_free(sub);
        return NULL;
}

FB_PUBLIC int framebus_subscription_set_options(framebus_subscription *sub, uint32_t window,
                                                enum framebus_drop drop, struct framebus_fraction max_rate) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        if (!options_are_valid(window, drop, max_rate))
                return -EINVAL;
        r = subscription_new_call(sub, "SetOptions", &m);
        if (r < 0)
                return r;
        sub->options.window = window > 0 ? window : sub->options.window;
        sub->options.drop = drop;
        sub->options.max_rate = (Fraction){ max_rate.num, max_rate.den };
        if (window > 0)
                sub->granted.granted.window = window;
        r = options_append_changes(m, &sub->options);
        return r < 0 ? r : subscription_send(sub, m);
}

FB_PUBLIC void framebus_subscription_get_stats(framebus_subscription *sub,
                                               struct framebus_subscription_stats *ret_stats) {
        *ret_stats = sub->stats;
}
