/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device is opened to ask what it can do, closed, and opened again while somebody watches, so that an
 * idle source keeps no other program from it.
 *
 * A device that is gone, taken or forbidden ends the program, with that as its last words: the broker decides
 * when to try again. Every other trouble is healed here, and the subscriptions never notice but by a gap:
 * first the stream is switched off and on, then the device is closed and opened again, after pauses that
 * grow. A stream that breaks RESTARTS_MAX times in a row ends the program as well; one that only sends
 * nothing is waited for. Without a signal there is no stream at all: what drivers deliver then is noise.
 *
 * Each kind of trouble is counted, and logged when it begins and when it is over, never for each frame.
 */
#include "sources/v4l2/camera.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define STALLED_NS        (2 * NSEC_PER_SEC)  /* or STALLED_INTERVALS, whichever is longer */
#define STALLED_INTERVALS 10u
#define LOOK_NS           NSEC_PER_SEC        /* between two looks at an input */
#define STEADY_NS         (10 * NSEC_PER_SEC) /* so long without trouble, and it is forgotten */
#define PAUSE_MAX_NS      (30 * NSEC_PER_SEC)
#define RESTARTS_MAX      5u
#define FRAMES_A_TURN     4 /* then the broker gets its turn */

/* ---- what it can do ---- */

static int camera_open(Camera *c, const char **ret_step) {
        int r;

        *ret_step = "opening";
        if (c->device.fd >= 0) {
                input_adjust(&c->device);
                return 0;
        }
        r = device_open(&c->device, c->ops, c->path);
        if (r < 0)
                return r;
        *ret_step = "setting the EDID";
        r = input_prepare(&c->device, c->edid_size ? c->edid : NULL, c->edid_size);
        return r == -EBUSY ? 0 : r; /* whoever has the device has set it up */
}

void camera_probe(Camera *c) {
        const char *why = "", *step;
        int r = camera_open(c, &step);

        if (r < 0) {
                camera_fail(c, r, step);
                device_close(&c->device);
                return;
        }
        r = device_judge(&c->device, &why);
        if (r < 0)
                program_fail(&c->program, c->found ? "" : "failed", EXIT_NO_CAPTURE, "%s is %s", c->path,
                             why);
        else {
                r = modes_enumerate(&c->device, &c->table);
                if (r == -ENODATA)
                        program_fail(&c->program, "failed", EXIT_NO_CAPTURE,
                                     "%s has no pixel format that can be named", c->path);
                else if (r < 0)
                        camera_fail(c, r, "asking for its modes");
        }
        if (!c->program.done) {
                camera_open_controls(c);
                camera_probe_ways(c);
        }
        device_close(&c->device);
}

/* A signal of another size makes other modes. */
static void camera_update_modes(Camera *c) {
        ModeTable *t = &(ModeTable){ 0 };

        if (modes_enumerate(&c->device, t) < 0)
                return;
        if (t->n_modes == c->table.n_modes &&
            memcmp(t->modes, c->table.modes, t->n_modes * sizeof t->modes[0]) == 0)
                return;
        c->table = *t;
        (void)framebus_publisher_set_modes(c->program.pub, t->modes, t->n_modes);
}

/* ---- on and off ---- */

static void camera_close(Camera *c) {
        camera_stop_stream(c);
        device_close(&c->device);
}

static void camera_set_phase(Camera *c, CameraPhase phase, uint64_t due_ns) {
        c->phase = phase;
        c->due_ns = due_ns;
        c->look_ns = UINT64_MAX;
}

static void camera_stop(Camera *c) {
        char counts[256];

        if (c->phase == CAMERA_IDLE)
                return;
        camera_close(c);
        camera_set_phase(c, CAMERA_IDLE, UINT64_MAX);
        c->n_tries = c->n_fruitless = 0;
        c->state[0] = '\0'; /* the broker has its own word for that */
        log_debug("%s: stopped; faults so far: %s", c->path,
                  faults_describe(&c->faults, counts, sizeof counts));
        log_print(c->stream.counts.lent || c->stream.counts.starved ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
                  "%s: stopped; frames so far: %s", c->path,
                  camera_describe_copies(c, counts, sizeof counts));
}

