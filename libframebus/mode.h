/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between struct framebus_mode, which programs see, and the Mode of the wire. Pure. */
#pragma once

#include "libframebus/framebus.h"
#include "wire/mode.h"

void mode_to_public(const Mode *mode, struct framebus_mode *ret);

/* @wish: a rate of 0 means any. -EINVAL: reserved is not 0, or it makes no sense (see mode_is_valid()). */
int mode_from_public(const struct framebus_mode *mode, bool wish, Mode *ret);

/* The same for a list; @ret_modes is the caller's to free, NULL for none. -EINVAL also: more than
 * FB_MODES_MAX, in a wish FB_MODES_WISHED_MAX. */
int modes_from_public(const struct framebus_mode *modes, size_t n, bool wish, Mode **ret_modes);

/* A mode and the number that FormatChanged gave it; shared by a subscription and its frames. */
typedef struct FormatRef {
        unsigned int n_refs;
        uint32_t format;
        Mode mode;
        struct framebus_mode public_mode;
} FormatRef;

FormatRef *format_ref_new(uint32_t format, const Mode *mode); /* NULL: no memory */
FormatRef *format_ref_ref(FormatRef *f);
FormatRef *format_ref_unref(FormatRef *f); /* takes NULL, returns NULL */
