/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Controls: what clients are told and ask, and what publishers say and are asked. */
#include <drm_fourcc.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../test.h"
#include "base/cleanup.h"
#include "fake.h"
#include "interfaces/names.h"
#include "wire/codec-control.h"

#define SOURCE_PATH FB_PATH_SOURCE_PREFIX "/cam"

/* ---- the source ---- */

static struct {
        const char *error; /* to be answered */
        char asked[256];
        int level; /* of the one control */
        unsigned n_lists;
} source;

static int on_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ControlItem items[] = { { 0, (char *)"Red" }, { 2, (char *)"Blue" } };
        Control controls[] = {
                { .id = (char *)"level",
                  .name = (char *)"Level",
                  .group = (char *)"User",
                  .type = CONTROL_INTEGER,
                  .min = -1,
                  .max = 9,
                  .step = 2,
                  .standard = 4,
                  .flags = CONTROL_SLIDER,
                  .value = { .kind = CONTROL_VALUE_NUMBER, .number = source.level } },
                { .id = (char *)"color",
                  .name = (char *)"Color",
                  .type = CONTROL_MENU,
                  .items = items,
                  .n_items = 2 },
                { .id = (char *)"title",
                  .name = (char *)"Title",
                  .type = CONTROL_STRING,
                  .max = 9,
                  .value = { .kind = CONTROL_VALUE_TEXT, .text = (char *)"none" } },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(m, &reply);

        source.n_lists++;
        if (source.error)
                return sd_bus_reply_method_errorf(m, source.error, "as the test says");
        if (r >= 0)
                r = codec_append_controls(reply, &(ControlList){ controls, 3 });
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_get(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *id;

        sd_bus_message_enter_container(m, 'a', "s");
        while (sd_bus_message_read(m, "s", &id) > 0)
                snprintf(source.asked + strlen(source.asked), 64, "%s ", id);
        return sd_bus_reply_method_return(m, "a{sv}", 2, "level", "i", source.level, "title", "s", "x");
}

static int on_set(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(control_settings_clear) ControlSettings s = {};
        VardictError wrong;

        if (codec_read_settings(m, &s, &wrong) != 0)
                return -EBADMSG;
        for (size_t i = 0; i < s.n; i++)
                snprintf(source.asked + strlen(source.asked), 64, "%s=%lld/%s ", s.settings[i].id,
                         (long long)s.settings[i].value.number, s.settings[i].value.text ?: "-");
        if (source.error)
                return sd_bus_reply_method_errorf(m, source.error, "as the test says");
        return sd_bus_reply_method_return(m, "a{sv}", 1, "level", "x", (int64_t)7);
}

static const sd_bus_vtable controls_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("List", "", "aa{sv}", on_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Get", "as", "a{sv}", on_get, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Set", "a{sv}", "a{sv}", on_set, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static bool export(Rig *rig) {
        return sd_bus_add_object_vtable(rig->fake.bus, NULL, SOURCE_PATH, FB_IFACE_CONTROLS, controls_vtable,
                                        NULL) >= 0;
}

static bool start(Rig *rig) {
        memset(&source, 0, sizeof source);
        source.level = 3;
        return rig_start(rig) && export(rig);
}

/* ---- clients ---- */

static void log_controls(Rig *rig, const struct framebus_control *controls, size_t n) {
        for (size_t i = 0; i < n; i++) {
                rig_log(rig, "%s:%d:%lld..%lld/%lld:%x", controls[i].id, controls[i].type,
                        (long long)controls[i].min, (long long)controls[i].max, (long long)controls[i].step,
                        controls[i].flags);
                for (size_t k = 0; k < controls[i].n_items; k++)
                        rig_log(rig, ":%s", controls[i].items[k].name);
                if (controls[i].has_value)
                        rig_log(rig, ":%lld:%s", (long long)controls[i].value, controls[i].text ?: "-");
                rig_log(rig, " ");
        }
}

static void on_controls(framebus *fb, const struct framebus_control *controls, size_t n,
                        const struct framebus_error *error, void *userdata) {
        log_controls(userdata, controls, n);
        rig_log(userdata, "done:%s ", error ? error->name : "-");
}

static void on_values(framebus *fb, const struct framebus_control_value *values, size_t n,
                      const struct framebus_error *error, void *userdata) {
        for (size_t i = 0; i < n; i++)
                rig_log(userdata, "%s=%lld/%s ", values[i].id, (long long)values[i].value,
                        values[i].text ?: "-");
        rig_log(userdata, "done:%s ", error ? error->name : "-");
}

#define LISTED "level:0:-1..9/2:80:3:- color:2:0..0/0:0:Red:Blue title:5:0..9/0:0:0:none "

TEST(list) {
        Rig rig;

        REQUIRE(start(&rig));
        REQUIRE_INT(framebus_list_controls(rig.fb, "cam", on_controls, &rig), 0);
        CHECK_STR(rig.log, "");
        rig_until_log(&rig, "done:");
        CHECK_STR(rig.log, LISTED "done:- ");
        rig.log[0] = 0;
        source.error = FB_ERROR_SOURCE_FAILED;
        REQUIRE_INT(framebus_list_controls(rig.fb, "cam", on_controls, &rig), 0);
        rig_until_log(&rig, "done:" FB_ERROR_SOURCE_FAILED " ");
        /* left alone when closing */
        REQUIRE_INT(framebus_list_controls(rig.fb, "cam", on_controls, &rig), 0);
        rig_stop(&rig);
}

TEST(get_and_set) {
        const struct framebus_control_value values[] = { { .id = "level", .value = -5 },
                                                         { .id = "title", .text = "" } };
        const struct framebus_control_value wrong = { .id = "No Name" };
        static const char *const ids[] = { "level", "title" };
        Rig rig;

        REQUIRE(start(&rig));
        CHECK_INT(framebus_set_controls(rig.fb, "cam", values, 0, on_values, &rig), -EINVAL);
        CHECK_INT(framebus_set_controls(rig.fb, "cam", values, 65, on_values, &rig), -EINVAL);
        CHECK_INT(framebus_set_controls(rig.fb, "cam", &wrong, 1, on_values, &rig), -EINVAL);
        REQUIRE_INT(framebus_set_controls(rig.fb, "cam", values, 2, on_values, &rig), 0);
        rig_until_log(&rig, "done:");
        CHECK_STR(source.asked, "level=-5/- title=0/ ");
        CHECK_STR(rig.log, "level=7/- done:- ");
        rig.log[0] = source.asked[0] = 0;
        REQUIRE_INT(framebus_get_controls(rig.fb, "cam", ids, 2, on_values, &rig), 0);
        rig_until_log(&rig, "done:");
        CHECK_STR(source.asked, "level title ");
        CHECK_STR(rig.log, "level=3/- title=0/x done:- ");
        rig.log[0] = 0;
        source.error = FB_ERROR_INVALID_VALUE;
        REQUIRE_INT(framebus_set_controls(rig.fb, "cam", values, 1, on_values, &rig), 0);
        rig_until_log(&rig, "done:" FB_ERROR_INVALID_VALUE " ");
        rig.log[0] = 0;
        rig.fake.resolve_error = FB_ERROR_NO_SUCH_SOURCE;
        REQUIRE_INT(framebus_get_controls(rig.fb, "cam", NULL, 0, on_values, &rig), 0);
        rig_until_log(&rig, "done:" FB_ERROR_NO_SUCH_SOURCE " ");
        rig_stop(&rig);
}

static void on_watch_listed(framebus_control_watch *w, const struct framebus_control *controls, size_t n,
                            void *userdata) {
        rig_log(userdata, "listed:%zu:%lld ", n, (long long)controls[0].value);
}

static void on_watch_changed(framebus_control_watch *w, const struct framebus_control_value *values, size_t n,
                             void *userdata) {
        rig_log(userdata, "changed:%zu:%s=%lld ", n, values[0].id, (long long)values[0].value);
}

static void on_watch_failed(framebus_control_watch *w, const struct framebus_error *error, void *userdata) {
        rig_log(userdata, "failed:%s ", error->name);
}

static const struct framebus_control_events watch_events = { .listed = on_watch_listed,
                                                             .changed = on_watch_changed,
                                                             .failed = on_watch_failed };

static int emit_changed(sd_bus *bus) {
        return sd_bus_emit_signal(bus, SOURCE_PATH, FB_IFACE_CONTROLS, "Changed", "a{sv}", 1, "level", "x",
                                  (int64_t)5);
}

TEST(watch) {
        framebus_control_watch *watch;
        sd_bus *stranger;
        Rig rig;

        REQUIRE(start(&rig));
        REQUIRE_INT(framebus_watch_controls(rig.fb, "cam", &watch_events, &rig, &watch), 0);
        rig_until_log(&rig, "listed:3:3 ");
        CHECK(emit_changed(rig.fake.bus) >= 0);
        rig_until_log(&rig, "changed:1:level=5 ");

        /* nobody else is believed */
        rig.log[0] = 0;
        REQUIRE(sd_bus_new(&stranger) >= 0 && sd_bus_set_address(stranger, rig.address) >= 0 &&
                sd_bus_set_bus_client(stranger, 1) >= 0 && sd_bus_start(stranger) >= 0);
        CHECK(emit_changed(stranger) >= 0 && sd_bus_flush(stranger) >= 0);
        sd_bus_flush_close_unref(stranger);
        source.level = 4;
        CHECK(sd_bus_emit_signal(rig.fake.bus, SOURCE_PATH, FB_IFACE_CONTROLS, "ListChanged", NULL) >= 0);
        rig_until_log(&rig, "listed:");
        CHECK_STR(rig.log, "listed:3:4 ");

        /* the next broker is asked, and believed */
        rig.log[0] = 0;
        fake_stop(&rig.fake);
        rig_settle(&rig);
        REQUIRE(fake_start(&rig.fake, rig.address) && export(&rig));
        rig_until_log(&rig, "listed:3:4 ");
        CHECK(emit_changed(rig.fake.bus) >= 0);
        rig_until_log(&rig, "changed:1:level=5 ");

        rig.log[0] = 0;
        framebus_control_watch_close(watch);
        CHECK(emit_changed(rig.fake.bus) >= 0);
        rig_settle(&rig);
        CHECK_STR(rig.log, "");
        CHECK_INT(framebus_watch_controls(rig.fb, "no/name", &watch_events, &rig, &watch), -EINVAL);
        rig_stop(&rig);
}

static void close_on_listed(framebus_control_watch *w, const struct framebus_control *controls, size_t n,
                            void *userdata) {
        rig_log(userdata, "closed ");
        framebus_control_watch_close(w);
}

TEST(watch_closed_inside_of_a_callback) {
        const struct framebus_control_events closing = { .listed = close_on_listed };
        framebus_control_watch *watch, *other;
        Rig rig;

        REQUIRE(start(&rig));
        REQUIRE_INT(framebus_watch_controls(rig.fb, "cam", &closing, &rig, &watch), 0);
        REQUIRE_INT(framebus_watch_controls(rig.fb, "cam", &watch_events, &rig, &other), 0);
        rig_until_log(&rig, "closed listed:3:3 ");
        rig_stop(&rig); /* with one that is open */
}

/* ---- publishers ---- */

static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {}

static void on_stop(framebus_publisher *pub, void *userdata) {}

static void on_set_controls(framebus_publisher *pub, uint64_t cookie,
                            const struct framebus_control_value *values, size_t n, void *userdata) {
        for (size_t i = 0; i < n; i++)
                rig_log(userdata, "set:%s=%lld/%s ", values[i].id, (long long)values[i].value,
                        values[i].text ?: "-");
        CHECK_INT(framebus_publisher_answer_controls(pub, cookie, values, 1, n > 1 ? values[1].id : NULL,
                                                     n > 1 ? "too hot" : NULL),
                  0);
}

static void on_get_controls(framebus_publisher *pub, uint64_t cookie, const char *const *ids, size_t n,
                            void *userdata) {
        const struct framebus_control_value value = { .id = "level", .value = 8 };

        for (size_t i = 0; i < n; i++)
                rig_log(userdata, "get:%s ", ids[i]);
        CHECK_INT(framebus_publisher_answer_controls(pub, cookie, &value, 1, NULL, ""), 0);
}

static const struct framebus_mode mode = {
        .fourcc = DRM_FORMAT_YUYV, .width = 16, .height = 8, .rate = { 30, 1 }
};
static const struct framebus_publish_options publish_options = { .modes = &mode, .n_modes = 1 };
static const struct framebus_publisher_events old_events = { .start = on_start, .stop = on_stop };
static const struct framebus_publisher_events new_events = { .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION,
                                                             .start = on_start,
                                                             .stop = on_stop,
                                                             .set_controls = on_set_controls,
                                                             .get_controls = on_get_controls };
static const struct framebus_control controls[] = {
        { .id = "level", .name = "Level", .max = 9, .step = 1, .has_value = true, .value = 4 },
        { .id = "flip", .name = "Flip", .type = FRAMEBUS_CONTROL_BOOLEAN, .has_value = true, .value = 1 },
        { .id = "title",
          .name = "Title",
          .type = FRAMEBUS_CONTROL_STRING,
          .max = 9,
          .has_value = true,
          .text = "a" },
};

static framebus_publisher *publish(Rig *rig, const struct framebus_publisher_events *events) {
        framebus_publisher *pub;

        if (!CHECK(rig_start(rig)) ||
            !CHECK_INT(framebus_publish(rig->fb, "cam", &publish_options, events, rig, &pub), 0) ||
            !CHECK_INT(framebus_publisher_set_controls(pub, controls, 3), 0))
                return NULL;
        CHECK(rig_until(rig, rig->fake.n_modes == 1));
        CHECK_STR(rig->fake.controls, "Controls: level=4 flip=1 title='a' "); /* before the modes */
        rig->fake.controls[0] = 0;
        return pub;
}

TEST(publisher) {
        const struct framebus_control_value changed[] = { { .id = "flip" }, { .id = "title", .text = "b" } };
        const struct framebus_control_value wrong[] = { { .id = "level", .text = "x" }, { .id = "tint" } };
        framebus_publisher *pub;
        Rig rig;

        pub = publish(&rig, &new_events);
        REQUIRE(pub);
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "SetControl", "ta{sv}", (uint64_t)5, 1, "level", "x",
                    (int64_t)7);
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "SetControl", "ta{sv}", (uint64_t)6, 2, "flip", "b", 1,
                    "title", "s", "b");
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "GetControl", "tas", (uint64_t)7, 2, "level", "flip");
        CHECK(rig_until(&rig, strstr(rig.fake.controls, "7 '' '' ")));
        CHECK_STR(rig.log, "set:level=7/- set:flip=1/- set:title=0/b get:level get:flip ");
        CHECK_STR(rig.fake.controls, "ControlAnswer: level=7 5 '' '' "
                                     "ControlAnswer: flip=1 6 'title' 'too hot' "
                                     "ControlAnswer: level=8 7 '' '' ");
        rig.fake.controls[0] = 0;
        for (size_t i = 0; i < 2; i++)
                CHECK_INT(framebus_publisher_controls_changed(pub, &wrong[i], 1), -EINVAL);
        CHECK_INT(framebus_publisher_controls_changed(pub, changed, 2), 0);
        CHECK_INT(framebus_publisher_set_controls(pub, controls, 1), 0);
        CHECK(rig_until(&rig, strstr(rig.fake.controls, "Controls: ")));
        CHECK_STR(rig.fake.controls, "ControlChanged: flip=0 title='b' Controls: level=4 ");
        fake_hang_up(&rig.fake);
        CHECK(rig_until(&rig, framebus_publisher_controls_changed(pub, changed, 0) == -ENOLINK));
        CHECK_INT(framebus_publisher_set_controls(pub, controls, 1), -ENOLINK);
        rig_stop(&rig);
}

