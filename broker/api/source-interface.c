/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.framebus.Source1. Calls need the source's modes; where they are not known yet, the call waits and comes
 * again. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "broker/api/announce.h"
#include "broker/api/errors.h"
#include "broker/api/legacy.h"
#include "broker/api/memory.h"
#include "broker/api/options.h"
#include "broker/api/order.h"
#include "broker/api/rights.h"
#include "broker/api/source-interfaces.h"
#include "broker/api/source.h"
#include "broker/api/subscription.h"
#include "interfaces/names.h"
#include "wire/codec.h"

/* ---- calls ---- */

/* Names both sides: the source, or, where it has what is asked for, who accepts nothing of it. */
static int no_common_mode(const Source *s, const Options *o, sd_bus_error *ret_error) {
        char wishes[320], offers[320], others[256];
        const Stream *stream = &s->stream;
        ModeList w = { o->wishes, o->n_wishes }, theirs;
        size_t n;

        mode_list_to_string(w, wishes, sizeof wishes);
        mode_list_to_string((ModeList){ stream->modes, stream->n_modes }, offers, sizeof offers);
        if (!stream_can(stream, w))
                return api_error(ret_error, FB_E_NO_COMMON_MODE, "you accept %s; source '%s' has %s", wishes,
                                 s->name, offers);
        n = stream_count_opponents(stream, w, &theirs);
        if (n == 0)
                return api_error(ret_error, FB_E_NO_COMMON_MODE,
                                 "you accept %s; source '%s' has %s, but nothing that its %u other "
                                 "subscribers all accept as well",
                                 wishes, s->name, offers, stream->n_subscribers);
        return api_error(ret_error, FB_E_NO_COMMON_MODE,
                         "you accept %s; source '%s' has %s, but of its %u other subscribers %zu accept "
                         "nothing of that: %s only",
                         wishes, s->name, offers, stream->n_subscribers, n,
                         mode_list_to_string(theirs, others, sizeof others));
}

/* Judges @o against the source. */
static int negotiate(Source *s, const Caller *c, Options *o, Mode *ret_mode, sd_bus_error *ret_error) {
        int r;

        r = memory_grant(s, c, o, ret_error);
        if (r < 0)
                return r;
        r = stream_negotiate(&s->stream, (ModeList){ o->wishes, o->n_wishes }, ret_mode);
        if (r > 0)
                return no_common_mode(s, o, ret_error);
        return r < 0 ? api_error(ret_error, r, "%s", "") : 0;
}

static int call_negotiate(Source *s, sd_bus_message *m, const Options *o, const Mode *mode) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Granted granted = { .mode = *mode, .seq = s->stream.seq, .epoch = s->api->epoch };
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = options_append_granted(reply, o, &granted);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* The reply goes out before the subscription is activated, so that it is there before the first signal. */
static int reply_subscribed(sd_bus_message *m, Subscription *sub, const Options *o, const Mode *mode,
                            int channel) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Granted granted = { .mode = *mode, .seq = sub->granted_seq, .epoch = sub->api->epoch,
                            .commits = order_get_commits(sub) };
        int r, version = sd_bus_message_is_method_call(m, FB_IFACE_SOURCE_2, NULL) > 0 ? 2 : 1;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0 && channel >= 0 && version == 1)
                r = sd_bus_message_append(reply, "h", channel);
        if (r >= 0 && version == 1)
                r = sd_bus_message_append(reply, "o", subscription_get_path(sub));
        if (r >= 0)
                r = options_append_granted(reply, o, &granted);
        if (r >= 0 && version == 2)
                r = sd_bus_message_append(reply, "h", channel);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int call_subscribe(Source *s, Caller *c, sd_bus_message *m, Options *o, const Mode *mode,
                          sd_bus_error *ret_error) {
        Subscription *sub;
        int r;

        r = subscription_new_bus(s, c, o, mode, &sub, ret_error);
        if (r < 0)
                return r;
        r = reply_subscribed(m, sub, o, mode, -1);
        if (r < 0)
                return subscription_free(sub), r;
        if (!o->causal)
                subscription_activate(sub);
        return 1;
}

