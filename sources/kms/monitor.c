/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices are open while somebody watches, and otherwise only to ask what there is: an idle source asks
 * nothing, and a device is opened once for all that follows, as whoever opens it may be its master for a
 * moment.
 *
 * A screen that is off, unplugged or tiled is waited for here, and the subscriptions never notice but by a
 * gap. A device that is gone or forbidden ends the program, with that as its last words: the broker decides
 * when to try again.
 *
 * What is shown may be flipped away while it is copied, and then drawn into. So what is shown is asked again
 * after the copy; if it has changed, the new one is copied instead, but only once: a copy that takes longer
 * than the time between flips is better than none.
 */
#include "sources/kms/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <drm_fourcc.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define LOOK_NS   NSEC_PER_SEC /* between two looks at a connector, or for a screen */
#define COPIES_MAX 2u
/* What is offered while nothing is shown. */
#define STAND_IN_WIDTH  1920u
#define STAND_IN_HEIGHT 1080u
#define STAND_IN_MAX    16384u

FB_DEFINE_CLEANUP(framebus_buffer *, framebus_buffer_discard)

static Card *monitor_get_card(Monitor *m) {
        return &m->cards[m->screen.card];
}

/* ---- devices and screens ---- */

void monitor_close(Monitor *m) {
        for (unsigned i = 0; i < CARDS_MAX; i++)
                card_close(&m->cards[i]);
}

/* Opens what is not open. The error that says most, if none could be. */
static int monitor_open(Monitor *m) {
        unsigned n = m->path ? 1 : CARDS_MAX, n_open = 0;
        int error = -ENOENT;

        for (unsigned i = 0; i < n; i++) {
                char path[64];
                int r = 0;

                (void)snprintf(path, sizeof path, "/dev/dri/card%u", i);
                if (m->cards[i].fd < 0)
                        r = card_open(&m->cards[i], m->path ?: path);
                if (r >= 0)
                        n_open++;
                else if (r != -ENOENT && (error == -ENOENT || error == -ENOTTY))
                        error = r;
        }
        return n_open ? 0 : error;
}

int monitor_list(Monitor *m, Screen screens[SCREENS_MAX], size_t *ret_n) {
        int r = monitor_open(m);
        size_t n = 0;

        for (unsigned i = 0; i < CARDS_MAX && r >= 0; i++) {
                size_t before = n;

                if (m->cards[i].fd < 0)
                        continue;
                if (card_list(&m->cards[i], i, screens, &n) >= 0)
                        continue;
                card_close(&m->cards[i]); /* unplugged */
                n = before;
                if (m->path)
                        r = -ENODEV;
        }
        if (r < 0) {
                monitor_fail(m, r, m->path ?: "/dev/dri/card*", "asking for screens");
                return r;
        }
        *ret_n = n;
        return 0;
}

/* Negative errno: the program has failed. */
static int monitor_find(Monitor *m, PickResult *ret_result, char *ret_reason, size_t size) {
        Screen screens[SCREENS_MAX];
        const Screen *picked;
        size_t n;
        int r = monitor_list(m, screens, &n);

        if (r < 0)
                return r;
        *ret_result = screens_pick(screens, n, &m->wish, &picked, ret_reason, size);
        m->screen = picked ? *picked : (Screen){ 0 };
        return 0;
}

/* ---- modes ---- */

/* What a viewer may expect of a screen of which nothing is known yet. */
static struct framebus_mode make_stand_in(const Screen *s) {
        return (struct framebus_mode){
                .fourcc = DRM_FORMAT_XRGB8888,
                .width = s->preferred_width ?: STAND_IN_WIDTH,
                .height = s->preferred_height ?: STAND_IN_HEIGHT,
                .width_range = { 1, STAND_IN_MAX, 1 },
                .height_range = { 1, STAND_IN_MAX, 1 },
        };
}

/* Of frames as they come; any lower rate may be asked for. */
static void mode_offer_rates(struct framebus_mode *mode, struct framebus_fraction refresh) {
        static const struct framebus_fraction one = { 1, 1 }, none = { 0 };

        mode->rate = mode->rate_max = pace_get_rate(refresh, none);
        mode->rate_min = pace_get_rate(refresh, one);
}

static void monitor_offer(Monitor *m, const struct framebus_mode *offer) {
        if (memcmp(offer, &m->offer, sizeof *offer) == 0)
                return;
        m->offer = *offer;
        (void)framebus_publisher_set_modes(m->program.pub, offer, 1);
}

