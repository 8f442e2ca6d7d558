/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The controls of a device that exists in this process only. */
#include <errno.h>

#include "base/cleanup.h"
#include "check.h"
#include "sources/v4l2/panel.h"

typedef struct FakeControl {
        uint32_t id, type;
        const char *name;
        int64_t min, max, step, standard;
        uint32_t flags, dims;
        int64_t value;
        char text[16];
} FakeControl;

static const FakeControl all[] = {
        { 0x980001, V4L2_CTRL_TYPE_CTRL_CLASS, "User Controls" },
        { 0x980900, V4L2_CTRL_TYPE_INTEGER, "Brightness", -128, 127, 1, 5, V4L2_CTRL_FLAG_SLIDER,
          .value = 7 },
        { 0x980901, V4L2_CTRL_TYPE_BOOLEAN, "White Balance, Automatic", 0, 1, 1, 1, .value = 1 },
        { 0x980902, V4L2_CTRL_TYPE_BUTTON, "Do It", .flags = V4L2_CTRL_FLAG_WRITE_ONLY },
        { 0x9a0001, V4L2_CTRL_TYPE_CTRL_CLASS, "Camera Controls" },
        { 0x9a0901, V4L2_CTRL_TYPE_MENU, "Auto Exposure", 0, 3, 1, 0, .value = 3 },
        { 0x9a0902, V4L2_CTRL_TYPE_INTEGER_MENU, "Link Frequency", 0, 1, 1, 0, V4L2_CTRL_FLAG_READ_ONLY },
        { 0x9a0903, V4L2_CTRL_TYPE_STRING, "Title", 0, 12, 1, 0, .text = "none" },
        { 0x9a0904, V4L2_CTRL_TYPE_STRING, "A Novel", 0, 5000, 1, 0 },
        { 0x9a0905, V4L2_CTRL_TYPE_BITMASK, "Bits", 0, 0xffffffff, 0, 0x80000000, .value = 0x80000001 },
        { 0x9a0906, V4L2_CTRL_TYPE_INTEGER64, "Large", INT64_MIN, INT64_MAX, 1, 0, .value = INT64_MIN },
        { 0x9a0907, V4L2_CTRL_TYPE_INTEGER, "Matrix", 0, 9, 1, 0, .dims = 2 },
        { 0x9a0908, V4L2_CTRL_TYPE_AREA, "Unit Cell" },
        { 0x9a0909, V4L2_CTRL_TYPE_INTEGER, "  brightness! ", 0, 9, 1, 0, V4L2_CTRL_FLAG_VOLATILE,
          .value = 2 },
};

static struct {
        FakeControl controls[FB_ELEMENTSOF(all)];
        unsigned n_open, n_subscribed, n_try, n_set;
        unsigned long fail_request;
        int fail_errno;
        uint32_t fail_index;
        struct v4l2_event events[4];
        unsigned n_events, next_event;
} fake;

static FakeControl *find(uint32_t id) {
        for (size_t i = 0; i < FB_ELEMENTSOF(all); i++)
                if (fake.controls[i].id == id)
                        return &fake.controls[i];
        return NULL;
}

static int fake_open(const char *path) {
        fake.n_open++;
        return 55;
}

static int fake_close(int fd) {
        fake.n_open--;
        return 0;
}

static int query(struct v4l2_query_ext_ctrl *q) {
        const uint32_t next = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;
        uint32_t after = q->id & ~next;

        CHECK_INT("flags", q->id & next, next);
        for (size_t i = 0; i < FB_ELEMENTSOF(all); i++)
                if (all[i].id > after) {
                        *q = (struct v4l2_query_ext_ctrl){ .id = all[i].id,
                                                           .type = all[i].type,
                                                           .minimum = all[i].min,
                                                           .maximum = all[i].max,
                                                           .step = (uint64_t)all[i].step,
                                                           .default_value = all[i].standard,
                                                           .flags = all[i].flags,
                                                           .nr_of_dims = all[i].dims };
                        strcpy(q->name, all[i].name);
                        return 0;
                }
        return -EINVAL;
}

static int query_menu(struct v4l2_querymenu *m) {
        if (m->id == 0x9a0902) {
                m->value = 1000000000000ll * (m->index + 1);
                return 0;
        }
        if (m->index == 2) /* a hole */
                return -EINVAL;
        strcpy((char *)m->name, m->index == 3 ? "Aperture\nPriority" : m->index ? "Manual" : "Auto");
        return 0;
}

