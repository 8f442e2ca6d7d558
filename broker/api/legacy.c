/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Viewers of the old interfaces: subscribers with a window of one record, which credit comes back for when
 * the kernel says that it was read. Charged as channels are: against their user, and against the connection
 * that attached until the socket is hung up.
 */
#include "broker/api/legacy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "broker/api/charges.h"
#include "broker/api/errors.h"
#include "wire/keep.h"
#include "broker/api/rights.h"

static LegacyViewer *of_subscriber(Subscriber *s) {
        return fb_container_of(s, LegacyViewer, subscriber);
}

/* ---- the answer to Attach ---- */

static void forget_call(LegacyViewer *v) {
        v->call = sd_bus_message_unref(v->call);
        v->timeout = sd_event_source_disable_unref(v->timeout);
        if (v->theirs >= 0)
                close(v->theirs);
        v->theirs = -1;
}

static void refuse(LegacyViewer *v, int error, const char *why, const char *detail) {
        sd_bus_error e = SD_BUS_ERROR_NULL;

        if (!v->call)
                return;
        (void)api_error(&e, error, "source '%s': %s%s%s", v->source_name, why, *detail ? ": " : "", detail);
        (void)sd_bus_reply_method_error(v->call, &e);
        sd_bus_error_free(&e);
        forget_call(v);
}

static int answer(LegacyViewer *v) {
        Caller *c = callers_find(v->callers, v->client);
        int r;

        if (!c)
                return -ENOTCONN;
        if (v->conduit.version == 1)
                r = sd_bus_reply_method_return(v->call, "h", v->theirs);
        else
                r = sd_bus_reply_method_return(v->call, "hs", v->theirs, v->caps);
        if (r < 0)
                return r;
        v->reply_mark = caller_sent_reply(c);
        forget_call(v);
        return 0;
}

/* ---- the subscriber's way out ---- */

/* A record waits for nobody's room but its own; the answer, for room on the bus. */
static int out_check_room(Subscriber *sub, uint32_t n_fds, LossReason *ret_why) {
        LegacyViewer *v = of_subscriber(sub);
        Caller *c = v->call ? callers_find(v->callers, v->client) : NULL;
        int r = v->conduit.conduit.ops->check_room(&v->conduit.conduit, n_fds);

        if (r >= 0 && !charges_allow_frame(&v->charge, v->source, sub))
                r = -EDQUOT;
        if (r >= 0 && (!c || fd_account_check_reply(&c->account)))
                return 0;
        *ret_why = r == -EDQUOT ? LOSS_QUOTA : LOSS_NO_CREDIT;
        return FB_E_LIMIT;
}

static int out_send_format(Subscriber *sub, uint64_t order, uint32_t format, const Mode *mode) {
        LegacyViewer *v = of_subscriber(sub);
        char caps[CAPS_MAX], words[MODE_STRING_MAX];

        if (caps_from_mode(mode, caps) != 0) {
                refuse(v, FB_E_NOT_SUPPORTED, "there are no caps for its frames",
                       mode_to_string(mode, words));
                return -ENOTSUP;
        }
        if (v->caps[0] && strcmp(v->caps, caps) != 0) {
                refuse(v, FB_E_SOURCE_FAILED, "its frames are not what Caps said, but", caps);
                return -ESTALE;
        }
        memcpy(v->caps, caps, sizeof caps);
        v->conduit.mode = *mode;
        return 0;
}

static int out_send_frame(Subscriber *sub, Frame *f, uint32_t extra_flags, uint64_t *ret_cookie) {
        LegacyViewer *v = of_subscriber(sub);
        int r = v->conduit.conduit.ops->send_frame(&v->conduit.conduit, f, extra_flags, ret_cookie);

        if (r == -ENOTSUP)
                refuse(v, FB_E_NOT_SUPPORTED, "a frame cannot be described by caps",
                       v->conduit.misfit ?: "");
        if (r < 0)
                return r;
        v->last_seq = f->seq;
        return v->call ? answer(v) : 0;
}

static int out_send_lost(Subscriber *sub, uint64_t count, LossReason reason) {
        return 0;
}

static int out_send_suspended(Subscriber *sub, const char *reason) {
        return 0;
}

static int out_send_resumed(Subscriber *sub) {
        return 0;
}

