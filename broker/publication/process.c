/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A Process belongs to its child event source, which is floating, i.e. belongs to the event loop: so it can
 * outlive who started it, and goes with the loop at the latest. Its pid is ours until sd-event reaps it,
 * right after on_exited(); therefore a signal never reaches a stranger.
 *
 * posix_spawn() is vfork-like: a large broker is not copied, and a program that cannot be executed is an
 * error here rather than an exit status. Nothing here waits for a process: that a program hangs must never be
 * the broker's trouble.
 */
#include "broker/publication/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define PROCESS_CHANNEL_FD 3

/* Time to end by itself, then time to heed SIGTERM. */
#define PROCESS_GRACE_USEC 2000000ull
#define PROCESS_TERM_USEC  3000000ull

/* See confine(). */
#define PROCESS_DATA_MAX  ((rlim_t)1 << 30)
#define PROCESS_OOM_SCORE 500

struct Process {
        pid_t pid;
        process_exited_handler exited; /* NULL: abandoned */
        void *userdata;
        sd_event *event;        /* borrowed: the loop outlives its child source, which owns this */
        sd_event_source *timer; /* floating, too, and referenced */
        bool terminated;        /* SIGTERM was sent */
};

/* The destructor of the child source. A timer that is still there means that the loop itself goes, and its
 * own reference to the timer with it. */
static void process_free(void *userdata) {
        Process *p = userdata;

        sd_event_source_unref(p->timer);
        free(p);
}

static void process_drop_timer(Process *p) {
        if (!p->timer)
                return;
        (void)sd_event_source_set_floating(p->timer, false);
        p->timer = sd_event_source_disable_unref(p->timer);
}

static void exit_describe(const siginfo_t *si, char *buf, size_t size) {
        const char *name;

        if (si->si_code == CLD_EXITED) {
                snprintf(buf, size, "exited with status %d", si->si_status);
                return;
        }
        name = sigabbrev_np(si->si_status);
        if (name)
                snprintf(buf, size, "was killed by signal %s", name);
        else
                snprintf(buf, size, "was killed by signal %d", si->si_status);
}

static int on_exited(sd_event_source *s, const siginfo_t *si, void *userdata) {
        Process *p = userdata;
        char how[64];

        exit_describe(si, how, sizeof how);
        (void)kill(-p->pid, SIGTERM);
        if (p->exited)
                p->exited(p, how, p->userdata);
        process_drop_timer(p);
        (void)sd_event_source_set_floating(
                        s, false); /* the last reference: sd-event frees it when we are back */
        return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Process *p = userdata;

        (void)kill(-p->pid, p->terminated ? SIGKILL : SIGTERM);
        if (p->terminated)
                return 0;
        p->terminated = true;
        if (sd_event_source_set_time_relative(s, PROCESS_TERM_USEC) < 0 ||
            sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) < 0)
                (void)kill(-p->pid, SIGKILL);
        return 0;
}

static bool variable_is_ours(const char *v) {
        static const char *const prefixes[] = {"NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_", "DBUS_STARTER_"};

        for (size_t i = 0; i < FB_ELEMENTSOF(prefixes); i++)
                if (strncmp(v, prefixes[i], strlen(prefixes[i])) == 0)
                        return true;
        return false;
}

/* The array is new, its strings are not. */
static char **environment_new(void) {
        size_t n = 0, k = 0;
        char **e;

        while (environ && environ[n])
                n++;
        e = calloc(n + 1, sizeof *e);
        if (!e)
                return NULL;
        for (size_t i = 0; i < n; i++)
                if (!variable_is_ours(environ[i]))
                        e[k++] = environ[i];
        return e;
}

/* Returns a positive errno, as these functions do. */
static int spawn_prepare(posix_spawn_file_actions_t *fa, posix_spawnattr_t *attr, int fd) {
        sigset_t none, all;
        int r;

        sigemptyset(&none);
        sigfillset(&all);
        (void)posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                             POSIX_SPAWN_SETPGROUP);
        (void)posix_spawnattr_setsigmask(attr, &none);
        (void)posix_spawnattr_setsigdefault(attr, &all);
        (void)posix_spawnattr_setpgroup(attr, 0);
        r = posix_spawn_file_actions_adddup2(fa, fd,
                                             PROCESS_CHANNEL_FD); /* takes close-on-exec off, also if equal */
        if (r == 0)
                r = posix_spawn_file_actions_addopen(fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(fa, PROCESS_CHANNEL_FD + 1);
        return r;
}

