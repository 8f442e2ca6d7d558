/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A list of what is refused, not of what is allowed: libv4l2 loads plugins of which nobody knows what they
 * call. The units of the system bus allow a list, and take devices and files away
 * (framebus-capture@.service); this is what a program on the session bus has, where there is no unit. Files
 * stay as they are: a source may be one.
 */
#include "sources/common/confine.h"

#include <errno.h>

#ifdef FB_HAVE_SECCOMP

#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* LeakSanitizer stops its own process with it. */
#if defined(__SANITIZE_ADDRESS__)
#define MAY_TRACE true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MAY_TRACE true
#endif
#endif
#ifndef MAY_TRACE
#define MAY_TRACE false
#endif

static void filter_freep(scmp_filter_ctx *filter) {
        if (*filter)
                seccomp_release(*filter);
}

static const int refused[] = {
        SCMP_SYS(execve),           SCMP_SYS(execveat),
        /* other processes */
        SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
        SCMP_SYS(pidfd_getfd),      SCMP_SYS(pidfd_send_signal), SCMP_SYS(kcmp),
        SCMP_SYS(tkill),
        /* the file system's structure */
        SCMP_SYS(mount),            SCMP_SYS(umount2),           SCMP_SYS(move_mount),
        SCMP_SYS(open_tree),        SCMP_SYS(fsopen),            SCMP_SYS(fsmount),
        SCMP_SYS(fsconfig),         SCMP_SYS(fspick),            SCMP_SYS(mount_setattr),
        SCMP_SYS(pivot_root),       SCMP_SYS(chroot),            SCMP_SYS(open_by_handle_at),
        SCMP_SYS(setns),            SCMP_SYS(unshare),           SCMP_SYS(quotactl),
        SCMP_SYS(swapon),           SCMP_SYS(swapoff),           SCMP_SYS(acct),
        /* the machine */
        SCMP_SYS(reboot),           SCMP_SYS(kexec_load),        SCMP_SYS(kexec_file_load),
        SCMP_SYS(init_module),      SCMP_SYS(finit_module),      SCMP_SYS(delete_module),
        SCMP_SYS(settimeofday),     SCMP_SYS(clock_settime),     SCMP_SYS(sethostname),
        SCMP_SYS(setdomainname),    SCMP_SYS(syslog),            SCMP_SYS(iopl),
        SCMP_SYS(ioperm),
        /* much of the kernel behind one call */
        SCMP_SYS(bpf),              SCMP_SYS(perf_event_open),   SCMP_SYS(userfaultfd),
        SCMP_SYS(io_uring_setup),   SCMP_SYS(add_key),           SCMP_SYS(request_key),
        SCMP_SYS(keyctl),           SCMP_SYS(personality),
};

/* -EDOM: there is no such call on this machine. */
static int add(int r) {
        return r == -EDOM ? 0 : r;
}

static int refuse_all(scmp_filter_ctx filter) {
        /* these say whom they mean by their first argument */
        static const int to_a_process[] = { SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo),
                                            SCMP_SYS(rt_tgsigqueueinfo) };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < FB_ELEMENTSOF(refused); i++)
                r = add(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0));
        for (size_t i = 0; r >= 0 && i < FB_ELEMENTSOF(to_a_process); i++)
                r = add(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), to_a_process[i], 1,
                                         SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid())));
        if (r >= 0 && !MAY_TRACE)
                r = add(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ptrace), 0));
        if (r >= 0)
                r = add(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                         SCMP_A0(SCMP_CMP_NE, AF_UNIX)));
        return r;
}

bool confine_is_available(void) {
        return true;
}

int confine(void) {
        _cleanup_(filter_freep) scmp_filter_ctx filter = NULL;
        int r;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        filter = seccomp_init(SCMP_ACT_ALLOW);
        if (!filter)
                return -ENOMEM;
        /* a tree: it is on the way of each call */
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        r = refuse_all(filter);
        return r < 0 ? r : seccomp_load(filter);
}

#else

bool confine_is_available(void) {
        return false;
}

int confine(void) {
        return -EOPNOTSUPP;
}

#endif