static int exchange(unsigned long request, struct v4l2_ext_controls *e) {
        if (request == fake.fail_request)
                return e->error_idx = fake.fail_index, fake.fail_errno;
        for (uint32_t i = 0; i < e->count; i++) {
                struct v4l2_ext_control *v = &e->controls[i];
                FakeControl *c = find(v->id);

                CHECK(c);
                if (!c)
                        return -EINVAL;
                if (request == VIDIOC_TRY_EXT_CTRLS)
                        continue;
                if (c->type == V4L2_CTRL_TYPE_STRING) {
                        CHECK_INT("room for text", v->size, c->max + 1);
                        strcpy(request == VIDIOC_S_EXT_CTRLS ? c->text : v->string,
                               request == VIDIOC_S_EXT_CTRLS ? v->string : c->text);
                } else if (request == VIDIOC_S_EXT_CTRLS)
                        c->value = c->type == V4L2_CTRL_TYPE_INTEGER64 ? v->value64 : v->value;
                else if (c->type == V4L2_CTRL_TYPE_INTEGER64)
                        v->value64 = c->value;
                else
                        v->value = (int32_t)c->value;
        }
        return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *a) {
        CHECK_INT("fd", fd, 55);
        switch (request) {
        case VIDIOC_QUERYCAP:
                *(struct v4l2_capability *)a = (struct v4l2_capability){ .card = "Fake" };
                return 0;
        case VIDIOC_QUERY_EXT_CTRL:
                return query(a);
        case VIDIOC_QUERYMENU:
                return query_menu(a);
        case VIDIOC_TRY_EXT_CTRLS:
                fake.n_try++;
                return exchange(request, a);
        case VIDIOC_S_EXT_CTRLS:
                fake.n_set++;
                return exchange(request, a);
        case VIDIOC_G_EXT_CTRLS:
                return exchange(request, a);
        case VIDIOC_SUBSCRIBE_EVENT:
                CHECK_INT("event", ((struct v4l2_event_subscription *)a)->type, V4L2_EVENT_CTRL);
                fake.n_subscribed++;
                return 0;
        case VIDIOC_DQEVENT:
                if (fake.next_event == fake.n_events)
                        return -ENOENT;
                *(struct v4l2_event *)a = fake.events[fake.next_event++];
                return 0;
        default:
                return -ENOTTY;
        }
}

static const DeviceOps ops = { .open = fake_open, .close = fake_close, .ioctl = fake_ioctl };

static void open_panel(Panel *p) {
        memset(&fake, 0, sizeof fake);
        memcpy(fake.controls, all, sizeof all);
        memset(p, 0, sizeof *p);
        CHECK_INT("open", panel_open(p, &ops, "/dev/fake"), 0);
}

static void test_keys(void) {
        static const char *const rows[][2] = {
                { "Brightness", "brightness" },
                { "Exposure Time, Absolute", "exposure-time-absolute" },
                { "White Balance, Automatic", "white-balance-automatic" },
                { "  3A (Lock)!", "3a-lock" },
                { "\xc3\xa4 \xc3\xb6", "control" },
                { "", "control" },
                { "01234567890123456789012345678901234567890123456789012345678901234567",
                  "012345678901234567890123456789012345678901234567890123456789" },
        };

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                char key[FB_NAME_MAX + 1];

                panel_make_key(rows[i][0], key);
                CHECK_STR(rows[i][0], key, rows[i][1]);
        }
}

static void test_list(void) {
        static const char *const keys[] = { "brightness", "white-balance-automatic", "do-it", "auto-exposure",
                                            "link-frequency", "title", "bits", "large", "brightness-2" };
        static Panel p;

        open_panel(&p);
        CHECK_INT("controls", p.n, FB_ELEMENTSOF(keys));
        for (size_t i = 0; i < FB_MIN(p.n, FB_ELEMENTSOF(keys)); i++)
                CHECK_STR("key", p.controls[i].id, keys[i]);
        CHECK_INT("events", fake.n_subscribed, p.n);
        CHECK_STR("left out", p.left_out, "A Novel, Matrix, Unit Cell");
        CHECK_STR("group", p.controls[0].group, "User Controls");
        CHECK_STR("group", p.controls[3].group, "Camera Controls");
        CHECK_INT("least", p.controls[0].min, -128);
        CHECK_INT("default", p.controls[0].default_value, 5);
        CHECK_INT("flags", p.controls[0].flags, FRAMEBUS_CONTROL_SLIDER);
        CHECK_INT("value", p.controls[0].value, 7);
        CHECK(!p.controls[2].has_value);
        CHECK_INT("items", p.controls[3].n_items, 3);
        CHECK_INT("item", p.controls[3].items[2].value, 3);
        CHECK_STR("item", p.controls[3].items[2].name, "Aperture?Priority");
        CHECK_STR("item", p.controls[4].items[1].name, "2000000000000");
        CHECK_STR("text", p.controls[5].text, "none");
        CHECK_INT("bits", p.controls[6].value, 0x80000001ll);
        CHECK_INT("large", p.controls[7].value, INT64_MIN);
        CHECK_INT("flags", p.controls[8].flags, FRAMEBUS_CONTROL_VOLATILE);
        panel_close(&p);
        CHECK_INT("open", fake.n_open, 0);
}

