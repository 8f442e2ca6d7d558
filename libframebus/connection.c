/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event loop in a descriptor, and the bus.
 *
 * sd-event is left armed whenever control is with the program: every timer is then in the epoll descriptor,
 * and so is the wish to write. Whatever the program calls in between may change what to wait for; that is why
 * framebus_get_timeout() arms anew.
 *
 * Nothing here blocks: no synchronous call, no synchronous match. A bus that hung up is not opened again.
 */
#include "libframebus/connection.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "interfaces/names.h"
#include "libframebus/commits.h"
#include "libframebus/control-watch.h"
#include "libframebus/export.h"
#include "libframebus/publisher.h"
#include "libframebus/query.h"
#include "libframebus/search.h"
#include "libframebus/subscription.h"
#include "libframebus/watch.h"

/* One call of framebus_process() is to be short, so that the program's other events get their turn. */
#define DISPATCHES_MAX 64

#define BACKOFF_FIRST_NS (50 * NSEC_PER_MSEC)
#define BACKOFF_LAST_NS  (5 * NSEC_PER_SEC)

int connection_check(framebus *fb) {
        if (!fb->has_broker)
                return -ENOMEDIUM;
        return fb->lost ? -ENOTCONN : 0;
}

void connection_when_ready(framebus *fb, Waiter *w, void (*ready)(Waiter *w)) {
        w->ready = ready;
        if (fb->bus)
                ready(w);
        else
                list_append(&fb->waiters, &w->link);
}

int connection_call(framebus *fb, sd_bus_slot **ret_slot, sd_bus_message *m,
                    sd_bus_message_handler_t callback, void *userdata) {
        int r;

        if (fb->lost)
                return -ENOTCONN;
        r = sd_bus_call_async(fb->bus, ret_slot, m, callback, userdata, CALL_DEADLINE_USEC);
        return r < 0 ? r : 0;
}

bool connection_can_take_fd(framebus *fb) {
        _cleanup_close_ int a = fd_dup_cloexec(sd_event_get_fd(fb->event));
        _cleanup_close_ int b = fd_dup_cloexec(sd_event_get_fd(fb->event));

        return a >= 0 && b >= 0;
}

bool message_get_error(sd_bus_message *m, struct framebus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        if (!e)
                return false;
        *ret_error = (struct framebus_error){ .name = e->name,
                                              .message = e->message ?: e->name,
                                              .error = sd_bus_error_get_errno(e) };
        return true;
}

int connection_set_timer(framebus *fb, sd_event_source **timer, uint64_t after_ns,
                         sd_event_time_handler_t callback, void *userdata) {
        *timer = sd_event_source_disable_unref(*timer);
        return sd_event_add_time(fb->event, timer, CLOCK_MONOTONIC,
                                 (clock_now_ns() + after_ns) / NSEC_PER_USEC, NSEC_PER_MSEC / NSEC_PER_USEC,
                                 callback, userdata);
}

uint64_t connection_backoff_ns(unsigned int attempt) {
        uint64_t base = attempt > 20 ? BACKOFF_LAST_NS : FB_MIN(BACKOFF_FIRST_NS << attempt, BACKOFF_LAST_NS);
        uint32_t random = 0;

        if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
                random = (uint32_t)clock_now_ns();
        return base * 3 / 4 + random % (base / 2 + 1);
}

/* The bus in use */

static void connection_on_lost(framebus *fb) {
        framebus_subscription *sub;

        if (fb->lost)
                return;
        fb->lost = true;
        list_for_each(sub, &fb->subscriptions, link)
                subscription_on_bus_lost(sub);
}

