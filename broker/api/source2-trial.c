/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a Source2 comes beside Source1, tried in tests: a vtable of its own, whose methods are source_call()'s.
 * What is different, here the order of Attach's answer, is asked for where answers are written. It
 * deliberately has no XML file: nobody is to rely on it.
 */
#include "broker/api/source-interfaces.h"

#ifdef FB_FAULT_POINTS

#include "broker/api/source.h"

static int method_attach(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return source_call(userdata, m, ret_error);
}

static int get_later(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append(reply, "a{sv}", 1, "name", "s", ((Source *)userdata)->name);
}

const sd_bus_vtable source2_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("a{sv}", granted, "h", channel), method_attach,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Later", "a{sv}", get_later, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

#endif
