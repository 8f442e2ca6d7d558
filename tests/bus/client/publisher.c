/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What fb-publisher sends while it runs, and what the broker says to it.
 *
 * Invariants: each step takes one number, whether it is sent, wrong or dropped; at most FB_PUBLISHER_WINDOW
 * frames are unreleased, unless --ignore-window says otherwise. A refused frame is not waited for. It
 * deliberately keeps time by the event loop alone: a late tick is not made up for by more than a second.
 */

#include "tests/bus/client/publisher.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "interfaces/names.h"
#include "tests/bus/client/json.h"

static void publisher_problem(Publisher *p, const char *what, uint64_t seq) {
        p->n_problems++;
        json_begin("problem");
        json_string("what", what);
        json_u64("seq", seq);
        json_end();
}

void publisher_error(Publisher *p, const char *call, const sd_bus_error *error, int r) {
        bool named = sd_bus_error_is_set(error);

        json_begin("error");
        json_string("call", call);
        json_string("name", named ? error->name : NULL);
        json_string("message", named ? error->message : strerror(-r));
        json_end();
        p->status = 3;
}

/* Sending */

static int on_frame_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        json_begin("reply");
        json_u64("seq", (uintptr_t)userdata);
        json_string("name", e ? e->name : NULL);
        json_string("text", e ? e->message : NULL);
        json_end();
        return 0;
}

int publisher_new_call(Publisher *p, sd_bus_message **ret, const char *member) {
        return sd_bus_message_new_method_call(p->channel, ret, NULL, FB_PATH_PUBLICATION,
                                              FB_IFACE_PUBLICATION, member);
}

static int frame_send(Publisher *p, const MadeFrame *f) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = publisher_new_call(p, &m, "Frame");
        if (r >= 0)
                r = made_frame_append(m, f);
        if (r < 0)
                return r;
        if (p->reply) {
                p->n_replies++;
                return sd_bus_call_async(p->channel, NULL, m, on_frame_reply, (void *)(uintptr_t)f->seq, 0);
        }
        r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(p->channel, m, NULL);
}

static void frame_print(Publisher *p, const MadeFrame *f, const char *bad, int r) {
        if (p->quiet && !bad && r >= 0)
                return;
        json_begin("sent");
        json_u64("seq", f->seq);
        json_u64("pts_ns", f->pts_ns);
        json_string("bad", bad);
        json_u64("format", f->format);
        json_u64("fourcc", p->picture.fourcc);
        json_u64("width", p->picture.width);
        json_u64("height", p->picture.height);
        json_u64_array("crc32", f->crcs, p->picture.n_planes);
        if (r < 0)
                json_string("failed", strerror(-r));
        json_end();
}

/* What receivers may hold, and some to fill meanwhile. */
static size_t pool_max(const Publisher *p) {
        return p->n_buffers + 3 < FB_BUFFERS_MAX ? p->n_buffers + 3 : FB_BUFFERS_MAX;
}

static bool is_needed(const Publisher *p, uint32_t kind) {
        bool leased = p->leased && (p->memories & (1u << FB_MEMORY_LEASED));

        return kind == FB_MEMORY_LEASED ? leased : !leased || (p->memories & (1u << FB_MEMORY_SEALED));
}

/* The same picture in a slot of the pool, which it had other pictures in before. */
static int leased_send(Publisher *p, const MadeFrame *sealed) {
        MadeFrame f = *sealed;
        PoolSlot *slot;
        int r;

        r = pool_get(&p->pool, p->picture.size, pool_max(p), &slot);
        if (r < 0)
                return r;
        memcpy(slot->data, p->picture.data, p->picture.size);
        f.flags = FB_MEMORY_LEASED << FB_FRAME_MEMORY_SHIFT | (sealed->flags & FB_FRAME_KEYFRAME);
        f.buffer = slot->id;
        f.n_fds = 1;
        f.fds[0] = slot->fd;
        r = frame_send(p, &f);
        if (r >= 0)
                slot->seq = f.seq;
        return r;
}

/* There is none for the next frame. */
static int buffer_want(Publisher *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = publisher_new_call(p, &m, "WantBuffer");

        if (r >= 0)
                r = sd_bus_message_append(m, "u", (uint32_t)pool_count(&p->pool, true));
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(p->channel, m, NULL);
}

/* The first of a run, and every Nth after it. */
static bool is_keyframe(Publisher *p) {
        bool is = p->keyframes > 0 && (p->wanted || p->since_keyframe == 0);

        p->wanted = p->wanted && !is;
        p->since_keyframe = is ? 1 : p->since_keyframe + 1;
        if (p->since_keyframe == p->keyframes)
                p->since_keyframe = 0;
        return is;
}