static uint64_t camera_get_patience_ns(const Camera *c) {
        struct framebus_fraction rate = c->stream.mode.rate;

        if (!rate.num || !rate.den)
                return STALLED_NS;
        return FB_MAX(STALLED_NS, STALLED_INTERVALS * NSEC_PER_SEC * rate.den / rate.num);
}

static void camera_set_running(Camera *c) {
        uint64_t now_ns = clock_now_ns();

        camera_set_phase(c, CAMERA_RUNNING, now_ns + camera_get_patience_ns(c));
        if (input_can_tell(&c->device))
                c->look_ns = now_ns + LOOK_NS;
}

static void camera_wait_for_signal(Camera *c, const char *why) {
        camera_stop_stream(c);
        if (c->phase != CAMERA_NO_SIGNAL)
                camera_count(c, FAULT_SIGNAL, 1);
        camera_set_phase(c, CAMERA_NO_SIGNAL, clock_now_ns() + LOOK_NS);
        c->discontinuity = true;
        camera_tell(c, "no-signal", "%s", why);
}

static uint64_t get_pause_ns(unsigned n_tries) {
        if (n_tries <= 2)
                return 0;
        return n_tries > 8 ? PAUSE_MAX_NS : FB_MIN(NSEC_PER_SEC << (n_tries - 3), PAUSE_MAX_NS);
}

static void camera_tell_stalled(Camera *c) {
        camera_tell(c, "no-signal", "the device sends %s; started again %u times",
                    c->n_damaged ? "damaged frames only" : "no frames", c->n_tries);
}

static void camera_wait(Camera *c, Fault fault, int error, const char *step) {
        uint64_t pause_ns = get_pause_ns(c->n_tries);

        camera_close(c);
        camera_set_phase(c, CAMERA_WAITING, clock_now_ns() + pause_ns);
        if (fault == FAULT_STALLED)
                camera_tell_stalled(c);
        else if (pause_ns)
                camera_tell(c, "failed", "%s: %s; started again %u times", step, strerror(-error),
                            c->n_tries);
}

void camera_recover(Camera *c, int error, const char *step) {
        Fault fault = error ? FAULT_BROKEN : FAULT_STALLED;
        const char *trouble;

        if (c->device.fd >= 0 && device_is_gone(&c->device)) {
                camera_fail(c, -ENODEV, "");
                return;
        }
        trouble = c->device.fd >= 0 ? input_get_trouble(&c->device) : NULL;
        if (trouble) {
                camera_wait_for_signal(c, trouble);
                return;
        }
        if (error)
                log_debug("%s: %s: %s", c->path, step, strerror(-error));
        camera_count(c, fault, 1);
        c->trouble_ns = clock_now_ns();
        c->discontinuity = true;
        if (++c->n_tries > RESTARTS_MAX && fault == FAULT_BROKEN) {
                camera_fail(c, error, step);
                return;
        }
        if (c->n_tries == 1 && c->stream.device && stream_restart(&c->stream) >= 0) {
                if (fault == FAULT_STALLED)
                        camera_tell_stalled(c);
                camera_set_running(c);
                return;
        }
        camera_wait(c, fault, error, step);
}

