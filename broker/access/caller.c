/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See caller.h. Order: held messages are queued again one at a time, the next when the one before was seen
 * again; newer ones of that sender join the held ones meanwhile. sd_bus_query_sender_creds() and sd_bus_track
 * are not used: both wait for the driver.
 *
 * Calls for which there is no room stay behind, those that need no descriptors overtake them. Whenever there
 * is more room all who wait are looked at, in the order in which they came to the broker.
 */
#include "broker/access/caller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "interfaces/names.h"
#include "wire/keep.h"

/* A bus that refuses marks, or a broker without descriptors, is not asked all the time. */
#define ASK_AGAIN_NS (500 * NSEC_PER_MSEC)

typedef struct HeldMessage {
        List link; /* Caller::held */
        sd_bus_message *message;
} HeldMessage;

static void held_free(HeldMessage *h) {
        list_remove(&h->link);
        sd_bus_message_unref(h->message);
        free(h);
}

static void caller_free(Caller *c) {
        HeldMessage *h, *tmp;

        list_remove(&c->link);
        list_for_each_safe(h, tmp, &c->waiting, link)
                held_free(h);
        list_for_each_safe(h, tmp, &c->held, link)
                held_free(h);
        sd_bus_message_unref(c->expected);
        sd_bus_slot_unref(c->credentials_slot);
        sd_event_source_disable_unref(c->ask_later);
        receipt_deinit(&c->receipt);
        fd_account_close(&c->account);
        quota_charge_clear(&c->charge);
        identity_unref(c->identity);
        free(c->unique_name);
        free(c);
}

Caller *callers_find(Callers *cs, const char *unique_name) {
        Caller *c;

        list_for_each(c, &cs->callers, link)
                if (strcmp(c->unique_name, unique_name) == 0)
                        return c;
        return NULL;
}

Caller *callers_of(Callers *cs, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return sender ? callers_find(cs, sender) : NULL;
}

bool callers_hold_calls(const Callers *cs) {
        const Caller *c;

        list_for_each(c, &cs->callers, link)
                if (c->state != CALLER_KNOWN)
                        return true;
        return false;
}

bool callers_wait_for_room(const Callers *cs) {
        const Caller *c;

        list_for_each(c, &cs->callers, link)
                if (c->state == CALLER_KNOWN && c->n_held > 0)
                        return true;
        return false;
}

static void caller_gone(Caller *c) {
        c->callers->handler->gone(c, c->callers->userdata);
        caller_free(c);
}

bool callers_from_driver(sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);

        return sender && strcmp(sender, "org.freedesktop.DBus") == 0;
}

static int on_name_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old, *new;
        Caller *c;

        if (callers_from_driver(m) && sd_bus_message_read(m, "sss", &name, &old, &new) >= 0 &&
            name[0] == ':' && !new[0]) {
                c = callers_find(userdata, name);
                if (c)
                        caller_gone(c);
        }
        return 0;
}

static void release_next(Caller *c);

/* For the calls that are held. FB_E_LIMIT: they are more than may be. */
static int charge(Caller *c) {
        return c->charge.quota ? quota_charge_set(&c->charge, QUOTA_CALLS, c->n_held, &c->refusal) : 0;
}

static int on_credentials(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Caller *c = userdata;

        c->credentials_slot = sd_bus_slot_unref(c->credentials_slot);
        /* an error: it has left already, and nobody waits for its answers. Asked behind the probe, they are
         * what they were. */
        if (sd_bus_message_is_method_error(m, NULL) > 0 ||
            (!c->identity && identity_new(m, c->callers->system, &c->identity) < 0)) {
                caller_gone(c);
                return 0;
        }
        c->uid = c->identity->subject.uid;
        c->pid = c->identity->pid;
        fd_account_open(&c->account, c->callers->ledger, c->uid);
        if (c->callers->quota)
                (void)quota_charge_open(&c->charge, c->callers->quota, c->uid);
        release_next(c);
        return 0;
}

/* ---- proofs ---- */

static int on_ask_later(sd_event_source *e, uint64_t usec, void *userdata) {
        Caller *c = userdata;

        c->ask_later = sd_event_source_disable_unref(c->ask_later);
        fd_account_ask(&c->account);
        return 0;
}

static void ask_later(Caller *c) {
        if (!c->ask_later)
                (void)sd_event_add_time_relative(sd_bus_get_event(c->callers->bus), &c->ask_later,
                                                 CLOCK_MONOTONIC, ASK_AGAIN_NS / NSEC_PER_USEC, 0,
                                                 on_ask_later, c);
}

static int send_mark(Caller *c, bool call) {
        int r = receipt_ask(&c->receipt, c->unique_name, call);

        if (r >= 0)
                fd_account_marked(&c->account);
        return r;
}

