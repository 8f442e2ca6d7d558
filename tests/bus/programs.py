# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the suites of this folder share: fb-client and fb-publisher as objects, a broker with its capture programs, and
private channels in Python.

    class Viewing(programs.TestCase):
        def test_it(self):
            self.start({'bars': programs.PATTERN})        # self.bus, self.broker, self.conn
            viewer = self.client('bars', 'peer', '--frames', 10)
            self.assertEqual(viewer.finish()['lost'], 0)
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import fbtest
from gi.repository import Gio, GLib

TRANSPORTS = 'bus', 'peer', 'peer-own-socket'
PEERS = 'peer', 'peer-own-socket'

MANAGER = 'org.framebus.Manager1'
SOURCE = 'org.framebus.Source1'
SUBSCRIPTION = 'org.framebus.Subscription1'
PUBLICATION = 'org.framebus.Publication1'
PROPERTIES = 'org.freedesktop.DBus.Properties'
INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable'
PEER = 'org.freedesktop.DBus.Peer'
MANAGER_PATH = '/org/framebus'
SUBSCRIPTION_PATH = '/org/framebus/subscription'
PUBLICATION_PATH = '/org/framebus/publication'
ERROR = 'org.framebus.Error.'

CAPTURE = 'framebus-pattern'


def pattern(size='320x240', rate=30, *more):
    """sources.d text of a test picture."""
    return f'[Source]\nExec={CAPTURE} --size {size} --rate {rate} {" ".join(map(str, more))}\n'


PATTERN = pattern()


def instrumented():
    """Whether the broker runs under valgrind or with a sanitizer: then its memory says nothing."""
    options = json.loads(fbtest.build_path('meson-info/intro-buildoptions.json').read_text())
    return bool(fbtest.wrapper()) or any(o['name'] == 'b_sanitize' and o['value'] != 'none' for o in options)


class Program(fbtest.Process):
    """A program that prints one JSON object a line, and takes commands on stdin."""

    def __init__(self, name, *args, **options):
        super().__init__([fbtest.build_path(f'tests/bus/client/{name}'), *args], stdin=subprocess.PIPE, **options)
        self.offset, self.seen = 0, []

    def events(self, kind=None, **values):
        """What it has said so far; of one kind, with these values."""
        if self.dir and (self.dir / 'out').exists():
            with open(self.dir / 'out', 'rb') as file:
                file.seek(self.offset)
                text = file.read()
            whole = text[:text.rfind(b'\n') + 1]
            self.offset += len(whole)
            self.seen += [json.loads(line) for line in whole.splitlines()]
        return [e for e in self.seen if (kind is None or e['event'] == kind) and
                all(e.get(k) == v for k, v in values.items())]

    def frames(self):
        return self.events('frame')

    def wait_event(self, kind, n=1, timeout=20.0, **values):
        """The nth event of a kind, with these values."""
        def look():
            found = self.events(kind, **values)
            if len(found) < n and self.returncode is not None and len(self.events(kind, **values)) < n:
                raise AssertionError(f'{self.argv} ended with {self.returncode} without {n} {kind} {values}\n'
                                     f'{self._tail()}')
            return found[n - 1:]
        return fbtest.wait_until(look, timeout, f'{n} {kind} {values} from {self.argv}\n{self._tail()}')[0]

    def wait_frames(self, n, timeout=20.0):
        return self.wait_event('frame', n, timeout)

    def tell(self, *words):
        try:
            self.popen.stdin.write((' '.join(map(str, words)) + '\n').encode())
            self.popen.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f'{self.argv} ended with {self.wait()} before {words}\n{self._tail()}') from None

    def finish(self, status=0, timeout=20.0):
        """Waits for its end by itself; the (last) summary."""
        got = self.wait(timeout)
        if got != status:
            raise AssertionError(f'{self.argv} ended with {got}, not {status}\n{self._tail()}')
        return (self.events('summary') or [None])[-1]

    def quit(self, status=0):
        self.tell('quit')
        return self.finish(status)

    def kill(self):
        self.popen.kill()
        self.popen.wait()


