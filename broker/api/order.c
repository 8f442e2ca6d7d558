/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * On the bus Committed is one broadcast for all, as only that comes behind the frames of all: of signals to
 * one after the other, the first could be answered before the last is sent. Its path is a secret of those who
 * were granted one; who listens there learns no more than how often the source makes a frame.
 *
 * The broadcasts for one who does not read wait in the bus, without credit. So when one is suspended the
 * path moves: the others are told a new one, and until they have answered everything is said at both, at the
 * old one first. Who is suspended, and who did not answer in time, is sent nothing before it has answered.
 */
#include "broker/api/order.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "broker/api/errors.h"
#include "interfaces/names.h"

/* For an answer to CommitsMoved. */
#define ANSWER_NS (5 * NSEC_PER_SEC)

int order_method_get(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Subscription *s = userdata;
        int fd, r;

        if (!s->channel || !s->subscriber.options.causal)
                return api_error(ret_error, FB_E_NOT_SUPPORTED,
                                 "only a channel with order=causal has a page to look at");
        if (!s->source)
                return api_error(ret_error, FB_E_GONE, "the subscription has ended");
        if (s->conduit.ops->check_room(&s->conduit, 1) < 0)
                return api_error(ret_error, FB_E_LIMIT,
                                 "what was sent on this channel before is to be read first");
        fd = stream_open_page(&s->source->stream);
        r = fd < 0 ? fd : sd_bus_reply_method_return(m, "h", fd);
        if (r < 0)
                return r;
        peer_conduit_sent_reply(&s->peer);
        subscription_activate(s);
        return 1;
}

static int make_path(char **ret) {
        char id[SD_ID128_STRING_MAX];
        sd_id128_t random;
        int r = sd_id128_randomize(&random);

        if (r >= 0 && asprintf(ret, "%s/%s", FB_PATH_COMMIT_PREFIX, sd_id128_to_string(random, id)) < 0)
                r = -ENOMEM;
        return r < 0 ? r : 0;
}

/* ---- another path ---- */

static bool is_listener(const Subscription *s, const Source *source) {
        return s->has_commits && s->source == source;
}

static bool is_healthy(const Subscription *s) {
        return s->subscriber.active && !s->subscriber.suspended && !s->subscriber.over;
}

static void tell_path(Subscription *s) {
        (void)conduit_send_commits_moved(&s->conduit, s->source->commits.path);
}

static void stop_moving(Commits *c) {
        c->deadline = sd_event_source_disable_unref(c->deadline);
        free(take_ptr(c->old));
}

/* Everybody who matters listens at the new path: nothing is said at the old one any more. */
static void finish_move(Source *source) {
        Subscription *s;

        stop_moving(&source->commits);
        list_for_each(s, &source->api->subscriptions, link)
                if (is_listener(s, source) && s->listens == LISTENS_OLD)
                        s->listens = LISTENS_NOT;
}

static void move(Source *source);

static void check_move(Source *source) {
        Commits *c = &source->commits;
        Subscription *s;

        if (!c->old)
                return;
        list_for_each(s, &source->api->subscriptions, link)
                if (is_listener(s, source) && is_healthy(s) && s->listens == LISTENS_OLD)
                        return;
        finish_move(source);
        if (c->again)
                move(source);
}

/* Who has not answered is sent nothing until it does. */
static int on_deadline(sd_event_source *e, uint64_t usec, void *userdata) {
        Source *source = userdata;
        Subscription *s;

        list_for_each(s, &source->api->subscriptions, link)
                if (is_listener(s, source) && is_healthy(s) && s->listens == LISTENS_OLD) {
                        subscriber_pause(&s->subscriber);
                        tell_path(s);
                }
        check_move(source);
        return 0;
}

static void move(Source *source) {
        Commits *c = &source->commits;
        char *path;
        Subscription *s;

        c->again = c->old != NULL; /* one after the other */
        if (c->old || make_path(&path) < 0)
                return;
        c->old = c->path;
        c->path = path;
        list_for_each(s, &source->api->subscriptions, link) {
                if (!is_listener(s, source))
                        continue;
                if (s->listens == LISTENS)
                        s->listens = LISTENS_OLD;
                if (!s->subscriber.suspended && !s->subscriber.over)
                        tell_path(s);
        }
        (void)sd_event_add_time_relative(source->api->event, &c->deadline, CLOCK_MONOTONIC,
                                         ANSWER_NS / NSEC_PER_USEC, 0, on_deadline, source);
        check_move(source);
}

void order_suspended(Subscription *s) {
        if (s->has_commits && s->listens == LISTENS)
                move(s->source);
}

void order_resumed(Subscription *s) {
        if (!s->has_commits || s->listens == LISTENS)
                return;
        if (s->listens == LISTENS_NOT)
                subscriber_pause(&s->subscriber);
        tell_path(s);
}

/* ---- listening ---- */

int order_open(Subscription *s) {
        Commits *c = &s->source->commits;
        int r = c->path ? 0 : make_path(&c->path);

        if (r < 0)
                return r;
        c->n_listeners++;
        s->has_commits = true;
        return 0;
}

void order_close(Subscription *s) {
        Commits *c;

        if (!s->has_commits)
                return;
        s->has_commits = false;
        c = &s->source->commits;
        if (--c->n_listeners > 0) {
                check_move(s->source);
                return;
        }
        stop_moving(c);
        c->again = false;
        free(take_ptr(c->path));
}

const char *order_get_commits(const Subscription *s) {
        return s->has_commits ? s->source->commits.path : NULL;
}

int order_judge_answer(const Subscription *s, const char *path, sd_bus_error *ret_error) {
        if (!s->has_commits)
                return api_error(ret_error, FB_E_INVALID_OPTION,
                                 "option 'commits' is for a subscription on the bus with order=causal");
        if (strcmp(path, s->source->commits.path) != 0)
                return api_error(ret_error, FB_E_INVALID_OPTION,
                                 "option 'commits' is to be the path that was granted or told last");
        return 0;
}

void order_answered(Subscription *s) {
        s->listens = LISTENS;
        check_move(s->source);
        subscription_activate(s);
}

int order_tell_committed(Subscription *s, uint64_t order) {
        Commits *c;

        if (s->channel || s->listens == LISTENS_NOT) /* the end of one that does not listen */
                return conduit_send_committed(&s->conduit, order);
        c = &s->source->commits;
        if (c->told == order)
                return 0;
        c->told = order;
        if (c->old)
                (void)bus_broadcast_committed(s->api->bus, c->old, order);
        return bus_broadcast_committed(s->api->bus, c->path, order);
}
