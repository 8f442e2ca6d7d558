/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Feeds a source's stream. The program of a configured source runs while there are subscribers, while a call
 * waits for its modes, and a little longer; what it says last ("failed" and why) outlives it. A published
 * source is its channel.
 */
#include "broker/api/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/text.h"
#include "broker/api/charges.h"
#include "broker/api/memory.h"
#include "interfaces/names.h"

static const PublicationHandler publication_handler;

void source_update_busy(Source *s) {
        bool busy = s->worker && (worker_is_running(s->worker) || !list_is_empty(&s->calls));

        if (busy == s->busy)
                return;
        s->busy = busy;
        if (busy)
                s->api->n_busy_sources++;
        else
                s->api->n_busy_sources--;
        api_activity(s->api);
}

/* ---- the capture program ---- */

static void close_program(Source *s) {
        s->linger = sd_event_source_disable_unref(s->linger);
        s->publication = publication_free(s->publication);
        worker_stop(s->worker);
        source_update_busy(s);
}

static int on_linger(sd_event_source *e, uint64_t usec, void *userdata) {
        close_program(userdata);
        return 0;
}

/* Nobody needs the program; it may stay for a moment. */
static void linger(Source *s) {
        if (!s->worker || s->linger || s->stream.n_subscribers > 0 || !list_is_empty(&s->calls) ||
            s->controls.n_calls > 0)
                return;
        if (sd_event_add_time_relative(s->api->event, &s->linger, CLOCK_MONOTONIC,
                                       SOURCE_LINGER_NS / NSEC_PER_USEC, 0, on_linger, s) < 0)
                close_program(s);
}

void source_keep(Source *s) {
        s->linger = sd_event_source_disable_unref(s->linger);
        linger(s);
}

void source_need_program(Source *s) {
        int r;

        s->linger = sd_event_source_disable_unref(s->linger);
        r = s->worker ? worker_start(s->worker) : 0;
        if (r < 0)
                stream_set_state(&s->stream, STREAM_FAILED, strerror(-r));
        source_update_busy(s);
}

static void on_worker_connected(Worker *w, int fd_consume, void *userdata) {
        Source *s = userdata;
        int r;

        s->publication = publication_free(s->publication);
        s->succeeded = false;
        r = publication_new(s->api->event, fd_consume, &publication_handler, s, &s->publication);
        if (r < 0) {
                stream_set_state(&s->stream, STREAM_FAILED, strerror(-r));
                worker_channel_closed(w);
                return;
        }
        publication_watch(s->publication, s->api->config.program_period_ns);
        if (s->stream.target.fourcc)
                memory_start(s, &s->stream.target);
        if (s->stream.n_subscribers > 0 && s->stream.state == STREAM_FAILED)
                stream_set_state(&s->stream, STREAM_STARTING, "");
        source_update_busy(s);
}

/* Not again at each attempt. */
static void log_once(Source *s, const char *reason) {
        if (s->logged && strcmp(s->logged, reason) == 0)
                return;
        log_warning("source %s: %s", s->name, reason);
        free(s->logged);
        s->logged = strdup(reason);
}

static void on_worker_ended(Worker *w, const char *reason, uint64_t retry_ns, void *userdata) {
        Source *s = userdata;

        s->publication = publication_free(s->publication);
        stream_run_ended(&s->stream);
        if (s->exported) {
                if (!s->said)
                        stream_set_state(&s->stream, STREAM_FAILED, reason);
                log_once(s, s->stream.reason);
        } else {
                log_info("%s is not shown: %s", s->name, reason); /* mostly: it is no camera */
        }
        source_answer_calls(s, s->stream.reason[0] ? s->stream.reason : reason);
        controls_fail_calls(s, s->stream.reason[0] ? s->stream.reason : reason);
        s->said = false;
        if (s->stream.n_subscribers == 0)
                close_program(s);
        source_update_busy(s);
}

static const WorkerHandler worker_handler = { .connected = on_worker_connected, .ended = on_worker_ended };

/* ---- the publisher's words ---- */

void source_show(Source *s) {
        if (!s->exported)
                source_export(s);
}

static void on_opened(Publication *p, void *userdata) {
        Source *s = userdata;
        Caller *owner = s->owner ? callers_find(&s->api->callers, s->owner) : NULL;

        if (owner)
                caller_read_reply(owner, s->reply_mark);
}

static void on_modes(Publication *p, Mode *modes, size_t n_modes, void *userdata) {
        Source *s = userdata;

        stream_set_modes(&s->stream, modes, n_modes);
        if (s->worker)
                source_show(s);
        source_answer_calls(s, NULL);
        linger(s);
}