static void test_set(void) {
        const struct framebus_control_value values[] = { { .id = "brightness", .value = -3 },
                                                         { .id = "title", .text = "new" },
                                                         { .id = "bits", .value = 0xf0000000 },
                                                         { .id = "large", .value = INT64_MAX },
                                                         { .id = "do-it", .value = 1 } };
        const struct framebus_control_value unknown = { .id = "tint" };
        static const char *const volatile_id[] = { "brightness-2" };
        struct framebus_control_value v;
        const char *failed = "";
        static Panel p;

        open_panel(&p);
        CHECK_INT("set", panel_set(&p, values, 5, &failed), 0);
        CHECK(!failed);
        CHECK_INT("at once", fake.n_set, 1);
        CHECK_INT("value", find(0x980900)->value, -3);
        CHECK_STR("text", find(0x9a0903)->text, "new");
        CHECK_INT("large", find(0x9a0906)->value, INT64_MAX);
        CHECK(panel_get(&p, "bits", &v) && v.value == 0xf0000000ll);
        CHECK(panel_get(&p, "title", &v) && strcmp(v.text, "new") == 0);
        CHECK(!panel_get(&p, "do-it", &v) && !panel_get(&p, "tint", &v));
        CHECK_INT("unknown", panel_set(&p, &unknown, 1, &failed), -ENOENT);
        CHECK_STR("unknown", failed, "tint");
        find(0x9a0909)->value = 4;
        CHECK_INT("read", panel_read(&p, volatile_id, 1, &failed), 0);
        CHECK(panel_get(&p, "brightness-2", &v) && v.value == 4);
        panel_close(&p);
}

static void test_refusals(void) {
        const struct framebus_control_value values[] = { { .id = "brightness", .value = 1 },
                                                         { .id = "title", .text = "x" } };
        static const struct {
                unsigned long request;
                int error;
                uint32_t index;
                const char *failed;
                unsigned n_set;
        } rows[] = {
                { VIDIOC_TRY_EXT_CTRLS, -ERANGE, 1, "title", 0 },
                { VIDIOC_TRY_EXT_CTRLS, -EINVAL, 2, NULL, 0 },
                { VIDIOC_S_EXT_CTRLS, -EBUSY, 0, "brightness", 1 },
                { VIDIOC_S_EXT_CTRLS, -EIO, 2, NULL, 1 },
        };
        static Panel p;

        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) {
                const char *failed = "";

                open_panel(&p);
                fake.fail_request = rows[i].request;
                fake.fail_errno = rows[i].error;
                fake.fail_index = rows[i].index;
                CHECK_INT("set", panel_set(&p, values, 2, &failed), rows[i].error);
                CHECK_INT("tried to set", fake.n_set, rows[i].n_set);
                CHECK(rows[i].failed ? failed && strcmp(failed, rows[i].failed) == 0 : !failed);
                panel_close(&p);
        }
}

static void add_event(uint32_t id, uint32_t changes, uint32_t flags, int32_t max) {
        fake.events[fake.n_events++] = (struct v4l2_event){
                .type = V4L2_EVENT_CTRL,
                .id = id,
                .u.ctrl = { .changes = changes, .flags = flags, .minimum = -128, .maximum = max, .step = 1,
                            .default_value = 5 },
        };
}

static void test_events(void) {
        struct framebus_control_value changed[FB_CONTROLS_MAX];
        static Panel p;
        size_t n;

        open_panel(&p);
        CHECK(!panel_take_events(&p, changed, &n));
        CHECK_INT("changed", n, 0);
        find(0x980900)->value = 9;
        strcpy(find(0x9a0903)->text, "other");
        add_event(0x980900, V4L2_EVENT_CTRL_CH_VALUE, V4L2_CTRL_FLAG_SLIDER, 127);
        add_event(0x9a0903, V4L2_EVENT_CTRL_CH_VALUE, 0, 12);
        add_event(0x123456, V4L2_EVENT_CTRL_CH_VALUE, 0, 127);
        CHECK(!panel_take_events(&p, changed, &n));
        CHECK_INT("changed", n, 2);
        CHECK_STR("changed", changed[0].id, "brightness");
        CHECK_INT("changed", changed[0].value, 9);
        CHECK_STR("changed", changed[1].text, "other");

        fake.n_events = fake.next_event = 0;
        add_event(0x980900, V4L2_EVENT_CTRL_CH_FLAGS, V4L2_CTRL_FLAG_SLIDER | V4L2_CTRL_FLAG_INACTIVE, 127);
        CHECK(panel_take_events(&p, changed, &n));
        CHECK_INT("flags", p.controls[0].flags, FRAMEBUS_CONTROL_SLIDER | FRAMEBUS_CONTROL_INACTIVE);
        add_event(0x980900, V4L2_EVENT_CTRL_CH_RANGE, V4L2_CTRL_FLAG_SLIDER, 50);
        CHECK(panel_take_events(&p, changed, &n));
        CHECK_INT("most", p.controls[0].max, 50);
        panel_close(&p);
}

static void test_keyframe(void) {
        static Panel p;

        open_panel(&p);
        CHECK_INT("no such control", panel_force_keyframe(&p), -ENOENT);
        CHECK_INT("tried to set", fake.n_set, 0);
        /* what Brightness is called here */
        p.knobs[0].id = fake.controls[1].id = V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME;
        CHECK_INT("set", panel_force_keyframe(&p), 0);
        CHECK_INT("value", fake.controls[1].value, 1);
        panel_close(&p);
}

int main(void) {
        test_keys();
        test_list();
        test_set();
        test_refusals();
        test_keyframe();
        test_events();
        return check_end();
}
