/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Resolve (at the well-known name, which activates a broker), Attach or Subscribe (at the unique name that
 * answered), the channel, and back-off.
 *
 * Invariants: at most one call and one timer at a time; whatever is forgotten leaves no descriptor behind (a
 * reply that comes too late is dropped, and the broker sees the hang-up); `disconnected` is told once per
 * loss.
 *
 * An error that says what is wrong with the request ends the subscription when it was never attached; once
 * attached, only errors that time cannot heal do. A dead bus is not opened again.
 */
#include "libframebus/attach.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "interfaces/names.h"
#include "libframebus/commits.h"
#include "libframebus/share.h"

#define OPEN_DEADLINE_NS (25 * NSEC_PER_SEC)

/* Attached for so long: the next loss begins with the shortest back-off again. */
#define STABLE_NS (5 * NSEC_PER_SEC)

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata);

/* Which errors heal */

static bool name_is_in(const char *name, const char *const *names, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

/* Errors of the way to the broker. */
static const char *const transient_errors[] = {
        SD_BUS_ERROR_NO_REPLY,     SD_BUS_ERROR_TIMEOUT,           "org.freedesktop.DBus.Error.TimedOut",
        SD_BUS_ERROR_DISCONNECTED, SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_NO_MEMORY,
};

/* The broker, or the source, went away between the first answer and the second question. */
static const char *const vanished_errors[] = {
        SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_UNKNOWN_OBJECT,
        SD_BUS_ERROR_UNKNOWN_METHOD, /* what sd-bus of old answers for an object that is not there */
};

/* Errors that no waiting heals. */
static const char *const final_errors[] = {
        FB_ERROR_UNKNOWN_OPTION, FB_ERROR_INVALID_OPTION,   FB_ERROR_INVALID_NAME,
        FB_ERROR_NO_COMMON_MODE, FB_ERROR_NO_COMMON_MEMORY, FB_ERROR_FD_PASSING_REQUIRED,
        FB_ERROR_NOT_SUPPORTED,  FB_ERROR_ACCESS_DENIED,    SD_BUS_ERROR_INVALID_ARGS,
};

static bool error_heals(const framebus_subscription *sub, const char *name) {
        if (name_is_in(name, transient_errors, FB_ELEMENTSOF(transient_errors)))
                return true;
        if (sub->stats.attached > 0)
                return !name_is_in(name, final_errors, FB_ELEMENTSOF(final_errors));
        return sub->state == SUBSCRIPTION_REQUESTING &&
               name_is_in(name, vanished_errors, FB_ELEMENTSOF(vanished_errors));
}

void attach_failed(framebus_subscription *sub, const struct framebus_error *error) {
        if (error_heals(sub, error->name))
                attach_retry(sub);
        else
                attach_end(sub, "refused", error);
}

static void attach_failed_errno(framebus_subscription *sub, int r) {
        struct framebus_error error = {
                .name = "org.freedesktop.DBus.Error.InconsistentMessage",
                .message = "The broker's answer is not what org.framebus.Source1 says",
                .error = -r
        };

        if (r == -EBADMSG || r == -ENXIO)
                attach_failed(sub, &error);
        else
                attach_retry(sub); /* no memory, no descriptors: may heal */
}

/* Coming */

void attach_done(framebus_subscription *sub) {
        sub->timer = sd_event_source_disable_unref(sub->timer);
        subscription_set_state(sub, SUBSCRIPTION_ATTACHED);
        sub->attached_ns = clock_now_ns();
        sub->stats.attached++;
        subscription_tell(sub, attached, &sub->granted.granted);
}

static int on_channel_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;

        if (sd_bus_message_is_signal(m, FB_IFACE_SUBSCRIPTION, NULL) <= 0)
                return 0;
        if (sub->causal.on)
                order_keep(sub, m);
        else
                subscription_dispatch(sub, m);
        return 0;
}

static int on_channel_setup(Channel *c, sd_bus *bus, void *userdata) {
        return sd_bus_add_filter(bus, NULL, on_channel_message, userdata);
}

static void on_channel_opened(Channel *c, void *userdata) {
        framebus_subscription *sub = userdata;

        if ((sub->causal.on || !sub->source) && order_begin(sub) < 0) {
                attach_retry(sub);
                return;
        }
        if (!sub->causal.on)
                attach_done(sub);
}

static void on_channel_closed(Channel *c, void *userdata) {
        framebus_subscription *sub = userdata;

        if (sub->causal.on)
                order_hang_up(sub);
        else
                attach_retry(sub);
}

static const ChannelHandler channel_handler = {
        .setup = on_channel_setup,
        .opened = on_channel_opened,
        .closed = on_channel_closed,
};

