/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl record: frames into a yuv4mpeg2 file.
 *
 * Such a file has a constant rate and no time stamps. So that time stays right, a frame that was lost is
 * replaced by another copy of the one before it; seq says how many there were, and after attaching again, or
 * where the source has no rate, the capture time does. Without --mode the source's own choice is taken if y4m
 * can hold it. JPEG pictures are decoded.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tools/client.h"
#include "tools/decodable.h"
#include "tools/json.h"
#include "tools/mode-arg.h"
#include "tools/show.h"
#include "tools/tally.h"
#include "tools/verbs.h"
#include "tools/y4m-writer.h"

#define RECORD_WINDOW 8u /* a disk may take a moment */
#define RATE_FALLBACK ((struct framebus_fraction){ 30, 1 })

typedef struct RecordVerb {
        Client client;
        framebus_subscription *sub;
        Decodable decodable;
        const char *path;
        int fd; /* STDOUT_FILENO or owned */
        Output output;
        Y4mWriter writer;
        Planar picture; /* the newest one that is written */
        struct framebus_fraction rate;
        bool rate_known;
        bool started;
        bool by_time; /* the next frame's place is found by its capture time */
        uint64_t first_pts_ns;
        uint64_t repeated;
        uint64_t overrun;  /* frames that found no room in the output's queue */
        uint64_t n_broken; /* frames that could not be decoded */
        Tally tally;
} RecordVerb;

static bool to_stdout(const RecordVerb *v) {
        return strcmp(v->path, "-") == 0;
}

static void record_deinit(RecordVerb *v) {
        v->sub = framebus_subscription_close(v->sub);
        client_close(&v->client);
        planar_deinit(&v->picture);
        output_deinit(&v->output);
        decodable_deinit(&v->decodable);
        if (v->fd >= 0 && v->fd != STDOUT_FILENO)
                v->fd = fb_close(v->fd);
}

static void write_failed(RecordVerb *v, int r) {
        struct stat st;

        if (!to_stdout(v) && fstat(v->fd, &st) >= 0 && S_ISREG(st.st_mode))
                (void)!ftruncate(v->fd, (off_t)v->writer.size_complete);
        if (r == -EPIPE)
                client_finish(&v->client, STATUS_OK); /* who reads has seen enough */
        else {
                client_message("cannot write %s: %s", to_stdout(v) ? "to standard output" : v->path,
                               strerror(-r));
                client_finish(&v->client, STATUS_FAILED);
        }
}

