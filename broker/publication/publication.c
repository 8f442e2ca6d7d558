/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See publication.h. What a publisher says of its source, and what it is told; its frames are in
 * publication-frames.c. */
#include "broker/publication/publication-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "wire/codec.h"

int publication_signal(Publication *p, const char *member, sd_bus_message **ret) {
        return sd_bus_message_new_signal(channel_get_bus(p->channel), ret, FB_PATH_PUBLICATION,
                                         FB_IFACE_PUBLICATION, member);
}

static bool publication_is_wanted(const Publication *p) {
        return p->wanted.mode.fourcc != 0;
}

static void send_wanted(Publication *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (!channel_is_open(p->channel))
                return; /* on_opened() does it */
        r = publication_signal(p, publication_is_wanted(p) ? "Start" : "Stop", &m);
        if (r >= 0 && publication_is_wanted(p))
                r = codec_append_start(m, &p->wanted);
        if (r >= 0)
                (void)channel_send(p->channel, m);
}

static int method_modes(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        VardictError error = {};
        Mode *modes = NULL;
        size_t n = 0;
        int r;

        r = codec_read_modes(m, false, &modes, &n, &error);
        if (r < 0)
                return r;
        if (r > 0 || n == 0) {
                free(modes);
                return sd_bus_error_setf(ret_error, FB_ERROR_INVALID_OPTION,
                                         "1 to %u modes, each with fourcc, width and height (key '%s'%s%s)",
                                         FB_MODES_MAX, error.key ?: "modes", error.expected ? ": " : "",
                                         error.expected ?: "");
        }
        publication_settle_controls(p);
        p->ready = true;
        p->handler->modes(p, modes, n, p->userdata);
        return sd_bus_reply_method_return(m, NULL);
}

typedef struct Description {
        const char *description, *driver;
        bool has_memories;
        MemoryList memories;
} Description;

static int read_text(sd_bus_message *m, const char **ret) {
        int r = sd_bus_message_read(m, "s", ret);

        if (r < 0)
                return r;
        return strlen(*ret) > FB_TEXT_MAX ? FB_E_INVALID_OPTION : 0;
}

static int read_description(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Description *)userdata)->description);
}

static int read_driver(sd_bus_message *m, void *userdata) {
        return read_text(m, &((Description *)userdata)->driver);
}

static int read_memories(sd_bus_message *m, void *userdata) {
        Description *d = userdata;

        d->has_memories = true;
        return codec_read_memories(m, false, &d->memories);
}

/* Everybody can make sealed memory, and need not say so. */
static void set_memories(Publication *p, const MemoryList *list) {
        p->memories = memory_list_get_mask(list) | 1u << FB_MEMORY_SEALED;
        p->handler->memories(p, p->memories, p->userdata);
}

