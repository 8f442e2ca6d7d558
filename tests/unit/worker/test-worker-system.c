/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Workers that reach their program through a socket, against a listener of our own. */
#include <sys/un.h>

#include "base/error.h"
#include "rig.h"

static char path[64];

static int listener(int backlog) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        unlink(path);
        strcpy(a.sun_path, path);
        CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        CHECK_INT(listen(fd, backlog), 0);
        return fd;
}

static void begin(Rig *rig) {
        snprintf(path, sizeof path, "/tmp/fb-capture-%d", getpid());
        unlink(path);
        rig_begin(rig, &(WorkerSpec){ .socket_path = path, .request = "SOURCE cam\n" });
}

static void check_reason(Rig *rig, const char *why) {
        char expected[256];

        snprintf(expected, sizeof expected, "the capture socket %s: %s", path, why);
        CHECK_STR(rig->reason, expected);
}

TEST(worker_system_asks_for_its_source) {
        char line[64] = "";
        int l, c;
        Rig rig;

        begin(&rig);
        l = listener(8);
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_connected, 1));
        c = accept4(l, NULL, NULL, SOCK_CLOEXEC);
        CHECK_INT(recv(c, line, sizeof line - 1, 0), 11);
        CHECK_STR(line, "SOURCE cam\n");
        CHECK_INT(send(c, "frame", 5, 0), 5);
        rig_run_ms(&rig, 20);
        CHECK_STR(rig.read, "frame");
        close(c);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        CHECK_STR(rig.reason,
                  "the capture program hung up; why is in the journal of framebus-capture@*.service");
        CHECK(rig.retry_ns / NSEC_PER_MSEC > 50 && rig.retry_ns / NSEC_PER_MSEC <= 100);
        CHECK(rig_wait(&rig, &rig.n_connected, 2));
        rig_close(&rig);
        worker_stop(rig.worker);
        rig_run_ms(&rig, 300);
        CHECK_INT(rig.n_connected, 2);
        CHECK_INT(rig.n_ended, 1);
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_connected, 3));
        close(l);
        rig_end(&rig);
        unlink(path);
}

TEST(worker_system_says_what_is_wrong_with_the_socket) {
        int l;
        Rig rig;

        begin(&rig);
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        check_reason(&rig, "No such file or directory");
        l = listener(1);
        close(l);
        CHECK(rig_wait(&rig, &rig.n_ended, 2));
        check_reason(&rig, "Connection refused");
        CHECK_INT(rig.n_connected, 0);
        l = listener(1);
        CHECK(rig_wait(&rig, &rig.n_connected, 1)); /* heals */
        close(l);
        rig_end(&rig);
        unlink(path);
}

TEST(worker_system_does_not_block_on_a_full_backlog) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int l, c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint64_t start_ns;
        Rig rig;

        begin(&rig);
        l = listener(0);
        strcpy(a.sun_path, path);
        CHECK_INT(connect(c, (struct sockaddr *)&a, sizeof a), 0); /* a backlog of 0 takes one */
        start_ns = clock_now_ns();
        worker_start(rig.worker);
        CHECK(rig_wait(&rig, &rig.n_ended, 1));
        CHECK(clock_now_ns() - start_ns < NSEC_PER_SEC);
        check_reason(&rig, "too many captures are being started");
        close(accept4(l, NULL, NULL, SOCK_CLOEXEC));
        CHECK(rig_wait(&rig, &rig.n_connected, 1));
        close(c);
        close(l);
        rig_end(&rig);
        unlink(path);
}

TEST_MAIN
