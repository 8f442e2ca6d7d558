/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See publication.h. A sealed frame is released to its publisher as soon as it was handed on: whoever needs
 * its memory holds a descriptor by then. A publisher's mistake is answered (an error, or Refused if it wanted
 * no reply) and counted; it costs the publisher that frame and nobody anything else.
 */
#include "broker/publication/publication-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "interfaces/names.h"
#include "wire/codec.h"
#include "wire/import.h"

/* More than this cannot have been lost between two frames of one run. */
#define SKIP_MAX (UINT64_C(1) << 32)

int publication_signal(Publication *p, const char *member, sd_bus_message **ret) {
        return sd_bus_message_new_signal(channel_get_bus(p->channel), ret, FB_PATH_PUBLICATION,
                                         FB_IFACE_PUBLICATION, member);
}

static void send_released(Publication *p, uint64_t seq) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (publication_signal(p, "Release", &m) >= 0 && sd_bus_message_append(m, "at", 1, seq) >= 0)
                (void)channel_send(p->channel, m);
}

static void send_refused(Publication *p, uint64_t seq, const char *error, const char *why) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (publication_signal(p, "Refused", &m) >= 0 &&
            sd_bus_message_append(m, "tss", seq, error, why) >= 0)
                (void)channel_send(p->channel, m);
}

static void send_wanted(Publication *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (!channel_is_open(p->channel))
                return; /* on_opened() does it */
        r = publication_signal(p, p->wanted.fourcc ? "Start" : "Stop", &m);
        if (r >= 0 && p->wanted.fourcc)
                r = codec_append_mode(m, &p->wanted);
        if (r >= 0)
                (void)channel_send(p->channel, m);
}

static const char *error_name(int e) {
        return e == FB_E_NOT_SEALED     ? FB_ERROR_NOT_SEALED :
               e == FB_E_INVALID_MEMORY ? FB_ERROR_INVALID_MEMORY :
                                          FB_ERROR_INVALID_FRAME;
}

/* Refuses frame or format @seq. A reply, if one was asked for, is sd-bus's to send from the error. */
static int refuse(Publication *p, sd_bus_message *m, uint64_t seq, int e, const char *why,
                  sd_bus_error *ret_error) {
        if (sd_bus_message_get_expect_reply(m) <= 0)
                send_refused(p, seq, error_name(e), why);
        return sd_bus_error_set(ret_error, error_name(e), why);
}

static int check_numbers(const Publication *p, const Frame *f, const char **ret_why) {
        if (f->flags & ~(FB_FRAME_KEYFRAME | FB_FRAME_DISCONTINUITY | FB_FRAME_MEMORY_MASK))
                return *ret_why = "unknown flags", FB_E_INVALID_FRAME;
        if (p->mode.fourcc == 0 || f->format != p->format)
                return *ret_why = "a format that FormatChanged did not announce last", FB_E_INVALID_FRAME;
        return 0;
}

/* How many numbers before this one were skipped; a number that does not grow, or jumps absurdly, is
 * refused. */
static int check_seq(Publication *p, uint64_t seq, uint64_t *ret_skipped, const char **ret_why) {
        if (seq <= p->seq)
                return *ret_why = "the sequence number does not grow", FB_E_INVALID_FRAME;
        if (seq - p->seq > SKIP_MAX)
                return *ret_why = "the sequence number jumps by more than 2^32", FB_E_INVALID_FRAME;
        *ret_skipped = p->seq == 0 ? 0 : seq - p->seq - 1;
        p->seq = seq;
        return 0;
}

static int method_frame(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        const char *why = "the message is broken";
        Frame *f = NULL;
        uint64_t skipped = 0, seq = 0;
        int r;

        /* the number first: a frame refused for anything else is still one that was made, and lost */
        if (sd_bus_message_read_basic(m, SD_BUS_TYPE_UINT64, &seq) >= 0)
                (void)sd_bus_message_rewind(m, 1);
        r = check_seq(p, seq, &skipped, &why);
        if (r != 0) {
                p->handler->refused(p, 0, why, p->userdata);
                return refuse(p, m, seq, FB_E_INVALID_FRAME, why, ret_error);
        }
        r = codec_read_frame(m, &f, &why);
        if (r == 0)
                r = check_numbers(p, f, &why);
        if (r == 0)
                r = import_judge_frame(f, &p->mode, 1u << FB_MEMORY_SEALED, &why);
        if (r != 0) {
                frame_unref(f);
                r = refuse(p, m, seq, r < 0 ? FB_E_INVALID_FRAME : r, why, ret_error);
                p->handler->refused(p, skipped, why, p->userdata);
                return r;
        }
        p->handler->frame(p, f, skipped, p->userdata);
        send_released(p, seq);
        frame_unref(f);
        return sd_bus_reply_method_return(m, NULL);
}

static int method_format_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        uint64_t order;
        uint32_t format;
        Mode mode;
        int r;

        r = codec_read_format(m, &order, &format, &mode);
        if (r != 0)
                return refuse(p, m, 0, FB_E_INVALID_FRAME,
                              "a format needs a complete mode: fourcc, width, height, rate, and no range",
                              ret_error);
        p->format = format;
        p->mode = mode;
        p->handler->format(p, &mode, p->userdata);
        return sd_bus_reply_method_return(m, NULL);
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

static int method_describe(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        static const VardictKey keys[] = {{"description", "s", read_description},
                                          {"driver", "s", read_driver}};
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
                                "key '%s': 'description' and 'driver' are known, strings of at most %u bytes",
                                error.key, FB_TEXT_MAX);
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

        p->handler->closed(p, true, p->userdata);
        return r;
}

static const sd_bus_vtable publication_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Frame",
                                        SD_BUS_ARGS("t", seq, "t", order, "t", pts_ns, "u", format, "u",
                                                    flags, "ah", memory, "a(uttu)", planes, "a{sv}", meta),
                                        SD_BUS_NO_RESULT, method_frame,
                                        SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_METHOD_NO_REPLY),
                SD_BUS_METHOD_WITH_ARGS("FormatChanged", SD_BUS_ARGS("t", order, "u", format, "a{sv}", mode),
                                        SD_BUS_NO_RESULT, method_format_changed,
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
                SD_BUS_METHOD_WITH_ARGS("Destroy", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_destroy,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_SIGNAL_WITH_ARGS("Start", SD_BUS_ARGS("a{sv}", mode), 0),
                SD_BUS_SIGNAL_WITH_ARGS("Stop", SD_BUS_NO_ARGS, 0),
                SD_BUS_SIGNAL_WITH_ARGS("Release", SD_BUS_ARGS("at", seqs), 0),
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

static void on_opened(Channel *c, void *userdata) {
        Publication *p = userdata;

        if (p->wanted.fourcc)
                send_wanted(p);
}

static void on_closed(Channel *c, void *userdata) {
        Publication *p = userdata;

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
        channel_free(p->channel);
        free(p);
        return NULL;
}

void publication_start(Publication *p, const Mode *mode) {
        p->wanted = *mode;
        send_wanted(p);
}

void publication_stop(Publication *p) {
        if (p->wanted.fourcc == 0)
                return;
        p->wanted = (Mode){};
        send_wanted(p);
}

bool publication_is_ready(const Publication *p) {
        return p->ready;
}
