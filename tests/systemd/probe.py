#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Tries what a capture program is not to do, and says of each attempt what came of it, a line each: "probe: NAME RESULT",
RESULT being "allowed" or an errno's name. Run as a capture program by activation.sh, and for comparison by root.
"""

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)


def call(function, *args):
    if getattr(libc, function)(*args) < 0:
        raise OSError(ctypes.get_errno(), function)


def write(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.close(fd)
    os.unlink(path)


def set_user_id():
    path = f'/tmp/probe.{os.getpid()}'
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)


def become_root():
    if os.geteuid() == 0:
        return
    os.setuid(0)


def gain_privileges():
    """What would let a set-user-ID program have its effect."""
    with open('/proc/self/status', encoding='ascii') as status:
        if 'NoNewPrivs:\t1' in status.read():
            raise OSError(errno.EPERM, 'no new privileges')


def trace_another():
    """A child, as a debugger does."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
    try:
        call('ptrace', 16, pid, None, None)     # PTRACE_ATTACH
        os.waitpid(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def unshare():
    pid = os.fork()
    if pid == 0:
        os._exit(0 if libc.unshare(0x04000000) == 0 else ctypes.get_errno())    # CLONE_NEWUTS
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, 'unshare')


def raise_limit():
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError:
        raise OSError(errno.EPERM, 'setrlimit') from None


def take_memory():
    """Two GiB of its own."""
    try:
        bytearray(2 << 30)
    except MemoryError:
        raise OSError(errno.ENOMEM, 'memory') from None


ATTEMPTS = {
    'device': lambda: os.close(os.open('/dev/fb-test', os.O_WRONLY)),
    'inet': lambda: socket.socket(socket.AF_INET).close(),
    'inet6': lambda: socket.socket(socket.AF_INET6).close(),
    'netlink': lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    'packet': lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    'setuid': become_root,
    'privileges': gain_privileges,
    'suid-file': set_user_id,
    'ptrace': trace_another,
    'etc': lambda: write('/etc/probe'),
    'usr': lambda: write('/usr/probe'),
    'var': lambda: write('/var/probe'),
    'run': lambda: write('/run/framebus/probe'),
    'home': lambda: os.listdir('/root'),
    'processes': lambda: os.stat('/proc/1'),
    'namespace': unshare,
    'mount': lambda: call('mount', b'none', b'/mnt', b'tmpfs', 0, None),
    'host-name': lambda: socket.sethostname('probe'),
    'clock': lambda: call('adjtimex', ctypes.create_string_buffer(b'\x10' + bytes(511), 512)),
    'write-execute': lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close(),
    'real-time': lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    'more-memory': raise_limit,
    'memory': take_memory,
    # what it may
    'tmp': lambda: write('/tmp/probe'),
    'null': lambda: os.close(os.open('/dev/null', os.O_WRONLY)),
    'unix': lambda: socket.socket(socket.AF_UNIX).close(),
}

for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        result = 'allowed'
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(f'probe: {name} {result}', file=sys.stderr, flush=True)
print('probe: done', file=sys.stderr, flush=True)
