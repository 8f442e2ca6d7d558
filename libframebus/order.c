/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A turn: read what all pages say, read again until that agrees (then it was so at one moment), take
 * everything out of the channels, give out what is committed, the lowest order first. Staging comes before
 * committing, so what a page says is committed was in the channel before; and whoever made somebody send us a
 * message had seen a page that said so. Nothing here waits for anything.
 *
 * A channel is read into its subscription's queue (`kept`), by its own dispatch as well as by turns; no
 * callback of the program runs in there. What has no order is told when it is first in its queue; Lost
 * belongs to what comes after it.
 */
#include "libframebus/order.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/memfd.h"
#include "interfaces/names.h"
#include "libframebus/attach.h"
#include "libframebus/barrier.h"
#include "libframebus/commits.h"
#include "libframebus/subscription.h"
#include "wire/format.h"

/* Far more than a broker sends within a window. */
#define KEPT_MAX 1024

typedef enum KeptKind { KEPT_PLAIN, KEPT_REPLY, KEPT_LOST, KEPT_FORMAT, KEPT_FRAME, KEPT_ENDED } KeptKind;

typedef struct Kept Kept;
struct Kept {
        List link; // Causal::kept
        KeptKind kind;
        sd_bus_message *m; /* NULL: a frame for which there was no room */
        sd_bus_message_handler_t handler;
        uint64_t order, seq;
        bool stands_alone; /* frame: can be looked at without those before it */
};

static Kept *kept_free(Kept *k) {
        if (!k)
                return NULL;
        list_remove(&k->link);
        sd_bus_message_unref(k->m);
        free(k);
        return NULL;
}

FB_DEFINE_CLEANUP(Kept *, kept_free)

/* Coming in */

/* @order: 0: none, it only has its place in the channel. */
static Kept *keep(framebus_subscription *sub, KeptKind kind, sd_bus_message *m, uint64_t order) {
        Causal *c = &sub->causal;
        Kept *k = c->n_kept < KEPT_MAX ? calloc(1, sizeof *k) : NULL;

        if (!k) {
                order_hang_up(sub);
                return NULL;
        }
        k->kind = kind;
        k->order = order;
        k->m = sd_bus_message_ref(m);
        list_append(&c->kept, &k->link);
        c->n_kept++;
        if (order <= c->committed && !sub->fb->ordering.turning)
                order_set_due(sub->fb); /* no bell rings for it */
        return k;
}

uint64_t order_get_newest(const framebus_subscription *sub) {
        uint64_t newest = 0;
        const Kept *k;

        list_for_each(k, &sub->causal.kept, link)
                newest = FB_MAX(newest, k->order);
        return newest;
}

static void keep_frame(framebus_subscription *sub, sd_bus_message *m) {
        uint64_t seq, order, pts_ns;
        uint32_t format, flags;
        Kept *k;

        if (sd_bus_message_read(m, "tttuu", &seq, &order, &pts_ns, &format, &flags) <= 0 ||
            sd_bus_message_rewind(m, 1) < 0) {
                order_hang_up(sub); /* its credit cannot be given back */
                return;
        }
        k = keep(sub, KEPT_FRAME, m, flags & FB_FRAME_REPLAYED ? 0 : order);
        if (!k)
                return;
        if (flags & FB_FRAME_REPLAYED &&
            !sub->channel) /* comes between two frames, as the format ahead of it */
                sub->causal.committed = FB_MAX(sub->causal.committed, order_get_newest(sub));
        k->seq = seq;
        k->stands_alone = flags & FB_FRAME_KEYFRAME;
        if (!sub->channel && sub->fb->room.given) /* see room.h */
                k->m = sd_bus_message_unref(k->m);
}

static void keep_ordered(framebus_subscription *sub, KeptKind kind, sd_bus_message *m) {
        uint64_t order;

        if (sd_bus_message_read(m, "t", &order) <= 0 || sd_bus_message_rewind(m, 1) < 0)
                return;
        (void)keep(sub, kind, m, order);
        if (kind == KEPT_ENDED && sub->state == SUBSCRIPTION_OPENING)
                order_settle(sub); /* there is nothing more to wait for */
}

/* On a channel it is the bell; the page says more. One that a turn takes out itself is looked after at its
 * end. */
static void on_bell(framebus_subscription *sub, sd_bus_message *m) {
        uint64_t order;

        /* what ended early has no page, and on the bus a Committed of its own */
        if (!sub->causal.page && sd_bus_message_read(m, "t", &order) > 0)
                sub->causal.committed = FB_MAX(sub->causal.committed, order);
        if (!sub->fb->ordering.turning)
                order_set_due(sub->fb);
}

void order_keep(framebus_subscription *sub, sd_bus_message *m) {
        const char *member = sd_bus_message_get_member(m);

        if (sub->closed || sub->causal.hung_up)
                return;
        if (strcmp(member, "Frame") == 0)
                keep_frame(sub, m);
        else if (strcmp(member, "Committed") == 0)
                on_bell(sub, m);
        else if (strcmp(member, "FormatChanged") == 0)
                keep_ordered(sub, KEPT_FORMAT, m);
        else if (strcmp(member, "Ended") == 0)
                keep_ordered(sub, KEPT_ENDED, m);
        else if (strcmp(member, "CommitsMoved") == 0)
                commits_move(sub, m);
        else
                (void)keep(sub, strcmp(member, "Lost") == 0 ? KEPT_LOST : KEPT_PLAIN, m, 0);
}