static void out_send_ended(Subscriber *sub, uint64_t order, const char *reason) {
        LegacyViewer *v = of_subscriber(sub);

        refuse(v, FB_E_SOURCE_FAILED, "it has ended", reason);
        legacy_conduit_finish(&v->conduit);
}

static void detach(LegacyViewer *v) {
        if (!v->source)
                return;
        stream_remove(&v->source->stream, &v->subscriber);
        v->source = NULL;
        subscriber_deinit(&v->subscriber);
        api_activity(v->api);
}

/* Nothing comes any more. Whoever was given the socket is on the books until it is hung up. */
static void viewer_end(LegacyViewer *v) {
        if (v->reply_mark == 0) {
                refuse(v, FB_E_SOURCE_FAILED, "it cannot be watched", "");
                legacy_viewer_free(v);
                return;
        }
        legacy_conduit_finish(&v->conduit);
        detach(v);
}

static void out_over(Subscriber *sub) {
        viewer_end(of_subscriber(sub));
}

static const SubscriberOps subscriber_ops = {
        .check_room = out_check_room, .send_frame = out_send_frame,         .send_format = out_send_format,
        .send_lost = out_send_lost,   .send_suspended = out_send_suspended, .send_resumed = out_send_resumed,
        .send_ended = out_send_ended, .over = out_over,
};

/* ---- the socket ---- */

static void on_drained(LegacyConduit *l, void *userdata) {
        LegacyViewer *v = userdata;
        Caller *maker = v->last_seq > 0 ? callers_find(v->callers, v->client) : NULL;
        Stream *stream;

        if (maker && v->reply_mark > 0)
                caller_read_reply(maker, v->reply_mark); /* who has read a record has the socket */
        if (!v->source || v->call)
                return;
        stream = &v->source->stream;
        subscriber_release_up_to(&v->subscriber, v->last_seq, clock_now_ns());
        stream_reap(stream);
}

static void on_closed(LegacyConduit *l, void *userdata) {
        legacy_viewer_free(userdata);
}

static const LegacyHandler legacy_handler = { .drained = on_drained, .closed = on_closed };

/* ---- beginning and end ---- */

static void viewer_release(LegacyViewer *v) {
        list_remove(&v->link);
        forget_call(v);
        legacy_conduit_deinit(&v->conduit);
        quota_charge_clear(&v->charge);
        free(v->source_name);
        free(v->source_path);
        free(v->client);
        identity_unref(v->identity);
        free(v);
}

static void viewer_releasep(LegacyViewer **v) {
        if (*v)
                viewer_release(*v);
}

LegacyViewer *legacy_viewer_free(LegacyViewer *v) {
        Api *api = v->api;
        Caller *c;

        detach(v);
        c = callers_find(v->callers, v->client);
        if (c) {
                c->n_channels--;
                fd_account_ask(&c->account); /* the answer may lie there unread */
        }
        viewer_release(v);
        api_activity(api);
        return NULL;
}

static int on_timeout(sd_event_source *e, uint64_t usec, void *userdata) {
        LegacyViewer *v = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const Stream *stream = &v->source->stream;

        (void)sd_bus_error_setf(&error, "org.freedesktop.DBus.Error.TimedOut",
                                "source '%s' made no frame within 20 s: %s%s%s", v->source_name,
                                stream_state_to_string(stream->state), stream->reason[0] ? ", " : "",
                                stream->reason);
        (void)sd_bus_reply_method_error(v->call, &error);
        sd_bus_error_free(&error);
        legacy_viewer_free(v);
        return 0;
}

static int viewer_alloc(Source *s, Callers *callers, const Caller *c, sd_bus_message *m, LegacyViewer **ret) {
        _cleanup_(viewer_releasep) LegacyViewer *v = calloc(1, sizeof *v);

        if (!v)
                return -ENOMEM;
        v->theirs = v->conduit.fd = -1;
        v->api = s->api;
        v->callers = callers;
        v->uid = c->uid;
        v->pid = c->pid;
        v->identity = identity_ref(c->identity);
        v->since_ns = clock_now_ns();
        v->source_name = strdup(s->name);
        v->source_path = strdup(s->path);
        v->client = strdup(c->unique_name);
        if (!v->source_name || !v->source_path || !v->client)
                return -ENOMEM;
        fb_try(sd_event_add_time_relative(s->api->event, &v->timeout, CLOCK_MONOTONIC,
                                          LEGACY_ATTACH_TIMEOUT_NS / NSEC_PER_USEC, 0, on_timeout, v));
        fb_try(message_keep(m, &v->call));
        *ret = take_ptr(v);
        return 0;
}

