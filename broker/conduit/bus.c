/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/conduit/bus.h"

#include "base/cleanup.h"
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

        return fd_account_check_frame(b->account, n_fds);
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
        fd_account_sent(b->account, f->n_fds);
        return 0;
}

static const ConduitOps bus_ops = {
        .name = "bus",
        .new_signal = bus_new_signal,
        .send = bus_send,
        .check_room = bus_check_room,
        .send_frame = bus_send_frame,
};

int bus_conduit_init(BusConduit *b, sd_bus *bus, FdAccount *account, const char *destination,
                     const char *path, uint32_t window, FdRefusal *ret_why) {
        int r = fd_account_grant(account, 0, window, ret_why);

        if (r != 0)
                return r;
        *b = (BusConduit){ .conduit.ops = &bus_ops,
                           .bus = bus,
                           .account = account,
                           .destination = destination,
                           .path = path,
                           .window = window };
        return 0;
}

int bus_conduit_set_window(BusConduit *b, uint32_t window, FdRefusal *ret_why) {
        int r = fd_account_grant(b->account, b->window, window, ret_why);

        if (r == 0)
                b->window = window;
        return r;
}

int bus_broadcast_committed(sd_bus *bus, const char *path, uint64_t order) {
        return sd_bus_emit_signal(bus, path, FB_IFACE_SUBSCRIPTION, "Committed", "t", order);
}

void bus_conduit_deinit(BusConduit *b) {
        FdRefusal why;

        if (b->account)
                (void)fd_account_grant(b->account, b->window, 0, &why);
        b->account = NULL;
}
