# SPDX-License-Identifier: LGPL-2.1-or-later
"""
fbtest: private buses, brokers and processes for tests that run the real programs.

    import fbtest
    from fbtest import Broker, Bus, Config

    class Viewing(fbtest.TestCase):
        def test_direct(self):
            bus = self.enter(Bus())                               # the kind that FB_BUS names
            broker = self.enter(Broker(bus, {'bars': SOURCE}))    # <config>/sources.d/bars.conf
            conn = bus.connect()                                  # a Gio.DBusConnection of its own
            version = fbtest.call(conn, 'org.framebus', '/org/framebus', 'org.freedesktop.DBus.Peer', 'Ping')
            fbtest.wait_until(lambda: fbtest.proc_fds(broker.pid) < 20)

        def test_activated(self):
            config = self.enter(Config({'bars': SOURCE}))
            bus = self.enter(Bus(activatable={'org.framebus': config.broker_command()}))
            ...                                                   # bus.descendants() has the broker's pid

        def test_other_user(self):
            fbtest.need_root()
            viewer = self.enter(fbtest.Process(['busctl', ...], user='nobody', env=bus.env()))
            viewer.wait(5); viewer.out(); viewer.err()

    fbtest.main()                                                 # status 77 when everything was skipped

Bus(kind, activatable, ...): kinds are KINDS; .address .env() .connect() .log() .owner(name) .descendants(),
and .pid, which is the bus's own. Broker(bus, config) is framebusd; .pid .err() .kill() .stop().
Process(argv, ...): anything else; ends with the test. stopped(pid): SIGSTOP for the time of a with block.
proc_fds, proc_rss_kib, children_of: what /proc says. count(quick, full): how often to repeat something.

At the end of each test nothing may be left: every process below the test has to have ended, and whatever they
wrote to stderr is searched for reports of sanitizers and valgrind.

Environment: FB_BUILD the build folder, FB_BUS the kind of bus (default daemon), FB_WRAP what to put before
the broker's command line (valgrind --error-exitcode=99 -q), FB_TIMEOUT_SCALE a factor for all time limits,
FB_FULL=1 for the long counts, FB_KEEP=1 to keep the temporary folders.
"""

import contextlib
import ctypes
import functools
import os
import pathlib
import pwd
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as ElementTree

import gi
from gi.repository import Gio, GLib

KINDS = ('daemon', 'daemon-session', 'broker')
BUS_NAME = 'org.framebus'

# What dbus-broker-launch computes from its built-in numbers for a system bus, and its unit's LimitNOFILE=.
BROKER_SYSTEM_LIMITS = {'max-bytes': 512 << 20, 'max-fds': 4096, 'max-matches': 16384}
BROKER_SYSTEM_NOFILE = 16384
# What is effective of Debian's session.conf, and the soft limit of a user's unit.
BROKER_SESSION_LIMITS = {'max-bytes': 276447232, 'max-fds': 3290000000, 'max-matches': 705000000}
BROKER_SESSION_NOFILE = 1024

# Whoever the bus policy lets through may watch.
SYSTEM_RULES = '''
allow user:root  *  watch,publish,control,admin
allow world      *  watch
'''

ALLOW_ALL = '''
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>'''

TROUBLE = re.compile(r'ERROR: \w+Sanitizer|: runtime error: |SUMMARY: \w+Sanitizer|ERROR SUMMARY: [1-9]|'
                     r'==\d+== (?:Invalid|Conditional jump|Use of uninit|Syscall param)|'
                     r'==\d+== .*definitely lost: [1-9]|'
                     r'Assertion .* failed')

_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl(_SUBREAPER, 1, 0, 0, 0)     # orphans of a crashed broker come to us, so that they are noticed


# Settings

def bus_kind():
    kind = os.environ.get('FB_BUS', 'daemon')
    if kind not in KINDS:
        raise ValueError(f'FB_BUS={kind}: not one of {", ".join(KINDS)}')
    return kind


def build_path(relative):
    """A file of the build folder; its absence is an error, not a skip."""
    build = os.environ.get('FB_BUILD')
    if not build:
        raise RuntimeError('FB_BUILD has to name the build folder')
    path = pathlib.Path(build).resolve() / relative
    if not path.exists():
        raise RuntimeError(f'{path} has not been built')
    return path