void order_keep_reply(framebus_subscription *sub, sd_bus_message *m, sd_bus_message_handler_t handler) {
        Kept *k = keep(sub, KEPT_REPLY, m, 0);

        if (k)
                k->handler = handler;
}

/* Going out */

/* Whether its first element may be dispatched, and its place among those of other subscriptions. */
static bool first_is_committed(const framebus_subscription *sub, uint64_t *ret_order) {
        const Causal *c = &sub->causal;
        const Kept *k = list_first(&c->kept, Kept, link);

        if (sub->closed || sub->state != SUBSCRIPTION_ATTACHED || !k)
                return false;
        if (k->kind == KEPT_LOST) {
                list_for_each(k, &c->kept, link)
                        if (k->kind >= KEPT_FORMAT)
                                break;
                if (&k->link == &c->kept)
                        return false;
        }
        *ret_order = k->order;
        return k->order <= c->committed;
}

/* drop=latest: whether a later frame is there that can be had instead. */
static bool is_superseded(const framebus_subscription *sub, const Kept *frame) {
        const Causal *c = &sub->causal;
        bool deltas = sub->format && format_has_deltas(sub->format->mode.fourcc);
        const Kept *k;

        if (sub->options.drop != FRAMEBUS_DROP_LATEST || frame->order == 0)
                return false;
        list_for_each(k, &c->kept, link) {
                if (k->kind == KEPT_FORMAT)
                        return false; /* of another kind; it finds its own way */
                if (k->kind == KEPT_FRAME && k->order <= c->committed && (k->stands_alone || !deltas))
                        return true;
        }
        return false;
}

static void dispatch_frame(framebus_subscription *sub, const Kept *k) {
        Causal *c = &sub->causal;

        if (is_superseded(sub, k)) {
                c->n_superseded++;
                subscription_release(sub, k->seq);
        } else if (!k->m) {
                subscription_release(sub, k->seq);
                subscription_lose(sub, 1, "incomplete");
        } else {
                if (c->n_superseded > 0)
                        subscription_lose(sub, c->n_superseded, "superseded");
                c->n_superseded = 0;
                subscription_dispatch(sub, k->m);
        }
}

static void dispatch_first(framebus_subscription *sub) {
        _cleanup_(kept_freep) Kept *k = list_first(&sub->causal.kept, Kept, link);

        list_remove(&k->link);
        sub->causal.n_kept--;
        if (k->kind == KEPT_FRAME)
                dispatch_frame(sub, k);
        else if (k->kind == KEPT_REPLY)
                (void)k->handler(k->m, sub, NULL);
        else
                subscription_dispatch(sub, k->m);
}

/* Callbacks may close, and end, any subscription, and open others: so it begins anew each time. */
static void dispatch_committed(framebus *fb) {
        for (;;) {
                framebus_subscription *sub, *first = NULL;
                uint64_t order, lowest = UINT64_MAX;

                list_for_each(sub, &fb->subscriptions, link)
                        if (sub->causal.on && first_is_committed(sub, &order) && (!first || order < lowest)) {
                                first = sub;
                                lowest = order;
                        }
                if (!first)
                        return;
                dispatch_first(first);
        }
}

/* Turns */

static uint64_t page_read(const FbOrderPage *page) {
        return __atomic_load_n(&page->committed, __ATOMIC_ACQUIRE);
}

/* What all pages said at one moment. */
static uint64_t take_snapshot(framebus *fb) {
        framebus_subscription *sub;
        uint64_t newest = 0;
        bool again;

        do {
                again = false;
                list_for_each(sub, &fb->subscriptions, link) {
                        Causal *c = &sub->causal;
                        uint64_t committed = c->page ? page_read(c->page) : c->committed;

                        if (c->committed != committed)
                                again = true;
                        c->committed = committed;
                        c->ending = c->hung_up;
                        if (c->page)
                                newest = FB_MAX(newest, committed);
                }
        } while (again);
        return newest;
}

void order_drain(framebus_subscription *sub) {
        Channel *channel = sub->channel;
        sd_bus *bus = channel ? sd_bus_ref(channel_get_bus(channel)) : NULL;
        int r = 1;

        while (r > 0 && sub->channel == channel && !sub->causal.hung_up)
                r = bus ? sd_bus_process(bus, NULL) : 0;
        if (r < 0 && r != -EBUSY && sub->channel == channel)
                order_hang_up(sub);
        sd_bus_unref(bus);
}

static void drain_all(framebus *fb) {
        framebus_subscription *sub;

        list_for_each(sub, &fb->subscriptions, link)
                if (sub->causal.on && !sub->closed)
                        order_drain(sub);
}

