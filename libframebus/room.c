/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libframebus/room.h"

#include "base/cleanup.h"
#include "base/fd.h"

static void close_all(int fds[static ROOM_FDS]) {
        for (unsigned int i = 0; i < ROOM_FDS; i++)
                fds[i] = fb_close(fds[i]);
}

/* All @n or none. */
static bool take(int fds[static ROOM_FDS], unsigned int n, int fd) {
        for (unsigned int i = 0; i < n; i++) {
                fds[i] = fd_dup_cloexec(fd);
                if (fds[i] < 0) {
                        fds[i] = -1;
                        close_all(fds);
                        return false;
                }
        }
        return true;
}

void room_init(Room *r) {
        r->given = false;
        for (unsigned int i = 0; i < ROOM_FDS; i++)
                r->kept[i] = -1;
}

void room_deinit(Room *r) {
        close_all(r->kept);
}

void room_make(Room *r, unsigned int n, int fd) {
        int fds[ROOM_FDS] = { -1, -1, -1, -1 };

        if (r->kept[0] < 0)
                r->given = !take(r->kept, ROOM_FDS, fd);
        if (r->given)
                return;
        if (take(fds, n, fd)) {
                close_all(fds);
                return;
        }
        close_all(r->kept);
        r->given = true;
}

void room_restore(Room *r, int fd) {
        if (r->given)
                r->given = !take(r->kept, ROOM_FDS, fd);
}
