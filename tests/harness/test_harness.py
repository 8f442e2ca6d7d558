# SPDX-License-Identifier: LGPL-2.1-or-later
"""The harness itself: three kinds of bus, activation, limits, other users, and that nothing stays behind."""

import os
import pathlib
import signal
import shutil
import subprocess
import sys
import tempfile

from gi.repository import Gio, GLib

import fbtest
from fbtest import Bus, Process, call

NAME = 'org.example.Test'
SERVICE = pathlib.Path(__file__).with_name('service.py')


def ask(conn, method, parameters=None, name=NAME, **options):
    return call(conn, name, '/org/example/Test', 'org.example.Test', method, parameters, **options)


def service_command(name=NAME, *args):
    return [sys.executable, SERVICE, name, *args]


def driver(conn, method, parameters=None):
    return call(conn, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', method,
                parameters)


def memory(text):
    fd = os.memfd_create('test', os.MFD_CLOEXEC)
    os.write(fd, text)
    return fd


class Buses(fbtest.TestCase):
    def test_bus_answers(self):
        bus = self.enter(Bus())
        conn = bus.connect()
        self.assertIn('org.freedesktop.DBus', driver(conn, 'ListNames')[0])
        self.assertGreater(fbtest.proc_fds(bus.pid), 3)
        self.assertGreater(fbtest.proc_rss_kib(bus.pid), 500)
        self.assertEqual(pathlib.Path(f'/proc/{bus.pid}/comm').read_text().strip(),
                         'dbus-broker' if bus.kind == 'broker' else 'dbus-daemon')
        fds = fbtest.proc_fds(bus.pid)
        bus.connect()
        fbtest.wait_until(lambda: fbtest.proc_fds(bus.pid) > fds, what='one more connection')

    def test_each_bus_is_private(self):
        first, second = self.enter(Bus()), self.enter(Bus())
        driver(first.connect(), 'RequestName', GLib.Variant('(su)', ('org.example.Own', 0)))
        second.connect()
        self.assertIsNotNone(first.owner('org.example.Own'))
        self.assertIsNone(second.owner('org.example.Own'))

    def test_another_user_connects(self):
        fbtest.need_root()
        bus = self.enter(Bus())
        conn = bus.connect()
        viewer = self.enter(Process(service_command('org.example.Nobody'), user='nobody', env=bus.env()))
        self.assertNotIn(viewer.pid, bus.descendants())
        fbtest.wait_until(lambda: bus.owner('org.example.Nobody'), 10)
        pid, = ask(conn, 'Pid', name='org.example.Nobody')
        self.assertEqual(pid, viewer.pid)
        self.assertEqual(pathlib.Path(f'/proc/{pid}').stat().st_uid, 65534)
        uid, = driver(conn, 'GetConnectionUnixUser', GLib.Variant('(s)', ('org.example.Nobody',)))
        self.assertEqual(uid, 65534)
        self.assertEqual(fbtest.proc_status(pid, 'Gid'), 65534)

    def test_stop_leaves_nothing(self):
        bus = self.enter(Bus(activatable={NAME: service_command()}))
        conn = bus.connect()
        service, = ask(conn, 'Pid')
        pids = [service, bus.pid, bus.popen.pid, *bus.descendants()]
        self.assertIn(service, pids[3:])
        self.assertEqual(bus.stop(), 0)
        for pid in pids:
            self.assertFalse(fbtest.alive(pid), fbtest.command_of(pid))
        bus.remove()
        self.assertFalse(bus.base.exists())
        self.assertFalse(bus.dir.exists())

    def test_bus_dies_with_its_starter(self):
        program = ('import fbtest, signal\n'
                   'bus = fbtest.Bus().start()\n'
                   'print(bus.pid, bus.popen.pid, bus.base, bus.dir, flush=True)\n'
                   'signal.pause()')
        starter = self.enter(Process([sys.executable, '-c', program],
                                     env={'PYTHONPATH': str(pathlib.Path(__file__).parent)}))
        bus, popen, base, folder = starter.wait_output(r'^(\d+) (\d+) (\S+) (\S+)$').groups()
        starter.popen.kill()
        starter.wait()
        for pid in int(bus), int(popen):
            fbtest.wait_until(lambda: not fbtest.alive(pid), what=f'end of {pid}')
        for path in base, folder:
            shutil.rmtree(path)