static int record_open(RecordVerb *v) {
        if (to_stdout(v)) {
                v->fd = STDOUT_FILENO;
                return 0;
        }
        v->fd = open(v->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
        return v->fd < 0 ? -errno : 0;
}

static void record_flush(RecordVerb *v) {
        int r;

        r = output_flush(&v->output);
        v->client.output_fd = r >= 0 && output_is_waiting(&v->output) ? v->fd : -1;
        if (r < 0)
                write_failed(v, r);
}

static void record_start(RecordVerb *v, const struct framebus_mode *mode) {
        char text[MODE_ARG_MAX];
        int r;

        r = planar_init(&v->picture, mode->fourcc, mode->width, mode->height);
        if (r == -ENOTSUP || mode->modifier != 0) {
                client_message("%s: y4m cannot hold %s. " DECODABLE_OTHERWISE, v->client.source,
                               mode_format(mode, text));
                client_finish(&v->client, STATUS_REFUSED);
                return;
        }
        if (r < 0) {
                client_fail_errno(&v->client, r, "cannot make room for a picture");
                return;
        }
        v->rate_known = mode->rate.num > 0 && mode->rate.den > 0;
        v->rate = v->rate_known ? mode->rate : RATE_FALLBACK;
        r = record_open(v);
        if (r < 0) {
                client_message("cannot open %s: %s", v->path, strerror(-r));
                client_finish(&v->client, STATUS_FAILED);
                return;
        }
        output_init(&v->output, v->fd);
        v->writer = (Y4mWriter){ .output = &v->output };
        r = y4m_writer_start(&v->writer, &v->picture, v->rate);
        if (r < 0) {
                write_failed(v, r);
                return;
        }
        v->started = true;
        record_flush(v);
}

static void on_format(framebus_subscription *sub, uint32_t format, const struct framebus_mode *mode,
                      void *userdata) {
        RecordVerb *v = userdata;
        char text[MODE_ARG_MAX];

        if (v->client.done)
                return;
        if (!v->started) {
                record_start(v, mode);
                return;
        }
        if (mode->width != v->picture.width || mode->height != v->picture.height ||
            !planar_fits(&v->picture, mode->fourcc)) {
                client_message("%s: frames look like %s from now on, which has no place in the file that "
                               "was begun",
                               v->client.source, mode_format(mode, text));
                client_finish(&v->client, STATUS_FAILED);
        }
}

/* How many copies of the picture before come in front of the one of @pts_ns. A publisher may say that it lost
 * any number of frames, or name any time: no more are written than there was time for, and a second's worth.
 */
static uint64_t copies_due(RecordVerb *v, uint64_t missing, uint64_t pts_ns) {
        uint64_t due, most;

        if (v->client.options->no_fill || v->writer.n_frames == 0)
                return 0;
        most = y4m_frames_due(v->first_pts_ns, clock_now_ns() + NSEC_PER_SEC, v->rate);
        due = v->by_time ? y4m_frames_due(v->first_pts_ns, pts_ns, v->rate) - 1
                         : v->writer.n_frames + missing;
        due = FB_MIN(due, most);
        return due > v->writer.n_frames ? due - v->writer.n_frames : 0;
}

static bool is_full(const RecordVerb *v) {
        return v->client.options->frames > 0 && v->writer.n_frames >= v->client.options->frames;
}

/* Where the reader is too slow for its queue the picture before is repeated, which costs no memory. */
static void record_write(RecordVerb *v, uint64_t copies) {
        const Options *o = v->client.options;
        int r;

        if (o->frames > 0)
                copies = FB_MIN(copies, o->frames - v->writer.n_frames);
        r = y4m_writer_frame(&v->writer, &v->picture, copies);
        if (r == -ENOBUFS) {
                v->overrun += copies;
                for (uint64_t i = 0; i < copies && !o->no_fill && output_repeat(&v->output) >= 0; i++)
                        v->writer.n_frames++;
                r = 0;
        }
        if (r < 0)
                write_failed(v, r);
        else if (is_full(v))
                client_finish(&v->client, STATUS_OK);
        if (!v->client.done || r >= 0)
                record_flush(v);
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        RecordVerb *v = userdata;
        uint64_t pts_ns = framebus_frame_get_pts_ns(frame), missing, copies;
        Image image;
        int r;

        if (v->client.done || !v->started || (framebus_frame_get_flags(frame) & FRAMEBUS_FRAME_REPLAYED))
                return;
        client_wait_for(&v->client, "a frame", 0);

        missing = tally_frame(&v->tally, framebus_frame_get_seq(frame), framebus_frame_get_memory(frame));
        copies = copies_due(v, missing, pts_ns);
        if (copies > 0) {
                uint64_t before = v->writer.n_frames;

                record_write(v, copies);
                v->repeated += v->writer.n_frames - before;
        }
        if (v->client.done)
                return;

        r = image_from_frame(frame, &image);
        if (r >= 0)
                r = planar_convert(&v->picture, &image);
        if (r == -EBADMSG) { /* as cameras make them at times: the next one fills its place */
                v->n_broken++;
                v->by_time = true;
                return;
        }
        if (r < 0) {
                client_fail_errno(&v->client, r, "cannot take the picture out of a frame");
                return;
        }
        if (v->writer.n_frames == 0) {
                v->first_pts_ns = pts_ns;
                if (v->client.options->seconds_ns > 0)
                        v->client.tick_ns = clock_now_ns() + v->client.options->seconds_ns;
        }
        if (v->rate_known || v->client.options->no_fill ||
            y4m_frames_due(v->first_pts_ns, pts_ns, v->rate) > v->writer.n_frames)
                record_write(v, 1);
        v->by_time = !v->rate_known;
}

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        RecordVerb *v = userdata;

        tally_attached(&v->tally, granted->seq);
        v->by_time = true;
        client_wait_for(&v->client, "a frame", 0);
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        RecordVerb *v = userdata;

        if (!v->client.done)
                tally_lost(&v->tally, count, reason);
}

static void on_disconnected(framebus_subscription *sub, uint64_t retry_ns, void *userdata) {
        RecordVerb *v = userdata;

        client_message("%s: the broker or its channel is gone; trying again in %.1f s", v->client.source,
                       (double)retry_ns / 1e9);
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        RecordVerb *v = userdata;
        const Options *o = v->client.options;
        int status;

        if (v->client.done)
                return;
        status = client_tell_ended(&v->client, reason, error);
        if (strcmp(reason, "destroyed") == 0 && v->writer.n_frames > 0 && o->frames == 0 &&
            o->seconds_ns == 0)
                status = STATUS_OK; /* all there was */
        client_finish(&v->client, status);
}

