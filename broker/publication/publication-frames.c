/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of org.framebus.Publication1 that is about frames. A sealed one is released to its publisher as
 * soon as it was handed on: whoever needs its memory holds a descriptor by then. Others are lent: see
 * buffers.h.
 *
 * Of a pair, the sealed frame waits for the other one, and becomes its twin; if another message about frames
 * comes instead, it is handed on alone. Both have one number, and count once.
 *
 * A publisher's mistake is answered (an error, or Refused if it wanted no reply) and counted; it costs the
 * publisher that frame and nobody anything else.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "broker/publication/publication-internal.h"
#include "interfaces/names.h"
#include "wire/codec.h"
#include "wire/import.h"

/* More than this cannot have been lost between two frames of one run. */
#define SKIP_MAX (UINT64_C(1) << 32)

#define FLAGS_OF_PUBLISHERS                                                                                  \
        (FB_FRAME_KEYFRAME | FB_FRAME_DISCONTINUITY | FB_FRAME_PAIRED | FB_FRAME_VOLATILE |                  \
         FB_FRAME_MEMORY_MASK)

static void send_numbers(Publication *p, const char *member, const uint64_t *numbers, size_t n) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (publication_signal(p, member, &m) >= 0 &&
            sd_bus_message_append_array(m, SD_BUS_TYPE_UINT64, numbers, n * sizeof *numbers) >= 0)
                (void)channel_send(p->channel, m);
}

static void send_released(Publication *p, uint64_t seq) {
        send_numbers(p, "Release", &seq, 1);
}

static void send_refused(Publication *p, uint64_t seq, const char *error, const char *why) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        if (publication_signal(p, "Refused", &m) >= 0 &&
            sd_bus_message_append(m, "tss", seq, error, why) >= 0)
                (void)channel_send(p->channel, m);
}

static const char *error_name(int e) {
        return e == FB_E_NOT_SEALED     ? FB_ERROR_NOT_SEALED :
               e == FB_E_INVALID_MEMORY ? FB_ERROR_INVALID_MEMORY :
               e == FB_E_LIMIT          ? FB_ERROR_LIMITS_EXCEEDED :
                                          FB_ERROR_INVALID_FRAME;
}

/* Refuses frame or format @seq. A reply, if one was asked for, is sd-bus's to send from the error. */
static int refuse(Publication *p, sd_bus_message *m, uint64_t seq, int e, const char *why,
                  sd_bus_error *ret_error) {
        if (sd_bus_message_get_expect_reply(m) <= 0)
                send_refused(p, seq, error_name(e), why);
        return sd_bus_error_set(ret_error, error_name(e), why);
}

/* ---- what is lent ---- */

static void on_returned(uint64_t seq, void *userdata) {
        send_released(userdata, seq);
}

static void on_renewed(uint64_t slot, void *userdata) {
        Publication *p = userdata;

        p->handler->renewed(p, slot, p->userdata);
}

static int on_resized(uint64_t bytes, uint32_t n_fds, const char **ret_why, void *userdata) {
        Publication *p = userdata;

        return p->handler->buffers(p, bytes, n_fds, ret_why, p->userdata);
}

static const BuffersHandler buffers_handler = { on_returned, on_renewed, on_resized };

/* Makes *@f, which is not sealed, the one for receivers. */
static int lend(Publication *p, Frame **f, const char **ret_why) {
        Frame *lent;

        if (!p->buffers)
                p->buffers = buffers_new(&buffers_handler, p);
        if (!p->buffers)
                return -ENOMEM;
        fb_try(buffers_lend(p->buffers, *f, &lent, ret_why));
        frame_unref(*f);
        *f = lent;
        return 0;
}

void publication_retire(Publication *p, uint64_t slots, bool revoked) {
        uint64_t ids[FB_BUFFERS_MAX];
        size_t n = p->buffers ? buffers_retire(p->buffers, slots, revoked, ids) : 0;

        if (n > 0)
                send_numbers(p, "Retire", ids, n);
}

int publication_method_forget(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        const uint64_t *ids;
        size_t n;
        int r = codec_read_seqs(m, &ids, &n);

        if (r < 0)
                return r;
        if (r > 0)
                return sd_bus_error_setf(ret_error, FB_ERROR_INVALID_OPTION,
                                         "at most %u buffers in one Forget", FB_SEQS_MAX);
        if (p->buffers)
                buffers_forget(p->buffers, ids, n);
        return sd_bus_reply_method_return(m, NULL);
}

int publication_method_want_buffer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        uint32_t n_lent;
        int r;

        r = sd_bus_message_read(m, "u", &n_lent);
        if (r < 0)
                return r;
        if (p->buffers && buffers_get_n_lent(p->buffers) >= n_lent)
                p->handler->want_buffer(p, p->userdata);
        return sd_bus_reply_method_return(m, NULL);
}

