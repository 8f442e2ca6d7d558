/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes of one measurement.
 *
 * Invariants: a child dies with the benchmark, whatever happens; only what was started here is ended here.
 * CPU time comes from the scheduler (schedstat), in nanoseconds: utime and stime of /proc/PID/stat count
 * ticks of 10 ms.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench/bench.h"

static void child_begin(void) {
        sigset_t none;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
}

void group_add(Group *g, Role role, pid_t pid) {
        if (g->n < BENCH_PROCS_MAX)
                g->procs[g->n++] = (Proc){.pid = pid, .role = role};
}

pid_t group_fork(Group *g, Role role) {
        pid_t pid;

        if (g->n == BENCH_PROCS_MAX)
                return -E2BIG;
        fflush(NULL);
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                child_begin();
                return 0;
        }
        group_add(g, role, pid);
        g->procs[g->n - 1].child = true;
        return pid;
}

int group_spawn(Group *g, Role role, char *const *argv, const char *const *env, int *ret_output) {
        _cleanup_close_ int in = -1, out = -1;
        int pair[2], null;
        pid_t pid;

        if (ret_output) {
                if (pipe2(pair, O_CLOEXEC) < 0)
                        return -errno;
                in = pair[0];
                out = pair[1];
        }
        pid = group_fork(g, role);
        if (pid < 0)
                return pid;
        if (pid == 0) {
                for (; env && *env; env++)
                        putenv((char *)*env);
                if (out >= 0)
                        dup2(out, STDOUT_FILENO);
                if (role == ROLE_BUS && (null = open("/dev/null", O_WRONLY | O_CLOEXEC)) >= 0)
                        dup2(null, STDERR_FILENO); /* buses tell everything that they do */
                execvp(argv[0], argv);
                fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
                _exit(127);
        }
        if (ret_output)
                *ret_output = take_fd(in);
        return 0;
}

static uint64_t cpu_of(pid_t pid) {
        char path[64];
        uint64_t ns = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        if (fscanf(f, "%" SCNu64, &ns) != 1)
                ns = 0;
        fclose(f);
        return ns;
}

void group_take_cpu(Group *g, uint64_t ret_ns[static _ROLE_MAX]) {
        memset(ret_ns, 0, _ROLE_MAX * sizeof(*ret_ns));
        for (unsigned int i = 0; i < g->n; i++) {
                uint64_t now = cpu_of(g->procs[i].pid);

                if (now >= g->procs[i].cpu_ns)
                        ret_ns[g->procs[i].role] += now - g->procs[i].cpu_ns;
                g->procs[i].cpu_ns = now;
        }
}

bool group_is_broken(Group *g) {
        siginfo_t info = {0};

        for (unsigned int i = 0; i < g->n; i++)
                if (g->procs[i].child &&
                    waitid(P_PID, g->procs[i].pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                    info.si_pid != 0)
                        return true;
        return false;
}

/* SIGTERM, two seconds, SIGKILL. */
static void proc_end(const Proc *p) {
        _cleanup_close_ int pidfd = syscall(SYS_pidfd_open, p->pid, 0);
        struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

        kill(p->pid, SIGTERM);
        if (pidfd >= 0 && poll(&poll_fd, 1, 2000) <= 0)
                kill(p->pid, SIGKILL);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

void group_end(Group *g) {
        for (unsigned int i = 0; i < g->n; i++)
                if (g->procs[i].child && g->procs[i].role == ROLE_VIEWER)
                        kill(g->procs[i].pid, SIGTERM);
        while (g->n > 0) {
                const Proc *p = &g->procs[--g->n];

                if (p->child)
                        proc_end(p);
        }
}
