/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page in which those who were sent a frame look whether all others were sent it, too. Its memory can be
 * written by the broker alone; others read.
 */
#pragma once

#include "interfaces/wire.h"

typedef struct OrderPage {
        int fd;           /* only if there is a map */
        FbOrderPage *map; /* NULL: nobody has asked for it */
} OrderPage;

/* Makes it, if it does not exist, with @committed in it. Returns its descriptor, borrowed; negative errno. */
int order_page_open(OrderPage *p, uint64_t committed);
/* Forgets it: the mappings of others stay as they are. */
void order_page_close(OrderPage *p);

/* Everything up to @order was sent. No effect if there is no page. */
static inline void order_page_commit(OrderPage *p, uint64_t order) {
        if (p->map)
                __atomic_store_n(&p->map->committed, order, __ATOMIC_RELEASE);
}
