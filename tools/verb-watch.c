/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebusctl watch: subscribes, looks at no pixel, and prints a line a second about what comes.
 * Latency is from capture to callback; replayed frames count for nothing.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/sampler.h"
#include "tools/client.h"
#include "tools/json.h"
#include "tools/mode-arg.h"
#include "tools/show.h"
#include "tools/tally.h"
#include "tools/text.h"
#include "tools/verbs.h"

typedef struct WatchVerb {
        Client client;
        framebus_subscription *sub;
        Tally tally;
        Sampler second, run;    /* latencies */
        uint64_t second_frames; /* in this second */
        uint64_t second_start_ns;
        uint64_t start_ns; /* first attached; 0: not yet */
        uint64_t end_ns;   /* --seconds; UINT64_MAX: none */
        uint64_t attached; /* times */
        bool json;
} WatchVerb;

static void watch_deinit(WatchVerb *w) {
        w->sub = framebus_subscription_close(w->sub);
        client_close(&w->client);
}

static void event_begin(WatchVerb *w, Json *j, const char *event) {
        json_begin_line(j, stdout);
        json_string(j, "event", event);
        json_string(j, "source", w->client.source);
}

static void stats_json(WatchVerb *w, Json *j, uint64_t frames, uint64_t elapsed_ns,
                       const Sampler *latencies) {
        uint64_t p[2];

        sampler_percentiles(latencies, (const double[]){ 50, 99 }, 2, p);
        json_real(j, "seconds", (double)elapsed_ns / 1e9, 3);
        json_real(j, "rate", elapsed_ns > 0 ? (double)frames * 1e9 / (double)elapsed_ns : 0, 2);
        json_real(j, "latency-p50-ms", (double)p[0] / 1e6, 3);
        json_real(j, "latency-p99-ms", (double)p[1] / 1e6, 3);
        json_uint(j, "frames", w->tally.frames);
        json_begin_object(j, "frames-by-memory");
        for (uint32_t kind = 0; kind < FB_MEMORY_KINDS; kind++)
                if (w->tally.by_memory[kind] > 0)
                        json_uint(j, fb_memory_to_string(kind), w->tally.by_memory[kind]);
        json_end_object(j);
        json_uint(j, "lost", w->tally.lost);
        json_begin_object(j, "lost-by-reason");
        for (size_t i = 0; i < w->tally.n_reasons; i++)
                json_uint(j, w->tally.reasons[i].reason, w->tally.reasons[i].count);
        json_end_object(j);
        json_uint(j, "unexplained", w->tally.unexplained);
}

static void stats_text(WatchVerb *w, uint64_t frames, uint64_t elapsed_ns, const Sampler *latencies) {
        char lost[256], total[96];
        uint64_t p[2];

        sampler_percentiles(latencies, (const double[]){ 50, 99 }, 2, p);
        printf("%6.2f fps  latency p50 %.2f ms p99 %.2f ms  frames %s  lost ",
               elapsed_ns > 0 ? (double)frames * 1e9 / (double)elapsed_ns : 0, (double)p[0] / 1e6,
               (double)p[1] / 1e6, tally_frames_format(&w->tally, total, sizeof(total)));
        text_print(stdout, tally_lost_format(&w->tally, lost, sizeof(lost)));
        if (w->tally.unexplained > 0)
                printf("  unexplained %" PRIu64, w->tally.unexplained);
        putchar('\n');
}

static void second_print(WatchVerb *w, uint64_t now_ns) {
        uint64_t elapsed_ns = now_ns - w->second_start_ns;
        Json j;

        if (w->json) {
                event_begin(w, &j, "second");
                stats_json(w, &j, w->second_frames, elapsed_ns, &w->second);
                client_check_output(&w->client, json_end_line(&j));
        } else {
                stats_text(w, w->second_frames, elapsed_ns, &w->second);
                client_check_output(&w->client, text_flush(stdout));
        }
        w->second = (Sampler){};
        w->second_frames = 0;
        w->second_start_ns = now_ns;
}

static void summary_print(WatchVerb *w) {
        uint64_t elapsed_ns = w->start_ns > 0 ? clock_now_ns() - w->start_ns : 0;
        Json j;

        if (w->json) {
                event_begin(w, &j, "summary");
                json_uint(&j, "attached", w->attached);
                stats_json(w, &j, w->tally.frames, elapsed_ns, &w->run);
                (void)json_end_line(&j);
                return;
        }
        printf("%s: %.1f s: ", w->client.source, (double)elapsed_ns / 1e9);
        stats_text(w, w->tally.frames, elapsed_ns, &w->run);
        (void)text_flush(stdout);
}

static void on_tick(Client *c, uint64_t now_ns, void *userdata) {
        WatchVerb *w = userdata;

        if (now_ns >= w->end_ns) {
                client_finish(c, STATUS_OK);
                return;
        }
        if (now_ns >= w->second_start_ns + NSEC_PER_SEC)
                second_print(w, now_ns);
        c->tick_ns = FB_MIN(w->second_start_ns + NSEC_PER_SEC, w->end_ns);
}