static int call_attach(Source *s, Caller *c, sd_bus_message *m, Options *o, const Mode *mode,
                       int socket_consume, int theirs, sd_bus_error *ret_error) {
        Subscription *sub;
        int r;

        r = subscription_new_peer(s, c, o, mode, socket_consume, &sub, ret_error);
        if (r < 0)
                return r;
        if (theirs < 0)
                channel_set_foreign(sub->channel);
        r = reply_subscribed(m, sub, o, mode, theirs);
        if (r < 0)
                return subscription_free(sub), r;
        if (theirs >= 0)
                sub->reply_mark = caller_sent_reply(c);
        return 1;
}

/* The caller's own socket. */
static int judge_socket(sd_bus_message *m, const Caller *c, int *ret_fd, sd_bus_error *ret_error) {
        const char *why = NULL;
        int fd, r;

        r = sd_bus_message_read(m, "h", &fd);
        if (r < 0)
                return r;
        r = fd_judge_client_socket(fd, c->uid, &why);
        if (r > 0)
                return api_error(ret_error, r,
                                 "the socket is to be a connected AF_UNIX stream of your own: %s", why);
        r = fd_dup_cloexec(fd);
        if (r < 0)
                return r;
        *ret_fd = r;
        return 0;
}

static int check_caller(const Source *s, const Caller *c, bool subscribes, sd_bus_error *ret_error) {
        int r = rights_check_source(s, c, ACCESS_WATCH, ret_error);

        if (r < 0)
                return r;
        if (subscribes && c->cannot_pass_fds)
                return api_error(ret_error, FB_E_NO_FD_PASSING,
                                 "your bus connection did not negotiate the passing of file descriptors");
        return 0;
}

int source_call(Source *s, sd_bus_message *m, sd_bus_error *ret_error) {
        _cleanup_close_ int ours = -1, theirs = -1;
        const char *member = sd_bus_message_get_member(m);
        bool pure = strcmp(member, "Negotiate") == 0, own = strcmp(member, "AttachTo") == 0;
        _cleanup_(options_clear) Options o = OPTIONS_INIT;
        Caller *c = callers_of(&s->api->callers, m);
        Mode mode;
        int r;

        if (legacy_is_call(m))
                return legacy_call(s, m, ret_error);
        if (!c)
                return 1; /* it has left the bus while it waited */
        r = check_caller(s, c, !pure, ret_error);
        if (r < 0)
                return r;
        if (own && (r = judge_socket(m, c, &ours, ret_error)) < 0)
                return r;
        r = options_read(m, &o, ret_error);
        if (r < 0)
                return r;
        if (s->stream.n_modes == 0)
                return source_wait_for_modes(s, m, ret_error);
        r = negotiate(s, c, &o, &mode, ret_error);
        if (r < 0)
                return r;
        if (pure)
                return call_negotiate(s, m, &o, &mode);
        if (strcmp(member, "Subscribe") == 0)
                return call_subscribe(s, c, m, &o, &mode, ret_error);
        if (!own && !fd_account_check_reply(&c->account))
                return caller_wait_for_room(c, m);
        if (!own && (r = fd_socketpair(&ours, &theirs)) < 0)
                return r;
        return call_attach(s, c, m, &o, &mode, take_fd(ours), theirs, ret_error);
}

static int method_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return source_call(userdata, m, ret_error);
}

/* ---- properties ---- */

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Source *s = userdata;
        const char *v = strcmp(property, "Name") == 0        ? s->name :
                        strcmp(property, "Description") == 0 ? s->description :
                        strcmp(property, "Driver") == 0      ? s->driver :
                        strcmp(property, "State") == 0       ? stream_state_to_string(s->stream.state) :
                                                               s->stream.reason;

        return sd_bus_message_append(reply, "s", v);
}

static int get_aliases(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append_strv(reply, ((Source *)userdata)->entry.aliases);
}

static int get_modes(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Source *s = userdata;

        return codec_append_modes(reply, (ModeList){ s->stream.modes, s->stream.n_modes });
}

static int get_mode(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return codec_append_mode(reply, stream_get_mode(&((Source *)userdata)->stream));
}

static int get_numbers(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Source *s = userdata;

        if (strcmp(property, "Frames") == 0)
                return sd_bus_message_append(reply, "t", s->stream.frames);
        return sd_bus_message_append(reply, "u", s->stream.n_subscribers);
}