/* Before the first frame that looks like @plan. Negative errno: the program has failed. */
static int monitor_tell_mode(Monitor *m, const Grab *g, const CopyPlan *plan) {
        struct framebus_mode mode = {
                .fourcc = g->info.fourcc,
                .width = plan->width,
                .height = plan->height,
        };
        struct framebus_mode offer = mode;
        int r;

        mode.rate = pace_get_rate(m->screen.rate, m->wanted.rate);
        if (memcmp(&mode, &m->mode, sizeof mode) == 0)
                return 0;
        mode_offer_rates(&offer, m->screen.rate);
        monitor_offer(m, &offer);
        r = framebus_publisher_set_format(m->program.pub, &mode);
        if (r < 0)
                monitor_fail(m, r, monitor_get_card(m)->path, "telling the format");
        else
                m->mode = mode;
        return r;
}

/* ---- on and off ---- */

static void monitor_set_phase(Monitor *m, MonitorPhase phase, uint64_t due_ns) {
        m->phase = phase;
        m->due_ns = due_ns;
        m->look_ns = UINT64_MAX;
        m->vblank = false;
}

static void monitor_stop(Monitor *m) {
        monitor_close(m);
        monitor_forget_loans(m);
        monitor_set_phase(m, MONITOR_IDLE, UINT64_MAX);
        m->state[0] = '\0'; /* the broker has its own word for that */
}

static void monitor_wait(Monitor *m, const char *state, const char *reason) {
        monitor_set_phase(m, MONITOR_WAITING, clock_now_ns() + LOOK_NS);
        m->discontinuity = true;
        monitor_tell(m, state, reason);
}

static void monitor_set_pace(Monitor *m, uint64_t now_ns) {
        m->refresh = m->screen.rate;
        pace_init(&m->pace, now_ns, m->refresh, m->wanted.rate, m->in_place);
}

/* ---- frames ---- */

static struct framebus_push_info monitor_describe(const Monitor *m, const CopyPlan *plan,
                                                  const Vblank *vblank, uint64_t now_ns) {
        struct framebus_push_info info = {
                .version = FRAMEBUS_PUSH_INFO_VERSION,
                .flags = m->discontinuity ? FRAMEBUS_FRAME_DISCONTINUITY : 0,
                .pts_ns = vblank ? vblank->time_ns : now_ns,
                .has_device_sequence = vblank,
                .device_sequence = vblank ? (uint32_t)vblank->sequence : 0,
                .n_planes = plan->n_planes,
        };

        memcpy(info.planes, plan->planes, sizeof info.planes);
        return info;
}

static void monitor_pushed(Monitor *m, bool went_out) {
        if (went_out)
                m->discontinuity = false;
        monitor_tell(m, "streaming", "");
}

static int monitor_plan(const Monitor *m, const Grab *g, CopyPlan *ret_plan) {
        const Viewport view = { m->screen.x, m->screen.y, m->screen.width, m->screen.height };

        return copyplan_make(&g->info, &view, ret_plan);
}

/* Copies what @g is. Returns 1 with *ret_buffer, 0: not this one, the state says why; negative errno: the
 * program has failed. */
static int monitor_copy(Monitor *m, Grab *g, CopyPlan *ret_plan, framebus_buffer **ret_buffer) {
        _cleanup_(framebus_buffer_discardp) framebus_buffer *buffer = NULL;
        char reason[256];
        int r;

        r = monitor_plan(m, g, ret_plan);
        if (r >= 0)
                r = grab_map(g, ret_plan, m->method);
        if (r >= 0)
                r = framebus_publisher_acquire(m->program.pub, ret_plan->size, &buffer);
        if (r >= 0)
                r = grab_copy(g, ret_plan, framebus_buffer_get_data(buffer));
        if (r < 0) {
                monitor_describe_refusal(&g->info, r, reason, sizeof reason);
                monitor_wait(m, "failed", reason);
                return 0;
        }
        r = monitor_tell_mode(m, g, ret_plan);
        if (r < 0)
                return r;
        *ret_buffer = take_ptr(buffer);
        return 1;
}

static void monitor_note_torn(Monitor *m) {
        if (!m->torn)
                log_warning("%s: flips are quicker than copies: frames may be torn (told once)",
                            m->screen.name);
        m->torn = true;
}

