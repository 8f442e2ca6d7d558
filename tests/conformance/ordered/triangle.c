/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A source, B and C, which watch it. B, when it is given a frame, tells C of it by another way. C looks
 * whether it was given that frame before. One that is given to it later is a violation; one that is lost for
 * it is not.
 *
 * Nothing here waits for time: a frame is pushed when C has heard of all but the last few.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "ordered.h"

#define SUSPECTS_MAX 64
#define STALL_MS     500

typedef struct Act {
        uint64_t order, seq;
} Act;

/* Shared by the processes. */
typedef struct Score {
        uint64_t acts, violations, excused, lost, given;
        uint64_t silent; /* frames that were lost for B: it does not act */
        char name[64]; /* of C on the bus */
} Score;

typedef struct Party {
        const Settings *s;
        Score *score;
        framebus *fb;
        bool attached, over;
        int go, ready;      /* bytes from and to the publisher */
        int act;            /* from B to C */
        int heard;          /* C: bytes to the publisher */
        uint64_t last_seq, lost_since;
        uint64_t suspects[SUSPECTS_MAX]; /* C was told, and has not been given */
        size_t n_suspects;
} Party;

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        ((Party *)userdata)->attached = true;
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        Party *p = userdata;

        p->score->lost += count;
        p->lost_since += count;
        if (p->heard < 0)
                __atomic_fetch_add(&p->score->silent, count, __ATOMIC_RELAXED);
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        Party *p = userdata;

        if (strcmp(reason, "destroyed") != 0)
                errx(1, "ended: %s: %s", reason, error ? error->message : "");
        p->over = true;
}

/* B */

static void act_by_bus(Party *b, const Act *a) {
        sd_bus_message *m = NULL;
        sd_bus *bus = framebus_get_bus(b->fb);

        if (sd_bus_message_new_method_call(bus, &m, b->score->name, "/c", "org.example.C", "Act") < 0 ||
            sd_bus_message_append(m, "tt", a->order, a->seq) < 0 ||
            sd_bus_message_set_expect_reply(m, 0) < 0 || sd_bus_send(bus, m, NULL) < 0)
                errx(1, "act");
        sd_bus_message_unref(m);
}

static void b_on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        Party *b = userdata;
        const Act a = { framebus_frame_get_order(frame), framebus_frame_get_seq(frame) };

        if (b->s->by_bus)
                act_by_bus(b, &a);
        else if (write(b->act, &a, sizeof a) != sizeof a)
                err(1, "act");
}

/* C */

static void c_on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        Party *c = userdata;
        size_t n = 0;

        c->last_seq = framebus_frame_get_seq(frame);
        c->lost_since = 0;
        c->score->given++;
        for (size_t i = 0; i < c->n_suspects; i++)
                if (c->suspects[i] == c->last_seq)
                        c->score->violations++;
                else if (c->suspects[i] < c->last_seq)
                        c->score->excused++;
                else
                        c->suspects[n++] = c->suspects[i];
        c->n_suspects = n;
}

static void c_hears(Party *c, uint64_t seq) {
        c->score->acts++;
        if (seq > c->last_seq && c->n_suspects < SUSPECTS_MAX)
                c->suspects[c->n_suspects++] = seq;
        byte_write(c->heard);
}

typedef struct Heard {
        Party *c;
        Act act;
} Heard;

static void on_barrier(framebus *fb, void *userdata) {
        Heard *h = userdata;

        c_hears(h->c, h->act.seq);
        free(h);
}

static void c_reads(Party *c) {
        Heard *h;
        Act a;
        int r;

        if (recv(c->act, &a, sizeof a, MSG_DONTWAIT) != sizeof a)
                return;
        if (c->s->order == FRAMEBUS_ORDER_FIFO) /* it has no barrier; this is what can be done */
                while (!c->s->no_barrier && framebus_process(c->fb) > 0)
                        ;
        if (c->s->no_barrier || c->s->order == FRAMEBUS_ORDER_FIFO) {
                c_hears(c, a.seq);
                return;
        }
        h = malloc(sizeof *h);
        if (!h)
                errx(1, "no memory");
        *h = (Heard){ c, a };
        r = framebus_barrier(c->fb, a.order, on_barrier, h);
        if (r < 0)
                errx(1, "barrier: %d", r);
        if (r > 0)
                on_barrier(c->fb, h);
}

static int on_act(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Act a;

        if (sd_bus_message_read(m, "tt", &a.order, &a.seq) < 0)
                return -EBADMSG;
        c_hears(userdata, a.seq);
        return 1;
}