class Channel:
    """A private channel as a Gio.DBusConnection. on_signal as of signal_subscribe; else they are in signals."""

    def __init__(self, fd, on_signal=None):
        stream = Gio.Socket.new_from_fd(fd).connection_factory_create_connection()
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.DELAY_MESSAGE_PROCESSING
        self.conn = Gio.DBusConnection.new_sync(stream, None, flags, None, None)
        self.conn.set_exit_on_close(False)
        self.signals = []
        self.conn.signal_subscribe(None, None, None, None, None, Gio.DBusSignalFlags.NONE,
                                   on_signal or self._on_signal)
        self.conn.start_message_processing()

    def _on_signal(self, _conn, _sender, path, _interface, member, parameters):
        self.signals.append((member, parameters))

    def named(self, member):
        return [parameters for name, parameters in self.signals if name == member]

    def call(self, path, interface, member, parameters=None, **options):
        return fbtest.call(self.conn, None, path, interface, member, parameters, **options)

    def close(self):
        with contextlib.suppress(GLib.Error):   # it was hung up, perhaps just now
            self.conn.close_sync(None)


class Viewer:
    """
    A subscription by hand, on the bus or on a channel: its signals in order, and nothing released unless told.
    With Publisher --frames 1 --stay and "send", everything about credit can be counted exactly.
    """

    def __init__(self, test, source, transport, **options):
        """options as set_options() has them."""
        self.test, self.transport = test, transport
        self.events, self.path, self.channel = [], None, None
        options = variants(options)
        self.bus = test.bus.connect()
        if transport == 'bus':
            self.bus.signal_subscribe(None, SUBSCRIPTION, None, None, None, Gio.DBusSignalFlags.NO_MATCH_RULE,
                                      self._on_signal)
            self.path, self.granted = test.on_source(source, 'Subscribe', options, self.bus)
            return
        if transport == 'peer':
            result, fds = test.on_source(source, 'Attach', options, self.bus, with_fds=True)
            self.path, self.granted = result[1:]
            fd = fds[0]
        else:
            ours, theirs = socket.socketpair()
            with theirs:
                self.path, self.granted = test.call(test.resolve(source), SOURCE, 'AttachTo',
                                                    GLib.Variant('(ha{sv})', (0, options)), self.bus,
                                                    fds=[theirs.fileno()])
            fd = ours.detach()
        self.channel = Channel(fd, self._on_signal)
        test.addCleanup(self.channel.close)
        self.sync()             # the broker, too, has it open: what is sent from now on finds credit

    def _on_signal(self, _conn, _sender, path, interface, member, values):
        if interface == SUBSCRIPTION and self.path in (None, path):
            self.events.append((member, *values.unpack()))

    def call(self, member, parameters=None, interface=SUBSCRIPTION):
        if self.channel:
            return self.channel.call(self.path, interface, member, parameters)
        return self.test.call(self.path, interface, member, parameters, self.bus)

    def sync(self):
        """Until everything that the broker had sent is in events."""
        self.call('Ping', interface=PEER)
        while GLib.MainContext.default().iteration(False):
            pass

    def frames(self):
        return [e[1] for e in self.events if e[0] == 'Frame']

    def named(self, member):
        return [e[1:] for e in self.events if e[0] == member]

    def wait_frames(self, n):
        """The numbers of exactly n frames."""
        fbtest.wait_until(lambda: len(self.frames()) >= n, 15, f'{n} frames, {self.events}')
        self.sync()
        if len(self.frames()) != n:
            raise AssertionError(f'{len(self.frames())} frames, not {n}: {self.events}')
        return self.frames()

    def wait_event(self, member, timeout=15.0):
        return fbtest.wait_until(lambda: self.named(member), timeout, f'{member}, {self.events}')[0]

    def release(self, *seqs):
        self.call('Release', GLib.Variant('(at)', (seqs,)))

    def release_up_to(self, seq):
        self.call('ReleaseUpTo', GLib.Variant('(t)', (seq,)))

    def set_options(self, **options):
        return self.call('SetOptions', GLib.Variant('(a{sv})', (variants(options),)))[0]

    def get(self, name):
        return self.call('Get', GLib.Variant('(ss)', (SUBSCRIPTION, name)), PROPERTIES)[0]

    def story(self):
        """Frames as their number, losses as (count, reason), else the member; without FormatChanged."""
        return [e[1] if e[0] == 'Frame' else e[1:] if e[0] == 'Lost' else e[0] for e in self.events
                if e[0] != 'FormatChanged']