class Activation(fbtest.TestCase):
    def test_queued_call_keeps_its_fd(self):
        names = NAME, 'org.example.Other'
        bus = self.enter(Bus(activatable={name: service_command(name) for name in names}))
        conn = bus.connect()
        fd = memory(b'hello')
        for name in names:
            self.assertEqual(ask(conn, 'Read', GLib.Variant('(h)', (0,)), name=name, fds=[fd]), ('hello',))
            self.assertIn(bus.owner_pid(name), bus.descendants())
        os.close(fd)

    def test_environment_of_the_activated(self):
        for kind in 'session', 'system':
            with self.subTest(kind), Bus(bus_type=kind, env={'FB_EXTRA': 'x y'},
                                         activatable={NAME: service_command(NAME, kind)}) as bus:
                conn = bus.connect()
                wanted = {'DBUS_STARTER_ADDRESS': bus.address, 'DBUS_STARTER_BUS_TYPE': kind,
                          f'DBUS_{kind.upper()}_BUS_ADDRESS': bus.address, 'FB_EXTRA': 'x y'}
                for variable, value in wanted.items():
                    got, = ask(conn, 'Variable', GLib.Variant('(s)', (variable,)))
                    self.assertEqual(got.partition(',')[0], value, variable)    # dbus-daemon adds ,guid=

    def test_killed_service_is_activated_again(self):
        bus = self.enter(Bus(activatable={NAME: service_command()}))
        conn = bus.connect()
        before = set()
        for _ in range(3):
            pid, = ask(conn, 'Pid')
            self.assertNotIn(pid, before)
            before.add(pid)
            os.kill(pid, signal.SIGKILL)
            fbtest.wait_until(lambda: bus.owner(NAME) is None, what='loss of the name')

    def test_failing_activation_is_an_error(self):
        bus = self.enter(Bus(activatable={NAME: 'false', 'org.example.Lacking': '/nonexistent "a b"',
                                          'org.example.Dies': ['sh', '-c', 'kill -9 $$']}))
        conn = bus.connect()
        for name in NAME, 'org.example.Lacking', 'org.example.Dies', NAME:
            with self.subTest(name), self.assertRaises(GLib.Error) as caught:
                ask(conn, 'Pid', name=name, timeout=5)
            self.assertNotIn(fbtest.error_name(caught.exception),     # None: GLib's own, it waited in vain
                             (None, 'org.freedesktop.DBus.Error.NoReply'))
        with self.assertRaises(GLib.Error) as caught:
            ask(conn, 'Pid', name='org.example.Unknown')
        self.assertEqual(fbtest.error_name(caught.exception), 'org.freedesktop.DBus.Error.ServiceUnknown')

    def test_stubborn_service_is_reported(self):
        """One that stays when the bus goes fails the test that left it there, and is ended all the same."""
        bus = self.enter(Bus(activatable={NAME: service_command(NAME, 'session', 'stubborn')}))
        ask(bus.connect(), 'Pid')
        pids = bus.descendants()
        # what it is waited for in vain is not worth the time that a slow machine gets
        scale = os.environ.get('FB_TIMEOUT_SCALE')
        self.addCleanup(lambda: os.environ.update({'FB_TIMEOUT_SCALE': scale or '1'}))
        os.environ['FB_TIMEOUT_SCALE'] = '1'
        if bus.kind == 'broker':
            self.assertEqual(bus.stop(), 0)     # bus-controller kills what it has started
        else:
            with self.assertRaisesRegex(AssertionError, 'SIGKILL'):
                bus.stop()
        for pid in pids:
            self.assertFalse(fbtest.alive(pid))


