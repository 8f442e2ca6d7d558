# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Subscribers that stop reading. Shows promise 3 (a stopped or hostile subscriber harms nobody but itself) and row 6 of
the kdbus-era suite: others lose nothing, the bus disconnects nobody, the broker answers all the time, memory and
descriptors are bounded, the stopped one's gaps equal its Lost; that 68 stopped windows of 16 leave their user's other
programs the right to pass descriptors, and other viewers their frames; and that replies nobody reads freeze nothing.
"""

import fcntl
import os
import sys
import time

import fbtest
import programs
from programs import TRANSPORTS

# A healthy subscriber has 16 frames of credit: in the quick run enough for a machine that is busy with other things.
RATE = fbtest.count(20, 60)

# Passes one descriptor to itself, as any program of that user might; prints ok, or the error.
PASS_ONE = '''
import array, socket, sys
a, b = socket.socketpair()
try:
    for _ in range(8):
        a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
    print("ok")
except OSError as error:
    print(error)
'''


class Watcher:
    """Looks at the broker and the bus again and again: time to answer, memory, descriptors."""

    def __init__(self, test):
        self.test = test
        self.pids = [test.broker.pid, test.bus.pid]
        self.pings, self.rss, self.fds = [], [], []

    def look(self):
        self.pings.append(self.test.ping())
        self.rss.append([fbtest.proc_rss_kib(pid) for pid in self.pids])
        self.fds.append([fbtest.proc_fds(pid) for pid in self.pids])

    def look_for(self, seconds, interval=0.1):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(interval)

    def growth(self):
        """Of memory in KiB and of descriptors, of broker and bus, from the first look to the highest."""
        return [max(r[i] for r in seen) - seen[0][i] for seen in (self.rss, self.fds) for i in (0, 1)]


class Stopped(programs.TestCase):
    def one_of_three_stops(self, ways, drop='newest'):
        """The clients, the stopped one first, after it went on."""
        seconds = fbtest.count(3.5, 30)
        self.start()
        self.published('clip', '--rate', RATE, '--size', '512x512', '--quiet')
        slow = self.client('clip', ways[0], '--window', 4, '--drop', drop)
        others = [self.client('clip', way, '--window', 16) for way in ways[1:]]
        clients = [slow, *others]
        for client in clients:
            client.wait_frames(5)
        watcher = Watcher(self)
        watcher.look()
        with fbtest.stopped(slow.pid):
            watcher.look_for(seconds)
        watcher.look()
        self.judge(watcher)
        slow.wait_event('frame', len(slow.frames()) + 10)
        for client in clients:
            self.assertEqual(client.quit()['problems'], 0)
            self.assertEqual(client.events('disconnected') + client.events('ended'), [])
        for client in others:
            summary = self.assert_complete(client)
            self.assertGreater(summary['delivered'], RATE * seconds * 0.3)
        summary = self.assert_exact(slow)
        self.assertGreater(summary['lost'], RATE * seconds * 0.3)
        self.assertEqual(summary['gaps'], summary['lost'])
        return summary

    def judge(self, watcher):
        pings = sorted(watcher.pings)
        self.assertLess(pings[-1], fbtest.limit(1.0))
        self.assertLess(pings[len(pings) // 2], fbtest.limit(0.05))
        broker_kib, bus_kib, broker_fds, bus_fds = watcher.growth()
        self.assertLessEqual(broker_fds, 8)
        self.assertLessEqual(bus_fds, 48)       # what is on its way, no more than all windows on the bus
        if not programs.instrumented():
            self.assertLess(broker_kib, 1024)
            self.assertLess(bus_kib, 1024)

    def test_one_of_three_on_the_bus(self):
        summary = self.one_of_three_stops(['bus', 'bus', 'peer'])
        self.assertGreater(summary['lost_no-credit'], RATE * 1.5)

    def test_one_of_three_on_channels(self):
        summary = self.one_of_three_stops(['peer', 'bus', 'peer-own-socket'])
        self.assertGreater(summary['lost_suspended'], RATE * 0.5)

    def test_latest_only(self):
        summary = self.one_of_three_stops(['peer-own-socket', 'peer', 'bus'], drop='latest')
        self.assertGreater(summary['lost_superseded'], RATE * 0.5)

    def test_monitor(self):
        """A stopped subscriber on the bus that has a match for everything, too."""
        self.start()
        self.published('clip', '--rate', RATE)
        monitor = self.enter(fbtest.Process(['busctl', f'--address={self.bus.address}', '--match',
                                             "type='signal'", 'monitor']))
        healthy = self.client('clip', 'bus', '--window', 16)
        healthy.wait_frames(10)
        watcher = Watcher(self)
        watcher.look()
        with fbtest.stopped(monitor.pid):
            watcher.look_for(fbtest.count(2, 30))
        self.assertLess(max(watcher.pings), fbtest.limit(1.0))
        healthy.quit()
        self.assert_complete(healthy)


class InFlight(programs.TestCase):
    """As user nobody, with the usual 1024: root may exceed the kernel's bound of descriptors in flight."""

    WINDOW = 16

    def setUp(self):
        """As user nobody, who has all descriptors in flight together: one of these tests at a time, on all buses."""
        super().setUp()
        fbtest.need_root()
        lock = self.enter(open(__file__, encoding='utf-8'))
        fcntl.flock(lock, fcntl.LOCK_EX)

    def other_may_pass(self):
        status, out, err = fbtest.run(['prlimit', '--nofile=1024:1024', sys.executable, '-c', PASS_ONE], user='nobody')
        self.assertEqual((status, out, err), (0, 'ok\n', ''))

    def start_as_nobody(self):
        """A bus that all may use, a broker of user nobody with soft and hard 1024, and a source at RATE."""
        self.bus = self.enter(fbtest.Bus(bus_type='session'))
        self.conn = self.bus.connect()
        config = self.enter(fbtest.Config())
        broker = fbtest.Broker(self.bus, config, env=self.broker_env(), user='nobody')
        broker._prefix = lambda: ['prlimit', '--nofile=1024:1024', *fbtest.Process._prefix(broker)]
        self.broker = self.enter(broker)
        self.published('clip', '--rate', RATE, '--quiet', user='nobody')

    def stop(self, left, transport, healthy):
        """So many subscribers, in processes of 16. The first take all they can get before the others come."""
        processes = []
        while left > 0:
            n = min(left, 16)
            processes.append(self.client('clip', transport, '--count', n, '--window', self.WINDOW, '--quiet',
                                         '--no-attack', user='nobody'))
            processes[-1].wait_event('format', n)
            fbtest.sigstop(processes[-1].pid)
            if len(processes) == 1:
                healthy.wait_frames(len(healthy.frames()) + self.WINDOW)
            left -= n
        return processes

    def test_stopped(self):
        """68, and as many as one user may have but one: all of the same user, who is the broker's as well."""
        for transport, subscribers in ('peer', 68), ('peer-own-socket', 68), ('peer', 127):
            with self.subTest(transport, subscribers=subscribers):
                self.start_as_nobody()
                healthy = self.client('clip', 'peer', '--window', 16, user='nobody')
                healthy.wait_frames(5)
                processes = self.stop(subscribers, transport, healthy)
                before = len(healthy.frames())
                try:
                    self.assertEqual(len(self.who()), subscribers + 1)
                    watcher = Watcher(self)
                    watcher.look_for(fbtest.count(2, 20))
                    self.other_may_pass()
                    self.assertLess(max(watcher.pings), fbtest.limit(1.0))
                    got = len(healthy.frames()) - before
                finally:
                    for process in processes:
                        fbtest.sigcont(process.pid)
                for process in processes:
                    process.quit()
                    for e in process.events('summary'):
                        self.assertTrue(e['gaps_match'] and e['problems'] == 0, e)
                        self.assertNotIn('lost_quota', e)       # it had not read what it had been sent
                healthy.quit()
                self.healthy(healthy, got)

    def healthy(self, client, got):
        """
        It may have one unread frame at any time, and hardly more, as the rest of the 256 is with those that have
        stopped. A source that was late, and makes several frames at once, is quicker than it can read.
        """
        self.assertGreater(got, RATE * fbtest.count(2, 20) * fbtest.count(0.3, 0.7))
        self.assert_exact(client)
        if os.environ.get('FB_FULL') == '1':
            self.assertLess(sum(e['count'] for e in client.events('lost')), 0.01 * got)

    def test_control(self):
        """That the measure can tell: with 1100 descriptors in flight nobody may pass one any more."""
        hog = self.enter(fbtest.Process(['prlimit', '--nofile=4096:4096', sys.executable, '-c', '''
import array, socket, time
pairs = [socket.socketpair() for _ in range(110)]
for a, _b in pairs:
    for _ in range(10):
        a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
print("full", flush=True)
time.sleep(600)
'''], user='nobody'))
        hog.wait_output('full')
        with self.assertRaises(AssertionError):
            self.other_may_pass()