def variants(options):
    """{'max_rate': (10, 1)} → {'max-rate': <(10, 1)>}; a GLib.Variant stays what it is."""
    types = {'window': 'u', 'drop': 's', 'memory': 'as', 'order': 's', 'max-rate': '(uu)', 'replay': 'b',
             'commits': 'o'}
    options = {k.replace('_', '-'): v for k, v in options.items()}
    return {k: v if isinstance(v, GLib.Variant) else GLib.Variant(types[k], v) for k, v in options.items()}


class Raw:
    """A D-Bus connection byte by byte, for what no library does. To a channel, or, after hello(), to the bus."""

    def __init__(self, endpoint):
        """endpoint: a descriptor, which it takes, or the path of a bus's socket."""
        if isinstance(endpoint, int):
            self.socket = socket.socket(fileno=endpoint)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(endpoint)
        self.socket.settimeout(fbtest.limit(10))
        self.buffer, self.serial, self.messages = b'', 0, []

    def fileno(self):
        return self.socket.fileno()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise AssertionError(f'hung up after {self.buffer!r}')
        self.buffer += data

    def line(self):
        while b'\r\n' not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b'\r\n', 1)
        return line

    def auth(self, fds=True, begin=True, uid=None):
        """The handshake, with or without fd passing, step by step. uid: who made the socket, if another user."""
        uid = os.getuid() if uid is None else uid
        self.send(b'\0AUTH EXTERNAL ' + str(uid).encode().hex().encode() + b'\r\n')
        answer = self.line()
        if answer.startswith(b'REJECTED'):
            self.send(b'AUTH ANONYMOUS\r\n')
            answer = self.line()
        if not answer.startswith(b'OK '):
            raise AssertionError(answer)
        if fds:
            self.send(b'NEGOTIATE_UNIX_FD\r\n')
            if self.line() != b'AGREE_UNIX_FD':
                raise AssertionError('no fd passing')
        if begin:
            self.send(b'BEGIN\r\n')
        return self

    def message(self, path, interface, member, parameters=None, destination=None, fds=None):
        """A method call as bytes, and its serial number. fds: a Gio.UnixFDList to announce."""
        message = Gio.DBusMessage.new_method_call(destination, path, interface, member)
        if fds is not None:
            message.set_unix_fd_list(fds)
        if parameters is not None:
            message.set_body(parameters)
        self.serial += 1
        message.set_serial(self.serial)
        return bytes(message.to_blob(Gio.DBusCapabilityFlags.UNIX_FD_PASSING)), self.serial

    def hello(self):
        self.name = self.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'Hello',
                              destination='org.freedesktop.DBus')[0]
        return self

    def read_message(self):
        while len(self.buffer) < 16 or len(self.buffer) < Gio.DBusMessage.bytes_needed(self.buffer[:16]):
            self._more()
        n = Gio.DBusMessage.bytes_needed(self.buffer[:16])
        message = Gio.DBusMessage.new_from_blob(self.buffer[:n], Gio.DBusCapabilityFlags.NONE)
        self.buffer = self.buffer[n:]
        return message

    def reply(self, serial):
        """The body of an answer, or GLib.Error. What comes before it is put into messages."""
        while True:
            message = self.read_message()
            if message.get_reply_serial() != serial:
                self.messages.append(message)
                continue
            message.to_gerror()
            return message.get_body() and message.get_body().unpack()

    def call(self, *args, **options):
        data, serial = self.message(*args, **options)
        self.send(data)
        return self.reply(serial)

    def hung_up(self):
        """Reads on to the end of file, which has to come; the bytes until then."""
        n = 0
        try:
            while data := self.socket.recv(65536):
                n += len(data)
        except ConnectionResetError:
            pass
        return n

    def close(self):
        self.socket.close()


