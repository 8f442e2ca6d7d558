/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interfaces that the object of a source has. Versions of one stand beside each other, and none ever
 * goes: each is a front of the same Source, whose vtable leads to source_call() and so to the same callers,
 * rights, quotas and subscriptions.
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-bus.h>

/* Not more than this. */
#define SOURCE_INTERFACES_MAX 5u

typedef struct SourceInterface {
        const char *name;
        const sd_bus_vtable *vtable; /* its userdata is a Source */
} SourceInterface;

const SourceInterface *source_interfaces(size_t *ret_n);

/*
 * org.framebus.Source2 is what a test makes of a version to come: Attach answers in another order. It is
 * there in builds with fault points, when "source2" is armed.
 */
#define FB_IFACE_SOURCE_2 "org.framebus.Source2"
#ifdef FB_FAULT_POINTS
extern const sd_bus_vtable source2_vtable[];
#endif