void camera_start(Camera *c) {
        uint32_t pixelformat = modes_get_pixelformat(&c->table, c->wanted.fourcc, c->wanted.modifier);
        const char *step, *trouble = NULL;
        StreamPlan plan;
        int r = camera_open(c, &step);

        if (r >= 0)
                trouble = input_get_trouble(&c->device);
        if (trouble) {
                camera_wait_for_signal(c, trouble);
                return;
        }
        if (r >= 0 && input_can_tell(&c->device))
                camera_update_modes(c);
        if (r >= 0 && !pixelformat) {
                step = "choosing a pixel format";
                r = -EPROTO;
        }
        if (r >= 0) {
                camera_probe_ways(c);
                plan = camera_plan(c);
                r = stream_start(&c->stream, &c->device, pixelformat, &c->wanted, &plan, &step);
        }
        if (r < 0 && !camera_error_is_final(r)) {
                camera_recover(c, r, step);
                return;
        }
        if (r >= 0) {
                step = "telling the format";
                r = framebus_publisher_set_format(c->program.pub, &c->stream.mode);
        }
        if (r < 0) {
                camera_fail(c, r, step);
                return;
        }
        camera_set_running(c);
}

/* ---- what the broker wants ---- */

static bool mode_is_equal(const struct framebus_mode *a, const struct framebus_mode *b) {
        return a->fourcc == b->fourcc && a->modifier == b->modifier && a->width == b->width &&
               a->height == b->height && a->rate.num == b->rate.num && a->rate.den == b->rate.den;
}

static void camera_change(Camera *c, const struct framebus_mode *wanted) {
        if (c->phase != CAMERA_IDLE && mode_is_equal(&c->wanted, wanted))
                return;
        c->wanted = *wanted;
        if (c->phase == CAMERA_WAITING || c->phase == CAMERA_NO_SIGNAL)
                return; /* the next attempt is with it */
        if (c->phase == CAMERA_RUNNING) {
                camera_close(c);
                c->discontinuity = true;
        }
        camera_start(c);
}

/* ---- frames ---- */

/* What new buffers took is not seen in the device's counter. */
static uint64_t camera_count_gap(Camera *c, const StreamFrame *f) {
        const uint64_t second_us = NSEC_PER_SEC / NSEC_PER_USEC;
        uint64_t from_ns = c->gap_ns, intervals;
        struct framebus_fraction rate = c->stream.mode.rate;

        c->gap_ns = 0;
        if (!from_ns || f->pts_ns <= from_ns || !rate.num || !rate.den)
                return 0;
        intervals = ((f->pts_ns - from_ns) / NSEC_PER_USEC * rate.num / rate.den + second_us / 2) / second_us;
        return intervals ? intervals - 1 : 0;
}

/* A good frame came. */
static void camera_note_frame(Camera *c) {
        uint64_t now_ns = clock_now_ns();

        c->due_ns = now_ns + camera_get_patience_ns(c);
        c->n_damaged = 0;
        c->n_fruitless = 0;
        c->ways_proven |= 1u << c->stream.plan.way;
        if (c->n_tries && now_ns > c->trouble_ns + STEADY_NS)
                c->n_tries = 0;
        camera_tell(c, "streaming", "%s", "");
}

/* One buffer. Returns STREAM_* or what broke the stream. */
static int camera_take(Camera *c) {
        StreamFrame f;
        int r = stream_read(&c->stream, &f);

        if (r <= 0)
                return r;
        if (f.n_lost > 0)
                framebus_publisher_add_lost(c->program.pub, f.n_lost);
        if (f.n_lost > (r == STREAM_DAMAGED))
                camera_count(c, FAULT_SKIPPED, f.n_lost - (r == STREAM_DAMAGED));
        if (r == STREAM_DAMAGED) {
                camera_count(c, f.fault, 1);
                c->n_damaged++;
                return r;
        }
        if (f.bad_time)
                camera_count(c, FAULT_TIME, 1);
        if (c->gap_ns)
                framebus_publisher_add_lost(c->program.pub, camera_count_gap(c, &f));
        camera_note_frame(c);
        r = camera_push(c, &f);
        return r < 0 ? r : STREAM_FRAME;
}

static void camera_count_requeued(Camera *c) {
        unsigned n = c->stream.pool.counts.requeued;

        if (n == c->n_requeued)
                return;
        camera_count(c, FAULT_QUEUE, n - c->n_requeued);
        c->n_requeued = n;
}