class Limits(fbtest.TestCase):
    def send_fds(self, bus, n):
        """Whether a connection is still open after a message with n fds to nobody in particular."""
        sender, other = bus.connect(), bus.connect()
        fd = memory(b'')
        try:
            with self.assertRaises(GLib.Error):
                call(sender, other.get_unique_name(), '/none', 'org.example.None', 'None',
                     GLib.Variant('(ah)', (list(range(n)),)), fds=[fd] * n, timeout=2)
        finally:
            os.close(fd)
        return not sender.is_closed()

    def test_fds_of_a_message(self):
        bus = self.enter(Bus())
        self.assertTrue(self.send_fds(bus, 16))
        self.assertEqual(self.send_fds(bus, 17), bus.kind == 'broker')

    def test_a_limit_can_be_set(self):
        if fbtest.bus_kind() == 'broker':
            bus = self.enter(Bus(limits={'max-fds': 8}))
            self.assertFalse(self.send_fds(bus, 12))
        else:
            bus = self.enter(Bus(limits={'max_message_unix_fds': 8}))
            self.assertFalse(self.send_fds(bus, 9))
        self.assertTrue(self.send_fds(bus, 4))

    def test_pending_messages(self):
        """A receiver that does not read: only the built-in limits of dbus-daemon stop the sender."""
        bus = self.enter(Bus())
        receiver = self.enter(Process(service_command(), env=bus.env()))
        fbtest.wait_until(lambda: bus.owner(NAME), 10)
        sender = bus.connect()
        held = fbtest.proc_fds(bus.pid)
        with fbtest.stopped(receiver.pid):
            send_signals(sender, bus.owner(NAME), 900)
            expected = range(60, 66) if bus.kind == 'daemon' else range(300, 901)
            fbtest.wait_until(lambda: fbtest.proc_fds(bus.pid) - held in expected,
                              what='the fds that the bus holds for a receiver that does not read')
        fbtest.wait_until(lambda: fbtest.proc_fds(bus.pid) == held, what='a drained bus')

    def test_nofile(self):
        if fbtest.bus_kind() != 'broker':
            self.skipTest('dbus-daemon sets its own')
        bus = self.enter(Bus(limits=fbtest.BROKER_SESSION_LIMITS, nofile=fbtest.BROKER_SESSION_NOFILE))
        text = pathlib.Path(f'/proc/{bus.pid}/limits').read_text()
        self.assertRegex(text, r'Max open files +1024 ')
        self.assertTrue(self.send_fds(bus, 100))


def send_signals(conn, destination, n):
    """n directed signals with one fd each."""
    fd = memory(b'frame')
    for _ in range(n):
        message = Gio.DBusMessage.new_signal('/frame', 'org.example.Test', 'Frame')
        message.set_destination(destination)
        fds = Gio.UnixFDList.new()
        message.set_body(GLib.Variant('(h)', (fds.append(fd),)))
        message.set_unix_fd_list(fds)
        conn.send_message(message, Gio.DBusSendMessageFlags.NONE)
    os.close(fd)


class Policies(fbtest.TestCase):
    def test_policy_is_applied(self):
        policy = fbtest.system_policy() + '<policy user="nobody"><allow own="org.example.Test"/></policy>'
        bus = self.enter(Bus(bus_type='system', policy=policy))
        with self.assertRaises(GLib.Error) as caught:
            driver(bus.connect(), 'RequestName', GLib.Variant('(su)', (NAME, 0)))
        self.assertEqual(fbtest.error_name(caught.exception), 'org.freedesktop.DBus.Error.AccessDenied')


