/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/lifecycle.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "interfaces/names.h"

/* Replies of RequestName, D-Bus specification. */
#define NAME_PRIMARY_OWNER 1u
#define NAME_IN_QUEUE      2u
#define NAME_ALREADY_OWNER 4u

#define LOOK_AGAIN_NS (5 * NSEC_PER_MSEC)

static void finish(Lifecycle *l, int status) {
        (void)sd_event_exit(l->api->event, status);
}

/* Tells everybody to attach again, and ends. */
static void end(Lifecycle *l, int status) {
        (void)sd_notify(0, "STOPPING=1");
        api_end_all(l->api, "shutdown");
        finish(l, status);
}

static void leave_if_done(Lifecycle *l);

static int on_look_again(sd_event_source *s, uint64_t usec, void *userdata) {
        Lifecycle *l = userdata;

        l->look_again = sd_event_source_disable_unref(l->look_again);
        leave_if_done(l);
        return 0;
}

/* What a held call does is known when it was done; not every call tells of itself by activity. */
static void look_again(Lifecycle *l) {
        if (l->look_again)
                return;
        if (sd_event_add_time_relative(l->api->event, &l->look_again, CLOCK_MONOTONIC,
                                       LOOK_AGAIN_NS / NSEC_PER_USEC, 0, on_look_again, l) < 0)
                finish(l, 1);
}

static int request_name(Lifecycle *l);

/* Work that came in the last moment needs the name, and before it is answered: what is published here cannot
 * be found otherwise. */
static void leave_if_done(Lifecycle *l) {
        if (l->state != LIFECYCLE_LEFT)
                return;
        if (!l->told_to_end && api_is_busy(l->api)) {
                if (!l->request_slot)
                        (void)request_name(l);
        } else if (callers_hold_calls(&l->api->callers))
                look_again(l);
        else if (l->told_to_end)
                end(l, 0);
        else
                finish(l, 0);
}

static int on_released(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* A test makes the moments longer in which calls come before the name is released, and a successor after. */
static void tarry(void) {
        if (fault_point("leave") > 0)
                (void)poll(NULL, 0, (int)fault_point("leave"));
}

static void leave(Lifecycle *l) {
        (void)sd_notify(0, "STOPPING=1");
        l->state = LIFECYCLE_LEAVING;
        tarry();
        if (sd_bus_release_name_async(l->api->bus, &l->release_slot, FB_BUS_NAME, on_released, l) < 0)
                end(l, 1);
        tarry();
}

static void serve(Lifecycle *l) {
        if (l->state == LIFECYCLE_ARRIVING || l->state == LIFECYCLE_IN_LINE)
                (void)sd_notify(0, "READY=1");
        l->state = LIFECYCLE_SERVING;
        if (l->told_to_end)
                leave(l);
        else
                lifecycle_activity(l);
}

static int on_requested(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Lifecycle *l = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(m);
        bool first = l->state == LIFECYCLE_ARRIVING;
        uint32_t answer = 0;

        l->request_slot = sd_bus_slot_unref(l->request_slot);
        if (!error)
                (void)sd_bus_message_read(m, "u", &answer);
        if (answer == NAME_PRIMARY_OWNER || answer == NAME_ALREADY_OWNER) {
                serve(l);
                return 0;
        }
        if (answer == NAME_IN_QUEUE) {
                log_notice("another broker owns %s: waiting for its end", FB_BUS_NAME);
                l->state = LIFECYCLE_IN_LINE;
                return 0;
        }
        if (!first) { /* what was begun here is to begin again there */
                l->state = LIFECYCLE_LEFT;
                l->told_to_end = true;
                leave_if_done(l);
                return 0;
        }
        if (error)
                log_error("cannot own %s: %s (does the bus policy allow this user to?)", FB_BUS_NAME,
                          error->message);
        else
                log_error("another broker owns %s: --replace takes over from it", FB_BUS_NAME);
        finish(l, error ? 1 : 3);
        return 0;
}

static int request_name(Lifecycle *l) {
        uint64_t flags = SD_BUS_NAME_ALLOW_REPLACEMENT;

        /* An activated successor that was faster knows nothing yet of what was begun here at the end. */
        if (l->options.replace || l->state != LIFECYCLE_ARRIVING)
                flags |= SD_BUS_NAME_REPLACE_EXISTING;
        if (l->options.queue && l->state == LIFECYCLE_ARRIVING)
                flags |= SD_BUS_NAME_QUEUE;
        l->request_slot = sd_bus_slot_unref(l->request_slot);
        return sd_bus_request_name_async(l->api->bus, &l->request_slot, FB_BUS_NAME, flags, on_requested, l);
}

static int on_released(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Lifecycle *l = userdata;

        l->release_slot = sd_bus_slot_unref(l->release_slot);
        if (l->request_slot)
                return 0; /* work came meanwhile */
        l->state = LIFECYCLE_LEFT;
        leave_if_done(l);
        return 0;
}

static int on_idle(sd_event_source *s, uint64_t usec, void *userdata) {
        Lifecycle *l = userdata;

        l->idle_timer = sd_event_source_disable_unref(l->idle_timer);
        if (l->state != LIFECYCLE_SERVING || api_is_busy(l->api))
                return 0;
        if (callers_hold_calls(&l->api->callers)) {
                lifecycle_activity(l);
                return 0;
        }
        log_debug("idle: leaving the bus");
        leave(l);
        return 0;
}

/* Whether a signal of the bus is about our name. */
static bool is_our_name(sd_bus_message *m) {
        const char *name;

        return callers_from_driver(m) && sd_bus_message_read(m, "s", &name) >= 0 &&
               strcmp(name, FB_BUS_NAME) == 0;
}

/* Only a replacement takes the name without our release. What came before is answered. */
static int on_name_lost(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Lifecycle *l = userdata;

        if (l->state != LIFECYCLE_SERVING || l->release_slot || !is_our_name(m))
                return 0;
        log_notice("another broker took over %s", FB_BUS_NAME);
        l->state = LIFECYCLE_LEFT;
        l->told_to_end = true;
        leave_if_done(l);
        return 0;
}

/* Who waited in line is next. */
static int on_name_acquired(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Lifecycle *l = userdata;

        if (l->state == LIFECYCLE_IN_LINE && is_our_name(m)) {
                log_notice("%s is ours now", FB_BUS_NAME);
                serve(l);
        }
        return 0;
}

/* Nobody has to do with a broker in line. (One that arrives may be called before it knows its name.) */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Lifecycle *l = userdata;

        if (l->state != LIFECYCLE_IN_LINE || !sd_bus_message_is_method_call(m, NULL, NULL))
                return 0;
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                          "this broker does not own %s yet", FB_BUS_NAME);
}