/* Another signal: other timings, sizes and rates, for which buffers of before are of no use. */
static void camera_on_signal_change(Camera *c) {
        camera_stop_stream(c);
        camera_count(c, FAULT_SIGNAL, 1);
        c->discontinuity = true;
        camera_start(c);
}

static void camera_on_ready(Camera *c, short revents) {
        int r = STREAM_FRAME;

        if ((revents & POLLPRI) && input_take_events(&c->device)) {
                camera_on_signal_change(c);
                return;
        }
        if (c->phase != CAMERA_RUNNING) {
                if (revents & (POLLERR | POLLHUP | POLLNVAL))
                        camera_recover(c, revents & POLLHUP ? -ENODEV : -EIO, "waiting for a signal");
                return;
        }
        for (int i = 0; i < FRAMES_A_TURN && r > 0; i++)
                r = camera_take(c);
        camera_count_requeued(c);
        /* a hang-up or error with nothing to read would come again and again */
        if (r == STREAM_NOTHING && (revents & (POLLERR | POLLHUP | POLLNVAL)))
                r = -EIO;
        if (r == -ENODEV || r == -ENXIO)
                camera_fail(c, r, "");
        else if (r < 0)
                camera_recover(c, r, "reading frames");
}

/* ---- time ---- */

static void camera_look(Camera *c) {
        const char *trouble = input_get_trouble(&c->device);

        c->look_ns = clock_now_ns() + LOOK_NS;
        if (trouble)
                camera_wait_for_signal(c, trouble);
}

static void camera_look_again(Camera *c) {
        const char *trouble = input_get_trouble(&c->device);

        if (device_is_gone(&c->device)) {
                camera_fail(c, -ENODEV, "");
        } else if (trouble) {
                camera_wait_for_signal(c, trouble);
        } else {
                camera_start(c);
        }
}

static void camera_on_time(Camera *c) {
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= c->look_ns)
                camera_look(c);
        if (now_ns < c->due_ns)
                return;
        if (c->phase == CAMERA_RUNNING)
                camera_recover(c, 0, "waiting for frames");
        else if (c->phase == CAMERA_NO_SIGNAL)
                camera_look_again(c);
        else if (c->phase == CAMERA_WAITING)
                camera_start(c);
}

/* A timer that fires early does no harm; each frame puts the time off, and does not set it anew. */
static void camera_arm(Camera *c) {
        uint64_t now_ns = clock_now_ns(), due_ns = FB_MIN(c->due_ns, c->look_ns);

        due_ns = FB_MIN(due_ns, faults_get_due_ns(&c->faults));
        if (c->armed_ns > now_ns && c->armed_ns <= due_ns)
                return;
        c->armed_ns = due_ns;
        program_set_timer(&c->program, due_ns);
}

void camera_run(Camera *c) {
        Program *p = &c->program;

        camera_set_phase(c, CAMERA_IDLE, UINT64_MAX);
        while (!p->done) {
                struct pollfd fds[] = { { .fd = c->device.fd,
                                          .events = c->phase == CAMERA_RUNNING ? POLLIN | POLLPRI : POLLPRI },
                                        { .fd = c->panel.device.fd, .events = POLLPRI } };

                camera_arm(c);
                program_wait(p, fds, FB_ELEMENTSOF(fds));
                if (p->want_stop)
                        camera_stop(c);
                if (p->want_start)
                        camera_change(c, &p->wanted);
                else if (fds[0].revents && c->device.fd >= 0 && !p->done)
                        camera_on_ready(c, fds[0].revents);
                if (fds[1].revents && !p->done)
                        camera_on_control_events(c, fds[1].revents);
                p->want_stop = p->want_start = false;
                if (!p->done)
                        camera_follow_memories(c);
                if (!p->done)
                        camera_on_time(c);
                if (!p->done)
                        camera_expire_faults(c);
        }
        camera_stop(c);
        panel_close(&c->panel);
}