/* What the kernel says of the screen, into m->screen. False: there is nothing to be copied now. */
static bool monitor_look(Monitor *m) {
        char reason[64];
        int r = card_look(monitor_get_card(m), &m->screen);

        if (r == -ENODEV) {
                monitor_fail(m, r, monitor_get_card(m)->path, "");
                return false;
        }
        if (r >= 0 && m->screen.active && m->screen.fb_id)
                return true;
        (void)snprintf(reason, sizeof reason, "%s %s", m->screen.name,
                       r >= 0 && m->screen.active ? "shows no framebuffer" : "is off");
        monitor_wait(m, "no-signal", reason);
        return false;
}

/* False: it is to be copied, or to be found out why it cannot be. */
static bool monitor_try_to_lend(Monitor *m, const Grab *g, const Vblank *vblank, uint64_t now_ns) {
        struct framebus_push_info info;
        CopyPlan plan;
        int r;

        if (monitor_plan(m, g, &plan) < 0)
                return false;
        if (monitor_tell_mode(m, g, &plan) < 0)
                return true;
        info = monitor_describe(m, &plan, vblank, now_ns);
        r = monitor_lend(m, g, &plan, &info);
        if (r < 0)
                return false;
        m->pace.fb_id = m->screen.fb_id;
        monitor_pushed(m, r > 0);
        return true;
}

/* One attempt at m->screen.fb_id. True: done with, one way or another. */
static bool monitor_grab(Monitor *m, bool last, const Vblank *vblank, uint64_t now_ns) {
        _cleanup_(framebus_buffer_discardp) framebus_buffer *buffer = NULL;
        _cleanup_(grab_close) Grab g = GRAB_NULL;
        uint32_t fb_id = m->screen.fb_id;
        struct framebus_push_info info;
        CopyPlan plan;
        int r = grab_open(&g, monitor_get_card(m), fb_id);

        if (r == -ENOENT) /* flipped away and removed */
                return last || !monitor_look(m);
        if (r < 0) {
                monitor_fail(m, r, monitor_get_card(m)->path, "asking for the framebuffer");
                return true;
        }
        if (monitor_is_lending(m) && monitor_try_to_lend(m, &g, vblank, now_ns))
                return true;
        if (monitor_copy(m, &g, &plan, &buffer) <= 0 || !monitor_look(m))
                return true;
        if (m->screen.fb_id != fb_id) {
                if (!last)
                        return false;
                monitor_note_torn(m);
        }
        m->pace.fb_id = fb_id;
        info = monitor_describe(m, &plan, vblank, now_ns);
        monitor_pushed(m, program_push_buffer(&m->program, take_ptr(buffer), &info));
        return true;
}

/* At a tick, or a vblank. */
static void monitor_take(Monitor *m, uint64_t at_ns, const Vblank *vblank) {
        uint64_t now_ns = clock_now_ns();

        if (!monitor_look(m))
                return;
        if (m->screen.rate.num != m->refresh.num || m->screen.rate.den != m->refresh.den)
                monitor_set_pace(m, now_ns);
        if (!pace_judge(&m->pace, m->screen.fb_id, at_ns))
                return;
        pace_note(&m->pace, m->screen.fb_id, at_ns);
        for (unsigned i = 1; i <= COPIES_MAX; i++)
                if (monitor_grab(m, i == COPIES_MAX, vblank, now_ns))
                        break;
}

/* ---- what the broker wants ---- */

/* From any phase. */
static void monitor_start(Monitor *m) {
        uint64_t now_ns = clock_now_ns();
        PickResult result;
        char reason[256];

        if (monitor_find(m, &result, reason, sizeof reason) < 0)
                return;
        if (result != PICK_SHOWN) {
                monitor_wait(m, result == PICK_ABSENT ? "absent" : "no-signal", reason);
                return;
        }
        monitor_set_phase(m, MONITOR_RUNNING, now_ns);
        m->look_ns = now_ns + LOOK_NS;
        m->mode.fourcc = 0;
        monitor_set_pace(m, now_ns);
        if (card_queue_vblank(monitor_get_card(m), m->screen.crtc_id) >= 0) {
                m->vblank = true;
                m->due_ns = now_ns + LOOK_NS;
                monitor_take(m, now_ns, NULL); /* the picture may stand still for long */
        }
}