# Capture programs of the build, not installed ones.
os.environ.setdefault('FRAMEBUS_LIBEXECDIR', str(build_path('sources')))


def limit(seconds):
    """A time limit, made longer where everything is slow (valgrind, an emulated machine)."""
    return seconds * float(os.environ.get('FB_TIMEOUT_SCALE', '1'))


def count(quick, full):
    return full if os.environ.get('FB_FULL') == '1' else quick


@functools.cache
def _nobody_can_read(path):
    return subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'test', '-r', path],
                          check=False).returncode == 0


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest('needs root to run something as another user')
    if not _nobody_can_read(__file__):
        raise unittest.SkipTest(f'user nobody cannot get at {__file__}: a matter of the folders above it')


# Waiting

def wait_until(predicate, timeout=5.0, what=None, interval=0.01):
    """
    Until predicate() is true, and returns its value. GLib's main context is run meanwhile, so that whatever
    comes in on a connection is dispatched; any event there has the predicate looked at again at once.
    """
    context = GLib.MainContext.default()
    deadline = time.monotonic() + limit(timeout)
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f'not within {limit(timeout):g} s: {what or predicate}')
        tick = GLib.Timeout(int(interval * 1000))
        tick.set_callback(lambda *_: GLib.SOURCE_REMOVE)
        tick.attach(context)
        context.iteration(True)
        tick.destroy()


def never(predicate, seconds, what=None):
    """
    That predicate() stays false for so long, with events dispatched. Not made longer where everything is slow: then
    less would be seen, but nothing wrong.
    """
    end = time.monotonic() + seconds
    wait_until(lambda: predicate() or time.monotonic() > end, seconds + 60)
    if predicate():
        raise AssertionError(f'within {seconds:g} s: {what or predicate}')


# /proc

def _stat(pid):
    """(state, parent) of a process, or None if it is gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
            fields = file.read().rpartition(')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1])


def alive(pid):
    """False for a zombie, too."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in 'ZX'


def _families():
    """{process: its children}"""
    found = {}
    for pid in os.listdir('/proc'):
        stat = _stat(pid) if pid.isdigit() else None
        if stat:
            found.setdefault(stat[1], []).append(int(pid))
    return found


def children_of(pid):
    return _families().get(pid, [])


def descendants_of(pid):
    families, found, more = _families(), [], [pid]
    while more:
        children = families.get(more.pop(0), [])
        found += children
        more += children
    return found


def command_of(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().replace(b'\0', b' ').decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ''


def _environment_of(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/environ').read_bytes()
    except OSError:
        return b''


def proc_fds(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def proc_status(pid, field):
    """A line of /proc/PID/status, e.g. VmRSS, RssShmem (both in KiB), Threads, as a number."""
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(rf'^{field}:\s+(\d+)', text, re.M).group(1))


def proc_rss_kib(pid):
    return proc_status(pid, 'VmRSS')


# Signals

def sigstop(pid):
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _stat(pid)[0] == 'T', what=f'process {pid} stopped')


def sigcont(pid):
    os.kill(pid, signal.SIGCONT)


def wake(pid):
    """
    SIGCONT, if a test has stopped it. LeakSanitizer stops its process at exit, by SIGSTOP and ptrace: a SIGCONT in
    between undoes the one, and the other waits for ever.
    """
    stat = _stat(pid)
    if stat and stat[0] == 'T':
        sigcont(pid)


@contextlib.contextmanager
def stopped(pid):
    sigstop(pid)
    try:
        yield
    finally:
        sigcont(pid)


def end_processes(pids, grace=3.0):
    """
    Waits for processes that ought to end by themselves. Those that do not are ended and returned, as text.
    The ones that became our children as orphans are reaped.
    """
    def running():
        return [pid for pid in pids if alive(pid)]

    stubborn = []
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not running(), grace)
    for sig in signal.SIGTERM, signal.SIGKILL:
        if not running():
            break
        for pid in running():
            stubborn.append(f'{pid} ({command_of(pid)}) needed {sig.name}')
            with contextlib.suppress(ProcessLookupError):
                wake(pid)
                os.kill(pid, sig)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not running(), 2)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return stubborn


# Processes

def clean_env(extra=None):
    """The environment without anything that leads to a bus or a runtime of the user, plus extra."""
    dropped = ('NOTIFY_SOCKET', 'LISTEN_FDS', 'LISTEN_PID', 'FRAMEBUS_ADDRESS', 'XDG_RUNTIME_DIR',
               'RUNTIME_DIRECTORY')
    env = {k: v for k, v in os.environ.items() if not k.startswith('DBUS_') and k not in dropped}
    env.update(extra or {})
    return env


