/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One child process with a socket at file descriptor 3: started, watched, and ended without ever waiting for
 * it. */
#pragma once

#include <systemd/sd-event.h>

typedef struct Process Process;

/* The process @p is gone: @how in words ("exited with status 1", "was killed by signal SEGV").
 * What it left behind in its group got a SIGTERM. @p frees itself after this returns; it must not be used any
 * more. */
typedef void (*process_exited_handler)(Process *p, const char *how, void *userdata);

/*
 * Starts @argv[0], a path, with the words of @argv, in a process group of its own, with default signal
 * actions, no signal blocked, /dev/null as stdin, our stdout and stderr, @fd_borrow as file descriptor 3, and
 * no other one. The variables by which a service manager or a bus talks to us (NOTIFY_SOCKET, LISTEN_*,
 * WATCHDOG_*, DBUS_STARTER_*) are not passed on. It may take 1 GiB of memory of its own (a soft RLIMIT_DATA),
 * and is among the first to go when there is none left. It blocks until the kernel has loaded the program, no
 * longer.
 *
 * SIGCHLD must be blocked (sd_event_add_child(3)), else -EBUSY. Other errors: what executing it failed with
 * (-ENOENT, -EACCES, …), -EAGAIN, -ENOMEM.
 */
int process_spawn(sd_event *event, const char *const *argv, int fd_borrow, process_exited_handler exited,
                  void *userdata, Process **ret);

/* Gives it 2 s to end by itself, now that its channel is closed; then SIGTERM, 3 s later SIGKILL, both to its
 * whole group. May be called again: the first call counts. */
void process_end(Process *p);

/* As process_end(); in addition nobody is told any more: the object lives on by itself until the process is
 * gone or the event loop is. Takes NULL, returns NULL. */
Process *process_abandon(Process *p);
