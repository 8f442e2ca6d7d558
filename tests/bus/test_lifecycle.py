# SPDX-License-Identifier: LGPL-2.1-or-later
"""
How the broker comes and goes. Shows promise 10 (bus-activated, leaves when idle, no call is lost in that race) and
rows 16 (activation holds calls), 17 (NO_AUTO_START), 18 (a crash with calls pending) and 19 (idle exit raced with
calls) of the kdbus-era suite; --replace, signals, the end of the bus, and what a service manager is told.
"""

import concurrent.futures
import functools
import os
import random
import signal
import socket
import tempfile
import threading
import time

import fbtest
import programs
from gi.repository import Gio, GLib
from programs import MANAGER, MANAGER_PATH, PATTERN, SOURCE, TRANSPORTS

DRIVER = ('/org/freedesktop/DBus', 'org.freedesktop.DBus')
EMPTY = GLib.Variant('(a{sv})', ({},))


def source_path(name):
    return f'/org/framebus/source/{name}'


class Activated(programs.TestCase):
    def start_activatable(self, sources, *args):
        config = self.enter(fbtest.Config(sources))
        self.bus = self.enter(fbtest.Bus(activatable={'org.framebus': config.broker_command(*args)},
                                         env=self.broker_env()))
        self.conn = self.bus.connect()

    def brokers(self):
        return [pid for pid in self.bus.descendants() if 'framebusd' in fbtest.command_of(pid)]

    def raw(self):
        raw = programs.Raw(str(self.bus.base / 'bus')).auth().hello()
        self.addCleanup(raw.close)
        return raw

    def test_calls_are_held(self):
        """Row 16: five clients call Attach while no broker runs: one starts, all succeed, in the order of the calls."""
        self.start_activatable({'bars': PATTERN})
        clients = [self.raw() for _ in range(5)]
        serials = []
        for client in clients:
            data, serial = client.message(source_path('bars'), SOURCE, 'Attach', EMPTY, destination='org.framebus')
            serials.append(serial)
            client.send(data)
            client.call(*DRIVER, 'GetId', destination=DRIVER[1])        # the bus has the call by now
        epochs = set()
        for client, serial in zip(clients, serials):
            _fd, path, granted = client.reply(serial)
            self.assertEqual(path, programs.SUBSCRIPTION_PATH)
            epochs.add(granted['epoch'])
        self.assertEqual(len(epochs), 1)
        self.assertEqual(len(self.brokers()), 1)

    def test_order_of_held_calls(self):
        """Calls of one client, held by the bus and then by the broker, are done in order."""
        self.start_activatable({'bars': PATTERN})
        client = self.raw()
        calls = []
        for i in range(8):
            calls.append(client.message(MANAGER_PATH, MANAGER, 'Watch' if i % 2 else 'Unwatch',
                                        destination='org.framebus'))
        client.send(b''.join(data for data, _ in calls))
        for i, (_, serial) in enumerate(calls):
            if i == 0:
                self.raises('NotWatching', client.reply, serial)
            else:
                client.reply(serial)

    def test_no_auto_start(self):
        """Row 17: who does not want it started is told at once, and nothing starts."""
        self.start_activatable({'bars': PATTERN})
        began = time.monotonic()
        with self.assertRaises(GLib.Error) as caught:
            self.conn.call_sync('org.framebus', source_path('bars'), SOURCE, 'Attach', EMPTY, None,
                                Gio.DBusCallFlags.NO_AUTO_START, -1, None)
        self.assertLess(time.monotonic() - began, fbtest.limit(1))
        self.assertIn(fbtest.error_name(caught.exception), ('org.freedesktop.DBus.Error.NameHasNoOwner',
                                                            'org.freedesktop.DBus.Error.ServiceUnknown'))
        self.assertEqual(self.brokers(), [])
        self.assertIsNone(self.bus.owner('org.framebus'))

    def test_crash_with_calls_pending(self):
        """Row 18: who waits for an answer of a broker that is killed gets an error at once; the next call works."""
        self.start_activatable({'bars': PATTERN})
        first = self.get(MANAGER_PATH, MANAGER, 'Epoch')
        viewers = [self.client('bars', t, '--stay') for t in TRANSPORTS]
        for viewer in viewers:
            viewer.wait_frames(3)
        client = self.raw()
        client.call(MANAGER_PATH, MANAGER, 'Watch', destination='org.framebus')
        for repetition in range(fbtest.count(3, 100)):
            pid, = self.brokers()
            fbtest.sigstop(pid)
            data, serial = client.message(source_path('bars'), SOURCE, 'Attach', EMPTY, destination='org.framebus')
            client.send(data)
            client.call(*DRIVER, 'GetId', destination=DRIVER[1])
            began = time.monotonic()
            programs.kill_hard(pid)
            self.raises('org.freedesktop.DBus.Error.NoReply', client.reply, serial)
            self.assertLess(time.monotonic() - began, fbtest.limit(2))
            client.call(source_path('bars'), SOURCE, 'Attach', EMPTY, destination='org.framebus')
            if repetition == 0:
                for viewer in viewers:
                    viewer.wait_event('disconnected')
        self.assertNotEqual(self.get(MANAGER_PATH, MANAGER, 'Epoch'), first)
        for viewer in viewers:
            viewer.quit()
            self.assert_exact(viewer)

    def test_idle_exit_race(self):
        """Row 19: a broker that leaves after 2 ms, and clients that call just then: no call is lost."""
        self.start_activatable({}, '--idle-timeout', 0.002, '--log-level', 'error')
        repetitions = fbtest.count(150, 10000)
        epochs, errors = set(), []
        threads = [threading.Thread(target=self.race, args=(i, repetitions // 3, epochs, errors)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        self.assertGreater(len(epochs), repetitions // 40)      # else there was no race
        fbtest.wait_until(lambda: not self.brokers(), 10, 'the last one left')

    if os.environ.get('FB_FAULT_POINTS') == '1':
        def test_faster_successor(self):
            """
            A source is published in the last moment before the name is released, and a successor is activated before
            the broker looks: the source stays, as it was granted, and whoever asks for it finds it.
            """
            config = self.enter(fbtest.Config({}))
            command = config.broker_command('--idle-timeout', 0.1)
            self.bus = self.enter(fbtest.Bus(activatable={'org.framebus': command},
                                             env=self.broker_env({'FRAMEBUS_FAULT': 'leave=1500'})))
            self.conn = self.bus.connect()
            publish = functools.partial(self.call, MANAGER_PATH, MANAGER, 'Publish',
                                        GLib.Variant('(sa{sv})', ('clip', {})), self.bus.connect(), with_fds=True)
            for _ in range(5):      # a busy machine may be too late for the moment
                first = self.get(MANAGER_PATH, MANAGER, 'Epoch')
                time.sleep(0.6)
                with concurrent.futures.ThreadPoolExecutor() as pool:
                    published = pool.submit(publish)
                    fbtest.wait_until(lambda: self.bus.owner('org.framebus') is None, 10, 'it released the name')
                    second = self.get(MANAGER_PATH, MANAGER, 'Epoch')
                    (path, _), fds = published.result()
                self.assertEqual(self.get(path, SOURCE, 'Name'), 'clip')
                third = self.get(MANAGER_PATH, MANAGER, 'Epoch')
                os.close(fds[0])
                if first != second:
                    break
                fbtest.wait_until(lambda: not self.brokers(), 30, 'it left')
            self.assertNotEqual(first, second)
            self.assertEqual(first, third)
            fbtest.wait_until(lambda: not self.brokers(), 30, 'both left')

    def race(self, number, repetitions, epochs, errors):
        dice = random.Random(number)
        conn = Gio.DBusConnection.new_for_address_sync(
            self.bus.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
            Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        try:
            for i in range(repetitions):
                self.race_once(conn, number, i, dice, epochs)
                time.sleep(dice.random() * 0.04)
        except (GLib.Error, AssertionError) as error:
            errors.append(f'client {number}, call {i}: {error}')
        conn.close_sync(None)

    def race_once(self, conn, number, i, dice, epochs):
        what = dice.choice(['Attach', 'Publish', 'Watch', 'Epoch'])
        if what == 'Attach':        # an answer that only a broker gives, and that keeps it no longer
            self.raises('org.freedesktop.DBus.Error.UnknownObject', self.call, source_path('none'), SOURCE, 'Attach',
                        EMPTY, conn)
        elif what == 'Publish':
            (path, _), fds = self.call(MANAGER_PATH, MANAGER, 'Publish', GLib.Variant('(sa{sv})', (f'c{number}', {})),
                                       conn, with_fds=True)
            self.assertEqual(self.get(path, SOURCE, 'Name', conn), f'c{number}')
            os.close(fds[0])
            fbtest_gone(lambda: self.get(path, SOURCE, 'Name', conn))
        elif what == 'Watch':
            self.call(MANAGER_PATH, MANAGER, 'Watch', conn=conn)
            time.sleep(0.004)
            self.call(MANAGER_PATH, MANAGER, 'Unwatch', conn=conn)      # the same broker, or it is an error
        else:
            epochs.add(self.get(MANAGER_PATH, MANAGER, 'Epoch', conn))

    def test_attach_race(self):
        """The same with frames: attached just before it would leave, it stays."""
        self.start_activatable({'bars': PATTERN}, '--idle-timeout', 0.002)
        for _ in range(fbtest.count(2, 50)):
            client = self.client('bars', 'peer', '--frames', 3)
            client.finish()
            self.assert_exact(client)
            fbtest.wait_until(lambda: not self.brokers(), 10, 'it left')


def fbtest_gone(get):
    """Until a source is gone. Its channel was closed; the broker is told by the kernel."""
    deadline = time.monotonic() + fbtest.limit(5)
    while True:
        try:
            get()
        except GLib.Error as error:
            if fbtest.error_name(error) == 'org.freedesktop.DBus.Error.UnknownObject':
                return
            raise
        if time.monotonic() > deadline:
            raise AssertionError('a source whose channel was closed is still there')


class Ending(programs.TestCase):
    replaced = False

    def watched(self, **options):
        self.start({'bars': PATTERN}, **options)
        self.viewers = [self.client('bars', t) for t in TRANSPORTS]
        self.publisher_ = self.published('clip')
        for viewer in self.viewers:
            viewer.wait_frames(3)

    def ended(self):
        """Everybody was told. The one on the bus saw the name go first when another took it."""
        for viewer in self.viewers:
            viewer.finish()
            self.assert_exact(viewer)
            if not viewer.events('disconnected', what='owner') or not self.replaced:
                self.assertEqual([e['reason'] for e in viewer.events('ended')], ['shutdown'])
        self.publisher_.wait_event('disconnected')

    def test_signals(self):
        """SIGTERM and SIGINT: everybody is told to attach again, the capture program ends, status 0."""
        for sig in signal.SIGTERM, signal.SIGINT:
            with self.subTest(sig.name):
                self.watched()
                workers = self.workers()
                self.assertEqual(len(workers), 1)
                os.kill(self.broker.pid, sig)
                self.assertEqual(self.broker.wait(5), 0)
                self.ended()
                fbtest.wait_until(lambda: not any(map(fbtest.alive, workers)), 5, 'end of the capture program')

    def test_killed(self):
        """kill -9: channels hang up, the bus tells the others; the capture program goes by itself."""
        self.watched()
        workers = self.workers()
        self.broker.kill()
        for viewer in self.viewers:
            viewer.finish()
            self.assertEqual(len(viewer.events('disconnected')), 1)
        fbtest.wait_until(lambda: not any(map(fbtest.alive, workers)), 5, 'end of the capture program')
        self.publisher_.wait_event('disconnected')

    def test_replace(self):
        """--replace takes over: subscribers are told to attach again, and find the new one."""
        self.watched()
        self.replaced = True
        first, epoch = self.broker, self.get(MANAGER_PATH, MANAGER, 'Epoch')
        second = self.start_broker({'bars': PATTERN}, args=['--replace'])
        self.assertEqual(first.wait(5), 0)
        self.ended()
        self.assertRegex(first.err(), 'took over')
        self.assertEqual(self.bus.owner_pid('org.framebus'), second.pid)
        self.assertNotEqual(self.get(MANAGER_PATH, MANAGER, 'Epoch'), epoch)
        client = self.client('bars', 'bus', '--frames', 3)
        client.finish()
        self.assertEqual(client.events('granted')[0]['granted']['seq'], 0)

    def test_second(self):
        """Without --replace the second one leaves, says why, and the first notices nothing."""
        self.watched()
        with fbtest.Config() as config:
            status, _out, err = fbtest.run(config.broker_command(), env={**self.bus.env(), **self.broker_env()})
        self.assertEqual(status, 3)
        self.assertRegex(err, 'another broker owns org.framebus: --replace')
        for viewer in self.viewers:
            viewer.wait_frames(len(viewer.frames()) + 5)
            viewer.quit()
            self.assert_exact(viewer)

    def test_may_not_own(self):
        """A policy that does not let this user own the name is named as the cause."""
        policy = fbtest.ALLOW_ALL + '<policy context="mandatory"><deny own="org.framebus"/></policy>'
        self.bus = self.enter(fbtest.Bus(bus_type='system', policy=policy))
        with fbtest.Config() as config:
            status, _out, err = fbtest.run(config.broker_command(scope='--system'), env=self.bus.env())
        self.assertEqual(status, 1)
        self.assertRegex(err, 'cannot own org.framebus.*policy')

    def test_end_of_the_bus(self):
        """The bus goes: so does the broker, and its capture program; channels hang up."""
        self.watched()
        workers = self.workers()
        self.broker.expect_status = 1
        for conn in self.bus.connections:
            conn.set_exit_on_close(False)
        programs.kill_hard(self.bus.pid)
        self.assertEqual(self.broker.wait(5), 1)
        fbtest.wait_until(lambda: not any(map(fbtest.alive, workers)), 5, 'end of the capture program')
        for viewer in self.viewers:
            viewer.finish()
        self.publisher_.wait_event('disconnected')
        self.bus.popen.kill()
        self.bus.popen.wait()

    def test_bad_configuration(self):
        """A file that cannot be used is named with its line, and costs its source alone."""
        self.start({'bars': PATTERN, 'noexec': '[Source]\nName=x\n', 'what': '[Source]\nColour=red\nExec=/bin/false\n',
                    'twice': '[Source]\nName=bars\nExec=/bin/false\n', 'slash': '[Source]\nName=a/b\nExec=/bin/false\n',
                    'quote': '[Source]\nExec=/bin/sh "-c\n', 'else': '[Camera]\nExec=/bin/false\n'})
        objects, = self.call(MANAGER_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')
        self.assertEqual([o[SOURCE]['Name'] for o in objects.values()], ['bars'])
        for name in 'noexec', 'what', 'twice', 'slash', 'quote', 'else':
            self.assertRegex(self.broker.err(), rf'{name}\.conf:?\d*: ')
        client = self.client('bars', 'peer', '--frames', 3)
        client.finish()


class Manager(programs.TestCase):
    """What a service manager is told."""

    def listen(self):
        folder = self.enter(tempfile.TemporaryDirectory(prefix='fbtest-notify-', dir='/tmp'))
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(f'{folder}/notify')
        self.notify.setblocking(False)
        return {'NOTIFY_SOCKET': f'{folder}/notify'}

    def heard(self):
        words = []
        while True:
            try:
                words += self.notify.recv(4096).decode().split('\n')
            except BlockingIOError:
                return words

    def test_ready_and_stopping(self):
        """READY when the name is owned, not before; STOPPING when it leaves."""
        self.start(env=self.listen(), args=['--idle-timeout', 0.3])
        words = fbtest.wait_until(self.heard, what='READY')
        self.assertEqual([w for w in words if '=' in w], ['READY=1'])
        self.assertEqual(self.broker.wait(5), 0)
        self.assertIn('STOPPING=1', self.heard())
        self.start(env=self.listen())
        fbtest.wait_until(self.heard, what='READY')
        self.broker.stop()
        self.assertIn('STOPPING=1', self.heard())

    def test_not_ready_without_the_name(self):
        env = self.listen()
        self.start()
        with fbtest.Config() as config:
            status, _out, _err = fbtest.run(config.broker_command(), env={**self.bus.env(), **env})
        self.assertEqual(status, 3)
        self.assertNotIn('READY=1', self.heard())

    def test_watchdog(self):
        """With WATCHDOG_USEC it shows that its loop turns, and stops doing so when it does not."""
        self.start(env={**self.listen(), 'WATCHDOG_USEC': '200000'})
        time.sleep(0.5)
        self.assertGreaterEqual(self.heard().count('WATCHDOG=1'), 2)
        with fbtest.stopped(self.broker.pid):
            self.heard()
            time.sleep(0.3)
            self.assertEqual(self.heard(), [])


if __name__ == '__main__':
    fbtest.main()
