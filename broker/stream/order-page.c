/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/stream/order-page.h"

#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/memfd.h"

int order_page_open(OrderPage *p, uint64_t committed) {
        void *map;
        int fd;

        if (p->map)
                return p->fd;
        fd = memfd_new_page("framebus-order", FB_ORDER_PAGE_SIZE, &map);
        if (fd < 0)
                return fd;
        *p = (OrderPage){ fd, map };
        p->map->version = FB_ORDER_PAGE_VERSION;
        order_page_commit(p, committed);
        return fd;
}

void order_page_close(OrderPage *p) {
        if (!p->map)
                return;
        (void)munmap(p->map, FB_ORDER_PAGE_SIZE);
        fb_close(p->fd);
        *p = (OrderPage){ .fd = -1 };
}
