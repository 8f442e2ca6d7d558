/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subscription1.Share: a second channel for what a subscription gets, for another process to open.
 *
 * It is a subscription of the maker of the first one: judged when that was made, and not again; charged to
 * the maker, and named after it. It gets no other modes or memory than the first, no larger window and no
 * higher rate, now and later (Subscription::bounds). It does not depend on the first one otherwise.
 *
 * On a channel whoever holds it may call this, and its maker is charged. So nothing is made for a maker that
 * has left the bus: its connection has no books any more that would bound it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "broker/api/errors.h"
#include "broker/api/subscription.h"

/* What the parent has, to be narrowed. */
static int begin_options(const Subscription *s, Options *o) {
        const SubscriberOptions *parent = &s->subscriber.options;

        o->window = parent->window;
        o->latest = parent->latest;
        o->max_rate = parent->max_rate;
        o->causal = parent->causal;
        o->memories = (MemoryList){ .n = 1, .kinds = { subscriber_get_memory(&s->subscriber) } };
        for (uint32_t kind = 0; kind < FB_MEMORY_KINDS; kind++)
                if (kind != o->memories.kinds[0] && (parent->memories & (1u << kind)))
                        o->memories.kinds[o->memories.n++] = kind;
        if (parent->n_wishes == 0)
                return 0;
        o->wishes = calloc(parent->n_wishes, sizeof *o->wishes);
        if (!o->wishes)
                return -ENOMEM;
        memcpy(o->wishes, parent->wishes, parent->n_wishes * sizeof *o->wishes);
        o->n_wishes = parent->n_wishes;
        return 0;
}

/* Leaves the kinds that the parent takes. */
static int narrow_memory(const Subscription *s, Options *o, sd_bus_error *ret_error) {
        MemoryList list = { 0 };

        for (uint32_t i = 0; i < o->memories.n; i++)
                if (s->subscriber.options.memories & (1u << o->memories.kinds[i]))
                        list.kinds[list.n++] = o->memories.kinds[i];
        if (list.n == 0)
                return api_error(ret_error, FB_E_NO_COMMON_MEMORY,
                                 "the subscription that is to be shared gets %s memory",
                                 fb_memory_to_string(subscriber_get_memory(&s->subscriber)));
        o->memories = list;
        o->memory = list.kinds[0];
        return 0;
}

static int read_options(Subscription *s, sd_bus_message *m, Options *o, Bounds *ret_bounds,
                        sd_bus_error *ret_error) {
        int r = begin_options(s, o);

        *ret_bounds = (Bounds){ o->window, o->max_rate };
        if (r < 0)
                return api_error(ret_error, r, "%s", "");
        r = options_read_share(m, o, ret_error);
        if (r >= 0)
                r = options_check_bounds(o, ret_bounds, ret_error);
        return r < 0 ? r : narrow_memory(s, o, ret_error);
}

/* Whether the answer may carry a descriptor. 0; 1: the call waits; negative with @ret_error. */
static int check_room(Subscription *s, Caller *maker, sd_bus_message *m, sd_bus_error *ret_error) {
        if (!s->channel)
                return fd_account_check_reply(&maker->account) ? 0 : caller_wait_for_room(maker, m);
        if (s->conduit.ops->check_room(&s->conduit, 1) < 0)
                return api_error(ret_error, FB_E_LIMIT,
                                 "what was sent on this channel before is to be read first");
        return 0;
}

static int reply(Subscription *s, Caller *maker, sd_bus_message *m, Subscription *share, int theirs) {
        int r = sd_bus_reply_method_return(m, "h", theirs);

        if (r < 0)
                return r;
        if (s->channel)
                peer_conduit_sent_reply(&s->peer);
        else
                share->reply_mark = caller_sent_reply(maker);
        return 1;
}

int subscription_method_share(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(options_clear) Options o = OPTIONS_INIT;
        _cleanup_close_ int ours = -1, theirs = -1;
        Subscription *s = userdata, *share;
        Caller *maker = callers_find(&s->api->callers, s->client);
        Bounds bounds;
        Mode mode;
        int r;

        if (!s->source)
                return api_error(ret_error, FB_E_GONE, "the subscription has ended");
        if (!maker)
                return api_error(ret_error, FB_E_ACCESS_DENIED,
                                 "who made this channel has left the bus: nobody is there to be charged");
        r = read_options(s, m, &o, &bounds, ret_error);
        if (r < 0)
                return r;
        r = check_room(s, maker, m, ret_error);
        if (r != 0)
                return r;
        r = fd_socketpair(&ours, &theirs);
        if (r < 0)
                return r;
        mode = s->source->stream.target;
        r = subscription_new_peer(s->source, maker, &o, &mode, take_fd(ours), &share, ret_error);
        if (r < 0)
                return r;
        share->bounds = bounds;
        r = reply(s, maker, m, share, theirs);
        if (r < 0)
                subscription_free(share);
        return r;
}