class TestCase(fbtest.TestCase):
    bus = broker = conn = None

    def start(self, sources=None, *, args=(), env=None, **bus_options):
        """A bus and a broker; {name: text of sources.d} or none."""
        self.bus = self.enter(fbtest.Bus(**bus_options))
        self.broker = self.start_broker(sources or {}, args=args, env=env)
        self.conn = self.bus.connect()

    def start_broker(self, sources=None, *, args=(), env=None, **options):
        return self.enter(fbtest.Broker(self.bus, sources or {}, args=args, env=self.broker_env(env), **options))

    @staticmethod
    def broker_env(env=None):
        return {'FRAMEBUS_LIBEXECDIR': str(fbtest.build_path('sources')), **(env or {})}

    def client(self, source, transport, *args, **options):
        return self.enter(Program('fb-client', '--address', self.bus.address, '--source', source, '--transport',
                                  transport, *args, **options))

    def publisher(self, name, *args, **options):
        process = self.enter(Program('fb-publisher', '--address', self.bus.address, '--name', name, *args, **options))
        return process

    def published(self, name, *args, **options):
        """A publisher whose source is known by now."""
        process = self.publisher(name, *args, **options)
        process.wait_event('published')
        fbtest.wait_until(lambda: self.source_get(name, 'Modes'), what=f'modes of {name}')
        return process

    def published_by_hand(self, name):
        """A publisher whose frames are sent by send(publisher, …); the first one comes with the first subscriber."""
        return self.published(name, '--frames', 1, '--stay', '--rate', 1000, '--size', '64x48')

    def send(self, publisher, n=1, *, way=None):
        """n frames, one after the other, and until the broker has them."""
        publisher.wait_event('sent')        # the one that comes by itself
        before = len(publisher.events('sent'))
        publisher.tell(*['send'] + [way] * bool(way))
        for _ in range(n - 1):
            publisher.tell(*['send'] + [way] * bool(way))
        publisher.wait_event('sent', before + n)
        last = publisher.events('sent')[-1]['seq']
        # the publisher's numbers are the source's as long as neither began anew
        fbtest.wait_until(lambda: self.source_seq(publisher) >= last, what=f'frame {last} in the broker')

    def source_seq(self, publisher):
        name = publisher.argv[publisher.argv.index('--name') + 1]
        return self.source_get(name, 'Frames') + sum(self.source_get(name, 'Lost').values())

    # Calls

    def call(self, path, interface, member, parameters=None, conn=None, **options):
        return fbtest.call(conn or self.conn, 'org.framebus', path, interface, member, parameters, **options)

    def resolve(self, name, conn=None):
        return self.call(MANAGER_PATH, MANAGER, 'Resolve', GLib.Variant('(s)', (name,)), conn)[0]

    def on_source(self, name, member, options=None, conn=None, **more):
        """Negotiate, Subscribe or Attach by hand; options {key: GLib.Variant}."""
        return self.call(self.resolve(name, conn), SOURCE, member, GLib.Variant('(a{sv})', (options or {},)), conn,
                         **more)

    def attach(self, name, options=None, conn=None):
        """The descriptor of a channel, not opened."""
        _result, fds = self.on_source(name, 'Attach', options, conn, with_fds=True)
        return fds[0]

    def open_channel(self, name, options=None, conn=None):
        channel = Channel(self.attach(name, options, conn))
        self.addCleanup(channel.close)
        return channel

    def get(self, path, interface, name, conn=None):
        return self.call(path, PROPERTIES, 'Get', GLib.Variant('(ss)', (interface, name)), conn)[0]

    def source_get(self, source, name):
        return self.get(self.resolve(source), SOURCE, name)

    def who(self, conn=None):
        return self.call(MANAGER_PATH, MANAGER, 'Who', conn=conn)[0]

    def ping(self, timeout=5.0):
        """How long the broker takes to answer, in seconds."""
        began = time.monotonic()
        self.call(MANAGER_PATH, PEER, 'Ping', timeout=timeout)
        return time.monotonic() - began

    def raises(self, error, function, *args, text=None, **options):
        """That function raises this D-Bus error (org.framebus.Error.NAME when without dots); its message."""
        with self.assertRaises(GLib.Error) as caught:
            function(*args, **options)
        name = error if '.' in error else ERROR + error
        self.assertEqual(fbtest.error_name(caught.exception), name, caught.exception.message)
        message = caught.exception.message.partition(': ')[2]
        if text:
            self.assertRegex(message, text)
        return message

    # Watching

    def record(self, member=None, interface=None, path=None, conn=None):
        """A list that fills with (path, member, values) of the broker's signals. Run wait_until to have it filled."""
        found = []
        (conn or self.conn).signal_subscribe(
            'org.framebus', interface, member, path, None, Gio.DBusSignalFlags.NONE,
            lambda _c, _s, p, _i, m, values: found.append((p, m, values.unpack())))
        self.ping()             # the bus has the match by now
        return found

    def record_properties(self, name):
        """A list that fills with (property, value), in order, of the changes of a source."""
        found = []

        def changed(_c, _s, _p, _i, _m, values):
            interface, values, _invalidated = values.unpack()
            if interface == SOURCE:
                found.extend(values.items())
        self.conn.signal_subscribe('org.framebus', PROPERTIES, 'PropertiesChanged', self.resolve(name), None,
                                   Gio.DBusSignalFlags.NONE, changed)
        self.ping()
        return found

    def workers(self):
        """The capture programs that run, by process id."""
        return [pid for pid in fbtest.children_of(self.broker.pid) if CAPTURE in fbtest.command_of(pid)]

    def settle(self, timeout=15.0):
        """Until nobody watches any more; the number of the broker's file descriptors then."""
        fbtest.wait_until(lambda: not self.who(), timeout, 'no subscription')
        return fbtest.proc_fds(self.broker.pid)

    def least_fds(self):
        """The broker's descriptors, without those that it is about to close: of a hang-up, of a program that ended."""
        seen = []
        fbtest.wait_until(lambda: seen.append(fbtest.proc_fds(self.broker.pid)) or len(seen) > 50)
        return min(seen)

    def fds_are(self, n, timeout=15.0):
        fbtest.wait_until(lambda: fbtest.proc_fds(self.broker.pid) == n, timeout,
                          f'{n} descriptors in the broker, {self.broker_fds()}')

    def broker_fds(self):
        """What they are, as far as they are there long enough to be looked at."""
        found = []
        for f in pathlib.Path(f'/proc/{self.broker.pid}/fd').iterdir():
            try:
                found.append(os.readlink(f))
            except FileNotFoundError:
                pass
        return sorted(found)

    def assert_exact(self, program):
        """That every frame a client got is right, and gaps are told exactly. Its summary."""
        summary = program.events('summary')[-1]
        self.assertEqual(summary['problems'], 0, program.events('problem') or
                         [f for f in program.frames() if not f['ok']][:3])
        self.assertTrue(summary['gaps_match'])
        return summary

    def assert_complete(self, program):
        """
        The same, and that from its first frame on it lost nothing but what the source itself did not make in time. Its
        summary.
        """
        summary = self.assert_exact(program)
        events = program.events()
        first = next((i for i, e in enumerate(events) if e['event'] == 'frame'), 0)
        losses = [e for e in events[first:] if e['event'] == 'lost' and e['reason'] != 'source']
        self.assertEqual(losses, [], summary)
        return summary


def kill_hard(pid):
    os.kill(pid, signal.SIGKILL)