int attach_open(framebus_subscription *sub, int fd_consume) {
        int r;

        r = channel_new_client(sub->fb->event, fd_consume, CHANNEL_PRIORITY, &channel_handler, sub,
                               &sub->channel);
        if (r >= 0)
                r = connection_set_timer(sub->fb, &sub->timer, OPEN_DEADLINE_NS, on_timer, sub);
        if (r < 0) {
                attach_forget(sub);
                return r;
        }
        subscription_set_state(sub, SUBSCRIPTION_OPENING);
        return 0;
}

static int read_granted(framebus_subscription *sub, sd_bus_message *reply) {
        Granted *g = &sub->granted;
        int r = granted_read(reply, g);

        if (r < 0)
                return r;
        sub->causal.on = sub->options.order == FRAMEBUS_ORDER_CAUSAL && strcmp(g->order, "causal") == 0;
        if (sub->causal.on && sub->options.drop == FRAMEBUS_DROP_LATEST)
                strcpy(g->drop, "latest"); /* order.c does it */
        return 0;
}

/* Takes the channel and the grant out of Attach's reply. */
static int attach_open_channel(framebus_subscription *sub, sd_bus_message *reply) {
        int r, fd;

        r = sd_bus_message_read(reply, "ho", &fd, NULL);
        if (r < 0)
                return r;
        r = read_granted(sub, reply);
        if (r < 0)
                return r;
        fd = fd_dup_cloexec(fd);
        return fd < 0 ? fd : attach_open(sub, fd);
}

static int on_attach_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;
        struct framebus_error error;
        int r;

        sub->call = sd_bus_slot_unref(sub->call);
        if (message_get_error(m, &error)) {
                attach_failed(sub, &error);
                return 0;
        }
        r = attach_open_channel(sub, m);
        if (r < 0)
                attach_failed_errno(sub, r);
        return 0;
}

static void send_close(sd_bus *bus, const char *owner, const char *path) {
        (void)sd_bus_call_method_async(bus, NULL, owner, path, FB_IFACE_SUBSCRIPTION, "Close", NULL, NULL,
                                       NULL);
}

static int attach_settle_on_bus(framebus_subscription *sub) {
        int r = commits_begin(sub);

        if (r >= 0)
                r = connection_set_timer(sub->fb, &sub->timer, OPEN_DEADLINE_NS, on_timer, sub);
        subscription_set_state(sub, SUBSCRIPTION_OPENING);
        return r;
}

/* Without a subscription in @userdata it was closed meanwhile: the broker has to be told. */
static int on_subscribe_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;
        struct framebus_error error;
        const char *path;
        int r;

        if (!sub) {
                if (!message_get_error(m, &error) && sd_bus_message_read(m, "o", &path) > 0)
                        send_close(sd_bus_message_get_bus(m), sd_bus_message_get_sender(m), path);
                return 0;
        }
        sub->call = sd_bus_slot_unref(sub->call);
        if (message_get_error(m, &error)) {
                attach_failed(sub, &error);
                return 0;
        }
        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = read_granted(sub, m);
        if (r >= 0) {
                sub->path = strdup(path);
                r = sub->path ? 0 : -ENOMEM;
        }
        if (r >= 0 && sub->causal.on)
                r = attach_settle_on_bus(sub);
        if (r < 0)
                attach_failed_errno(sub, r);
        else if (!sub->causal.on)
                attach_done(sub);
        return 0;
}

static int attach_request(framebus_subscription *sub, const char *source_path) {
        _cleanup_message_ sd_bus_message *m = NULL;
        bool peer = sub->options.transport == FRAMEBUS_TRANSPORT_PEER;
        int r;

        if (peer && !connection_can_take_fd(sub->fb))
                return -EMFILE;
        r = sd_bus_message_new_method_call(sub->fb->bus, &m, sub->owner, source_path, FB_IFACE_SOURCE,
                                           peer ? "Attach" : "Subscribe");
        if (r >= 0)
                r = options_append(m, &sub->options);
        if (r >= 0)
                r = connection_call(sub->fb, &sub->call, m, peer ? on_attach_reply : on_subscribe_reply, sub);
        if (r < 0)
                return r;
        subscription_set_state(sub, SUBSCRIPTION_REQUESTING);
        return 0;
}

static int on_resolved(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;
        const char *path, *sender = sd_bus_message_get_sender(m);
        struct framebus_error error;
        int r;

        sub->call = sd_bus_slot_unref(sub->call);
        if (message_get_error(m, &error)) {
                attach_failed(sub, &error);
                return 0;
        }
        if (sub->fb->former_owner && sender && strcmp(sender, sub->fb->former_owner) == 0) {
                attach_retry(sub); /* answered, but about to go */
                return 0;
        }
        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0) {
                sub->owner = strdup(sender ?: FB_BUS_NAME);
                r = sub->owner ? attach_request(sub, path) : -ENOMEM;
        }
        if (r < 0)
                attach_failed_errno(sub, r);
        return 0;
}

