/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/api/source-interfaces.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "broker/api/controls.h"
#include "broker/api/legacy.h"
#include "broker/api/source.h"
#include "interfaces/names.h"

static const SourceInterface interfaces[] = {
        { FB_IFACE_SOURCE, source_vtable },
        { FB_IFACE_CONTROLS, controls_vtable },
        { FB_IFACE_LEGACY_1, legacy_vtable_1 },
        { FB_IFACE_LEGACY_2, legacy_vtable_2 },
#ifdef FB_FAULT_POINTS
        { FB_IFACE_SOURCE_2, source2_vtable }, /* the last one, so that it can be left out */
#endif
};

_Static_assert(FB_ELEMENTSOF(interfaces) <= SOURCE_INTERFACES_MAX, "room for each");

const SourceInterface *source_interfaces(size_t *ret_n) {
        *ret_n = FB_ELEMENTSOF(interfaces);
#ifdef FB_FAULT_POINTS
        if (!fault_point("source2"))
                --*ret_n;
#endif
        return interfaces;
}