static int on_bus_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus *fb = userdata;
        framebus_subscription *sub;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected") > 0)
                connection_on_lost(fb);
        else if (sd_bus_message_is_signal(m, FB_IFACE_SUBSCRIPTION, NULL) > 0 && !commits_take(fb, m))
                list_for_each(sub, &fb->subscriptions, link)
                        if (subscription_on_bus_signal(sub, m))
                                break;
        return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus *fb = userdata;
        framebus_subscription *sub;
        const char *name, *old_owner, *new_owner, *sender = sd_bus_message_get_sender(m);
        framebus_control_watch *controls;
        Watch *watch;

        /* a match on the driver's name lets a directed signal of anybody through */
        if (!sender || strcmp(sender, "org.freedesktop.DBus") != 0 ||
            sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) < 0 ||
            strcmp(name, FB_BUS_NAME) != 0)
                return 0;
        if (*old_owner) {
                free(fb->former_owner);
                fb->former_owner = strdup(old_owner);
        }
        list_for_each(sub, &fb->subscriptions, link)
                subscription_on_owner_changed(sub, old_owner, new_owner);
        list_for_each(watch, &fb->watches, link)
                watch_on_owner_changed(watch, old_owner, new_owner);
        list_for_each(controls, &fb->control_watches, link)
                control_watch_on_owner_changed(controls, new_owner);
        return 0;
}

/* Without the match a new broker is found by back-off alone: no reason to give up the bus, as sd-bus
 * would. */
static int on_match_installed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return 0;
}

int connection_adopt_bus(framebus *fb, sd_bus *bus_consume, const char *address) {
        Waiter *w;
        int r;

        fb->bus = bus_consume;
        fb->address = strdup(address);
        if (!fb->address)
                return -ENOMEM;
        r = sd_bus_add_filter(fb->bus, NULL, on_bus_message, fb);
        if (r >= 0)
                r = sd_bus_add_match_async(fb->bus, NULL,
                                           "type='signal',sender='org.freedesktop.DBus',"
                                           "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                           "member='NameOwnerChanged',arg0='" FB_BUS_NAME "'",
                                           on_owner_changed, on_match_installed, fb);
        if (r < 0)
                return r;
        while ((w = list_first(&fb->waiters, Waiter, link))) {
                list_remove(&w->link);
                w->ready(w);
        }
        return 0;
}

/* Opening and closing */

static framebus *connection_free(framebus *fb) {
        framebus_subscription *sub, *next_sub;
        framebus_publisher *pub, *next_pub;
        framebus_control_watch *controls, *next_controls;
        Watch *watch, *next_watch;
        Query *query, *next_query;

        if (!fb)
                return NULL;
        list_for_each_safe(sub, next_sub, &fb->subscriptions, link)
                framebus_subscription_close(sub);
        list_for_each_safe(pub, next_pub, &fb->publishers, link)
                framebus_publisher_close(pub);
        list_for_each_safe(watch, next_watch, &fb->watches, link)
                watch_free(watch);
        list_for_each_safe(controls, next_controls, &fb->control_watches, link)
                framebus_control_watch_close(controls);
        list_for_each_safe(query, next_query, &fb->queries, link)
                query_free(query);
        sd_bus_slot_unref(fb->candidate_call);
        sd_event_source_disable_unref(fb->candidate_deadline);
        sd_bus_close_unref(fb->candidate);
        sd_bus_close_unref(fb->bus);
        order_deinit(&fb->ordering);
        room_deinit(&fb->room);
        sd_event_unref(fb->event);
        free(fb->former_owner);
        free(fb->address);
        free(fb);
        return NULL;
}

FB_DEFINE_CLEANUP(framebus *, connection_free)

static int connection_new(framebus **ret_fb) {
        _cleanup_(connection_freep) framebus *fb = calloc(1, sizeof *fb);
        int r;

        if (!fb)
                return -ENOMEM;
        list_init(&fb->waiters);
        list_init(&fb->subscriptions);
        list_init(&fb->publishers);
        list_init(&fb->queries);
        list_init(&fb->watches);
        room_init(&fb->room);
        order_init(&fb->ordering);
        list_init(&fb->control_watches);
        r = sd_event_new(&fb->event);
        if (r < 0)
                return r;
        *ret_fb = take_ptr(fb);
        return 0;
}

FB_PUBLIC int framebus_open(framebus **ret_fb, const char *address) {
        _cleanup_(connection_freep) framebus *fb = NULL;
        int r;

        r = connection_new(&fb);
        if (r < 0)
                return r;
        r = search_start(fb, address);
        if (r < 0)
                return r;
        r = sd_event_prepare(fb->event);
        if (r < 0)
                return r;
        *ret_fb = take_ptr(fb);
        return 0;
}