class Replies(programs.TestCase):
    def test_500_unread_replies(self):
        """A client that calls Attach 500 times and reads nothing: it gets 16 channels, others notice nothing."""
        for transport in 'peer', 'peer-own-socket', 'bus':
            with self.subTest(transport):
                self.start()
                self.published('clip', '--rate', RATE)
                idle = fbtest.proc_fds(self.broker.pid)
                healthy = [self.client('clip', t, '--window', 16) for t in TRANSPORTS]
                for client in healthy:
                    client.wait_frames(5)
                before = fbtest.proc_fds(self.broker.pid)
                flooder = self.client('clip', transport, '--flood', 500, '--window', 1)
                flooder.wait_event('flooded')
                with fbtest.stopped(flooder.pid):
                    # now: what is never released on the bus ends after two seconds
                    mine = [s for s in self.who() if s['pid'] == flooder.pid]
                    self.assertGreaterEqual(len(mine), 15)
                    self.assertLessEqual(len(mine), 48 - 16 if transport == 'bus' else 16)
                    watcher = Watcher(self)
                    watcher.look_for(fbtest.count(1, 10))
                    self.assertLess(max(watcher.pings), fbtest.limit(1.0))
                    self.assertLessEqual(fbtest.proc_fds(self.broker.pid), before + 2 * 16)
                    self.open_channel('clip').close()
                flooder.kill()
                for client in healthy:
                    client.quit()
                    self.assert_complete(client)
                self.settle()
                self.fds_are(idle)

    def test_16_channels(self):
        """Counted until they are hung up, opened or not, handed on or not."""
        self.start()
        self.published('clip', '--rate', 1)
        channels = [self.attach('clip') for _ in range(16)]
        message = self.raises('LimitsExceeded', self.attach, 'clip')
        self.assertIn('16', message)
        self.raises('LimitsExceeded', self.on_source, 'clip', 'Attach')
        other = self.bus.connect()
        os.close(self.attach('clip', conn=other))
        os.close(channels.pop())
        fbtest.wait_until(lambda: len(self.who()) == 15, what='a hang-up')
        channels.append(self.attach('clip'))
        self.raises('LimitsExceeded', self.attach, 'clip')
        for fd in channels:
            os.close(fd)


if __name__ == '__main__':
    fbtest.main()
