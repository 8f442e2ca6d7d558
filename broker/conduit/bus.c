/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/conduit/bus.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "wire/codec.h"

static int bus_new_signal(Conduit *c, const char *member, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        BusConduit *b = fb_container_of(c, BusConduit, conduit);
        int r;

        r = sd_bus_message_new_signal(b->bus, &m, b->path, FB_IFACE_SUBSCRIPTION, member);
        if (r >= 0)
                r = sd_bus_message_set_destination(m, b->destination);
        if (r < 0)
                return r;
        *ret = take_ptr(m);
        return 0;
}

static int bus_send(Conduit *c, sd_bus_message *m) {
        return sd_bus_send(fb_container_of(c, BusConduit, conduit)->bus, m, NULL);
}

static int bus_check_room(Conduit *c, uint32_t n_fds) {
        BusConduit *b = fb_container_of(c, BusConduit, conduit);

        return b->budget->fds_in_flight + n_fds > FB_BUS_FDS_MAX ? -EDQUOT : 0;
}

static int bus_send_frame(Conduit *c, Frame *f, uint32_t extra_flags, uint64_t *ret_cookie) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        BusConduit *b = fb_container_of(c, BusConduit, conduit);
        int r;

        r = bus_new_signal(c, "Frame", &m);
        if (r >= 0)
                r = codec_append_frame(m, f, extra_flags);
        if (r >= 0)
                r = sd_bus_send(b->bus, m, ret_cookie);
        if (r < 0)
                return r;
        b->fds_in_flight += f->n_fds;
        b->budget->fds_in_flight += f->n_fds;
        return 0;
}

static void bus_returned(Conduit *c, uint32_t n_fds) {
        BusConduit *b = fb_container_of(c, BusConduit, conduit);

        b->fds_in_flight -= n_fds;
        b->budget->fds_in_flight -= n_fds;
}

static const ConduitOps bus_ops = {
        .name = "bus",
        .new_signal = bus_new_signal,
        .send = bus_send,
        .check_room = bus_check_room,
        .send_frame = bus_send_frame,
        .returned = bus_returned,
};

int bus_conduit_init(BusConduit *b, sd_bus *bus, BusBudget *budget, const char *destination, const char *path,
                     uint32_t window) {
        if (budget->windows + window > FB_BUS_FDS_MAX)
                return FB_E_LIMIT;
        budget->windows += window;
        *b = (BusConduit){ .conduit.ops = &bus_ops,
                           .bus = bus,
                           .budget = budget,
                           .destination = destination,
                           .path = path,
                           .window = window };
        return 0;
}

int bus_conduit_set_window(BusConduit *b, uint32_t window) {
        if (b->budget->windows - b->window + window > FB_BUS_FDS_MAX)
                return FB_E_LIMIT;
        b->budget->windows += window - b->window;
        b->window = window;
        return 0;
}

void bus_conduit_deinit(BusConduit *b) {
        if (!b->budget)
                return;
        b->budget->windows -= b->window;
        b->budget->fds_in_flight -= b->fds_in_flight;
        b->budget = NULL;
}
