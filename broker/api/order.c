/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * On the bus Committed is one broadcast for all, as only that comes behind the frames of all: of signals to
 * one after the other, the first could be answered before the last is sent. Its path is a secret of those who
 * were granted one; who listens there learns no more than how often the source makes a frame.
 */
#include "broker/api/order.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "broker/api/errors.h"
#include "interfaces/names.h"

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
        if (--c->n_listeners == 0)
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
        subscription_activate(s);
}

int order_tell_committed(Subscription *s, uint64_t order) {
        Commits *c;

        if (s->channel || !s->subscriber.active) /* the end of one that does not listen yet */
                return conduit_send_committed(&s->conduit, order);
        c = &s->source->commits;
        if (c->told == order)
                return 0;
        c->told = order;
        return bus_broadcast_committed(s->api->bus, c->path, order);
}