static int spawn(const char *const *argv, int fd, pid_t *ret_pid) {
        _cleanup_free_ char **env = environment_new();
        posix_spawn_file_actions_t fa;
        posix_spawnattr_t attr;
        int r;

        if (!env)
                return -ENOMEM;
        r = posix_spawn_file_actions_init(&fa);
        if (r != 0)
                return -r;
        r = posix_spawnattr_init(&attr);
        if (r == 0) {
                r = spawn_prepare(&fa, &attr, fd);
                if (r == 0) {
                        uint64_t raised = fd_lower_limit(); /* for ourselves only */

                        r = posix_spawn(ret_pid, argv[0], &fa, &attr, (char *const *)argv, env);
                        (void)fd_raise_limit(raised);
                }
                posix_spawnattr_destroy(&attr);
        }
        posix_spawn_file_actions_destroy(&fa);
        return -r;
}

/* With the address sanitizer a program takes terabytes, of which it uses little. gcc says so in one way,
 * clang in another. */
#if !defined(__SANITIZE_ADDRESS__) && defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define DATA_IS_BOUNDED false
#else
#define DATA_IS_BOUNDED true
#endif

/*
 * Bounds what a program that goes wild may take: it is the one to go when memory is short, and of its own it
 * gets no more than PROCESS_DATA_MAX. Mapped frames are shared and do not count, unlike with RLIMIT_AS; and a
 * cgroup takes a manager, which a session may not have. The soft limit alone, so that a program can raise it.
 */
static void confine(pid_t pid) {
        struct rlimit limit;
        char path[64];
        int score;
        FILE *f;

        (void)snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
        f = fopen(path, "r+e");
        if (f) {
                if (fscanf(f, "%d", &score) == 1 && score < PROCESS_OOM_SCORE) {
                        rewind(f);
                        fprintf(f, "%d", PROCESS_OOM_SCORE);
                }
                (void)fclose(f);
        }
        if (!DATA_IS_BOUNDED || prlimit(pid, RLIMIT_DATA, NULL, &limit) < 0 ||
            limit.rlim_cur <= PROCESS_DATA_MAX)
                return;
        limit.rlim_cur = FB_MIN(limit.rlim_max, PROCESS_DATA_MAX);
        (void)prlimit(pid, RLIMIT_DATA, &limit, NULL);
}

static int process_watch(Process *p) {
        sd_event_source *child = NULL;
        int r;

        r = sd_event_add_child(p->event, &child, p->pid, WEXITED, on_exited, p);
        if (r >= 0)
                r = sd_event_source_set_floating(child, true);
        if (r < 0) {
                sd_event_source_disable_unref(child);
                return r;
        }
        (void)sd_event_source_set_description(child, "capture-program");
        (void)sd_event_source_set_destroy_callback(child, process_free);
        sd_event_source_unref(child); /* the loop has its own */
        return 0;
}

int process_spawn(sd_event *event, const char *const *argv, int fd_borrow, process_exited_handler exited,
                  void *userdata, Process **ret) {
        _cleanup_free_ Process *p = malloc(sizeof *p);
        sigset_t mask;
        int r;

        if (!p)
                return -ENOMEM;
        *p = (Process){ .event = event, .exited = exited, .userdata = userdata };
        if (sigprocmask(SIG_SETMASK, NULL, &mask) < 0 || !sigismember(&mask, SIGCHLD))
                return -EBUSY; /* said before anything runs */
        r = spawn(argv, fd_borrow, &p->pid);
        if (r < 0)
                return r;
        confine(p->pid);
        r = process_watch(p);
        if (r < 0) {
                (void)kill(-p->pid, SIGKILL);
                (void)waitpid(p->pid, NULL, 0); /* of a process that was killed: it does not take long */
                return r;
        }
        *ret = take_ptr(p);
        return 0;
}

void process_end(Process *p) {
        if (p->timer)
                return;
        if (sd_event_add_time_relative(p->event, &p->timer, CLOCK_MONOTONIC, PROCESS_GRACE_USEC, 0, on_timer,
                                       p) < 0 ||
            sd_event_source_set_floating(p->timer, true) < 0)
                (void)kill(-p->pid, SIGKILL); /* no memory for patience */
}

Process *process_abandon(Process *p) {
        if (!p)
                return NULL;
        p->exited = NULL;
        process_end(p);
        return NULL;
}