def wrapper():
    return shlex.split(os.environ.get('FB_WRAP', ''))


def _remove_folder(path):
    if path and os.environ.get('FB_KEEP') != '1':
        shutil.rmtree(path, ignore_errors=True)


def find_trouble(text):
    """The first report of a sanitizer, valgrind or assert() in a log, with what follows it; else None."""
    found = TROUBLE.search(text)
    return text[found.start():found.start() + 4000] if found else None


class Process:
    """
    A program with its output in files. user: run it as this account (root only). It is killed when the test
    dies. Leaving the with block stops it (SIGTERM) and fails on a report of a sanitizer or valgrind.
    """

    def __init__(self, argv, *, env=None, user=None, stdin=subprocess.DEVNULL, pass_fds=(), cwd=None):
        self.argv = [str(a) for a in argv]
        self.extra_env, self.user = dict(env or {}), user
        self.options = {'stdin': stdin, 'pass_fds': pass_fds, 'cwd': cwd}
        self.popen = None
        self.dir = None

    def _prefix(self):
        prefix = []
        if self.user:
            group = pwd.getpwnam(self.user).pw_gid
            prefix += [f'--reuid={self.user}', f'--regid={group}', '--clear-groups']
        if threading.current_thread() is threading.main_thread():   # the signal comes at the *thread's* end
            prefix += ['--pdeathsig=KILL']
        return ['setpriv', *prefix] if prefix else []

    def start(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='fbtest-', dir='/tmp'))
        with open(self.dir / 'out', 'wb') as out, open(self.dir / 'err', 'wb') as err:
            self.popen = subprocess.Popen(self._prefix() + self.argv, env=clean_env(self.extra_env),
                                          stdout=out, stderr=err, **self.options)
        return self

    @property
    def pid(self):
        return self.popen.pid

    @property
    def stdin(self):
        return self.popen.stdin

    @property
    def returncode(self):
        """As of subprocess: None while it runs, -N after signal N."""
        return self.popen.poll()

    def _output(self, name):
        path = self.dir and self.dir / name
        return path.read_text(errors='replace') if path and path.exists() else ''

    def out(self):
        return self._output('out')

    def err(self):
        return self._output('err')

    def log(self):
        return self.out() + self.err()

    def wait(self, timeout=10.0):
        """Its exit status, once it has ended by itself."""
        wait_until(lambda: self.returncode is not None, timeout, f'end of {self.argv}\n{self._tail()}')
        return self.returncode

    def wait_output(self, pattern, timeout=5.0):
        """Until pattern (a regular expression) is in its output; the match."""
        def look():
            found = re.search(pattern, self.log(), re.M)
            if not found and self.returncode is not None:
                raise AssertionError(f'ended with {self.returncode} before /{pattern}/\n{self._tail()}')
            return found
        return wait_until(look, timeout, f'/{pattern}/ from {self.argv}')

    def _tail(self):
        return self.log()[-4000:]

    def stop(self, sig=signal.SIGTERM, timeout=5.0):
        """Its exit status; AssertionError if it had to be killed."""
        if self.popen is None:
            return None
        if self.popen.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.popen.stdin.close()
        if self.returncode is None:
            wake(self.popen.pid)
            self.popen.send_signal(sig)
            try:
                wait_until(lambda: self.returncode is not None, timeout)
            except AssertionError:
                self.popen.kill()
                self.popen.wait()
                raise AssertionError(f'{self.argv} did not end on {sig.name}\n{self._tail()}') from None
        return self.returncode

    def check(self):
        trouble = find_trouble(self.log())
        if trouble:
            raise AssertionError(f'{self.argv}:\n{trouble}')

    def remove(self):
        _remove_folder(self.dir)

    def __enter__(self):
        return self.start() if self.popen is None else self

    def __exit__(self, *_):
        try:
            self.stop()
            self.check()
        finally:
            self.remove()


def run(argv, *, timeout=30.0, **options):
    """Runs a program to its end: (status, stdout, stderr)."""
    with Process(argv, **options) as process:
        status = process.wait(timeout)
        return status, process.out(), process.err()


# Buses