/* ---- frames ---- */

static int check_numbers(const Publication *p, const Frame *f, const char **ret_why) {
        if (f->flags & ~FLAGS_OF_PUBLISHERS)
                return *ret_why = "unknown flags", FB_E_INVALID_FRAME;
        if ((f->flags & FB_FRAME_PAIRED) && frame_get_memory_kind(f) != FB_MEMORY_SEALED)
                return *ret_why = "a pair begins with the sealed frame", FB_E_INVALID_FRAME;
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

/* Whether @f, of the same number, is the same picture as the sealed frame @first in other memory. */
static int check_pair(const Frame *first, const Frame *f, const char **ret_why) {
        uint32_t flags = f->flags & ~(FB_FRAME_MEMORY_MASK | FB_FRAME_VOLATILE);

        if (frame_get_memory_kind(f) == FB_MEMORY_SEALED)
                return *ret_why = "both frames of a pair are sealed", FB_E_INVALID_FRAME;
        if (first->pts_ns != f->pts_ns || first->format != f->format || first->flags != flags)
                return *ret_why = "the two frames of a pair differ in time, format or flags",
                       FB_E_INVALID_FRAME;
        return 0;
}

/* Hands on the sealed frame that waits for its pair. */
static void publish_first(Publication *p) {
        Frame *f = take_ptr(p->pair);

        p->handler->frame(p, f, p->pair_skipped, p->userdata);
        frame_unref(f);
}

void publication_settle_pair(Publication *p) {
        uint64_t seq;

        if (!p->pair)
                return;
        seq = p->pair->seq;
        publish_first(p);
        send_released(p, seq);
}

void publication_drop_frames(Publication *p) {
        p->pair = frame_unref(p->pair);
        p->buffers = buffers_free(p->buffers);
}

static int read_frame(Publication *p, sd_bus_message *m, const Frame *first, Frame **ret,
                      const char **ret_why) {
        Frame *f = NULL;
        int r = codec_read_frame(m, &f, ret_why);

        if (r == 0)
                r = check_numbers(p, f, ret_why);
        if (r == 0)
                r = import_judge_frame(f, &p->mode, p->memories, ret_why);
        if (r == 0 && first)
                r = check_pair(first, f, ret_why);
        if (r == 0 && frame_get_memory_kind(f) != FB_MEMORY_SEALED)
                r = lend(p, &f, ret_why);
        if (r != 0) {
                frame_unref(f);
                return r;
        }
        *ret = f;
        return 0;
}

/* A good frame. The reference is taken. */
static void take_frame(Publication *p, Frame *f, uint64_t n_skipped) {
        uint64_t seq = f->seq;

        if (f->flags & FB_FRAME_PAIRED) {
                f->flags &= ~FB_FRAME_PAIRED;
                p->pair = f;
                p->pair_skipped = n_skipped;
                return;
        }
        if (p->pair) {
                f->sealed = take_ptr(p->pair);
                n_skipped = p->pair_skipped;
        }
        p->handler->frame(p, f, n_skipped, p->userdata);
        if (frame_get_memory_kind(f) == FB_MEMORY_SEALED)
                send_released(p, seq);
        frame_unref(f);
}

int publication_method_frame(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        const char *why = "the message is broken";
        uint64_t skipped = 0, seq = 0, lost;
        Frame *f;
        int r;

        /* the number first: a frame refused for anything else is still one that was made, and lost */
        if (sd_bus_message_read_basic(m, SD_BUS_TYPE_UINT64, &seq) >= 0)
                (void)sd_bus_message_rewind(m, 1);
        if (p->pair && p->pair->seq != seq)
                publication_settle_pair(p);
        r = p->pair ? 0 : check_seq(p, seq, &skipped, &why);
        if (r != 0) {
                p->handler->refused(p, 0, 1, why, p->userdata);
                return refuse(p, m, seq, FB_E_INVALID_FRAME, why, ret_error);
        }
        r = read_frame(p, m, p->pair, &f, &why);
        if (r == 0) {
                take_frame(p, f, skipped);
                return sd_bus_reply_method_return(m, NULL);
        }
        lost = p->pair ? 0 : 1;
        if (r == FB_E_GONE) /* nobody's fault: the buffer was taken back when the frame was under way */
                p->handler->refused(p, skipped + lost, 0, why, p->userdata);
        else
                p->handler->refused(p, skipped, lost, why, p->userdata);
        r = refuse(p, m, seq, r < 0 ? FB_E_INVALID_FRAME : r, why, ret_error);
        if (p->pair) /* Refused was the last word about that number */
                publish_first(p);
        return r;
}

int publication_method_format_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Publication *p = userdata;
        uint64_t order;
        uint32_t format;
        Mode mode;
        int r;

        publication_settle_pair(p);
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
