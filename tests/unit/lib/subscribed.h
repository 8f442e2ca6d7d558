/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A subscription that is attached, and memory for frames, good and bad. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/memfd.h"
#include "fake.h"
#include "interfaces/names.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static inline framebus_subscription *subscribed(Rig *rig, enum framebus_transport transport) {
        struct framebus_subscribe_options options = { .transport = transport };
        framebus_subscription *sub;

        if (!CHECK(rig_start(rig)) ||
            !CHECK_INT(framebus_subscribe(rig->fb, "cam", &options, &rig_events, rig, &sub), 0))
                return NULL;
        rig_until_log(rig, "attached ");
        CHECK(rig_until(rig, rig->fake.opened || transport == FRAMEBUS_TRANSPORT_BUS));
        CHECK_INT(fake_format(&rig->fake, 7), 1);
        rig_until_log(rig, "format:7:16x8 ");
        rig->log[0] = 0;
        return sub;
}

static const enum framebus_transport transports[] = { FRAMEBUS_TRANSPORT_PEER, FRAMEBUS_TRANSPORT_BUS };

static inline int memory_with_seals(int seals, size_t size) {
        char data[FAKE_SIZE] = { 0 };
        int fd = memfd_create("bad", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (write(fd, data, size) != (ssize_t)size || fcntl(fd, F_ADD_SEALS, seals) < 0)
                abort();
        return fd;
}
