/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one subscription receives: checked, counted, printed, and given back as the command line says.
 *
 * Invariants: seq and pending are compared at each frame that is not a replay; a held frame keeps its
 * message, and with it its descriptors. Everything that contradicts the contract becomes a problem, none
 * ends the program. It deliberately does no reconnecting.
 */

#include "tests/bus/client/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "interfaces/names.h"
#include "tests/bus/client/json.h"

static void sub_begin(const Sub *s, const char *event) {
        json_begin(event);
        if (s->client->config.count > 1)
                json_u64("sub", s->index);
}

void sub_problem(Sub *s, const char *word) {
        s->n_problems++;
        sub_begin(s, "problem");
        json_string("what", word);
        json_end();
}

/* Giving back */

static int sub_call_no_reply(Sub *s, sd_bus_message **ret, const char *member) {
        int r;

        r = sd_bus_message_new_method_call(s->bus, ret, s->owner, s->path, FB_IFACE_SUBSCRIPTION, member);
        if (r < 0)
                return r;
        return sd_bus_message_set_expect_reply(*ret, false);
}

void sub_release_seqs(Sub *s, const uint64_t *seqs, size_t n) {
        bool up_to = s->client->config.release_up_to;
        sd_bus_message *m = NULL;
        int r;

        r = sub_call_no_reply(s, &m, up_to ? "ReleaseUpTo" : "Release");
        if (r >= 0)
                r = up_to ? sd_bus_message_append(m, "t", seqs[n - 1])
                          : sd_bus_message_append_array(m, 't', seqs, n * sizeof(*seqs));
        if (r >= 0)
                r = sd_bus_send(NULL, m, NULL);
        sd_bus_message_unref(m);
        if (r < 0 && !s->ended)
                client_error(s->client, s, "Release", NULL, r);
}

/* The memory must be what it was when it came. */
static void held_compare(Sub *s, SeenFrame *f) {
        SeenFrame now = *f;

        if (!s->client->config.checksum)
                return;
        if (seen_frame_checksum(&now) < 0 || memcmp(now.crcs, f->crcs, sizeof(f->crcs)) != 0)
                sub_problem(s, "content changed while held");
}

void sub_release(Sub *s, size_t n) {
        uint64_t seqs[HELD_MAX];

        if (n > s->n_held)
                n = s->n_held;
        if (n == 0)
                return;
        for (size_t i = 0; i < n; i++) {
                held_compare(s, &s->held[i]);
                seqs[i] = s->held[i].seq;
                seen_frame_done(&s->held[i]);
        }
        s->n_held -= n;
        memmove(s->held, s->held + n, s->n_held * sizeof(s->held[0]));
        sub_release_seqs(s, seqs, n);
        if (s->client->config.release_twice) {
                seqs[n++] = UINT64_MAX;
                sub_release_seqs(s, seqs, n);
        }
}

static void sub_keep(Sub *s, SeenFrame *f) {
        const Config *config = &s->client->config;

        s->held[s->n_held++] = *f;
        if (!config->never_release && s->n_held > config->hold)
                sub_release(s, s->n_held - config->hold);
        else if (s->n_held == HELD_MAX) {
                seen_frame_done(&s->held[0]);
                memmove(s->held, s->held + 1, --s->n_held * sizeof(s->held[0]));
        }
}

/* Counting */

static void sub_add_latency(Sub *s, uint64_t ns) {
        uint64_t us = ns / NSEC_PER_USEC;

        if ((s->n_latencies & (s->n_latencies - 1)) == 0) {
                void *p = reallocarray(s->latencies_us, s->n_latencies ? s->n_latencies * 2 : 1,
                                       sizeof(uint32_t));

                if (!p)
                        return;
                s->latencies_us = p;
        }
        s->latencies_us[s->n_latencies++] = us > UINT32_MAX ? UINT32_MAX : us;
}