static void replace_string(char **s, const char *value) {
        char *copy = value ? strdup(value) : NULL;

        if (!copy)
                return;
        free(*s);
        *s = copy;
}

static void on_described(Publication *p, const char *description, const char *driver, void *userdata) {
        Source *s = userdata;

        if (!s->has_description)
                replace_string(&s->description, description);
        replace_string(&s->driver, driver);
        source_emit_changed(s, SOURCE_CHANGED_TEXT);
}

static void on_state(Publication *p, const char *state, const char *reason, void *userdata) {
        char text[FB_TEXT_MAX + 1];
        Source *s = userdata;

        snprintf(text, sizeof text, "%s", reason);
        text_trim(text);
        if (s->stream.n_subscribers == 0 && strcmp(state, "streaming") == 0)
                return;
        stream_set_state(&s->stream, stream_state_from_string(state), text);
        s->said = s->stream.state == STREAM_FAILED || s->stream.state == STREAM_ABSENT;
        if (s->worker)
                source_show(s);
}

static void on_format(Publication *p, const Mode *mode, void *userdata) {
        stream_set_format(&((Source *)userdata)->stream, mode);
}

static void on_frame(Publication *p, Frame *f, uint64_t n_skipped, void *userdata) {
        Source *s = userdata;

        if (!s->succeeded) {
                s->succeeded = true;
                free(take_ptr(s->logged));
                if (s->worker)
                        worker_succeeded(s->worker);
        }
        charges_frame_came(s, f);
        stream_publish(&s->stream, f, n_skipped, clock_now_ns());
}

static void on_refused(Publication *p, uint64_t n_skipped, uint64_t n_lost, const char *why, void *userdata) {
        Source *s = userdata;

        if (s->stream.lost[LOSS_CORRUPT] == 0 && n_lost > 0)
                log_client("source %s: a frame was refused: %s (told once)", s->name, why);
        stream_lose(&s->stream, n_skipped, LOSS_SOURCE);
        stream_lose(&s->stream, n_lost, LOSS_CORRUPT);
}

static void on_overrun(Publication *p, const char *why, void *userdata) {
        Source *s = userdata;

        log_client("source %s: its publisher's channel is ended: %s", s->name, why);
}

static void end_run(Source *s) {
        s->publication = publication_free(s->publication);
        controls_fail_calls(s, "its capture program is gone");
        stream_run_ended(&s->stream);
        worker_channel_closed(s->worker);
}

static void on_closed(Publication *p, bool destroyed, void *userdata) {
        if (((Source *)userdata)->worker)
                end_run(userdata);
        else
                source_free(userdata, "destroyed");
}

/* What keeps the program may keep it from ending, too: another one is started when it is gone. */
static void on_silent(Publication *p, void *userdata) {
        Source *s = userdata;

        end_run(s);
        stream_set_state(&s->stream, STREAM_FAILED,
                         "the capture program does not answer any more, and is ended");
        s->said = true;
}

static const PublicationHandler publication_handler = {
        .opened = on_opened,
        .modes = on_modes, .described = on_described, .state = on_state,   .format = on_format,
        .frame = on_frame, .refused = on_refused,     .overrun = on_overrun, .closed = on_closed,
        .silent = on_silent, .controls = controls_on_said, .control_changed = controls_on_changed,
        .control_answered = controls_on_answered,
        .memories = memory_on_said, .renewed = memory_on_renewed, .buffers = memory_on_buffers,
        .want_buffer = memory_on_want_buffer,
};

/* ---- the stream's wishes ---- */

static void on_start(Stream *stream, const Mode *mode) {
        Source *s = source_of_stream(stream);

        charges_mode_changed(s);
        source_need_program(s);
        memory_start(s, mode);
}

static void on_stop(Stream *stream) {
        Source *s = source_of_stream(stream);

        if (s->publication)
                publication_stop(s->publication);
        linger(s);
}

static void on_want_keyframe(Stream *stream) {
        publication_want_keyframe(source_of_stream(stream)->publication);
}

static void on_changed(Stream *stream, unsigned int what) {
        if (what & STREAM_CHANGED_MODE)
                charges_mode_changed(source_of_stream(stream));
        source_emit_changed(source_of_stream(stream), what);
}

static const StreamHandler stream_handler = {
        .start = on_start, .stop = on_stop, .retire = memory_on_retire,
        .want_keyframe = on_want_keyframe, .changed = on_changed,
};

