/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two sources, three programs that watch both. Each writes down what it is given, in this order; the books
 * are compared at the end.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ordered.h"

#define CLIENTS 3
#define SOURCES 2
#define STALL_MS 300

static const char *const names[SOURCES] = { "left", "right" };

typedef struct Entry {
        uint64_t order, seq, source;
} Entry;

/* Shared by the processes. */
typedef struct Book {
        uint64_t n, lost;
        Entry entries[];
} Book;

typedef struct Watched {
        struct Client *client;
        uint64_t source;
        bool attached, over;
} Watched;

typedef struct Client {
        const Settings *s;
        Book *book;
        int ready, go, heard;
        Watched watched[SOURCES];
} Client;

static void on_attached(framebus_subscription *sub, const struct framebus_granted *granted, void *userdata) {
        ((Watched *)userdata)->attached = true;
}

static void on_frame(framebus_subscription *sub, framebus_frame *frame, void *userdata) {
        Watched *w = userdata;
        Book *book = w->client->book;

        if (book->n < w->client->s->frames)
                book->entries[book->n++] = (Entry){ framebus_frame_get_order(frame),
                                                    framebus_frame_get_seq(frame), w->source };
        byte_write(w->client->heard);
}

static void on_lost(framebus_subscription *sub, uint64_t count, const char *reason, void *userdata) {
        Watched *w = userdata;

        w->client->book->lost += count;
        for (uint64_t i = 0; i < count; i++)
                byte_write(w->client->heard);
}

static void on_ended(framebus_subscription *sub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        Watched *w = userdata;

        if (strcmp(reason, "destroyed") != 0)
                errx(1, "ended: %s: %s", reason, error ? error->message : "");
        w->over = true;
}

static void run(void *userdata) {
        static const struct framebus_subscription_events events = {
                .version = 0, .attached = on_attached, .frame = on_frame, .lost = on_lost, .ended = on_ended
        };
        framebus_subscription *subs[SOURCES];
        framebus *fb = open_broker();
        Client *c = userdata;

        byte_read(c->go);
        for (unsigned int i = 0; i < SOURCES; i++) {
                c->watched[i] = (Watched){ .client = c, .source = i };
                subs[i] = subscribe(fb, names[i], c->s, &events, &c->watched[i]);
        }
        for (unsigned int i = 0; i < SOURCES; i++)
                run_until(fb, &c->watched[i].attached);
        byte_write(c->ready);
        while (!c->watched[0].over || !c->watched[1].over) {
                if (c->s->nap_us > 0)
                        usleep((useconds_t)c->s->nap_us);
                if (framebus_run_once(fb, UINT64_MAX) < 0)
                        errx(1, "the bus is gone");
        }
        for (unsigned int i = 0; i < SOURCES; i++)
                framebus_subscription_close(subs[i]);
        framebus_close(fb);
}

typedef struct Publishing {
        framebus *fb;
        Source sources[SOURCES];
        const int *heard;
        uint64_t pushed, n_heard[CLIENTS];
} Publishing;

static void push(Publishing *p, unsigned int source) {
        source_push(p->fb, &p->sources[source]);
        p->pushed++;
}

/* A loss is told with the next frame: so one more of each, if nobody says anything. */
static void wait_for_client(Publishing *p, unsigned int client) {
        char bytes[256];
        ssize_t n;

        if (!wait_both(p->fb, p->heard[client], STALL_MS)) {
                if (framebus_process(p->fb) == 0)
                        for (unsigned int i = 0; i < SOURCES; i++)
                                push(p, i);
                return;
        }
        n = read(p->heard[client], bytes, sizeof bytes);
        if (n <= 0)
                errx(1, "a client is gone");
        p->n_heard[client] += (uint64_t)n;
}

/* All clients were given, or have lost, all but the last few. */
static void wait_for_clients(Publishing *p, uint64_t ahead) {
        for (unsigned int i = 0; i < CLIENTS; i++)
                while (p->n_heard[i] + ahead < p->pushed)
                        wait_for_client(p, i);
}

static void publish(const Settings *s, int go, int ready, const int heard[CLIENTS]) {
        Publishing p = { .fb = open_broker(), .heard = heard };
        unsigned int seed = 1;

        for (unsigned int i = 0; i < SOURCES; i++)
                source_publish(p.fb, names[i], &p.sources[i]);
        for (unsigned int i = 0; i < CLIENTS; i++) {
                byte_write(go);
                byte_read(ready);
        }
        while (p.pushed < s->frames) {
                push(&p, (unsigned int)rand_r(&seed) / 7 % SOURCES);
                wait_for_clients(&p, s->ahead);
        }
        wait_for_clients(&p, 0);
        for (unsigned int i = 0; i < SOURCES; i++)
                framebus_publisher_close(p.sources[i].pub);
        framebus_close(p.fb);
}

/* How often the order does not grow. */
static uint64_t count_inversions(const Book *book) {
        uint64_t n = 0;

        for (uint64_t i = 1; i < book->n; i++)
                n += book->entries[i].order <= book->entries[i - 1].order;
        return n;
}

static int entry_compare(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        return x->order < y->order ? -1 : x->order > y->order;
}

/* Frames that have one order here and another one there, or of which one order has two. */
static uint64_t count_differences(Book *a, Book *b) {
        uint64_t i = 0, j = 0, n = 0, common = 0;

        qsort(a->entries, a->n, sizeof *a->entries, entry_compare);
        qsort(b->entries, b->n, sizeof *b->entries, entry_compare);
        while (i < a->n && j < b->n) {
                const Entry *x = &a->entries[i], *y = &b->entries[j];

                if (x->order == y->order) {
                        n += x->source != y->source || x->seq != y->seq;
                        common++;
                        i++, j++;
                } else if (x->order < y->order)
                        i++;
                else
                        j++;
        }
        /* what one has and the other does not was lost for that one */
        if (common + b->lost < a->n || common + a->lost < b->n)
                n++;
        return n;
}

int total(const Settings *s) {
        size_t size = sizeof(Book) + s->frames * sizeof(Entry);
        uint64_t inversions = 0, differences = 0, lost = 0, given = 0;
        int ready[2], go[2], heard[CLIENTS];
        Client clients[CLIENTS];
        pid_t pids[CLIENTS];

        if (pipe(ready) < 0 || pipe(go) < 0)
                err(1, "pipe");
        for (unsigned int i = 0; i < CLIENTS; i++) {
                Book *book = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
                int pair[2];

                if (book == MAP_FAILED || pipe(pair) < 0)
                        err(1, "book");
                heard[i] = pair[0];
                clients[i] = (Client){
                        .s = s, .book = book, .ready = ready[1], .go = go[0], .heard = pair[1]
                };
                pids[i] = process_start(run, &clients[i]);
        }
        publish(s, go[1], ready[0], heard);
        for (unsigned int i = 0; i < CLIENTS; i++)
                if (!process_wait(pids[i]))
                        errx(1, "a client failed");
        for (unsigned int i = 0; i < CLIENTS; i++) {
                inversions += count_inversions(clients[i].book);
                given += clients[i].book->n;
                lost += clients[i].book->lost;
        }
        for (unsigned int i = 1; i < CLIENTS; i++)
                differences += count_differences(clients[0].book, clients[i].book);
        printf("{\"event\": \"total\", \"frames\": %" PRIu64 ", \"given\": %" PRIu64 ", \"lost\": %" PRIu64
               ", \"inversions\": %" PRIu64 ", \"differences\": %" PRIu64 "}\n",
               s->frames, given, lost, inversions, differences);
        return 0;
}