/* Every number between two frames must have been told as lost. */
static void sub_count_frame(Sub *s, const SeenFrame *f, Problems *problems) {
        uint64_t gap;

        if (s->n_held >= s->window)
                problems_add(problems, "more frames in flight than the window");
        if (!s->has_format || f->format != s->format)
                problems_add(problems, "format was not announced");
        s->delivered++;
        if (f->flags & FB_FRAME_REPLAYED) {
                s->replayed++;
                if (f->seq > s->seq && !s->causal)
                        problems_add(problems, "replayed frame is newer than granted");
                return;
        }
        if (f->order <= s->order)
                problems_add(problems, "order does not grow");
        s->order = f->order;
        if (f->seq <= s->seq) {
                problems_add(problems, "seq does not grow");
                s->gaps_match = false;
                return;
        }
        gap = f->seq - s->seq - 1;
        if (gap != s->pending) {
                problems_add(problems, "gap is not what was told as lost");
                s->gaps_match = false;
        }
        if (s->delivered - s->replayed == 1)
                s->first_seq = f->seq;
        s->gaps += gap;
        s->seq = f->seq;
        s->pending = 0;
}

/* A buffer's number says which memory it is: mappings may be kept by it. */
static void sub_check_buffer(Sub *s, const SeenFrame *f, Problems *problems) {
        size_t n = s->n_buffers < BUFFERS_SEEN_MAX ? s->n_buffers : BUFFERS_SEEN_MAX;

        if (f->buffer == 0)
                return;
        for (size_t i = 0; i < s->n_held; i++)
                if (s->held[i].buffer == f->buffer)
                        problems_add(problems, "a buffer that is held came again");
        for (size_t i = 0; i < n; i++)
                if (s->buffers[i].buffer == f->buffer) {
                        if (s->buffers[i].inode != f->inodes[0])
                                problems_add(problems, "a buffer came back with another file");
                        return;
                }
        s->buffers[s->n_buffers % BUFFERS_SEEN_MAX].buffer = f->buffer;
        s->buffers[s->n_buffers++ % BUFFERS_SEEN_MAX].inode = f->inodes[0];
}

static void frame_print(const Sub *s, const SeenFrame *f, uint64_t latency_ns, uint64_t lost) {
        uint64_t seals[FB_MEMORIES_MAX], sizes = 0;

        for (size_t i = 0; i < f->n_fds; i++) {
                seals[i] = f->seals[i];
                sizes += f->sizes[i];
        }
        sub_begin(s, "frame");
        json_u64("seq", f->seq);
        json_u64("order", f->order);
        json_u64("pts_ns", f->pts_ns);
        json_u64("format", f->format);
        json_u64("flags", f->flags);
        json_string("memory", fb_memory_to_string(f->kind));
        json_u64("buffer", f->buffer);
        json_bool("replayed", f->flags & FB_FRAME_REPLAYED);
        json_u64("lost", lost);
        json_u64("latency_ns", latency_ns);
        json_u64("n_fds", f->n_fds);
        json_u64("n_planes", f->n_planes);
        json_u64("bytes", sizes);
        json_u64_array("seals", seals, f->n_fds);
        if (s->client->config.checksum)
                json_u64_array("crc32", f->crcs, f->n_planes);
}

static void sub_on_frame(Sub *s, sd_bus_message *m) {
        const Config *config = &s->client->config;
        uint64_t now_ns = clock_now_ns(), latency_ns, lost = s->pending;
        Problems problems = {0};
        SeenFrame f;
        int r;

        r = seen_frame_read(&f, m, &problems);
        if (r < 0) {
                sub_problem(s, "Frame does not have its signature");
                return;
        }
        latency_ns = now_ns > f.pts_ns ? now_ns - f.pts_ns : 0;
        seen_frame_check(&f, &problems);
        if (problems.n == 0 && !config->no_attack)
                seen_frame_attack(&f, &problems);
        if (problems.n == 0 && config->checksum && seen_frame_checksum(&f) < 0)
                problems_add(&problems, "cannot be mapped");
        sub_check_buffer(s, &f, &problems);
        if (problems.n == 0 && config->save && seen_frame_save(&f, config->save) < 0)
                problems_add(&problems, "cannot be saved");
        sub_count_frame(s, &f, &problems);
        if (!(f.flags & FB_FRAME_REPLAYED))
                sub_add_latency(s, latency_ns);

        s->n_problems += problems.n;
        if (!config->quiet || problems.n > 0) {
                frame_print(s, &f, latency_ns, lost);
                json_string_array("problems", problems.words, problems.n);
                json_bool("ok", problems.n == 0);
                json_end();
        }
        sub_keep(s, &f);
        if (config->frames > 0 && s->delivered >= config->frames)
                s->done = true;
}