def _stock_elements(path, tag):
    """Elements of a stock configuration of dbus-daemon, as text, without those in comments."""
    root = ElementTree.parse(path).getroot()
    return '\n'.join(ElementTree.tostring(e, encoding='unicode') for e in root.findall(tag))


def system_policy():
    """The rules of the stock system bus, to put before a policy under test."""
    return _stock_elements('/usr/share/dbus-1/system.conf', 'policy')


def _shell_command(command):
    """A list or a text as a text with an absolute path, which dbus-daemon wants."""
    argv = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    return shlex.join([shutil.which(argv[0]) or argv[0], *argv[1:]])


class Bus(Process):
    """
    A private message bus.

    kind         daemon: dbus-daemon with the built-in limits, those of every stock system bus;
                 daemon-session: with the limits of the stock session bus;
                 broker: dbus-broker with the limits of a stock system bus. None: what FB_BUS says.
    activatable  {name: command}, command a list or a text that is split as by a shell
    bus_type     session or system: the <type>, and which variables activated programs get
    policy       XML <policy> elements instead of "all may do everything"; dbus-daemon only, else skipped
    limits       {limit: number} to set or replace, by the names of the bus in question
    nofile       soft RLIMIT_NOFILE of the bus (broker only; dbus-daemon raises its own)
    env          more variables, seen by the activated programs
    """

    def __init__(self, kind=None, activatable=None, *, bus_type='session', policy=None, limits=None,
                 nofile=None, env=None):
        super().__init__([], env=env)
        self.kind = kind or bus_kind()
        self.activatable = {name: _shell_command(command) for name, command in (activatable or {}).items()}
        self.bus_type, self.policy, self.limits, self.nofile = bus_type, policy, limits or {}, nofile
        self.connections = []
        self.bus_pid = None
        self.base = None

    @property
    def address(self):
        return f'unix:path={self.base}/bus'

    @property
    def pid(self):
        return self.bus_pid

    def env(self):
        """Variables with which a program finds this bus."""
        return {f'DBUS_{self.bus_type.upper()}_BUS_ADDRESS': self.address}

    def start(self):
        if self.policy and self.kind == 'broker':
            raise unittest.SkipTest('XML policies are tried on dbus-daemon here')
        self.base = pathlib.Path(tempfile.mkdtemp(prefix='fbtest-bus-', dir='/tmp'))
        self.base.chmod(0o755)
        try:
            if self.kind == 'broker':
                self._start_broker()
            else:
                self._start_daemon()
        except BaseException:
            super().__exit__()
            self.remove()
            raise
        return self

    def _start_broker(self):
        self.argv = [str(build_path('tests/harness/bus-controller')), '--address', f'{self.base}/bus',
                     '--uid-allow-all']
        if self.bus_type == 'system':
            self.argv += ['--system']
        for name, number in {**BROKER_SYSTEM_LIMITS, **self.limits}.items():
            self.argv += [f'--{name}', str(number)]
        for name, command in self.activatable.items():
            self.argv += ['--activate', f'{name}={command}']
        super().start()
        self.bus_pid = int(self._wait_ready(r'^READY (\d+)$').group(1))
        hard = resource.prlimit(self.bus_pid, resource.RLIMIT_NOFILE)[1]
        soft = self.nofile or BROKER_SYSTEM_NOFILE
        resource.prlimit(self.bus_pid, resource.RLIMIT_NOFILE,
                         (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    def _start_daemon(self):
        (self.base / 'services').mkdir()
        user = pwd.getpwuid(os.geteuid()).pw_name
        for name, command in self.activatable.items():
            command = command.replace('\\', '\\\\')
            (self.base / 'services' / f'{name}.service').write_text(
                f'[D-BUS Service]\nName={name}\nExec={command}\nUser={user}\n')
        (self.base / 'bus.conf').write_text(self._daemon_config())
        self.argv = ['dbus-daemon', f'--config-file={self.base}/bus.conf', '--nofork', '--nopidfile',
                     '--nosyslog', '--print-address=1']
        super().start()
        self._wait_ready('^unix:path=')
        self.bus_pid = self.popen.pid

    def _wait_ready(self, pattern):
        try:
            return self.wait_output(pattern)
        except AssertionError:
            if self.kind == 'broker' and self.returncode == 77:
                raise unittest.SkipTest(self.err().strip()) from None
            raise

    def _daemon_config(self):
        limits = ''
        if self.kind == 'daemon-session':
            limits = _stock_elements('/usr/share/dbus-1/session.conf', 'limit')
        limits += ''.join(f'\n  <limit name="{k}">{v}</limit>' for k, v in self.limits.items())
        return f'''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>{self.bus_type}</type>
  <listen>{self.address}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{self.base}/services</servicedir>
  {self.policy or ALLOW_ALL}
  {limits}
</busconfig>
'''

    def connect(self):
        """A new connection in GLib's default main context, closed with the bus."""
        conn = Gio.DBusConnection.new_for_address_sync(
            self.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
            Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self.connections.append(conn)
        return conn

    def descendants(self):
        """
        Process ids of what the bus has activated and of their children. Known by their environment:
        dbus-daemon's are orphans as soon as they own their name.
        """
        mark = f'DBUS_STARTER_ADDRESS={self.address}'.encode()
        found = [pid for pid in descendants_of(os.getpid()) if mark in _environment_of(pid)]
        return list(dict.fromkeys(found + [child for pid in found for child in descendants_of(pid)]))

    def owner(self, name):
        """The unique name that owns name, or None; starts nothing."""
        conn = self.connections[0] if self.connections else self.connect()
        try:
            return call(conn, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                        'GetNameOwner', GLib.Variant('(s)', (name,)))[0]
        except GLib.Error as error:
            if Gio.DBusError.get_remote_error(error) == 'org.freedesktop.DBus.Error.NameHasNoOwner':
                return None
            raise

    def owner_pid(self, name):
        unique = self.owner(name)
        try:
            return unique and call(self.connections[0], 'org.freedesktop.DBus', '/org/freedesktop/DBus',
                                   'org.freedesktop.DBus', 'GetConnectionUnixProcessID',
                                   GLib.Variant('(s)', (unique,)))[0]
        except GLib.Error as error:         # it has left the bus in between
            if Gio.DBusError.get_remote_error(error) == 'org.freedesktop.DBus.Error.NameHasNoOwner':
                return None
            raise

    def stop(self, sig=signal.SIGTERM, timeout=5.0):
        """Ends the bus. What it had activated has to end by itself when the bus is gone."""
        if self.popen is None:
            return None
        for conn in self.connections:
            if not conn.is_closed():
                conn.close_sync(None)
        self.connections = []
        activated = self.descendants() if self.returncode is None else []
        status = super().stop(sig, timeout)
        stubborn = end_processes(activated)
        if stubborn:
            raise AssertionError(f'still there after the bus: {"; ".join(stubborn)}\n{self._tail()}')
        return status

    def remove(self):
        super().remove()
        _remove_folder(self.base)


def call(conn, destination, path, interface, member, parameters=None, *, fds=None, timeout=10.0,
         with_fds=False):
    """
    A method call, answered: the results as a tuple, or (results, fds) with with_fds. fds: what 'h' in
    parameters is an index into; they stay the caller's. The ones that come back are the caller's, too.
    """
    fd_list = None
    if fds is not None:
        fd_list = Gio.UnixFDList.new()
        for fd in fds:
            fd_list.append(fd)
    reply, fd_list = conn.call_with_unix_fd_list_sync(
        destination, path, interface, member, parameters, None, Gio.DBusCallFlags.NONE,
        int(limit(timeout) * 1000), fd_list, None)
    result = reply.unpack()
    return (result, fd_list.steal_fds() if fd_list else []) if with_fds else result


def error_name(error):
    """The D-Bus name of a GLib.Error that call() raised."""
    return Gio.DBusError.get_remote_error(error)


# The broker

class Config:
    """
    A private configuration folder. sources: {name: text of sources.d/<name>.conf}, rules: the same of
    access.d/<name>.rules, by default none on a session bus, and SYSTEM_RULES on the system bus.
    """

    def __init__(self, sources=None, rules=None):
        self.sources, self.rules = sources or {}, rules
        self.path = None

    def write(self, relative, text):
        path = self.path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def broker_command(self, *args, scope='--session'):
        """The broker's command line for this configuration, with FB_WRAP before it; good for activation."""
        if scope == '--system' and self.rules is None:
            self.write('access.d/system.rules', SYSTEM_RULES)
        return [*wrapper(), str(build_path('broker/framebusd')), scope, '--config', str(self.path),
                *map(str, args)]

    def __enter__(self):
        if self.path is None:
            self.path = pathlib.Path(tempfile.mkdtemp(prefix='fbtest-config-', dir='/tmp'))
            self.path.chmod(0o755)
            (self.path / 'sources.d').mkdir()
            for name, text in self.sources.items():
                self.write(f'sources.d/{name}.conf', text)
            for name, text in (self.rules or {}).items():
                self.write(f'access.d/{name}.rules', text)
        return self

    def __exit__(self, *_):
        _remove_folder(self.path)


class Broker(Process):
    """
    framebusd on a bus, started directly and ready: it owns its name. config: a Config, or {name: text} for
    sources. Leaving the with block ends it with SIGTERM; it has to end with status 0, its children with it.
    """

    def __init__(self, bus, config=None, *, args=(), env=None, user=None, name=BUS_NAME):
        super().__init__([], env={**bus.env(), **(env or {})}, user=user)
        self.bus, self.name, self.args = bus, name, args
        self.own_config = not isinstance(config, Config)
        self.config = Config(config) if self.own_config else config

    def start(self):
        if self.own_config:
            self.config.__enter__()
        self.argv = self.config.broker_command(*self.args, scope=f'--{self.bus.bus_type}')
        super().start()
        wait_until(self._ready, 10, f'{self.name} on the bus')
        return self

    def _ready(self):
        if self.returncode is not None:
            raise AssertionError(f'the broker ended with {self.returncode}\n{self._tail()}')
        return self.bus.owner_pid(self.name) == self.pid

    def stop(self, sig=signal.SIGTERM, timeout=5.0):
        if self.popen is None:
            return None
        children = descendants_of(self.pid) if self.returncode is None else []
        status = super().stop(sig, timeout)
        stubborn = end_processes(children)
        if stubborn:
            raise AssertionError(f'still there after the broker: {"; ".join(stubborn)}\n{self._tail()}')
        return status

    def kill(self):
        """A crash. The check of the exit status is the caller's afterwards."""
        self.expect_status = -signal.SIGKILL
        self.popen.kill()
        self.popen.wait()

    expect_status = 0

    def check(self):
        super().check()
        if self.popen and self.returncode != self.expect_status:
            raise AssertionError(f'the broker ended with {self.returncode}\n{self._tail()}')

    def remove(self):
        super().remove()
        if self.own_config:
            self.config.__exit__()

    def __enter__(self):
        if self.popen is not None:
            return self
        try:
            return self.start()
        except BaseException:
            with contextlib.suppress(AssertionError):
                self.stop()
            self.remove()
            raise


# Tests

class TestCase(unittest.TestCase):
    """unittest's, but at the end of each test nothing may be left behind."""

    maxDiff = None

    def run(self, result=None):
        self.addCleanup(self._check_nothing_left)       # added first, runs last
        return super().run(result)

    def enter(self, manager):
        """Enters a context manager until the end of the test."""
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def _check_nothing_left(self):
        left = end_processes(children_of(os.getpid()), 2)
        if left:
            raise AssertionError('left behind: ' + '; '.join(left))


class _Result(unittest.TestResult):
    """A line per test: ok, FAIL or skip, its name, its time, and the reason."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def _line(self, word, test, text=''):
        seconds = time.monotonic() - getattr(self, 'began', time.monotonic())
        print(f'{word:4} {test.id().removeprefix("__main__.")} ({seconds:.2f} s)', text, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line('ok', test)

    def addError(self, test, err):
        super().addError(test, err)
        self._line('FAIL', test, '\n' + self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line('FAIL', test, '\n' + self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._line('FAIL', subtest, '\n' + self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line('skip', test, f': {reason}')


def skip_all(reason):
    """Ends the whole test file as skipped."""
    print(f'SKIP: {reason}', flush=True)
    sys.exit(77)


def main():
    """Runs the tests of the calling file (those named on the command line, else all) and ends the program."""
    module = sys.modules['__main__']
    loader = unittest.TestLoader()
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    result = _Result()
    suite.run(result)
    failed = len(result.failures) + len(result.errors)
    print(f'{bus_kind()}: {result.testsRun} run, {failed} failed, {len(result.skipped)} skipped', flush=True)
    if failed or not result.testsRun and not result.skipped:
        sys.exit(1)
    sys.exit(77 if len(result.skipped) >= result.testsRun else 0)