static int get_lost(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return subscription_append_lost(reply, ((Source *)userdata)->stream.lost);
}

#define OPTIONS_IN  SD_BUS_ARGS("a{sv}", options)
#define UNPRIVILEGED SD_BUS_VTABLE_UNPRIVILEGED

const sd_bus_vtable source_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Negotiate", OPTIONS_IN, SD_BUS_RESULT("a{sv}", granted), method_call,
                                        UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Subscribe", OPTIONS_IN,
                                        SD_BUS_RESULT("o", subscription, "a{sv}", granted), method_call,
                                        UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Attach", OPTIONS_IN,
                                        SD_BUS_RESULT("h", channel, "o", subscription, "a{sv}", granted),
                                        method_call, UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("AttachTo", SD_BUS_ARGS("h", socket, "a{sv}", options),
                                        SD_BUS_RESULT("o", subscription, "a{sv}", granted), method_call,
                                        UNPRIVILEGED),
                SD_BUS_PROPERTY("Name", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
                SD_BUS_PROPERTY("Aliases", "as", get_aliases, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Description", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Driver", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("State", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("StateReason", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Modes", "aa{sv}", get_modes, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Mode", "a{sv}", get_mode, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Subscribers", "u", get_numbers, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
                SD_BUS_PROPERTY("Frames", "t", get_numbers, 0, 0),
                SD_BUS_PROPERTY("Lost", "a{st}", get_lost, 0, 0),
                SD_BUS_VTABLE_END,
};

void source_export(Source *s) {
        s->exported = true;
        announce_added(s);
}

void source_unexport(Source *s) {
        if (s->exported)
                announce_removed(s);
        s->exported = false;
}

static void tell_changes(Source *s) {
        const Audience a = announce_audience(s->api);
        unsigned int what = s->changes;
        char *names[10];
        size_t n = 0;

        s->changes = 0;
        s->n_changes++;
        if (what & STREAM_CHANGED_STATE) {
                names[n++] = (char *)"State";
                names[n++] = (char *)"StateReason";
        }
        if (what & STREAM_CHANGED_MODES)
                names[n++] = (char *)"Modes";
        if (what & STREAM_CHANGED_MODE)
                names[n++] = (char *)"Mode";
        if (what & STREAM_CHANGED_SUBSCRIBERS)
                names[n++] = (char *)"Subscribers";
        if (what & SOURCE_CHANGED_TEXT) {
                names[n++] = (char *)"Description";
                names[n++] = (char *)"Driver";
        }
        if (what & SOURCE_CHANGED_ALIASES)
                names[n++] = (char *)"Aliases";
        names[n] = NULL;
        announce_changed(&a, s, s->path, FB_IFACE_SOURCE, source_vtable, (const char *const *)names);
        if (what & (STREAM_CHANGED_MODES | STREAM_CHANGED_MODE))
                legacy_emit_caps(s);
}

static int on_changes_due(sd_event_source *e, uint64_t usec, void *userdata) {
        Source *s = userdata;

        s->changes_timer = sd_event_source_disable_unref(s->changes_timer);
        s->changes_ns = clock_now_ns();
        s->n_changes = 0;
        tell_changes(s);
        return 0;
}

void source_emit_changed(Source *s, unsigned int what) {
        uint64_t now_ns = clock_now_ns();

        if (!s->exported)
                return;
        if (what & STREAM_CHANGED_MODE)
                legacy_mode_changed(s);
        s->changes |= what;
        if (s->changes_timer)
                return;
        if (now_ns - s->changes_ns >= NSEC_PER_SEC) {
                s->changes_ns = now_ns;
                s->n_changes = 0;
        }
        if (s->n_changes < SOURCE_CHANGES_PER_SECOND ||
            sd_event_add_time(s->api->event, &s->changes_timer, CLOCK_MONOTONIC,
                              (s->changes_ns + NSEC_PER_SEC) / NSEC_PER_USEC, 1, on_changes_due, s) < 0)
                tell_changes(s);
}

void source_set_aliases(Source *s, const char *const *aliases) {
        if (registry_set_aliases(&s->entry, aliases) > 0 && s->exported)
                source_emit_changed(s, SOURCE_CHANGED_ALIASES);
}
