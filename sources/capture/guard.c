/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three things end the waiting: the child's end (SIGCHLD), a signal to this process, the broker's hang-up.
 * After the hang-up the child has @grace_ns to notice it itself, as well-behaved programs do, then as long
 * after SIGTERM; SIGKILL comes last. Half a hang-up counts as one: who does not write to a capture program
 * any more does not want it any more.
 */
#include "sources/capture/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

typedef struct Guard {
        pid_t child;
        int channel_fd, signal_fd;
        uint64_t grace_ns;
        uint64_t deadline_ns; /* of the next step; UINT64_MAX: nobody hung up */
        bool terminated;
} Guard;

static int exit_code_of(int status) {
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void hung_up(Guard *g) {
        g->channel_fd = -1; /* it would say so for ever */
        g->deadline_ns = clock_now_ns() + g->grace_ns;
}

static void next_step(Guard *g) {
        if (!g->terminated)
                log_warning("the broker hung up and the capture program goes on: it is told to end");
        else
                log_warning("the capture program does not end: it is killed");
        (void)kill(-g->child, g->terminated ? SIGKILL : SIGTERM);
        g->deadline_ns = g->terminated ? UINT64_MAX : clock_now_ns() + g->grace_ns;
        g->terminated = true;
}

static void take_signals(Guard *g) {
        struct signalfd_siginfo info;

        while (read(g->signal_fd, &info, sizeof info) == sizeof info)
                if (info.ssi_signo != SIGCHLD)
                        (void)kill(-g->child, (int)info.ssi_signo);
}

static void wait_a_turn(Guard *g) {
        struct pollfd p[] = {
                { .fd = g->signal_fd, .events = POLLIN },
                { .fd = g->channel_fd, .events = POLLRDHUP },
        };
        uint64_t now_ns = clock_now_ns();
        uint64_t left_ns = g->deadline_ns > now_ns ? g->deadline_ns - now_ns : 0;
        struct timespec ts = { .tv_sec = (time_t)(left_ns / NSEC_PER_SEC),
                               .tv_nsec = (long)(left_ns % NSEC_PER_SEC) };

        if (ppoll(p, FB_ELEMENTSOF(p), g->deadline_ns == UINT64_MAX ? NULL : &ts, NULL) < 0)
                return;
        if (p[0].revents)
                take_signals(g);
        if (p[1].revents)
                hung_up(g);
        if (clock_now_ns() >= g->deadline_ns)
                next_step(g);
}

static int guard_child(Guard *g) {
        int status;
        pid_t r;

        while ((r = waitpid(g->child, &status, WNOHANG)) == 0)
                wait_a_turn(g);
        return r < 0 ? -errno : exit_code_of(status);
}

int guard_fork(int channel_fd, uint64_t grace_ns, bool *ret_child) {
        _cleanup_close_ int signal_fd = -1;
        pid_t parent = getpid();
        sigset_t set, old;
        Guard g;
        int r;

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        if (sigprocmask(SIG_BLOCK, &set, &old) < 0)
                return -errno;
        signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        g = (Guard){ .channel_fd = channel_fd,
                     .signal_fd = signal_fd,
                     .grace_ns = grace_ns,
                     .deadline_ns = UINT64_MAX,
                     .child = signal_fd < 0 ? -1 : fork() };
        if (g.child < 0) {
                r = -errno;
                (void)sigprocmask(SIG_SETMASK, &old, NULL);
                return r;
        }
        *ret_child = g.child == 0;
        if (!*ret_child) {
                (void)setpgid(g.child, g.child); /* both do: whoever is first */
                return guard_child(&g);
        }
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
                (void)raise(SIGTERM);
        (void)sigprocmask(SIG_SETMASK, &old, NULL);
        return 0;
}