static void record_subscribe(void *userdata) {
        static const struct framebus_subscription_events events = {
                .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
                .attached = on_attached,
                .format = on_format,
                .frame = on_frame,
                .lost = on_lost,
                .disconnected = on_disconnected,
                .ended = on_ended,
        };
        RecordVerb *v = userdata;
        int r;

        r = framebus_subscribe(v->client.fb, v->client.source, &v->decodable.options, &events, v, &v->sub);
        if (r < 0)
                client_fail_errno(&v->client, r, "cannot subscribe");
}

static void on_output(Client *c, void *userdata) {
        record_flush(userdata);
}

/* Writes what still waits; after a signal for no more than a second. */
static void record_drain(RecordVerb *v) {
        uint64_t until_ns = UINT64_MAX;

        while (v->started && output_is_waiting(&v->output)) {
                struct pollfd pfd = { .fd = v->fd, .events = POLLOUT };

                if (client_is_interrupted() && until_ns == UINT64_MAX)
                        until_ns = clock_now_ns() + NSEC_PER_SEC;
                if (clock_now_ns() > until_ns)
                        return;
                (void)poll(&pfd, 1, 100);
                if (output_flush(&v->output) < 0)
                        return;
        }
}

static void on_tick(Client *c, uint64_t now_ns, void *userdata) {
        client_finish(c, STATUS_OK);
}

static void summary_json(RecordVerb *v) {
        Json j;

        json_begin_line(&j, to_stdout(v) ? stderr : stdout);
        json_string(&j, "source", v->client.source);
        json_string(&j, "file", to_stdout(v) ? NULL : v->path);
        json_uint(&j, "frames", v->writer.n_frames);
        json_uint(&j, "repeated", v->repeated);
        json_uint(&j, "received", v->tally.frames);
        json_uint(&j, "overrun", v->overrun);
        json_uint(&j, "lost", v->tally.lost);
        json_begin_object(&j, "lost-by-reason");
        for (size_t i = 0; i < v->tally.n_reasons; i++)
                json_uint(&j, v->tally.reasons[i].reason, v->tally.reasons[i].count);
        json_end_object(&j);
        (void)json_end_line(&j);
}

static void summary_print(RecordVerb *v) {
        char lost[256];

        if (v->client.options->json) {
                summary_json(v);
                return;
        }
        fprintf(to_stdout(v) ? stderr : stdout,
                "%s: %" PRIu64 " frames, %.2f s; %" PRIu64 " of them repeated; lost %s\n",
                to_stdout(v) ? v->client.source : v->path, v->writer.n_frames,
                (double)v->writer.n_frames * v->rate.den / v->rate.num, v->repeated,
                tally_lost_format(&v->tally, lost, sizeof(lost)));
        if (v->n_broken > 0)
                client_message("%" PRIu64 " frames could not be decoded", v->n_broken);
        if (v->overrun > 0)
                client_message("%" PRIu64 " frames did not fit into memory: they are read too slowly",
                               v->overrun);
}

int verb_record(const Options *o, char **args) {
        _cleanup_(record_deinit) RecordVerb v = { .path = args[1], .fd = -1, .by_time = true };
        int r;

        if (to_stdout(&v) && isatty(STDOUT_FILENO)) {
                client_message("standard output is a terminal: pipe it into a program that reads y4m, or "
                               "name a file");
                return STATUS_USAGE;
        }
        r = client_open(&v.client, o, args[0]);
        if (r != STATUS_OK)
                return r;
        v.client.interrupt_status = STATUS_OK;
        v.client.on_tick = on_tick;
        v.client.on_output = on_output;
        v.client.userdata = &v;
        v.decodable = (Decodable){ .client = &v.client, .options = options_to_subscribe(o),
                                   .ready = record_subscribe, .userdata = &v };
        v.decodable.options.no_replay = true;
        if (o->window == 0 && o->transport == FRAMEBUS_TRANSPORT_PEER)
                v.decodable.options.window = RECORD_WINDOW;
        client_wait_for(&v.client, "the subscription", 30 * NSEC_PER_SEC);
        decodable_settle(&v.decodable);
        r = client_run(&v.client);
        v.sub = framebus_subscription_close(v.sub);
        record_drain(&v);
        if (v.started)
                summary_print(&v);
        return r;
}
