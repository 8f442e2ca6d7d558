/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/access/receipt.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "interfaces/names.h"

void receipt_init(Receipt *r, sd_bus *bus, void (*over)(Receipt *r, bool proven)) {
        *r = (Receipt){ .bus = bus, .over = over };
}

void receipt_deinit(Receipt *r) {
        r->hangup = sd_event_source_disable_unref(r->hangup);
        r->fence_slot = sd_bus_slot_unref(r->fence_slot);
        r->cookie = 0;
}

static void receipt_over(Receipt *r, bool proven) {
        receipt_deinit(r);
        r->over(r, proven);
}

static int on_fence(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Receipt *r = userdata;

        receipt_over(r, !r->refused && sd_bus_message_is_method_error(m, NULL) <= 0);
        return 0;
}

/* What the client writes into its end wakes nobody: only hang-up is waited for. */
static int on_hangup(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Receipt *r = userdata;

        r->hangup = sd_event_source_disable_unref(r->hangup);
        if (r->refused ||
            sd_bus_call_method_async(r->bus, &r->fence_slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "GetId", on_fence, r, NULL) < 0)
                receipt_over(r, false);
        return 0;
}

static int new_mark(Receipt *r, const char *unique_name, bool call, int fd, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int e;

        if (call)
                e = sd_bus_message_new_method_call(r->bus, &m, unique_name, "/", "org.freedesktop.DBus.Peer",
                                                   "Ping");
        else
                e = sd_bus_message_new_signal(r->bus, &m, FB_PATH_MANAGER, FB_IFACE_RECEIPT, "Mark");
        if (e >= 0 && !call)
                e = sd_bus_message_set_destination(m, unique_name);
        if (e >= 0)
                e = sd_bus_message_set_auto_start(m, 0);
        if (e >= 0)
                e = sd_bus_message_append(m, "h", fd);
        if (e < 0)
                return e;
        *ret = take_ptr(m);
        return 0;
}

int receipt_ask(Receipt *r, const char *unique_name, bool call) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_close_ int ours = -1, theirs = -1;
        int fds[2], e;

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        e = new_mark(r, unique_name, call, theirs, &m);
        if (e >= 0)
                e = sd_event_add_io(sd_bus_get_event(r->bus), &r->hangup, ours, 0, on_hangup, r);
        if (e >= 0)
                e = sd_event_source_set_io_fd_own(r->hangup, 1);
        if (e >= 0) {
                take_fd(ours);
                e = sd_bus_send(r->bus, m, &r->cookie);
        }
        if (e < 0) {
                receipt_deinit(r);
                return e;
        }
        r->refused = false;
        return 0;
}

bool receipt_refuse(Receipt *r, uint64_t cookie) {
        if (r->cookie == 0 || r->cookie != cookie)
                return false;
        r->refused = true;
        return true;
}