static const sd_bus_vtable c_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Act", "tt", "", on_act, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void c_prepare(Party *c) {
        const char *name;

        while (!framebus_get_bus(c->fb))
                framebus_run_once(c->fb, UINT64_MAX);
        if (sd_bus_add_object_vtable(framebus_get_bus(c->fb), NULL, "/c", "org.example.C", c_vtable, c) < 0 ||
            sd_bus_get_unique_name(framebus_get_bus(c->fb), &name) < 0)
                errx(1, "C's object");
        snprintf(c->score->name, sizeof c->score->name, "%s", name);
        byte_write(c->ready);
}

/* Both */

static void run(Party *p, bool is_c) {
        const struct framebus_subscription_events events = { .version = 0,
                                                             .attached = on_attached,
                                                             .frame = is_c ? c_on_frame : b_on_frame,
                                                             .lost = on_lost,
                                                             .ended = on_ended };
        framebus_subscription *sub;

        p->fb = open_broker();
        if (is_c)
                c_prepare(p);
        byte_read(p->go);
        sub = subscribe(p->fb, "triangle", p->s, &events, p);
        run_until(p->fb, &p->attached);
        byte_write(p->ready);
        while (!p->over) {
                bool told = wait_both(p->fb, is_c ? p->act : p->go, -1);

                if (is_c && p->s->nap_us > 0)
                        usleep((useconds_t)p->s->nap_us);
                if (is_c && told)
                        c_reads(p);
                if (framebus_process(p->fb) < 0)
                        errx(1, "the bus is gone");
        }
        if (p->n_suspects > p->lost_since) /* never given, and not lost */
                p->score->violations += p->n_suspects - p->lost_since;
        framebus_subscription_close(sub);
        framebus_close(p->fb);
}

static void run_b(void *userdata) {
        run(userdata, false);
}

static void run_c(void *userdata) {
        run(userdata, true);
}

/* The source */

static void publish(const Settings *s, const Score *score, int go[2], int ready, int heard) {
        framebus *fb = open_broker();
        uint64_t pushed = 0, n_heard = 0, done = 0;
        Source source = { 0 };

        byte_read(ready); /* C has a name */
        source_publish(fb, "triangle", &source);
        for (int i = 0; i < 2; i++) {
                byte_write(go[i]);
                byte_read(ready);
        }
        while (done < s->frames) {
                bool stalls = false;

                if (pushed >= done + s->ahead || pushed >= s->frames) {
                        if (wait_both(fb, heard, STALL_MS)) {
                                byte_read(heard);
                                n_heard++;
                        } else
                                stalls = framebus_process(fb) == 0; /* a loss is told with the next frame */
                }
                done = n_heard + __atomic_load_n(&score->silent, __ATOMIC_RELAXED);
                if (stalls || (pushed < s->frames && pushed < done + s->ahead)) {
                        source_push(fb, &source);
                        pushed++;
                }
        }
        framebus_publisher_close(source.pub);
        framebus_close(fb);
}

int triangle(const Settings *s) {
        int go_b[2], go_c[2], ready[2], act[2], heard[2];
        Score *score = mmap(NULL, 2 * sizeof *score, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                            0);
        pid_t pids[2];
        Party b, c;

        if (score == MAP_FAILED || pipe(go_b) < 0 || pipe(go_c) < 0 || pipe(ready) < 0 || pipe(heard) < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET, 0, act) < 0)
                err(1, "set up");
        b = (Party){ .s = s, .score = score, .go = go_b[0], .ready = ready[1], .act = act[0], .heard = -1 };
        c = (Party){
                .s = s, .score = score, .go = go_c[0], .ready = ready[1], .act = act[1], .heard = heard[1]
        };
        pids[0] = process_start(run_b, &b);
        pids[1] = process_start(run_c, &c);
        publish(s, score, s->c_first ? (int[]){ go_c[1], go_b[1] } : (int[]){ go_b[1], go_c[1] }, ready[0],
                heard[0]);
        if (!process_wait(pids[0]) || !process_wait(pids[1]))
                errx(1, "B or C failed");
        printf("{\"event\": \"triangle\", \"frames\": %" PRIu64 ", \"acts\": %" PRIu64 ", \"given\": %" PRIu64
               ", \"violations\": %" PRIu64 ", \"excused\": %" PRIu64 ", \"lost\": %" PRIu64 "}\n",
               s->frames, score->acts, score->given, score->violations, score->excused, score->lost);
        return 0;
}