int publisher_send(Publisher *p, const char *bad) {
        bool leased = !bad && is_needed(p, FB_MEMORY_LEASED);
        MadeFrame f;
        int r;

        r = made_frame_new(&f, &p->picture, p->seq, p->format);
        if (r >= 0 && bad)
                r = made_frame_spoil(&f, &p->picture, bad);
        if (r >= 0 && leased)
                f.flags |= FB_FRAME_PAIRED;
        if (r >= 0 && is_keyframe(p))
                f.flags |= FB_FRAME_KEYFRAME;
        if (r >= 0 && (bad || is_needed(p, FB_MEMORY_SEALED)))
                r = frame_send(p, &f);
        if (r >= 0 && leased)
                r = leased_send(p, &f);
        if (r >= 0 && leased && !pool_has_room(&p->pool, pool_max(p)))
                r = buffer_want(p);
        frame_print(p, &f, bad, r);
        made_frame_done(&f);
        if (r < 0)
                return r;
        if (bad)
                p->n_bad++;
        else if (p->n_unreleased < UNRELEASED_MAX)
                p->unreleased[p->n_unreleased++] = p->seq;
        p->sent++;
        return 0;
}

static bool publisher_has_room(const Publisher *p) {
        if (is_needed(p, FB_MEMORY_LEASED)) /* the window is for what is sealed */
                return pool_has_room(&p->pool, pool_max(p));
        return p->ignore_window || p->n_unreleased < FB_PUBLISHER_WINDOW;
}

static int on_linger(sd_event_source *source, uint64_t usec, void *userdata) {
        return sd_event_exit(userdata, 0);
}

/* After the last frame: until all are released, or, when answers about wrong ones may come, a second. */
static void publisher_check_finished(Publisher *p) {
        bool answers = p->reply || p->n_bad > 0;

        if (!p->finished || p->stay)
                return;
        if (p->n_unreleased == 0 && !answers)
                (void)sd_event_exit(p->event, 0);
        else if (!p->lingering)
                p->lingering = sd_event_add_time_relative(p->event, NULL, CLOCK_MONOTONIC,
                                                          answers ? 1000000 : 5000000, 0, on_linger,
                                                          p->event) >= 0;
}

/* The next number: sent, wrong, skipped or dropped. */
static void publisher_step(Publisher *p) {
        uint64_t n = p->sent + p->dropped + 1;
        bool special = p->every > 0 && n % p->every == 0;

        p->seq++;
        if (special && p->skip > 0) {
                p->seq += p->skip;
                p->skipped += p->skip;
        }
        if (!publisher_has_room(p))
                p->dropped++;
        else if (publisher_send(p, special ? p->bad : NULL) < 0)
                p->dropped++;
        if (p->frames > 0 && p->sent + p->dropped >= p->frames) {
                p->running = false;
                p->finished = true;
                publisher_check_finished(p);
        }
}

int publisher_on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        Publisher *p = userdata;
        uint64_t interval_ns = NSEC_PER_SEC / p->rate;

        if (!p->running)
                return 0;
        publisher_step(p);
        p->next_ns += interval_ns;
        if (p->next_ns + NSEC_PER_SEC < clock_now_ns())
                p->next_ns = clock_now_ns();
        (void)sd_event_source_set_time(source, p->next_ns / NSEC_PER_USEC);
        return sd_event_source_set_enabled(source, p->running ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* Burst: one more each time the loop has nothing else to do and there is room. */
int publisher_on_again(sd_event_source *source, void *userdata) {
        Publisher *p = userdata;

        if (p->running && publisher_has_room(p))
                publisher_step(p);
        return sd_event_source_set_enabled(source,
                                           p->running && publisher_has_room(p) ? SD_EVENT_ON : SD_EVENT_OFF);
}

int publisher_wake(Publisher *p) {
        if (p->burst)
                return sd_event_source_set_enabled(p->again, SD_EVENT_ON);
        p->next_ns = clock_now_ns();
        (void)sd_event_source_set_time(p->tick, p->next_ns / NSEC_PER_USEC);
        return sd_event_source_set_enabled(p->tick, SD_EVENT_ONESHOT);
}

/* What the broker says */

static int memories_read(Publisher *p, sd_bus_message *m) {
        const char *word;
        uint32_t kind;
        int r;

        p->memories = 0;
        r = sd_bus_message_enter_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &word)) > 0)
                if (fb_memory_from_string(word, &kind))
                        p->memories |= 1u << kind;
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int mode_read(Publisher *p, sd_bus_message *m) {
        uint32_t fourcc = p->picture.fourcc, width = p->width, height = p->height;
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                (void)sd_bus_message_read(m, "s", &key);
                if (strcmp(key, FB_KEY_FOURCC) == 0)
                        r = sd_bus_message_read(m, "v", "u", &fourcc);
                else if (strcmp(key, FB_KEY_WIDTH) == 0)
                        r = sd_bus_message_read(m, "v", "u", &width);
                else if (strcmp(key, FB_KEY_HEIGHT) == 0)
                        r = sd_bus_message_read(m, "v", "u", &height);
                else if (strcmp(key, FB_KEY_BUFFERS) == 0)
                        r = sd_bus_message_read(m, "v", "u", &p->n_buffers);
                else if (strcmp(key, FB_KEY_MEMORY) == 0)
                        r = memories_read(p, m);
                else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : picture_init(&p->picture, fourcc, width, height);
}