/* The ledger wants a proof. */
static void on_ask(FdAccount *a, void *userdata) {
        Caller *c = fb_container_of(a, Caller, account);

        if (!c->ask_later && send_mark(c, c->mark_by_call) < 0)
                ask_later(c);
}

static void on_mark_over(Receipt *r, bool proven) {
        Caller *c = fb_container_of(r, Caller, receipt);

        if (!proven) {
                c->mark_by_call = !c->mark_by_call; /* a policy may let one of the two through */
                ask_later(c);
        }
        fd_account_mark_over(&c->account, proven);
        if (proven)
                c->callers->handler->room(c, c->callers->userdata);
}

/* An error of the bus driver: an answer to a mark? */
static int on_driver_error(Callers *cs, sd_bus_message *m) {
        uint64_t cookie;
        Caller *c;

        if (sd_bus_message_get_reply_cookie(m, &cookie) < 0)
                return 0;
        list_for_each(c, &cs->callers, link)
                if (receipt_refuse(&c->receipt, cookie)) {
                        if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_NOT_SUPPORTED) > 0 ||
                            sd_bus_message_is_method_error(m, SD_BUS_ERROR_FAILED) > 0)
                                c->cannot_pass_fds = true;
                        return 1;
                }
        return 0;
}

static bool needs_fds(sd_bus_message *m) {
        static const char *const members[] = { "Subscribe", "Attach", "AttachTo", "Share", "Publish" };
        const char *member = sd_bus_message_get_member(m);

        for (size_t i = 0; member && i < FB_ELEMENTSOF(members); i++)
                if (strcmp(member, members[i]) == 0)
                        return true;
        return false;
}

