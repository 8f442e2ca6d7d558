/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib-mutator: a publisher on libframebus, for tests, that does to its memory all that it should not, before,
 * while and after it is with others: a second thread writes to it, truncates, grows and punches it, and adds
 * seals meanwhile.
 *
 * Prints one JSON object a line: published, start, broken (what was sealed could be changed after all),
 * ended, summary: how many frames were pushed that have to be taken, have to be refused, and may be either.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/bus/client/json.h"
#include "tests/bus/client/lib-loop.h"

#define WIDTH   128
#define HEIGHT  128
#define SIZE    (WIDTH * HEIGHT)
#define VICTIMS 16

#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
#define LEASED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

typedef enum Outcome { TAKEN, REFUSED, EITHER } Outcome;

/* What the second thread works on. Its descriptors are duplicates, and its mappings its own. */
typedef struct Victim {
        atomic_int state; /* 0: free, 1: to be worked on, 2: to be let go */
        int fd;
        bool sealed, racing;
        void *data; /* of what is mapped for writing; NULL: nothing */
        uint64_t id;
} Victim;

typedef struct Mutator {
        LibLoop loop;
        framebus_publisher *pub;
        Victim victims[VICTIMS];
        size_t next_victim;
        pthread_t thread;
        atomic_bool ending;
        atomic_ullong n_writes, n_broken;
        uint64_t n_frames, last_id, stamp, next_ns, n_refused, n_pushed[3], n_local;
        bool running;
} Mutator;

/* ---- the second thread ---- */

static void must_fail(Mutator *m, long r, const char *what) {
        if (r < 0)
                return;
        atomic_fetch_add(&m->n_broken, 1);
        fprintf(stderr, "lib-mutator: %s of what is sealed\n", what);
}

static void attack_sealed(Mutator *m, Victim *v) {
        void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);

        must_fail(m, p == MAP_FAILED ? -1 : 0, "a mapping for writing");
        must_fail(m, pwrite(v->fd, "x", 1, 0), "a write");
        must_fail(m, ftruncate(v->fd, 0), "a truncation");
        must_fail(m, ftruncate(v->fd, 2 * SIZE), "a growth");
        must_fail(m, fallocate(v->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE), "a hole");
        must_fail(m, fcntl(v->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), "a seal");
}

/* Its size changes all the time, until all of a sudden it is sealed, or somebody looks. */
static void attack_racing(Victim *v) {
        for (unsigned i = 0; i < 64; i++) {
                (void)!ftruncate(v->fd, i % 2 ? SIZE : 0);
                (void)!fallocate(v->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE / 2);
        }
        (void)!ftruncate(v->fd, v->id % 3 ? SIZE : 1);
        (void)fcntl(v->fd, F_ADD_SEALS, SEALED);
}

/* Who publishes this lies to its receivers, and can do nothing but change what they see. */
static void attack_leased(Mutator *m, Victim *v) {
        stamp_write(v->data, SIZE / 8, ++v->id);
        (void)madvise(v->data, SIZE, MADV_REMOVE);
        (void)!fallocate(v->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE);
        (void)!ftruncate(v->fd, 0);
        (void)!ftruncate(v->fd, 2 * SIZE);
        (void)mprotect(v->data, SIZE, PROT_READ);
        (void)mprotect(v->data, SIZE, PROT_READ | PROT_WRITE);
        atomic_fetch_add(&m->n_writes, 1);
}

static void victim_clear(Victim *v) {
        if (v->data)
                munmap(v->data, SIZE);
        close(v->fd);
        v->data = NULL;
        atomic_store(&v->state, 0);
}

static void *thread_run(void *userdata) {
        Mutator *m = userdata;

        while (!atomic_load(&m->ending))
                for (size_t i = 0; i < VICTIMS; i++) {
                        Victim *v = &m->victims[i];
                        int state = atomic_load(&v->state);

                        if (state == 2)
                                victim_clear(v);
                        else if (state == 1 && v->sealed)
                                attack_sealed(m, v);
                        else if (state == 1 && v->racing)
                                attack_racing(v);
                        else if (state == 1 && v->data)
                                attack_leased(m, v);
                        else
                                usleep(50);
                }
        return NULL;
}

/* ---- frames ---- */