static int method_describe(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        static const VardictKey keys[] = {{"description", "s", read_description},
                                          {"driver", "s", read_driver},
                                          {FB_KEY_MEMORY, "as", read_memories}};
        Publication *p = userdata;
        VardictError error = {};
        Description d = {};
        int r;

        r = vardict_read(m, keys, FB_ELEMENTSOF(keys), false, &d, &error);
        if (r < 0)
                return r;
        if (r > 0)
                return sd_bus_error_setf(
                                ret_error,
                                r == FB_E_UNKNOWN_OPTION ? FB_ERROR_UNKNOWN_OPTION : FB_ERROR_INVALID_OPTION,
                                "key '%s': 'description' and 'driver' are known, strings of at most %u "
                                "bytes, and 'memory', 'as' of \"sealed\", \"leased\", \"dmabuf\"",
                                error.key, FB_TEXT_MAX);
        if (d.has_memories)
                set_memories(p, &d.memories);
        p->handler->described(p, d.description, d.driver, p->userdata);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_state(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        const char *state, *reason;
        int r;

        r = sd_bus_message_read(m, "ss", &state, &reason);
        if (r < 0)
                return r;
        if (strcmp(state, "streaming") != 0 && strcmp(state, "no-signal") != 0 &&
            strcmp(state, "absent") != 0 && strcmp(state, "failed") != 0)
                return sd_bus_error_setf(ret_error, FB_ERROR_INVALID_OPTION,
                                         "'%s' is none of streaming, no-signal, absent, failed", state);
        p->handler->state(p, state, reason, p->userdata);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_destroy(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        int r = sd_bus_reply_method_return(m, NULL);

        publication_settle_pair(p);
        p->handler->closed(p, true, p->userdata);
        return r;
}

static const sd_bus_vtable publication_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Frame",
                                        SD_BUS_ARGS("t", seq, "t", order, "t", pts_ns, "u", format, "u",
                                                    flags, "ah", memory, "a(uttu)", planes, "a{sv}", meta),
                                        SD_BUS_NO_RESULT, publication_method_frame,
                                        SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
                SD_BUS_METHOD_WITH_ARGS("FormatChanged", SD_BUS_ARGS("t", order, "u", format, "a{sv}", mode),
                                        SD_BUS_NO_RESULT, publication_method_format_changed,
                                        SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
                SD_BUS_METHOD_WITH_ARGS("Modes", SD_BUS_ARGS("aa{sv}", modes), SD_BUS_NO_RESULT, method_modes,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Describe", SD_BUS_ARGS("a{sv}", info), SD_BUS_NO_RESULT,
                                        method_describe, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("State", SD_BUS_ARGS("s", state, "s", reason), SD_BUS_NO_RESULT,
                                        method_state, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Controls", SD_BUS_ARGS("aa{sv}", controls), SD_BUS_NO_RESULT,
                                        publication_method_controls, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("ControlChanged", SD_BUS_ARGS("a{sv}", values), SD_BUS_NO_RESULT,
                                        publication_method_control_changed, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("ControlAnswer",
                                        SD_BUS_ARGS("t", cookie, "a{sv}", values, "s", failed, "s", reason),
                                        SD_BUS_NO_RESULT, publication_method_control_answer,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Forget", SD_BUS_ARGS("at", buffers), SD_BUS_NO_RESULT,
                                        publication_method_forget,
                                        SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
                SD_BUS_METHOD_WITH_ARGS("WantBuffer", SD_BUS_ARGS("u", lent), SD_BUS_NO_RESULT,
                                        publication_method_want_buffer,
                                        SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
                SD_BUS_METHOD_WITH_ARGS("Destroy", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_destroy,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_SIGNAL_WITH_ARGS("Start", SD_BUS_ARGS("a{sv}", mode), 0),
                SD_BUS_SIGNAL_WITH_ARGS("Stop", SD_BUS_NO_ARGS, 0),
                SD_BUS_SIGNAL_WITH_ARGS("KeyframeWanted", SD_BUS_NO_ARGS, 0),
                SD_BUS_SIGNAL_WITH_ARGS("Release", SD_BUS_ARGS("at", seqs), 0),
                SD_BUS_SIGNAL_WITH_ARGS("Retire", SD_BUS_ARGS("at", buffers), 0),
                SD_BUS_SIGNAL_WITH_ARGS("SetControl", SD_BUS_ARGS("t", cookie, "a{sv}", values), 0),
                SD_BUS_SIGNAL_WITH_ARGS("GetControl", SD_BUS_ARGS("t", cookie, "as", names), 0),
                SD_BUS_SIGNAL_WITH_ARGS("Refused", SD_BUS_ARGS("t", seq, "s", error, "s", message), 0),
                SD_BUS_VTABLE_END,
};

static int on_setup(Channel *c, sd_bus *bus, void *userdata) {
        Publication *p = userdata;

        p->handler->opened(p, p->userdata);
        return sd_bus_add_object_vtable(bus, NULL, FB_PATH_PUBLICATION, FB_IFACE_PUBLICATION,
                                        publication_vtable, userdata);
}

static void on_silent(void *userdata) {
        Publication *p = userdata;

        p->handler->silent(p, p->userdata);
}

static void on_opened(Channel *c, void *userdata) {
        Publication *p = userdata;

        if (p->period_ns != UINT64_MAX)
                (void)pulse_new(p->event, channel_get_bus(c), p->period_ns, on_silent, p, &p->pulse);
        if (publication_is_wanted(p))
                send_wanted(p);
}

static void on_closed(Channel *c, void *userdata) {
        Publication *p = userdata;

        publication_settle_pair(p);
        p->handler->closed(p, false, p->userdata);
}

static void on_overrun(Channel *c, const char *why, void *userdata) {
        Publication *p = userdata;

        p->handler->overrun(p, why, p->userdata);
        p->handler->closed(p, false, p->userdata);
}

static const ChannelHandler channel_handler = {
        .setup = on_setup,
        .opened = on_opened,
        .closed = on_closed,
        .overrun = on_overrun,
};

int publication_new(sd_event *event, int fd_consume, const PublicationHandler *handler, void *userdata,
                    Publication **ret) {
        Publication *p = calloc(1, sizeof *p);
        int r;

        if (!p) {
                fb_close(fd_consume);
                return -ENOMEM;
        }
        p->handler = handler;
        p->userdata = userdata;
        p->memories = 1u << FB_MEMORY_SEALED;
        p->event = event;
        p->period_ns = UINT64_MAX;
        r = channel_new_server(event, fd_consume, SD_EVENT_PRIORITY_NORMAL, &channel_handler, p, &p->channel);
        if (r < 0) {
                free(p);
                return r;
        }
        *ret = p;
        return 0;
}

Publication *publication_free(Publication *p) {
        if (!p)
                return NULL;
        publication_drop_frames(p);
        pulse_free(p->pulse);
        channel_free(p->channel);
        free(p);
        return NULL;
}

void publication_watch(Publication *p, uint64_t period_ns) {
        p->period_ns = period_ns;
}

void publication_start(Publication *p, const Start *start) {
        p->wanted = *start;
        send_wanted(p);
}

void publication_stop(Publication *p) {
        if (!publication_is_wanted(p))
                return;
        p->wanted = (Start){};
        send_wanted(p);
}

void publication_want_keyframe(Publication *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (p && channel_is_open(p->channel) && publication_signal(p, "KeyframeWanted", &m) >= 0)
                (void)channel_send(p->channel, m);
}

bool publication_is_ready(const Publication *p) {
        return p->ready;
}