static int ask_credentials(Caller *c) {
        int r = sd_bus_call_method_async(c->callers->bus, &c->credentials_slot, "org.freedesktop.DBus",
                                         "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                         "GetConnectionCredentials", on_credentials, c, "s", c->unique_name);

        if (r >= 0)
                c->state = CALLER_ASKED;
        return r;
}

/* Whether it is known, or will be when the credentials are here, that descriptors can be passed. */
static bool probe(Caller *c) {
        if (c->probed)
                return true;
        if (!fd_account_check_mark(&c->account))
                return false;
        c->probed = true;
        if (send_mark(c, true) >= 0)
                (void)ask_credentials(c);
        return true;
}

/* ---- calls that are held ---- */

/* There is room: those who found none have their turn again. */
static void end_waiting(Caller *c) {
        HeldMessage *h, *tmp;
        List all = LIST_INIT(all);

        if (list_is_empty(&c->waiting) || !fd_account_check_reply(&c->account))
                return;
        list_for_each_safe(h, tmp, &c->waiting, link) {
                list_remove(&h->link);
                list_append(&all, &h->link);
        }
        list_for_each_safe(h, tmp, &c->held, link) {
                list_remove(&h->link);
                list_append(&all, &h->link);
        }
        list_for_each_safe(h, tmp, &all, link) {
                list_remove(&h->link);
                list_append(&c->held, &h->link);
        }
}

/* The oldest that may go on, or NULL: there is none, or (state CALLER_ASKED) not yet. */
static HeldMessage *find_next(Caller *c) {
        bool blocked = !list_is_empty(&c->waiting);
        HeldMessage *h;

        list_for_each(h, &c->held, link) {
                if (!needs_fds(h->message))
                        return h;
                if (blocked)
                        continue;
                blocked = !probe(c);
                if (!blocked)
                        return c->state == CALLER_ASKED ? NULL : h;
        }
        return NULL;
}

/* Queues the oldest held message again, behind what the connection has already read. */
static void release_next(Caller *c) {
        HeldMessage *h;

        c->state = CALLER_KNOWN;
        end_waiting(c);
        while ((h = find_next(c))) {
                if (sd_bus_enqueue_for_read(c->callers->bus, h->message) >= 0)
                        c->expected = sd_bus_message_ref(h->message);
                held_free(h);
                c->n_held--;
                (void)charge(c);
                if (c->expected) {
                        c->state = CALLER_DRAINING;
                        return;
                }
        }
}

static void on_freed(void *userdata) {
        Callers *cs = userdata;
        Caller *c;

        list_for_each(c, &cs->callers, link)
                if (c->state == CALLER_KNOWN && c->n_held > 0)
                        release_next(c);
}

static const FdLedgerHandler ledger_handler = { .ask = on_ask, .freed = on_freed };

uint64_t caller_sent_reply(Caller *c) {
        fd_account_sent(&c->account, 1);
        return c->account.sent;
}

void caller_read_reply(Caller *c, uint64_t reply) {
        uint64_t before = c->account.proven;

        fd_account_prove(&c->account, reply);
        if (c->account.proven != before)
                c->callers->handler->room(c, c->callers->userdata);
}

static Caller *caller_new(Callers *cs, const char *unique_name) {
        Caller *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        c->unique_name = strdup(unique_name);
        if (!c->unique_name) {
                free(c);
                return NULL;
        }
        c->callers = cs;
        c->uid = (uid_t)-1;
        list_init(&c->waiting);
        list_init(&c->held);
        receipt_init(&c->receipt, cs->bus, on_mark_over);
        list_append(&cs->callers, &c->link);
        return c;
}

static int refuse(Caller *c, sd_bus_message *m, int r) {
        char text[QUOTA_TEXT_MAX];

        if (r < 0)
                return r;
        return sd_bus_reply_method_errorf(m, FB_ERROR_LIMITS_EXCEEDED, "%s",
                                          quota_refusal_to_string(&c->refusal, text));
}

static int hold(Caller *c, sd_bus_message *m, List *where) {
        HeldMessage *h;
        int r;

        if (c->n_held >= CALLER_HELD_MAX)
                return sd_bus_reply_method_errorf(
                                m, FB_ERROR_LIMITS_EXCEEDED,
                                "more than %u calls while the caller's credentials are asked for, or while "
                                "it does not read what was sent to it",
                                CALLER_HELD_MAX);
        h = calloc(1, sizeof *h);
        if (!h)
                return -ENOMEM;
        r = message_keep(m, &h->message);
        if (r != 0) {
                free(h);
                return r < 0 ? r
                             : sd_bus_reply_method_errorf(m, FB_ERROR_LIMITS_EXCEEDED,
                                                          "a call that has to wait has at most %zu bytes",
                                                          KEEP_BYTES_MAX);
        }
        list_append(where, &h->link);
        c->n_held++;
        r = charge(c);
        if (r == 0)
                return 1;
        held_free(h);
        c->n_held--;
        return refuse(c, m, r);
}

int caller_wait_for_room(Caller *c, sd_bus_message *m) {
        (void)sd_bus_message_rewind(m, 1);
        return hold(c, m, &c->waiting);
}

/* 1: kept from the vtables; 0: goes on. */
static int on_first_message(Callers *cs, sd_bus_message *m, const char *sender) {
        Caller *c = caller_new(cs, sender);

        if (!c)
                return -ENOMEM;
        if (ask_credentials(c) < 0) {
                caller_free(c);
                return -ENOMEM;
        }
        return hold(c, m, &c->held);
}

/* A message that was queued again. */
static int on_expected(Caller *c, sd_bus_message *m) {
        int r = 0;

        c->expected = sd_bus_message_unref(c->expected);
        if (needs_fds(m) && !list_is_empty(&c->waiting)) /* the one before it found no room */
                r = hold(c, m, &c->waiting);
        release_next(c);
        return r;
}

static int on_call(Callers *cs, sd_bus_message *m) {
        const char *sender = sd_bus_message_get_sender(m);
        Caller *c;
        int r;

        if (!sender || sender[0] != ':')
                return 0;
        c = callers_find(cs, sender);
        if (!c)
                return on_first_message(cs, m, sender);
        if (c->state == CALLER_DRAINING && m == c->expected)
                return on_expected(c, m);
        if (c->state == CALLER_KNOWN && (!needs_fds(m) || (c->probed && c->n_held == 0)))
                return 0;
        r = hold(c, m, &c->held);
        if (c->state == CALLER_KNOWN)
                release_next(c);
        return r;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_call(m, NULL, NULL) > 0)
                return on_call(userdata, m);
        if (sd_bus_message_is_method_error(m, NULL) > 0 && callers_from_driver(m))
                return on_driver_error(userdata, m);
        return 0;
}

int callers_init(Callers *cs, sd_bus *bus, bool system, FdLedger *ledger, const CallersHandler *handler,
                 void *userdata) {
        int r;

        *cs = (Callers){ .bus = bus, .system = system, .ledger = ledger, .handler = handler };
        cs->userdata = userdata;
        list_init(&cs->callers);
        fd_ledger_set_handler(ledger, &ledger_handler, cs);
        r = sd_bus_add_filter(bus, &cs->filter_slot, on_message, cs);
        if (r < 0)
                return r;
        return sd_bus_match_signal_async(bus, &cs->gone_slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                         "org.freedesktop.DBus", "NameOwnerChanged", on_name_owner_changed,
                                         NULL, cs);
}

void callers_deinit(Callers *cs) {
        Caller *c, *tmp;

        if (!cs->bus)
                return;
        fd_ledger_set_handler(cs->ledger, NULL, NULL);
        list_for_each_safe(c, tmp, &cs->callers, link)
                caller_free(c);
        cs->filter_slot = sd_bus_slot_unref(cs->filter_slot);
        cs->gone_slot = sd_bus_slot_unref(cs->gone_slot);
        cs->bus = NULL;
}