/* A line about something that happened: text for people, an event for machines. */
static void happened(WatchVerb *w, const char *event, const char *text, const char *reason) {
        Json j;

        if (w->json) {
                event_begin(w, &j, event);
                if (reason)
                        json_string(&j, "reason", reason);
                client_check_output(&w->client, json_end_line(&j));
                return;
        }
        printf("%s: %s", w->client.source, text);
        if (reason) {
                fputs(": ", stdout);
                text_print(stdout, reason);
        }
        putchar('\n');
        client_check_output(&w->client, text_flush(stdout));
}

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        WatchVerb *w = userdata;
        uint64_t now_ns = clock_now_ns();
        Json j;

        w->attached++;
        tally_attached(&w->tally, granted->seq);
        if (w->start_ns == 0) {
                w->start_ns = w->second_start_ns = now_ns;
                if (w->client.options->seconds_ns > 0)
                        w->end_ns = now_ns + w->client.options->seconds_ns;
                w->client.tick_ns = FB_MIN(now_ns + NSEC_PER_SEC, w->end_ns);
        }
        client_wait_for(&w->client, "a frame", 0);

        if (w->json) {
                event_begin(w, &j, "attached");
                json_string(&j, "transport",
                            w->client.options->transport == FRAMEBUS_TRANSPORT_BUS ? "bus" : "peer");
                show_granted_json(&j, granted);
                client_check_output(&w->client, json_end_line(&j));
                return;
        }
        printf("%s: %s", w->client.source, w->attached > 1 ? "attached again: " : "");
        show_granted(stdout, granted);
        printf(", by %s\n",
               w->client.options->transport == FRAMEBUS_TRANSPORT_BUS ? "the bus" : "a channel of its own");
        client_check_output(&w->client, text_flush(stdout));
}

static void on_format(framebus_subscription *sub, uint32_t format, const struct framebus_mode *mode,
                      void *userdata) {
        WatchVerb *w = userdata;
        char text[MODE_ARG_MAX];
        Json j;

        if (!w->json) {
                happened(w, "format", "frames look like", mode_format(mode, text));
                return;
        }
        event_begin(w, &j, "format");
        json_uint(&j, "format", format);
        show_mode_json(&j, "mode", mode);
        client_check_output(&w->client, json_end_line(&j));
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        WatchVerb *w = userdata;
        uint64_t now_ns = clock_now_ns(), pts_ns = framebus_frame_get_pts_ns(frame);

        if (w->client.done)
                return; /* what came with the last one that was wanted */
        client_wait_for(&w->client, "a frame", 0);
        if (framebus_frame_get_flags(frame) & FRAMEBUS_FRAME_REPLAYED)
                return;

        (void)tally_frame(&w->tally, framebus_frame_get_seq(frame), framebus_frame_get_memory(frame));
        w->second_frames++;
        if (now_ns >= pts_ns) {
                sampler_add(&w->second, now_ns - pts_ns);
                sampler_add(&w->run, now_ns - pts_ns);
        }
        if (w->tally.frames == w->client.options->frames)
                client_finish(&w->client, STATUS_OK);
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        WatchVerb *w = userdata;

        if (!w->client.done)
                tally_lost(&w->tally, count, reason);
}

static void on_suspended(framebus_subscription *sub, const char *reason, void *userdata) {
        happened(userdata, "suspended", "suspended", reason);
}

static void on_resumed(framebus_subscription *sub, void *userdata) {
        happened(userdata, "resumed", "resumed", NULL);
}

static void on_disconnected(framebus_subscription *sub, uint64_t retry_ns, void *userdata) {
        WatchVerb *w = userdata;
        char text[64];

        snprintf(text, sizeof(text), "trying again in %.1f s", (double)retry_ns / 1e9);
        happened(w, "disconnected", "the broker or its channel is gone", text);
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        WatchVerb *w = userdata;

        if (w->client.done)
                return;
        if (w->json)
                happened(w, "ended", NULL, reason);
        client_finish(&w->client, client_tell_ended(&w->client, reason, error));
}

int verb_watch(const Options *o, char **args) {
        static const struct framebus_subscription_events events = {
                .version = FRAMEBUS_SUBSCRIPTION_EVENTS_VERSION,
                .attached = on_attached,
                .format = on_format,
                .frame = on_frame,
                .lost = on_lost,
                .suspended = on_suspended,
                .resumed = on_resumed,
                .disconnected = on_disconnected,
                .ended = on_ended,
        };
        _cleanup_(watch_deinit) WatchVerb w = { .json = o->json, .end_ns = UINT64_MAX };
        struct framebus_subscribe_options options = options_to_subscribe(o);
        int r;

        r = client_open(&w.client, o, args[0]);
        if (r != STATUS_OK)
                return r;
        w.client.interrupt_status = STATUS_OK;
        w.client.on_tick = on_tick;
        w.client.userdata = &w;
        client_wait_for(&w.client, "the subscription", 30 * NSEC_PER_SEC);
        r = framebus_subscribe(w.client.fb, args[0], &options, &events, &w, &w.sub);
        if (r < 0)
                client_fail_errno(&w.client, r, "cannot subscribe");
        r = client_run(&w.client);
        if (w.attached > 0)
                summary_print(&w);
        return r;
}