/* ---- beginning and end ---- */

static void source_release(Source *s) {
        sd_event_source_disable_unref(s->linger);
        sd_event_source_disable_unref(s->modes_timeout);
        sd_event_source_disable_unref(s->changes_timer);
        controls_deinit(&s->controls);
        publication_free(s->publication);
        worker_free(s->worker);
        stream_deinit(&s->stream);
        quota_charge_clear(&s->charge);
        sd_event_source_disable_unref(s->commits.deadline);
        free(s->commits.path);
        free(s->commits.old);
        free(s->name);
        free(s->path);
        free(s->description);
        free(s->driver);
        free(s->owner);
        identity_unref(s->owner_identity);
        free(s->logged);
        free(s);
}

static void source_releasep(Source **s) {
        if (*s)
                source_release(*s);
}

static int source_new(Api *api, const char *name, const char *description, const char *driver, Source **ret) {
        _cleanup_(source_releasep) Source *s = calloc(1, sizeof *s);
        int r;

        if (!fb_source_name_is_valid(name))
                return FB_E_INVALID_NAME;
        if (!s)
                return -ENOMEM;
        s->api = api;
        list_init(&s->calls);
        controls_init(&s->controls);
        stream_init(&s->stream, &stream_handler, &api->order);
        r = sd_bus_path_encode(FB_PATH_SOURCE_PREFIX, name, &s->path);
        if (r < 0)
                return r;
        s->name = strdup(name);
        s->description = strdup(description ?: name);
        s->driver = strdup(driver);
        if (!s->name || !s->description || !s->driver)
                return -ENOMEM;
        *ret = take_ptr(s);
        return 0;
}

int source_new_configured(Api *api, const char *name, const char *description, const char *driver,
                          const WorkerSpec *spec, bool exported, Source **ret) {
        _cleanup_(source_releasep) Source *s = NULL;

        fb_try(source_new(api, name, description, driver, &s));
        s->has_description = description != NULL;
        fb_try(worker_new(api->event, spec, &worker_handler, s, &s->worker));
        fb_try(registry_add(&api->sources, &s->entry, s->name));
        if (exported)
                source_show(s);
        *ret = take_ptr(s);
        return 0;
}

static int charge_published(Source *s, QuotaRefusal *ret_why) {
        fb_try(quota_charge_open(&s->charge, &s->api->quota, s->owner_uid));
        fb_try(quota_charge_set(&s->charge, QUOTA_SOURCES, 1, ret_why));
        fb_try(quota_charge_set(&s->charge, QUOTA_CHANNELS, 1, ret_why));
        return quota_charge_set(&s->charge, QUOTA_DESCRIPTORS, 1, ret_why);
}

int source_new_published(Api *api, const SourcePublishOptions *options, Source **ret, int *ret_channel,
                         QuotaRefusal *ret_why) {
        _cleanup_(source_releasep) Source *s = NULL;
        _cleanup_close_ int theirs = -1;
        int ours, r;

        fb_try(source_new(api, options->name, options->description, options->driver ?: "publisher", &s));
        s->allow_replacement = options->allow_replacement;
        s->queue = options->queue;
        s->owner_uid = options->uid;
        s->owner = strdup(options->owner);
        if (!s->owner)
                return -ENOMEM;
        r = fd_socketpair(&ours, &theirs);
        if (r < 0)
                return r;
        fb_try(publication_new(api->event, ours, &publication_handler, s, &s->publication));
        fb_try(charge_published(s, ret_why));
        r = source_take_name(s, options);
        if (r != 0) {
                registry_remove(&api->sources, &s->entry);
                return r;
        }
        *ret_channel = take_fd(theirs);
        *ret = take_ptr(s);
        return 0;
}

void source_free(Source *s, const char *reason) {
        _cleanup_free_ char *name = strdup(s->name);
        Api *api = s->api;
        Caller *owner;

        source_answer_calls(s, "it is gone");
        controls_fail_calls(s, "it is gone");
        stream_end_all(&s->stream, reason, clock_now_ns());
        owner = s->owner ? callers_find(&api->callers, s->owner) : NULL;
        if (owner) {
                owner->n_channels--;
                fd_account_ask(&owner->account); /* the answer may lie there unread */
        }
        source_unexport(s); /* by its other names, too, it is known who could see it */
        registry_remove(&api->sources, &s->entry);
        list_remove(&s->waiting_link);
        if (s->busy)
                api->n_busy_sources--;
        source_release(s);
        if (name)
                source_promote(api, name);
        api_activity(api);
}
