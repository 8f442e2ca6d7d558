/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A way for one subscription's signals to leave the broker. Does not know streams or credit; keeps the books
 * of file descriptors that may be under way (interfaces/wire.h: FB_BUS_LIVE_FDS_MAX, FB_PEER_FDS_MAX).
 *
 * No call blocks, and none frees the conduit. Negative errno: the conduit is broken, but for those named.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

#include "wire/frame.h"
#include "wire/mode.h"

typedef struct Conduit Conduit;

typedef struct ConduitOps {
        const char *name; /* "bus", "peer", "legacy" */
        /* A message for this conduit's receiver, addressed. NULL: it carries frames only, and
         * conduit_send_*() are not for it. */
        int (*new_signal)(Conduit *c, const char *member, sd_bus_message **ret);
        int (*send)(Conduit *c, sd_bus_message *m);
        /* Whether a frame with @n_fds descriptors may leave now: -EAGAIN: not before the receiver reads what
         * it was sent; -EDQUOT: it has, but too many are under way to others. */
        int (*check_room)(Conduit *c, uint32_t n_fds);
        int (*send_frame)(Conduit *c, Frame *f, uint32_t extra_flags, uint64_t *ret_cookie);
} ConduitOps;

struct Conduit {
        const ConduitOps *ops;
};

int conduit_send_format(Conduit *c, uint64_t order, uint32_t format, const Mode *mode);
int conduit_send_lost(Conduit *c, uint64_t count, const char *reason);
int conduit_send_suspended(Conduit *c, const char *reason);
int conduit_send_resumed(Conduit *c);
int conduit_send_ended(Conduit *c, uint64_t order, const char *reason);
int conduit_send_committed(Conduit *c, uint64_t order);
int conduit_send_commits_moved(Conduit *c, const char *path);