static void monitor_change(Monitor *m, const struct framebus_mode *wanted) {
        bool same = m->phase != MONITOR_IDLE && memcmp(&m->wanted, wanted, sizeof *wanted) == 0;

        m->wanted = *wanted;
        if (!same && m->phase != MONITOR_WAITING)
                monitor_start(m);
}

/* ---- time ---- */

/* Whether it is still that connector which shows the picture. */
static void monitor_look_at_connector(Monitor *m) {
        Screen screens[SCREENS_MAX];
        size_t n;

        m->look_ns = clock_now_ns() + LOOK_NS;
        if (monitor_list(m, screens, &n) < 0)
                return;
        for (size_t i = 0; i < n; i++)
                if (screens[i].card == m->screen.card && screens[i].connector_id == m->screen.connector_id &&
                    screens[i].crtc_id == m->screen.crtc_id && screens[i].connected)
                        return;
        m->discontinuity = true;
        monitor_start(m);
}

static void monitor_on_tick(Monitor *m, uint64_t now_ns) {
        uint64_t at_ns;

        if (m->vblank) { /* overdue */
                m->vblank = false;
                monitor_set_pace(m, now_ns);
        }
        if (pace_take_tick(&m->pace, now_ns, &at_ns))
                monitor_take(m, at_ns, NULL);
        if (m->phase == MONITOR_RUNNING)
                m->due_ns = pace_get_due_ns(&m->pace);
}

static void monitor_on_time(Monitor *m) {
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= m->look_ns)
                monitor_look_at_connector(m);
        if (m->program.done || now_ns < m->due_ns)
                return;
        if (m->phase == MONITOR_RUNNING)
                monitor_on_tick(m, now_ns);
        else if (m->phase == MONITOR_WAITING)
                monitor_start(m);
}

static void monitor_on_vblank(Monitor *m) {
        Card *card = monitor_get_card(m);
        Vblank vblank;

        if (!card_take_vblank(card, &vblank) || m->phase != MONITOR_RUNNING || !m->vblank)
                return;
        m->due_ns = clock_now_ns() + LOOK_NS;
        if (card_queue_vblank(card, m->screen.crtc_id) < 0)
                m->due_ns = 0; /* the timer from now on; or it was switched off, which a look will tell */
        monitor_take(m, vblank.time_ns, &vblank);
}

void monitor_run(Monitor *m) {
        Program *p = &m->program;

        monitor_set_phase(m, MONITOR_IDLE, UINT64_MAX);
        while (!p->done) {
                struct pollfd fd = { .fd = m->vblank ? monitor_get_card(m)->fd : -1, .events = POLLIN };

                program_set_timer(p, FB_MIN(m->due_ns, m->look_ns));
                program_wait(p, &fd, 1);
                if (p->want_stop)
                        monitor_stop(m);
                if (p->want_start)
                        monitor_change(m, &p->wanted);
                else if (fd.revents && m->vblank && !p->done)
                        monitor_on_vblank(m);
                p->want_stop = p->want_start = false;
                if (!p->done)
                        monitor_on_time(m);
        }
        monitor_stop(m);
        lender_deinit(&m->lender);
}

/* ---- what there is ---- */

/* Offers what is shown now. Negative errno: the program has failed. */
static int monitor_offer_shown(Monitor *m) {
        _cleanup_(grab_close) Grab g = GRAB_NULL;
        CopyPlan plan;
        int r;

        r = grab_open(&g, monitor_get_card(m), m->screen.fb_id);
        if (r < 0 && r != -ENOENT) {
                monitor_fail(m, r, monitor_get_card(m)->path, "asking for the framebuffer");
                return r;
        }
        if (r >= 0 && monitor_plan(m, &g, &plan) >= 0)
                m->offer = (struct framebus_mode){
                        .fourcc = g.info.fourcc,
                        .width = plan.width,
                        .height = plan.height,
                };
        return 0;
}

void monitor_probe(Monitor *m) {
        PickResult result;
        char reason[256];

        if (monitor_find(m, &result, reason, sizeof reason) >= 0) {
                m->offer = make_stand_in(&m->screen);
                if (result == PICK_SHOWN)
                        (void)monitor_offer_shown(m);
                mode_offer_rates(&m->offer, m->screen.rate);
                (void)snprintf(m->description, sizeof m->description, "Screen%s%s",
                               m->screen.name[0] ? " " : "", m->screen.name);
        }
        monitor_close(m);
}