static void sub_on_lost(Sub *s, sd_bus_message *m) {
        const char *reason;
        uint64_t count;
        size_t i;

        if (sd_bus_message_read(m, "ts", &count, &reason) < 0) {
                sub_problem(s, "Lost does not have its signature");
                return;
        }
        if (count == 0)
                sub_problem(s, "Lost of nothing");
        s->pending += count;
        s->lost += count;
        for (i = 0; i < s->n_reasons && strcmp(s->reasons[i].reason, reason) != 0; i++)
                ;
        if (i < REASONS_MAX) {
                if (i == s->n_reasons)
                        snprintf(s->reasons[s->n_reasons++].reason, sizeof(s->reasons[i].reason), "%s",
                                 reason);
                s->reasons[i].count += count;
        }
        sub_begin(s, "lost");
        json_u64("count", count);
        json_string("reason", reason);
        json_end();
}

static void sub_on_format(Sub *s, sd_bus_message *m) {
        uint64_t order;

        if (!sd_bus_message_has_signature(m, FB_SIGNATURE_FORMAT) ||
            sd_bus_message_read(m, "tu", &order, &s->format) < 0) {
                sub_problem(s, "FormatChanged does not have its signature");
                return;
        }
        s->has_format = true;
        sub_begin(s, "format");
        json_u64("order", order);
        json_u64("format", s->format);
        json_message("mode", m);
        json_end();
        if (order < s->order)
                sub_problem(s, "order does not grow");
}

static void sub_on_ended(Sub *s, sd_bus_message *m) {
        const char *reason;
        uint64_t order;

        if (sd_bus_message_read(m, "ts", &order, &reason) < 0) {
                sub_problem(s, "Ended does not have its signature");
                return;
        }
        s->ended = true;
        s->done = !s->client->config.stay;
        sub_begin(s, "ended");
        json_u64("order", order);
        json_string("reason", reason);
        json_end();
}

void sub_on_signal(Sub *s, sd_bus_message *m) {
        const char *member = sd_bus_message_get_member(m), *reason = NULL;

        if (s->ended || s->closed) {
                sub_problem(s, "a signal after the end");
                s->done = true;
                client_check_done(s->client);
                return;
        }
        if (strcmp(member, "Frame") == 0)
                sub_on_frame(s, m);
        else if (strcmp(member, "Lost") == 0)
                sub_on_lost(s, m);
        else if (strcmp(member, "FormatChanged") == 0)
                sub_on_format(s, m);
        else if (strcmp(member, "Ended") == 0)
                sub_on_ended(s, m);
        else if (strcmp(member, "Suspended") == 0 || strcmp(member, "Resumed") == 0) {
                (void)sd_bus_message_read(m, "s", &reason);
                sub_begin(s, member[0] == 'S' ? "suspended" : "resumed");
                json_string("reason", reason);
                json_end();
        }
        client_check_done(s->client);
}

void sub_disconnected(Sub *s, const char *what) {
        if (!s->done)
                order_disconnected(s);
        if (s->done)
                return;
        s->ended = true;
        s->done = !s->client->config.stay;
        sub_begin(s, "disconnected");
        json_string("what", what);
        json_end();
        client_check_done(s->client);
}

/* Calls */