TEST(publisher_that_knows_no_controls) {
        framebus_publisher *pub;
        Rig rig;

        pub = publish(&rig, &old_events);
        REQUIRE(pub);
        fake_signal(&rig.fake, FB_IFACE_PUBLICATION, "SetControl", "ta{sv}", (uint64_t)5, 1, "level", "x",
                    (int64_t)7);
        CHECK(rig_until(&rig, strstr(rig.fake.controls, "nothing can be set")));
        rig_stop(&rig);
}

TEST(controls_that_no_broker_takes) {
        static const struct framebus_control_item item = { 1, NULL };
        struct framebus_control twice[] = { controls[0], controls[0] };
        const struct framebus_control wrong[] = {
                { .name = "no id" },
                { .id = "no-name" },
                { .id = "Not An Id", .name = "" },
                { .id = "range", .name = "", .min = 2, .max = 1 },
                { .id = "menu", .name = "", .type = FRAMEBUS_CONTROL_MENU },
                { .id = "menu", .name = "", .type = FRAMEBUS_CONTROL_MENU, .items = &item, .n_items = 1 },
                { .id = "flags", .name = "", .flags = 1u << 20 },
                { .id = "type", .name = "", .type = 8 },
                { .id = "text", .name = "", .has_value = true, .text = "for a number" },
                { .id = "future", .name = "", .reserved = { 1 } },
        };
        framebus_publisher *pub;
        Rig rig;

        pub = publish(&rig, &new_events);
        REQUIRE(pub);
        for (size_t i = 0; i < FB_ELEMENTSOF(wrong); i++) {
                ROW("%zu %s", i, wrong[i].id ?: "-");
                CHECK_INT(framebus_publisher_set_controls(pub, &wrong[i], 1), -EINVAL);
        }
        CHECK_INT(framebus_publisher_set_controls(pub, twice, 2), -EINVAL);
        rig_stop(&rig);
}

TEST_MAIN