/* The quota is the last step that can fail. */
static int open_socket(LegacyViewer *v, const Source *s, const Mode *mode, unsigned int version,
                       sd_bus_error *ret_error) {
        PeerRefusal why;
        int ours, r;

        r = fd_socketpair(&ours, &v->theirs);
        if (r < 0)
                return r;
        r = legacy_conduit_init(&v->conduit, v->api->event, &v->api->peer_budget, v->uid, ours, version,
                                &legacy_handler, v, &why);
        if (r > 0)
                return api_error(ret_error, r, "%u of %u %s are in use", why.used, why.max,
                                 why.share ? "channels that are your user's share" :
                                             "file descriptors on channels");
        return r < 0 ? r : charges_begin(&v->charge, s, v->uid, true, 1, mode, ret_error);
}

int legacy_viewer_new(Source *s, Callers *callers, Caller *c, sd_bus_message *m, unsigned int version,
                      sd_bus_error *ret_error) {
        _cleanup_(viewer_releasep) LegacyViewer *v = NULL;
        SubscriberOptions options = { .window = 1, .latest = true, .max_rate = { 0, 1 }, .replay = true };
        _cleanup_free_ Mode *wishes = NULL;
        Mode mode;
        int r;

        r = legacy_get_wishes(s, &wishes, &options.n_wishes);
        if (r > 0)
                return api_error(ret_error, r, "source '%s' has no mode that there are caps for", s->name);
        if (r < 0)
                return r;
        r = stream_negotiate(&s->stream, (ModeList){ wishes, options.n_wishes }, &mode);
        if (r > 0)
                return api_error(ret_error, r,
                                 "source '%s' has no mode that there are caps for and that its %u other "
                                 "subscribers accept",
                                 s->name, s->stream.n_subscribers);
        if (r >= 0)
                r = viewer_alloc(s, callers, c, m, &v);
        if (r >= 0)
                r = open_socket(v, s, &mode, version, ret_error);
        if (r < 0)
                return r;
        if (version == 1)
                legacy_predict(s, v->caps);
        c->n_channels++;
        options.wishes = take_ptr(wishes);
        subscriber_init(&v->subscriber, &subscriber_ops, &options);
        v->source = s;
        list_append(&s->api->viewers, &v->link);
        stream_add(&s->stream, &v->subscriber, &mode);
        rights_granted(s->api, v->identity, v->client, s->name, ACCESS_WATCH);
        api_activity(s->api);
        subscriber_activate(&take_ptr(v)->subscriber, clock_now_ns());
        stream_reap(&s->stream);
        return 1;
}

void legacy_caller_gone(Api *api, const Callers *callers, const char *client) {
        LegacyViewer *v;
        bool again;

        do { /* the end of one may bring the end of others: look from the beginning */
                again = false;
                list_for_each(v, &api->viewers, link)
                        if (v->call && v->callers == callers && strcmp(v->client, client) == 0) {
                                legacy_viewer_free(v);
                                again = true;
                                break;
                        }
        } while (again);
}

void legacy_caller_room(Api *api, const Callers *callers, const char *client) {
        LegacyViewer *v, *tmp;

        list_for_each_safe(v, tmp, &api->viewers, link)
                if (v->call && v->callers == callers && strcmp(v->client, client) == 0)
                        subscriber_room(&v->subscriber, clock_now_ns());
        /* what failed meanwhile is reaped with the stream's next frame */
}

void legacy_mode_changed(Source *s) {
        const Mode *mode = stream_get_mode(&s->stream);
        char caps[CAPS_MAX] = "";
        LegacyViewer *v;

        if (mode->fourcc == 0)
                return;
        s->legacy_asked = s->stream.target;
        s->legacy_got = *mode;
        (void)caps_from_mode(mode, caps);
        list_for_each(v, &s->api->viewers, link)
                if (v->source == s && !v->call && strcmp(v->caps, caps) != 0)
                        subscriber_end(&v->subscriber, 0, "mode"); /* reaped with the next frame */
}
