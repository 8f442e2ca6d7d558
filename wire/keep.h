/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls that are answered later. sd-bus keeps all descriptors that a message brought for as long as there is
 * a reference to it, whether or not its signature has any; a message may have 253 of them, and 128 MiB.
 * Whoever may let calls wait would so decide how many descriptors we have left for others.
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

/* Bytes of values; any call of the interfaces fits. */
#define KEEP_BYTES_MAX ((size_t)128 * 1024)

/*
 * In place of the call @m one with the same sender, number and values, sealed and at its beginning, that has
 * the descriptors that its values name, and no others. Answers to it are answers to @m. @m is at its
 * beginning afterwards.
 * FB_E_LIMIT: more than KEEP_BYTES_MAX. -ENOMEM, or another negative value: it is broken.
 */
int message_keep(sd_bus_message *m, sd_bus_message **ret);