int sub_read_granted(Sub *s, sd_bus_message *m, const char *by) {
        const char *key, *word;
        uint32_t window;
        int r;

        sub_begin(s, "granted");
        json_string("by", by);
        json_string("path", s->path);
        r = json_message("granted", m);
        json_end();
        if (r < 0)
                return r;
        r = sd_bus_message_rewind(m, true);
        while (r >= 0 && (r = sd_bus_message_peek_type(m, NULL, &key)) > 0 &&
               (!key || strcmp(key, "{sv}") != 0))
                r = sd_bus_message_skip(m, NULL);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                (void)sd_bus_message_read(m, "s", &key);
                if (strcmp(key, FB_KEY_SEQ) == 0 && !s->attached)
                        r = sd_bus_message_read(m, "v", "t", &s->seq);
                else if (strcmp(key, FB_KEY_WINDOW) == 0) {
                        r = sd_bus_message_read(m, "v", "u", &window);
                        s->window = r >= 0 && window > s->window ? window : s->window;
                } else if (strcmp(key, FB_KEY_ORDER) == 0) {
                        r = sd_bus_message_read(m, "v", "s", &word);
                        s->causal = r >= 0 && strcmp(word, "causal") == 0;
                } else if (strcmp(key, FB_KEY_COMMITS) == 0) {
                        r = sd_bus_message_read(m, "v", "o", &word);
                        if (r >= 0)
                                snprintf(s->commits, sizeof s->commits, "%s", word);
                } else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        s->attached = true;
        return r;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error, const char *what) {
        Sub *s = userdata;

        if (sd_bus_message_is_method_error(m, NULL)) {
                client_error(s->client, s, what, sd_bus_message_get_error(m), 0);
                return 0;
        }
        if (strcmp(what, "SetOptions") == 0)
                return sub_read_granted(s, m, what) < 0 ? -1 : 0;
        sub_begin(s, what[0] == 'C' ? "closed" : "properties");
        if (what[0] == 'C')
                s->closed = true;
        else
                json_message("properties", m);
        json_end();
        return 0;
}

static int on_set_options(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return on_reply(m, userdata, error, "SetOptions");
}

static int on_close(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Sub *s = userdata;

        (void)on_reply(m, userdata, error, "Close");
        s->done = true;
        client_check_done(s->client);
        return 0;
}

static int on_get_all(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return on_reply(m, userdata, error, "GetAll");
}

int sub_set_options(Sub *s, const Options *options) {
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(s->bus, &m, s->owner, s->path, FB_IFACE_SUBSCRIPTION,
                                           "SetOptions");
        if (r >= 0)
                r = options_append(m, options);
        if (r >= 0)
                r = sd_bus_call_async(s->bus, NULL, m, on_set_options, s, 0);
        sd_bus_message_unref(m);
        return r;
}

void sub_get_properties(Sub *s) {
        int r;

        r = sd_bus_call_method_async(s->bus, NULL, s->owner, s->path, "org.freedesktop.DBus.Properties",
                                     "GetAll", on_get_all, s, "s", FB_IFACE_SUBSCRIPTION);
        if (r < 0)
                client_error(s->client, s, "GetAll", NULL, r);
}

void sub_close(Sub *s) {
        int r;

        r = sd_bus_call_method_async(s->bus, NULL, s->owner, s->path, FB_IFACE_SUBSCRIPTION, "Close",
                                     on_close, s, NULL);
        if (r < 0)
                client_error(s->client, s, "Close", NULL, r);
}

/* The end */

static int compare_u32(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return (x > y) - (x < y);
}

static void latency_print(Sub *s) {
        if (s->n_latencies == 0)
                return;
        qsort(s->latencies_us, s->n_latencies, sizeof(uint32_t), compare_u32);
        json_u64("latency_p50_us", s->latencies_us[s->n_latencies / 2]);
        json_u64("latency_p99_us", s->latencies_us[s->n_latencies * 99 / 100]);
        json_u64("latency_max_us", s->latencies_us[s->n_latencies - 1]);
}

void sub_summary(Sub *s) {
        sub_begin(s, "summary");
        json_u64("delivered", s->delivered);
        json_u64("replayed", s->replayed);
        json_u64("lost", s->lost);
        json_u64("lost_pending", s->pending);
        json_u64("first_seq", s->first_seq);
        json_u64("last_seq", s->seq);
        json_u64("gaps", s->gaps);
        json_bool("gaps_match", s->gaps_match);
        json_u64("problems", s->n_problems);
        json_u64("held", s->n_held);
        latency_print(s);
        for (size_t i = 0; i < s->n_reasons; i++) {
                char key[48];

                snprintf(key, sizeof(key), "lost_%s", s->reasons[i].reason);
                json_u64(key, s->reasons[i].count);
        }
}
