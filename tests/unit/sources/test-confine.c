/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a confined process cannot do any more, and what it can. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sources/common/confine.h"
#include "tests/unit/test.h"

/* Runs @f in a confined child: its status, or -1. */
static int confined(int (*f)(void)) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(confine() < 0 ? 100 : f());
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
                return -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) + 128;
}

static int refused(long r, int error) {
        return r < 0 && errno == error ? 0 : 1;
}

static int run_a_program(void) {
        return refused(execl("/bin/true", "true", NULL), EPERM);
}

static int open_inet(void) {
        return refused(socket(AF_INET, SOCK_DGRAM, 0), EAFNOSUPPORT) |
               refused(socket(AF_NETLINK, SOCK_RAW, 0), EAFNOSUPPORT);
}

static int signal_another(void) {
        return refused(kill(getppid(), 0), EPERM) | refused(kill(-1, 0), EPERM);
}

static int look_into_another(void) {
        char byte;
        struct iovec iov = { &byte, 1 };

        return refused(syscall(SYS_process_vm_readv, getppid(), &iov, 1, &iov, 1, 0), EPERM);
}

static int leave_namespaces(void) {
        return refused(unshare(CLONE_NEWNS), EPERM) | refused(chroot("/"), EPERM);
}

static int use_other_doors(void) {
        union bpf_attr attr = { .map_type = 0 };

        return refused(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr), EPERM) |
               refused(syscall(SYS_keyctl, 0, 0, 0), EPERM);
}

/* What a capture program does. */
static int go_on(void) {
        _cleanup_close_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC),
                            memory = memfd_create("x", MFD_CLOEXEC);
        _cleanup_close_ int a = -1, b = -1, c = socket(AF_UNIX, SOCK_STREAM, 0);

        if (fd < 0 || memory < 0 || c < 0 || fd_socketpair(&a, &b) < 0)
                return 1;
        if (kill(getpid(), 0) < 0 || raise(0) != 0)
                return 2;
        return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 3;
}

#define ROWS(...)                                          \
        static const struct {                              \
                const char *name;                          \
                int (*f)(void);                            \
        } rows[] = { __VA_ARGS__ };                        \
        for (size_t i = 0; i < FB_ELEMENTSOF(rows); i++) { \
                ROW("%s", rows[i].name);                   \
                CHECK_INT(confined(rows[i].f), 0);         \
        }

TEST(what_is_given_up) {
        if (!confine_is_available())
                return;
        ROWS({ "run a program", run_a_program }, { "other sockets", open_inet },
             { "signal another", signal_another }, { "look into another", look_into_another },
             { "namespaces", leave_namespaces }, { "bpf, keys", use_other_doors });
}

TEST(what_stays) {
        if (!confine_is_available()) {
                CHECK_INT(confine(), -EOPNOTSUPP);
                return;
        }
        ROWS({ "what a capture program does", go_on });
}

TEST_MAIN