/* The mode of Start, said back: the same dictionary. */
static int format_send(Publisher *p, sd_bus_message *start) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (p->no_format)
                return 0;
        r = publisher_new_call(p, &m, "FormatChanged");
        if (r >= 0)
                r = sd_bus_message_append(m, "tu", UINT64_C(0), ++p->format);
        if (r >= 0)
                r = sd_bus_message_rewind(start, true);
        if (r >= 0)
                r = sd_bus_message_copy(m, start, false);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(p->channel, m, NULL);
}

static int publisher_on_start(Publisher *p, sd_bus_message *m) {
        int r;

        json_begin("start");
        r = json_message("mode", m);
        json_end();
        if (r >= 0)
                r = sd_bus_message_rewind(m, true);
        if (r >= 0)
                r = mode_read(p, m);
        if (r >= 0)
                r = format_send(p, m);
        if (r < 0) {
                publisher_problem(p, "Start cannot be read", 0);
                return r;
        }
        if (p->running || p->finished)
                return 0;
        p->running = true;
        p->since_keyframe = 0;
        return publisher_wake(p);
}

static void publisher_on_release(Publisher *p, sd_bus_message *m) {
        const uint64_t *seqs;
        size_t size, i;

        if (sd_bus_message_read_array(m, 't', (const void **)&seqs, &size) < 0) {
                publisher_problem(p, "Release does not have its signature", 0);
                return;
        }
        for (size_t k = 0; k < size / sizeof(*seqs); k++) {
                for (i = 0; i < p->n_unreleased && p->unreleased[i] != seqs[k]; i++)
                        ;
                if (i == p->n_unreleased) {
                        if (p->n_bad == 0)
                                publisher_problem(p, "released what was not out", seqs[k]);
                        continue;
                }
                memmove(&p->unreleased[i], &p->unreleased[i + 1], (--p->n_unreleased - i) * sizeof(uint64_t));
                p->released++;
                if (pool_released(&p->pool, seqs[k]) < 0)
                        publisher_problem(p, "released memory cannot be sealed", seqs[k]);
        }
        if (p->verbose) {
                json_begin("released");
                json_u64_array("seqs", seqs, size / sizeof(*seqs));
                json_end();
        }
        if (p->burst && p->running)
                (void)publisher_wake(p);
        publisher_check_finished(p);
}

static void publisher_on_retire(Publisher *p, sd_bus_message *m) {
        const uint64_t *ids;
        size_t size;
        int r;

        if (sd_bus_message_read_array(m, 't', (const void **)&ids, &size) < 0) {
                publisher_problem(p, "Retire does not have its signature", 0);
                return;
        }
        for (size_t k = 0; k < size / sizeof(*ids); k++) {
                r = pool_retire(&p->pool, ids[k]);
                if (r < 0)
                        publisher_problem(p, r == -ENOENT ? "retired what is not there" : "cannot be sealed",
                                          ids[k]);
        }
        json_begin("retired");
        json_u64_array("buffers", ids, size / sizeof(*ids));
        json_end();
}

int publisher_forget(Publisher *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        uint64_t ids[FB_BUFFERS_MAX];
        size_t n = pool_forget(&p->pool, ids);
        int r;

        r = publisher_new_call(p, &m, "Forget");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 't', ids, n * sizeof(*ids));
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(p->channel, m, NULL);
}

static void publisher_on_refused(Publisher *p, sd_bus_message *m) {
        const char *name = NULL, *message = NULL;
        uint64_t seq = 0;

        if (sd_bus_message_read(m, "tss", &seq, &name, &message) < 0)
                publisher_problem(p, "Refused does not have its signature", 0);
        p->n_refused++;
        json_begin("refused");
        json_u64("seq", seq);
        json_string("name", name);
        json_string("text", message);
        json_end();
}

int publisher_on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Publisher *p = userdata;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected")) {
                json_begin("disconnected");
                json_string("what", "channel");
                json_end();
                return sd_event_exit(p->event, 0);
        }
        if (!sd_bus_message_is_signal(m, FB_IFACE_PUBLICATION, NULL))
                return 0;
        if (sd_bus_message_is_signal(m, NULL, "Start"))
                (void)publisher_on_start(p, m);
        else if (sd_bus_message_is_signal(m, NULL, "Stop")) {
                json_begin("stop");
                json_end();
                p->running = p->running && p->ignore_stop;
        } else if (sd_bus_message_is_signal(m, NULL, "KeyframeWanted")) {
                json_begin("keyframe-wanted");
                json_end();
                p->n_wanted++;
                p->wanted = true;
        } else if (sd_bus_message_is_signal(m, NULL, "Release"))
                publisher_on_release(p, m);
        else if (sd_bus_message_is_signal(m, NULL, "Retire"))
                publisher_on_retire(p, m);
        else if (sd_bus_message_is_signal(m, NULL, "Refused"))
                publisher_on_refused(p, m);
        return 1;
}
