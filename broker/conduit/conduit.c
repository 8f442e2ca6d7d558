/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/conduit/conduit.h"

#include "base/cleanup.h"
#include "interfaces/names.h"
#include "wire/codec.h"

int conduit_send_format(Conduit *c, uint64_t order, uint32_t format, const Mode *mode) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = c->ops->new_signal(c, "FormatChanged", &m);
        if (r >= 0)
                r = codec_append_format(m, order, format, mode);
        return r < 0 ? r : c->ops->send(c, m);
}

int conduit_send_lost(Conduit *c, uint64_t count, const char *reason) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = c->ops->new_signal(c, "Lost", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ts", count, reason);
        return r < 0 ? r : c->ops->send(c, m);
}

int conduit_send_suspended(Conduit *c, const char *reason) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = c->ops->new_signal(c, "Suspended", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", reason);
        return r < 0 ? r : c->ops->send(c, m);
}

int conduit_send_resumed(Conduit *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = c->ops->new_signal(c, "Resumed", &m);
        return r < 0 ? r : c->ops->send(c, m);
}

int conduit_send_ended(Conduit *c, uint64_t order, const char *reason) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = c->ops->new_signal(c, "Ended", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ts", order, reason);
        return r < 0 ? r : c->ops->send(c, m);
}

int conduit_send_committed(Conduit *c, uint64_t order) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = c->ops->new_signal(c, "Committed", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "t", order);
        return r < 0 ? r : c->ops->send(c, m);
}

int conduit_send_commits_moved(Conduit *c, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = c->ops->new_signal(c, "CommitsMoved", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "o", path);
        return r < 0 ? r : c->ops->send(c, m);
}