/* systemd sends one as soon as the name is released, so it must not cost the calls that came before that;
 * neither need any other first one. */
static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Lifecycle *l = userdata;
        bool again = l->told_to_end;

        l->told_to_end = true;
        if (again || l->state == LIFECYCLE_ARRIVING || l->state == LIFECYCLE_IN_LINE)
                end(l, 0);
        else if (l->state == LIFECYCLE_SERVING && !l->release_slot) {
                api_end_all(l->api, "shutdown"); /* while the name is ours: receivers may insist on that */
                leave(l);
        } else
                leave_if_done(l);
        return 0;
}

static int watch_name(Lifecycle *l, sd_bus_slot **slot, const char *member,
                      sd_bus_message_handler_t handler) {
        return sd_bus_match_signal_async(l->api->bus, slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                         "org.freedesktop.DBus", member, handler, NULL, l);
}

int lifecycle_init(Lifecycle *l, Api *api, const LifecycleOptions *options) {
        int r;

        *l = (Lifecycle){ .api = api, .options = *options };
        r = sd_event_add_signal(api->event, &l->sigterm, SIGTERM, on_signal, l);
        if (r >= 0)
                r = sd_event_add_signal(api->event, &l->sigint, SIGINT, on_signal, l);
        if (r >= 0)
                r = watch_name(l, &l->lost_slot, "NameLost", on_name_lost);
        if (r >= 0 && options->queue)
                r = watch_name(l, &l->acquired_slot, "NameAcquired", on_name_acquired);
        if (r >= 0 && options->queue)
                r = sd_bus_add_filter(api->bus, &l->filter_slot, on_message, l);
        return r < 0 ? r : request_name(l);
}

void lifecycle_deinit(Lifecycle *l) {
        sd_event_source_disable_unref(l->idle_timer);
        sd_event_source_disable_unref(l->look_again);
        sd_event_source_disable_unref(l->sigterm);
        sd_event_source_disable_unref(l->sigint);
        sd_bus_slot_unref(l->request_slot);
        sd_bus_slot_unref(l->release_slot);
        sd_bus_slot_unref(l->lost_slot);
        sd_bus_slot_unref(l->acquired_slot);
        sd_bus_slot_unref(l->filter_slot);
}

void lifecycle_activity(Lifecycle *l) {
        bool busy = api_is_busy(l->api);

        if (busy)
                l->idle_timer = sd_event_source_disable_unref(l->idle_timer);
        switch (l->state) {
        case LIFECYCLE_ARRIVING:
        case LIFECYCLE_IN_LINE:
                break;
        case LIFECYCLE_SERVING:
                if (!busy && !l->idle_timer && l->options.idle_ns != UINT64_MAX)
                        (void)sd_event_add_time_relative(l->api->event, &l->idle_timer, CLOCK_MONOTONIC,
                                                         l->options.idle_ns / NSEC_PER_USEC, 0, on_idle, l);
                break;
        case LIFECYCLE_LEAVING:
                if (busy && !l->request_slot && !l->told_to_end)
                        (void)request_name(l);
                break;
        case LIFECYCLE_LEFT:
                leave_if_done(l);
                break;
        }
}
