/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listing and watching sources. */
#include <errno.h>
#include <string.h>

#include "../test.h"
#include "fake.h"
#include "interfaces/names.h"

#define SOURCE_PATH FB_PATH_SOURCE_PREFIX "/cam"

static void on_list(framebus *fb, const struct framebus_source_info *info, const struct framebus_error *error,
                    void *userdata) {
        if (error)
                rig_log(userdata, "error:%s ", error->name);
        else if (info)
                rig_log(userdata, "source:%s:%s:%zu:%ux%u ", info->name, info->state, info->n_modes,
                        info->n_modes ? info->modes[0].width : 0, info->n_modes ? info->modes[0].height : 0);
        else
                rig_log(userdata, "done ");
}

TEST(list) {
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_list(rig.fb, on_list, &rig), 0);
        CHECK_STR(rig.log, "");
        rig_until_log(&rig, "done ");
        CHECK_STR(rig.log, "source:cam:idle:1:16x8 done ");
        fake_stop(&rig.fake);
        rig.log[0] = 0;
        REQUIRE_INT(framebus_list(rig.fb, on_list, &rig), 0);
        rig_until_log(&rig, "error:org.freedesktop.DBus.Error.ServiceUnknown ");
        REQUIRE_INT(framebus_list(rig.fb, on_list, &rig), 0); /* left alone when closing */
        rig_stop(&rig);
}

static void on_changed(framebus *fb, const struct framebus_source_info *info, void *userdata) {
        rig_log(userdata, "changed:%s:%s ", info->name, info->state);
}

static void on_removed(framebus *fb, const char *name, void *userdata) {
        rig_log(userdata, "removed:%s ", name);
}

static void on_failed(framebus *fb, const struct framebus_error *error, void *userdata) {
        rig_log(userdata, "failed:%s ", error->name);
}

static const struct framebus_watch_events events = { .changed = on_changed,
                                                     .removed = on_removed,
                                                     .failed = on_failed };

TEST(watch) {
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_watch(rig.fb, &events, &rig), 0);
        CHECK_INT(framebus_watch(rig.fb, &events, &rig), -EBUSY);
        rig_until_log(&rig, "changed:cam:idle ");
        CHECK_INT(rig.fake.n_watch, 1);

        rig.log[0] = 0;
        strcpy(rig.fake.state, "streaming");
        CHECK(sd_bus_emit_properties_changed(rig.fake.bus, SOURCE_PATH, FB_IFACE_SOURCE, "State", NULL) >= 0);
        rig_until_log(&rig, "changed:cam:streaming ");
        CHECK(sd_bus_emit_object_removed(rig.fake.bus, SOURCE_PATH) >= 0);
        rig_until_log(&rig, "removed:cam ");
        rig.log[0] = 0;
        CHECK(sd_bus_emit_object_added(rig.fake.bus, SOURCE_PATH) >= 0);
        rig_until_log(&rig, "changed:cam:streaming ");

        rig.log[0] = 0;
        fake_stop(&rig.fake);
        rig_until_log(&rig, "removed:cam failed:org.freedesktop.DBus.Error.ServiceUnknown ");
        rig.log[0] = 0;
        REQUIRE(fake_start(&rig.fake, rig.address));
        rig_until_log(&rig, "changed:cam:streaming ");
        CHECK_INT(rig.fake.n_watch, 2);

        rig.log[0] = 0;
        framebus_unwatch(rig.fb);
        framebus_unwatch(rig.fb);
        CHECK(rig_until(&rig, rig.fake.n_unwatch == 1));
        CHECK(sd_bus_emit_object_removed(rig.fake.bus, SOURCE_PATH) >= 0);
        rig_settle(&rig);
        CHECK_STR(rig.log, "");
        rig_stop(&rig);
}

static void unwatch_on_changed(framebus *fb, const struct framebus_source_info *info, void *userdata) {
        rig_log(userdata, "changed ");
        framebus_unwatch(fb);
        CHECK_INT(framebus_watch(fb, &events, userdata), 0);
}

/* Ended before the broker answered: it must not count a watcher for ever. */
TEST(unwatch_early) {
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_watch(rig.fb, &events, &rig), 0);
        framebus_unwatch(rig.fb);
        CHECK(rig_until(&rig, rig.fake.n_unwatch == 1));
        CHECK_INT(rig.fake.n_watch, 1);
        CHECK_STR(rig.log, "");
        rig_stop(&rig);
}

TEST(unwatch_inside_of_a_callback) {
        const struct framebus_watch_events unwatching = { .changed = unwatch_on_changed };
        Rig rig;

        REQUIRE(rig_start(&rig));
        REQUIRE_INT(framebus_watch(rig.fb, &unwatching, &rig), 0);
        rig_until_log(&rig, "changed changed:cam:idle ");
        rig_stop(&rig);
}

TEST_MAIN