static int memory_new(Mutator *m, uint64_t size, int seals, void **ret_map) {
        static char content[SIZE];
        int fd = memfd_create("lib-mutator", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        stamp_write(content, SIZE / 8, ++m->stamp);
        if (fd < 0 || (size > 0 && pwrite(fd, content, size, 0) != (ssize_t)size))
                abort();
        if (ret_map) {
                *ret_map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                if (*ret_map == MAP_FAILED)
                        abort();
        }
        if (seals && fcntl(fd, F_ADD_SEALS, seals) < 0)
                abort();
        return fd;
}

/* Hands it to the second thread; the oldest one is let go. */
static void give_to_thread(Mutator *m, int fd, bool sealed, bool racing, void *data) {
        Victim *v = &m->victims[m->next_victim], *oldest;

        if (atomic_load(&v->state) != 0) { /* that one is busy: this frame is left alone */
                if (data)
                        munmap(data, SIZE);
                return;
        }
        v->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        v->sealed = sealed;
        v->racing = racing;
        v->data = data;
        v->id = m->stamp;
        atomic_store(&v->state, 1);
        m->next_victim = (m->next_victim + 1) % VICTIMS;
        oldest = &m->victims[(m->next_victim + VICTIMS / 2) % VICTIMS];
        if (atomic_load(&oldest->state) == 1)
                atomic_store(&oldest->state, 2);
}

static int push(Mutator *m, int fd, enum framebus_memory memory, uint64_t id) {
        struct framebus_push_info info = {
                        .version = FRAMEBUS_PUSH_INFO_VERSION, .memory = memory, .buffer = id,
                        .n_planes = 1, .planes[0] = {.stride = WIDTH, .size = SIZE},
        };

        return framebus_publisher_push_fds(m->pub, &fd, 1, &info);
}

static const struct {
        int seals;
        enum framebus_memory memory;
        uint64_t size;
        bool racing;
        Outcome outcome;
} ways[] = {
                {SEALED, FRAMEBUS_MEMORY_SEALED, SIZE, false, TAKEN},
                {LEASED, FRAMEBUS_MEMORY_LEASED, SIZE, false, TAKEN},
                /* is sealed while it is looked at */
                {0, FRAMEBUS_MEMORY_SEALED, SIZE, true, EITHER},
                {F_SEAL_SHRINK | F_SEAL_GROW, FRAMEBUS_MEMORY_SEALED, SIZE, false, REFUSED},
                {SEALED & ~F_SEAL_SEAL, FRAMEBUS_MEMORY_SEALED, SIZE, false, REFUSED},
                /* claims to be sealed */
                {LEASED | F_SEAL_SEAL, FRAMEBUS_MEMORY_SEALED, SIZE, false, REFUSED},
                {SEALED, FRAMEBUS_MEMORY_SEALED, SIZE - 1, false, REFUSED},
                {SEALED, FRAMEBUS_MEMORY_SEALED, 0, false, REFUSED},
                {F_SEAL_GROW | F_SEAL_FUTURE_WRITE, FRAMEBUS_MEMORY_LEASED, SIZE, true, EITHER},
                {F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, FRAMEBUS_MEMORY_LEASED, SIZE, false, REFUSED},
                {F_SEAL_SHRINK | F_SEAL_GROW, FRAMEBUS_MEMORY_LEASED, SIZE, false, REFUSED},
                {LEASED, FRAMEBUS_MEMORY_LEASED, SIZE - 1, false, REFUSED},
};

/* Other memory under the number of a buffer that came back. */
static int push_swapped(Mutator *m) {
        _cleanup_close_ int fd = memory_new(m, SIZE, LEASED, NULL);

        return push(m, fd, FRAMEBUS_MEMORY_LEASED, 1);
}

static void count(Mutator *m, int r, Outcome outcome) {
        if (r == -EAGAIN || r == -EBUSY)
                return;
        if (r < 0) /* the library itself did not want it */
                m->n_local++;
        else
                m->n_pushed[outcome]++;
        m->n_frames++;
}

static void mutate(Mutator *m) {
        size_t i = m->n_frames % (FB_ELEMENTSOF(ways) + 1);
        _cleanup_close_ int fd = -1;
        bool leased;
        void *data = NULL;
        int r;

        if (i == FB_ELEMENTSOF(ways)) {
                count(m, push_swapped(m), m->last_id > 0 ? REFUSED : TAKEN);
                return;
        }
        leased = ways[i].memory == FRAMEBUS_MEMORY_LEASED;
        fd = memory_new(m, ways[i].size, ways[i].seals, leased && ways[i].size == SIZE ? &data : NULL);
        if (ways[i].racing)
                give_to_thread(m, fd, false, true, data);
        r = push(m, fd, ways[i].memory, leased ? ++m->last_id : 0);
        count(m, r, ways[i].outcome);
        if (ways[i].outcome == REFUSED && leased)
                (void)framebus_publisher_forget(m->pub, m->last_id);
        if (ways[i].outcome == TAKEN && r >= 0)
                give_to_thread(m, fd, !leased, false, data);
        else if (!ways[i].racing && data)
                munmap(data, SIZE);
}

/* ---- life ---- */

static void on_published(framebus_publisher *pub, const char *path, void *userdata) {
        json_begin("published");
        json_end();
}

static void on_start(framebus_publisher *pub, const struct framebus_mode *mode, void *userdata) {
        ((Mutator *)userdata)->running = framebus_publisher_set_format(pub, mode) >= 0;
        json_begin("start");
        json_end();
}

static void on_stop(framebus_publisher *pub, void *userdata) {
        ((Mutator *)userdata)->running = false;
}

static void on_refused(framebus_publisher *pub, uint64_t seq, const struct framebus_error *error,
                       void *userdata) {
        ((Mutator *)userdata)->n_refused++;
}

/* It is ours again, and of no more use: another one comes under another number, but for the first. */
static void on_released(framebus_publisher *pub, uint64_t buffer, void *userdata) {
        if (buffer != 1)
                (void)framebus_publisher_forget(pub, buffer);
}

static void on_ended(framebus_publisher *pub, const char *reason, const struct framebus_error *error,
                     void *userdata) {
        ((Mutator *)userdata)->loop.quit = true;
        json_begin("ended");
        json_string("reason", error ? error->name : reason);
        json_end();
}

static void on_work(void *userdata) {
        Mutator *m = userdata;
        uint64_t now_ns = clock_now_ns();

        m->loop.due_ns = m->running ? m->next_ns : UINT64_MAX;
        if (!m->running || now_ns < m->next_ns)
                return;
        mutate(m);
        m->loop.due_ns = m->next_ns = now_ns + 500 * NSEC_PER_USEC;
}

static void on_command(char **words, void *userdata) {
        Mutator *m = userdata;

        json_begin("progress");
        json_u64("frames", m->n_frames);
        json_end();
}

static void summary(Mutator *m, int r) {
        json_begin("summary");
        json_u64("taken", m->n_pushed[TAKEN]);
        json_u64("wrong", m->n_pushed[REFUSED]);
        json_u64("either", m->n_pushed[EITHER]);
        json_u64("local", m->n_local);
        json_u64("refused", m->n_refused);
        json_u64("writes", atomic_load(&m->n_writes));
        json_u64("broken", atomic_load(&m->n_broken));
        json_i64("error", r);
        json_end();
}

int main(int argc, char **argv) {
        static const struct framebus_publisher_events events = {
                .version = FRAMEBUS_PUBLISHER_EVENTS_VERSION,
                .published = on_published,
                .start = on_start,
                .stop = on_stop,
                .refused = on_refused,
                .ended = on_ended,
                .released = on_released,
        };
        struct framebus_mode mode = { .fourcc = framebus_fourcc_from_string("R8"),
                                      .width = WIDTH,
                                      .height = HEIGHT,
                                      .rate = { 1000, 1 } };
        struct framebus_publish_options options = {
                        .version = FRAMEBUS_PUBLISH_OPTIONS_VERSION, .modes = &mode, .n_modes = 1,
                        .memories = (const enum framebus_memory[]){FRAMEBUS_MEMORY_LEASED}, .n_memories = 1,
        };
        static Mutator m;
        int r;

        if (argc != 2)
                return 1;
        m.loop = (LibLoop){.command = on_command, .work = on_work, .userdata = &m, .due_ns = UINT64_MAX};
        r = framebus_open(&m.loop.fb, NULL);
        if (r >= 0)
                r = framebus_publish(m.loop.fb, argv[1], &options, &events, &m, &m.pub);
        if (r >= 0)
                r = -pthread_create(&m.thread, NULL, thread_run, &m);
        if (r >= 0) {
                r = lib_loop_run(&m.loop);
                atomic_store(&m.ending, true);
                pthread_join(m.thread, NULL);
        }
        framebus_publisher_close(m.pub);
        framebus_close(m.loop.fb);
        for (size_t i = 0; i < VICTIMS; i++)
                if (atomic_load(&m.victims[i].state) != 0)
                        victim_clear(&m.victims[i]);
        summary(&m, r);
        return r < 0;
}
