/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * order=causal, as clients see it. A causal subscription is silent until its client can see what is
 * committed: on a channel until it has the source's page (GetOrder), on the bus until it listens where
 * Committed is broadcast (SetOptions with "commits"). So there is never anything staged with a client that
 * could not know.
 */
#pragma once

#include "broker/api/subscription.h"

/* GetOrder, as a method handler. */
int order_method_get(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

/* A causal subscription on the bus begins: there is a place for Committed. Negative errno. */
int order_open(Subscription *s);
/* It ends, or never began. Harmless if it has none. */
void order_close(Subscription *s);

/* Where Committed is broadcast for it; NULL: nowhere. */
const char *order_get_commits(const Subscription *s);

/* Whether its client may say that it listens at @path. 0 or fills @ret_error. */
int order_judge_answer(const Subscription *s, const char *path, sd_bus_error *ret_error);
/* It listens there. May free @s. */
void order_answered(Subscription *s);

/* It was suspended, or goes on: may make all others listen elsewhere, or itself wait for that. */
void order_suspended(Subscription *s);
void order_resumed(Subscription *s);

/* Everybody was sent all up to @order: tells this one, or all those on the bus at once. */
int order_tell_committed(Subscription *s, uint64_t order);
