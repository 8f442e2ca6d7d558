/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The broker's end of a publisher's channel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "fake.h"
#include "interfaces/names.h"
#include "wire/codec-control.h"

static int on_frame(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;
        const char *why;
        Frame *f;

        if (codec_read_frame(m, &f, &why) != 0)
                return -EBADMSG;
        if (fake->n_published == FB_ELEMENTSOF(fake->published)) {
                frame_unref(f);
                return 1;
        }
        if (fake->keep_frames)
                fake->frames[fake->n_published] = frame_ref(f);
        fake->published[fake->n_published++] = f->seq;
        frame_unref(f);
        return 1;
}

static int on_format(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint64_t order;
        Mode mode;

        return codec_read_format(m, &order, &((Fake *)userdata)->format, &mode) == 0 ? 1 : -EBADMSG;
}

static int on_modes(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;

        fake->n_modes++;
        if (fake->modes_error)
                return sd_bus_reply_method_errorf(m, fake->modes_error, "as the test says");
        return sd_bus_reply_method_return(m, "");
}

static int on_describe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;

        fake_describe_options(m, fake->described);
        if (fake->describe_error && strstr(fake->described, "memory"))
                return sd_bus_reply_method_errorf(m, fake->describe_error, "as the test says");
        return sd_bus_reply_method_return(m, "");
}

static int on_forget(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;
        const uint64_t *ids;
        size_t n;

        if (codec_read_seqs(m, &ids, &n) != 0)
                return -EBADMSG;
        for (size_t i = 0; i < n && fake->n_forgotten < FB_ELEMENTSOF(fake->forgotten); i++)
                fake->forgotten[fake->n_forgotten++] = ids[i];
        return 1;
}

static int on_want_buffer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;
        int r = sd_bus_message_read(m, "u", &fake->lent);

        fake->n_wanted++;
        return r < 0 ? r : 1;
}

static int on_state(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *state, *reason;

        sd_bus_message_read(m, "ss", &state, &reason);
        snprintf(((Fake *)userdata)->state, sizeof((Fake *)userdata)->state, "%s:%s", state, reason);
        return sd_bus_reply_method_return(m, "");
}

/* "id=number " or "id='text' ". */
static void describe_control(Fake *fake, const char *id, const ControlValue *v) {
        size_t n = strlen(fake->controls);

        if (v->text)
                snprintf(fake->controls + n, sizeof fake->controls - n, "%s='%s' ", id, v->text);
        else
                snprintf(fake->controls + n, sizeof fake->controls - n, "%s=%lld ", id, (long long)v->number);
}

static int on_control(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(control_settings_clear) ControlSettings s = {};
        _cleanup_(control_list_clear) ControlList l = {};
        const char *failed = "", *reason = "", *member = sd_bus_message_get_member(m);
        bool answer = strcmp(member, "ControlAnswer") == 0;
        VardictError wrong;
        Fake *fake = userdata;
        uint64_t cookie = 0;

        strncat(fake->controls, member, sizeof fake->controls - strlen(fake->controls) - 1);
        strcat(fake->controls, ": ");
        if (answer)
                sd_bus_message_read(m, "t", &cookie);
        if ((strcmp(member, "Controls") == 0 ? codec_read_controls(m, &l, &wrong)
                                             : codec_read_settings(m, &s, &wrong)) != 0)
                return -EBADMSG;
        for (size_t i = 0; i < l.n; i++)
                describe_control(fake, l.controls[i].id, &l.controls[i].value);
        for (size_t i = 0; i < s.n; i++)
                describe_control(fake, s.settings[i].id, &s.settings[i].value);
        if (answer && sd_bus_message_read(m, "ss", &failed, &reason) > 0)
                snprintf(fake->controls + strlen(fake->controls), 64, "%llu '%s' '%s' ",
                         (unsigned long long)cookie, failed, reason);
        return sd_bus_reply_method_return(m, "");
}

static int on_destroy(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Fake *)userdata)->n_destroy++;
        return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable publication_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Frame", FB_SIGNATURE_FRAME, "", on_frame,
                      SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_METHOD("FormatChanged", FB_SIGNATURE_FORMAT, "", on_format,
                      SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_METHOD("Modes", "aa{sv}", "", on_modes, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Describe", "a{sv}", "", on_describe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Forget", "at", "", on_forget,
                      SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_METHOD("WantBuffer", "u", "", on_want_buffer,
                      SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
        SD_BUS_METHOD("State", "ss", "", on_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Controls", "aa{sv}", "", on_control, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ControlChanged", "a{sv}", "", on_control, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ControlAnswer", "ta{sv}ss", "", on_control, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Destroy", "", "", on_destroy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int fake_export_publication(Fake *fake, sd_bus *bus) {
        return sd_bus_add_object_vtable(bus, NULL, FB_PATH_PUBLICATION, FB_IFACE_PUBLICATION,
                                        publication_vtable, fake);
}

void fake_drop_frames(Fake *fake) {
        for (size_t i = 0; i < FB_ELEMENTSOF(fake->frames); i++)
                fake->frames[i] = frame_unref(fake->frames[i]);
        fake->n_published = 0;
}

int fake_start_publisher(Fake *fake) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = fake_new_signal(fake, FB_IFACE_PUBLICATION, "Start", &m);

        if (r >= 0)
                r = codec_append_mode(m, &fake_mode);
        return r < 0 ? r : fake_send_signal(fake, m);
}

int fake_start_with(Fake *fake, uint32_t memories, uint32_t n_buffers) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Start start = { fake_mode, memories, n_buffers };
        int r = fake_new_signal(fake, FB_IFACE_PUBLICATION, "Start", &m);

        if (r >= 0)
                r = codec_append_start(m, &start);
        return r < 0 ? r : fake_send_signal(fake, m);
}