static void settle_all(framebus *fb) {
        framebus_subscription *sub;

        list_for_each(sub, &fb->subscriptions, link)
                if (sub->causal.is_settled && !sub->closed) {
                        sub->causal.is_settled = false;
                        if (sub->state == SUBSCRIPTION_OPENING)
                                attach_done(sub);
                }
}

/* What was committed while the turn ran. */
static bool has_more(const framebus_subscription *sub) {
        const Causal *c = &sub->causal;
        const Kept *k = list_first(&c->kept, Kept, link);

        return c->page && k && page_read(c->page) > c->committed;
}

static void end_all(framebus *fb) {
        framebus_subscription *sub;

        list_for_each(sub, &fb->subscriptions, link)
                if (!sub->closed && sub->causal.ending)
                        attach_retry(sub);
                else if (!sub->closed && has_more(sub))
                        order_set_due(fb);
}

void order_turn(framebus *fb) {
        Ordering *o = &fb->ordering;
        uint64_t newest;

        if (o->turning)
                return;
        o->turning = true;
        o->n_turns++;
        do {
                o->hung_up = false;
                newest = take_snapshot(fb);
                drain_all(fb);
        } while (o->hung_up);
        settle_all(fb);
        dispatch_committed(fb);
        end_all(fb);
        o->by_channel = FB_MAX(o->by_channel, newest);
        o->turning = false;
        barriers_finish(fb);
}

/* Coming and going */

static int page_map(int fd, const FbOrderPage **ret) {
        const FbOrderPage *page;
        const char *why;
        uint64_t size;
        int r;

        r = memfd_judge_leased(fd, &size, &why); /* it cannot shrink */
        if (r != 0 || size < FB_ORDER_PAGE_SIZE)
                return r < 0 ? r : -EBADMSG;
        page = mmap(NULL, FB_ORDER_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
                return -errno;
        if (page->version != FB_ORDER_PAGE_VERSION) {
                (void)munmap((void *)page, FB_ORDER_PAGE_SIZE);
                return -EBADMSG;
        }
        *ret = page;
        return 0;
}

/* A channel that somebody else has made turns out to be causal; it was silent so far. */
static void become_causal(framebus_subscription *sub) {
        if (order_enable(sub->fb) < 0) {
                attach_retry(sub);
                return;
        }
        sub->options.order = FRAMEBUS_ORDER_CAUSAL;
        sub->causal.on = true;
}

static int on_page(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        framebus_subscription *sub = userdata;
        Causal *c = &sub->causal;
        int r, fd;

        c->page_call = sd_bus_slot_unref(c->page_call);
        if (sd_bus_message_is_method_error(m, NULL) > 0)
                r = -EOPNOTSUPP;
        else if ((r = sd_bus_message_read(m, "h", &fd)) >= 0)
                r = page_map(fd, &c->page);
        if (c->on && r < 0)
                order_hang_up(sub);
        else if (c->on)
                order_settle(sub);
        else if (r >= 0)
                become_causal(sub);
        return 0;
}

int order_begin(framebus_subscription *sub) {
        return sd_bus_call_method_async(channel_get_bus(sub->channel), &sub->causal.page_call, NULL,
                                        FB_PATH_SUBSCRIPTION, FB_IFACE_SUBSCRIPTION, "GetOrder", on_page, sub,
                                        NULL);
}

void order_settle(framebus_subscription *sub) {
        sub->causal.is_settled = true;
        order_set_due(sub->fb);
}

void order_hang_up(framebus_subscription *sub) {
        if (sub->causal.hung_up)
                return;
        sub->causal.hung_up = sub->fb->ordering.hung_up = true;
        order_set_due(sub->fb);
}

void order_forget(framebus_subscription *sub) {
        Causal *c = &sub->causal;
        Kept *k;

        while ((k = list_first(&c->kept, Kept, link)))
                kept_free(k);
        if (c->page)
                (void)munmap((void *)c->page, FB_ORDER_PAGE_SIZE);
        sd_bus_slot_unref(c->page_call);
        sd_bus_slot_unref(c->match);
        sd_bus_slot_unref(c->new_match);
        sd_bus_slot_unref(c->commits_call);
        *c = (Causal){};
        list_init(&c->kept);
}

static int on_due(sd_event_source *s, void *userdata) {
        return 0; /* the turn was done before it was dispatched */
}

void order_set_due(framebus *fb) {
        if (fb->ordering.due)
                (void)sd_event_source_set_enabled(fb->ordering.due, SD_EVENT_ONESHOT);
}

void order_init(Ordering *o) {
        list_init(&o->barriers);
        list_init(&o->calls);
}

int order_enable(framebus *fb) {
        Ordering *o = &fb->ordering;
        int r = 0;

        if (!o->due) {
                r = sd_event_add_defer(fb->event, &o->due, on_due, fb);
                if (r >= 0)
                        r = sd_event_source_set_enabled(o->due, SD_EVENT_OFF);
        }
        if (r >= 0)
                o->n_causal++;
        return r;
}

void order_disable(framebus *fb) {
        fb->ordering.n_causal--;
}

void order_deinit(Ordering *o) {
        barriers_free(o);
        o->due = sd_event_source_disable_unref(o->due);
}
