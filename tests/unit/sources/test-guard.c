/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "sources/capture/guard.h"

#define GRACE_NS (50 * NSEC_PER_MSEC)

/* Runs @program as the guarded child, in a process that is guarded itself; @fd is the broker's end. */
typedef struct Guarded {
        pid_t guard, child;
        int fd, told; /* @told: the child's pid, then what it says */
} Guarded;

static void guarded_start(Guarded *g, void (*program)(int channel_fd, int tell_fd)) {
        int channel[2], tell[2];
        bool child = false;
        int r;

        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) == 0);
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, tell) == 0);
        fflush(stdout);
        g->guard = fork();
        if (g->guard == 0) {
                pid_t pid;

                log_init(NULL, LOG_LEVEL_ERROR);
                close(channel[0]);
                close(tell[0]);
                r = guard_fork(channel[1], GRACE_NS, &child);
                if (!child)
                        _exit(r < 0 ? 255 : r);
                pid = getpid();
                if (write(tell[1], &pid, sizeof pid) != sizeof pid)
                        _exit(254);
                program(channel[1], tell[1]);
                _exit(253);
        }
        close(channel[1]);
        close(tell[1]);
        g->fd = channel[0];
        g->told = tell[0];
        REQUIRE(recv(g->told, &g->child, sizeof g->child, MSG_WAITALL) == sizeof g->child);
}

/* The guard's exit code; the child is gone then, too. */
static int guarded_end(Guarded *g) {
        int status = -1;

        CHECK(waitpid(g->guard, &status, 0) == g->guard);
        CHECK(kill(g->child, 0) < 0 && errno == ESRCH);
        fb_close(g->fd);
        close(g->told);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void ends_with_7(int channel_fd, int tell_fd) {
        _exit(7);
}

static void waits_for_hang_up(int channel_fd, int tell_fd) {
        char byte;

        _exit(recv(channel_fd, &byte, 1, 0) == 0 ? 5 : 6);
}

static void hangs(int channel_fd, int tell_fd) {
        for (;;)
                pause();
}

static void hangs_and_ignores(int channel_fd, int tell_fd) {
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGINT, SIG_IGN);
        if (write(tell_fd, "x", 1) == 1)
                hangs(channel_fd, tell_fd);
}

static void says_its_mask(int channel_fd, int tell_fd) {
        sigset_t set;

        (void)sigprocmask(SIG_BLOCK, NULL, &set);
        _exit(sigismember(&set, SIGCHLD) || sigismember(&set, SIGTERM) || getpgrp() != getpid());
}

TEST(exit_code_is_passed_on) {
        Guarded g;

        guarded_start(&g, ends_with_7);
        CHECK_INT(guarded_end(&g), 7);
}

TEST(child_has_signals_and_group_of_its_own) {
        Guarded g;

        guarded_start(&g, says_its_mask);
        CHECK_INT(guarded_end(&g), 0);
}

TEST(who_sees_the_hang_up_ends_by_itself) {
        Guarded g;

        guarded_start(&g, waits_for_hang_up);
        g.fd = (close(g.fd), -1);
        CHECK_INT(guarded_end(&g), 5);
}

TEST(who_does_not_is_told_to_end) {
        Guarded g;

        guarded_start(&g, hangs);
        g.fd = (close(g.fd), -1);
        CHECK_INT(guarded_end(&g), 128 + SIGTERM);
}

TEST(half_a_hang_up_counts) {
        Guarded g;

        guarded_start(&g, hangs);
        CHECK_INT(shutdown(g.fd, SHUT_WR), 0);
        CHECK_INT(guarded_end(&g), 128 + SIGTERM);
}

TEST(who_ignores_that_is_killed) {
        Guarded g;
        char x;

        guarded_start(&g, hangs_and_ignores);
        CHECK_INT(recv(g.told, &x, 1, 0), 1);
        g.fd = (close(g.fd), -1);
        CHECK_INT(guarded_end(&g), 128 + SIGKILL);
}

TEST(signals_are_passed_on) {
        Guarded g;

        guarded_start(&g, hangs);
        CHECK_INT(kill(g.guard, SIGINT), 0);
        CHECK_INT(guarded_end(&g), 128 + SIGINT);
}

TEST_MAIN
