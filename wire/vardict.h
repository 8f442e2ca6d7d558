/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a{sv} with a table of keys: unknown keys refused or ignored, types checked, nothing applied by
 * halves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

/* Reads the content of the variant (already entered) for one key. 0: read (not sd-bus's 1);
 * FB_E_INVALID_OPTION: out of range; negative: the message is broken. */
typedef int (*vardict_reader)(sd_bus_message *m, void *userdata);

typedef struct VardictKey {
        const char *key;
        const char *signature; /* of the variant's content; NULL: @read looks for itself */
        vardict_reader read;
} VardictKey;

typedef struct VardictError {
        const char *key; /* which key was wrong; points into the message or the table */
        const char *expected; /* signature, or NULL */
} VardictError;

/*
 * Reads the a{sv} at the message's position.
 * @ignore_unknown  for replies and signals
 * Returns 0; FB_E_UNKNOWN_OPTION or FB_E_INVALID_OPTION (a key twice, wrong type or range) with @ret_error
 * filled; or negative: the message is not what its signature said.
 */
int vardict_read(sd_bus_message *m, const VardictKey *keys, size_t n_keys, bool ignore_unknown,
                 void *userdata, VardictError *ret_error);

/* The same for what comes with every frame: unknown keys are skipped, but it is FB_E_INVALID_OPTION if there
 * is a descriptor in one, at any depth, or if the whole is larger than @size_max bytes. */
int vardict_read_bounded(sd_bus_message *m, const VardictKey *keys, size_t n_keys, size_t size_max,
                         void *userdata, VardictError *ret_error);