FB_PUBLIC framebus *framebus_close(framebus *fb) {
        return connection_free(fb);
}

/* The loop */

/* Whether anything is to be dispatched right now. */
static int event_poll(sd_event *event) {
        int r, state = sd_event_get_state(event);

        if (state == SD_EVENT_PENDING)
                return 1;
        if (state == SD_EVENT_INITIAL) {
                r = sd_event_prepare(event);
                if (r != 0)
                        return r;
        }
        return sd_event_wait(event, 0);
}

FB_PUBLIC int framebus_get_fd(framebus *fb) {
        return sd_event_get_fd(fb->event);
}

FB_PUBLIC int framebus_get_events(framebus *fb) {
        return POLLIN;
}

FB_PUBLIC uint64_t framebus_get_timeout(framebus *fb) {
        if (fb->processing)
                return 0;
        if (event_poll(fb->event) != 0)
                return 0;
        return sd_event_prepare(fb->event) == 0 ? UINT64_MAX : 0;
}

/* What was put off until no callback runs: releases in one message, room to write, and freeing. */
static void connection_finish(framebus *fb) {
        framebus_subscription *sub, *next_sub;
        framebus_publisher *pub, *next_pub;
        framebus_control_watch *controls, *next_controls;
        Watch *watch, *next_watch;

        list_for_each(pub, &fb->publishers, link)
                publisher_flush(pub); /* a callback, which may release frames */
        list_for_each(sub, &fb->subscriptions, link)
                subscription_flush(sub);
        fb->processing = false;
        list_for_each_safe(sub, next_sub, &fb->subscriptions, link)
                subscription_reap(sub);
        list_for_each_safe(pub, next_pub, &fb->publishers, link)
                publisher_reap(pub);
        list_for_each_safe(watch, next_watch, &fb->watches, link)
                watch_reap(watch);
        list_for_each_safe(controls, next_controls, &fb->control_watches, link)
                control_watch_reap(controls);
}

/* Of a frame that may come next by the bus. */
static unsigned int most_memories_by_bus(framebus *fb) {
        const framebus_subscription *sub;
        unsigned int most = 1;

        list_for_each(sub, &fb->subscriptions, link)
                if (!sub->closed && sub->options.transport == FRAMEBUS_TRANSPORT_BUS)
                        most = FB_MAX(most, subscription_count_memories(sub));
        return most;
}

/* One message, one timer… */
static int dispatch(framebus *fb) {
        int r;

        if (fb->ordering.n_causal > 0 || !list_is_empty(&fb->ordering.barriers))
                order_turn(fb);
        if (fb->n_by_bus > 0)
                room_make(&fb->room, most_memories_by_bus(fb), sd_event_get_fd(fb->event));
        r = sd_event_dispatch(fb->event);
        room_restore(&fb->room, sd_event_get_fd(fb->event));
        return r;
}

FB_PUBLIC int framebus_process(framebus *fb) {
        int r, n = 0;

        if (fb->processing)
                return -EBUSY;
        fb->processing = true;
        while ((r = event_poll(fb->event)) > 0 && n++ < DISPATCHES_MAX) {
                r = dispatch(fb);
                if (r < 0)
                        break;
        }
        connection_finish(fb);
        if (r < 0)
                return r;
        if (sd_event_get_state(fb->event) == SD_EVENT_INITIAL)
                (void)sd_event_prepare(fb->event);
        if (fb->lost)
                return -ENOTCONN;
        return n > 0;
}

FB_PUBLIC int framebus_run_once(framebus *fb, uint64_t timeout_ns) {
        uint64_t wait_ns = framebus_get_timeout(fb) == 0 ? 0 : timeout_ns;
        struct timespec ts = { .tv_sec = (time_t)(wait_ns / NSEC_PER_SEC),
                               .tv_nsec = (long)(wait_ns % NSEC_PER_SEC) };
        struct pollfd p = { .fd = framebus_get_fd(fb), .events = (short)framebus_get_events(fb) };

        if (ppoll(&p, 1, wait_ns == UINT64_MAX ? NULL : &ts, NULL) < 0)
                return -errno;
        return framebus_process(fb);
}

FB_PUBLIC const char *framebus_get_address(framebus *fb) {
        return fb->address;
}