class Brokers(fbtest.TestCase):
    """The Broker class, with a stand-in for framebusd."""

    SCRIPT = f'''#!/bin/sh
[ -f "$3/sources.d/bars.conf" ] || exit 3
trap 'kill $!; wait $!; exit 0' TERM
{sys.executable} {SERVICE} {fbtest.BUS_NAME} &
echo "$4" >&2
wait $!
'''

    def setUp(self):
        build = pathlib.Path(tempfile.mkdtemp(prefix='fbtest-build-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, build)
        (build / 'broker').mkdir()
        (build / 'tests').symlink_to(fbtest.build_path('tests'))
        self.program = build / 'broker' / 'framebusd'
        self.install(self.SCRIPT)
        before = os.environ['FB_BUILD']
        self.addCleanup(os.environ.__setitem__, 'FB_BUILD', before)
        os.environ['FB_BUILD'] = str(build)

    def install(self, script):
        self.program.write_text(script)
        self.program.chmod(0o755)

    def test_started_and_ended(self):
        self.install(f'#!/bin/sh\nexec {sys.executable} {SERVICE} {fbtest.BUS_NAME} session polite\n')
        bus = self.enter(Bus())
        broker = self.enter(fbtest.Broker(bus, {'bars': '[Source]'}))
        self.assertEqual(bus.owner_pid(fbtest.BUS_NAME), broker.pid)
        self.assertEqual(ask(bus.connect(), 'Pid', name=fbtest.BUS_NAME), (broker.pid,))
        self.assertEqual((broker.config.path / 'sources.d' / 'bars.conf').read_text(), '[Source]')

    def test_failures_are_seen(self):
        bus = self.enter(Bus())
        with self.assertRaisesRegex(AssertionError, 'ended with 3'):    # no source
            self.enter(fbtest.Broker(bus))
        self.install(f'#!/bin/sh\nexec {sys.executable} {SERVICE} {fbtest.BUS_NAME}\n')
        with self.assertRaisesRegex(AssertionError, 'ended with -15'):  # does not handle SIGTERM
            with fbtest.Broker(bus):
                pass
        with self.assertRaisesRegex(AssertionError, 'ended with -6'):
            with fbtest.Broker(bus) as broker:
                broker.popen.send_signal(signal.SIGABRT)
                broker.popen.wait()
        with fbtest.Broker(bus) as broker:
            broker.kill()

    def test_activated(self):
        config = self.enter(fbtest.Config({'bars': '[Source]'}))
        bus = self.enter(Bus(activatable={fbtest.BUS_NAME: config.broker_command('some message')}))
        service, = ask(bus.connect(), 'Pid', name=fbtest.BUS_NAME)
        self.assertIn(service, bus.descendants())
        self.assertIn('some message', bus.log())


class Helpers(fbtest.TestCase):
    def test_wait_until_times_out(self):
        with self.assertRaisesRegex(AssertionError, 'the moon'):
            fbtest.wait_until(lambda: False, 0.05, 'the moon')

    def test_reports_are_found(self):
        for text in ('==12==ERROR: AddressSanitizer: heap-use-after-free on address',
                     'a.c:3:5: runtime error: signed integer overflow',
                     '==12==ERROR: LeakSanitizer: detected memory leaks',
                     '==7== Invalid read of size 4', '==7== ERROR SUMMARY: 2 errors from 2 contexts',
                     "framebusd: a.c:12: f: Assertion `x' failed."):
            self.assertIsNotNone(fbtest.find_trouble(f'x\n{text}\ny'), text)
            with self.assertRaises(AssertionError):
                with Process(['sh', '-c', f'cat >&2 <<"X"\n{text}\nX']) as process:
                    process.wait()
        self.assertIsNone(fbtest.find_trouble('==7== ERROR SUMMARY: 0 errors from 0 contexts'))

    def test_process_output_and_status(self):
        self.assertEqual(fbtest.run(['sh', '-c', 'echo a; echo b >&2; exit 3']), (3, 'a\n', 'b\n'))
        with Process(['cat'], stdin=subprocess.PIPE) as process:
            process.stdin.write(b'text\n')
            process.stdin.flush()
            self.assertEqual(process.wait_output('^te(.*)$').group(1), 'xt')

    def test_a_process_that_ignores_sigterm(self):
        process = Process(['sh', '-c', 'trap "" TERM; echo on; while :; do sleep 0.1; done']).start()
        process.wait_output('on')
        with self.assertRaisesRegex(AssertionError, 'did not end'):
            process.stop(timeout=0.2)
        process.remove()
        fbtest.end_processes(fbtest.children_of(os.getpid()))


if __name__ == '__main__':
    fbtest.main()