static int attach_resolve(framebus_subscription *sub) {
        _cleanup_message_ sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(sub->fb->bus, &m, FB_BUS_NAME, FB_PATH_MANAGER, FB_IFACE_MANAGER,
                                           "Resolve");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", sub->source);
        if (r >= 0)
                r = connection_call(sub->fb, &sub->call, m, on_resolved, sub);
        if (r < 0)
                return r;
        subscription_set_state(sub, SUBSCRIPTION_RESOLVING);
        return 0;
}

/* Outside of framebus_process() no callback may run: a failure is left to the timer. */
static void on_bus_ready(Waiter *w) {
        framebus_subscription *sub = list_entry(w, framebus_subscription, waiter);

        if (attach_resolve(sub) < 0) {
                subscription_set_state(sub, SUBSCRIPTION_BACKOFF);
                (void)connection_set_timer(sub->fb, &sub->timer, 0, on_timer, sub);
        }
}

void attach_begin(framebus_subscription *sub) {
        connection_when_ready(sub->fb, &sub->waiter, on_bus_ready);
}

/* Going */

void attach_forget(framebus_subscription *sub) {
        /* the answer would come to nobody, and the broker would go on sending: see on_subscribe_reply() */
        if (sub->call && sub->state == SUBSCRIPTION_REQUESTING &&
            sub->options.transport == FRAMEBUS_TRANSPORT_BUS && sd_bus_slot_set_floating(sub->call, 1) >= 0)
                (void)sd_bus_slot_set_userdata(sub->call, NULL);
        if (sub->state == SUBSCRIPTION_OPENING && sub->path && !sub->fb->lost)
                send_close(sub->fb->bus, sub->owner, sub->path);
        sub->call = sd_bus_slot_unref(sub->call);
        sub->timer = sd_event_source_disable_unref(sub->timer);
        order_forget(sub);
        share_forget(sub);
        sub->channel = channel_free(sub->channel);
        sub->format = format_ref_unref(sub->format);
        sub->maps = maps_free(sub->maps);
        free(take_ptr(sub->owner));
        free(take_ptr(sub->path));
        sub->n_releases = 0;
        sub->generation++;
}

void attach_retry(framebus_subscription *sub) {
        uint64_t delay_ns = UINT64_MAX;

        if (!sub->source) {
                attach_end(sub, "disconnected", NULL);
                return;
        }
        if (sub->state == SUBSCRIPTION_ATTACHED && clock_now_ns() - sub->attached_ns >= STABLE_NS)
                sub->attempt = 0;
        attach_forget(sub);
        subscription_set_state(sub, SUBSCRIPTION_BACKOFF);
        if (!sub->fb->lost) {
                delay_ns = connection_backoff_ns(sub->attempt++);
                if (connection_set_timer(sub->fb, &sub->timer, delay_ns, on_timer, sub) < 0)
                        delay_ns = UINT64_MAX;
        }
        subscription_tell(sub, disconnected, delay_ns);
        share_tell_forgotten(sub);
}

void attach_end(framebus_subscription *sub, const char *reason, const struct framebus_error *error) {
        attach_forget(sub);
        subscription_set_state(sub, SUBSCRIPTION_ENDED);
        subscription_tell(sub, ended, reason, error);
        share_tell_forgotten(sub);
}

/* The back-off is over, or a channel did not open in time. */
static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        framebus_subscription *sub = userdata;

        sub->timer = sd_event_source_disable_unref(sub->timer);
        if (sub->state != SUBSCRIPTION_BACKOFF || attach_resolve(sub) < 0)
                attach_retry(sub);
        return 0;
}

void subscription_on_bus_lost(framebus_subscription *sub) {
        if (!sub->closed && sub->source && sub->state != SUBSCRIPTION_ENDED)
                attach_retry(sub);
}

void subscription_on_owner_changed(framebus_subscription *sub, const char *old_owner, const char *new_owner) {
        bool by_bus = sub->options.transport == FRAMEBUS_TRANSPORT_BUS;

        if (sub->closed)
                return;
        if (sub->state == SUBSCRIPTION_BACKOFF && *new_owner)
                (void)connection_set_timer(sub->fb, &sub->timer, 0, on_timer, sub);
        else if (sub->owner && strcmp(sub->owner, old_owner) == 0 &&
                 (sub->state == SUBSCRIPTION_REQUESTING ||
                  (by_bus && (sub->state == SUBSCRIPTION_ATTACHED || sub->state == SUBSCRIPTION_OPENING))))
                attach_retry(sub);
}
