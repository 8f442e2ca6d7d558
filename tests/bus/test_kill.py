# SPDX-License-Identifier: LGPL-2.1-or-later
"""
kill -9, at random moments, of the broker, of a capture program, of a publisher and of a subscriber: streams go on by
themselves, and nothing is left behind. Publisher and subscribers are on libframebus (lib-publisher, lib-witness).

FB_SEED=N FB_ROUND=N: begins with the same moments at that round again; without, the seed is chosen and printed.
"""

import contextlib
import os
import pathlib
import random
import struct
import tempfile
import time

import fbtest
import programs
from programs import MANAGER_PATH, SOURCE

SEED = int(os.environ.get('FB_SEED', random.SystemRandom().randrange(10000)))
FIRST = int(os.environ.get('FB_ROUND', 0))

# The documented waiting times together: 10 s at most until a capture program is started again, 5 s until the library
# looks for it again; and some for a machine that has other things to do.
DEADLINE = 30


class Viewer:
    """A lib-witness, and how many frames it has got, in a file. It is started again when it was killed."""

    def __init__(self, test, source, *args):
        self.test, self.source = test, source
        fd, self.path = tempfile.mkstemp(prefix='fbtest-count-')
        os.close(fd)
        test.addCleanup(os.unlink, self.path)
        self.args = ['--counter', self.path, *args, source]
        self.start()

    def start(self):
        self.process = self.test.library('lib-witness', *self.args)

    def frames(self):
        data = pathlib.Path(self.path).read_bytes()
        return struct.unpack('=Q', data)[0] if len(data) == 8 else 0


class Killing(programs.TestCase):
    def library(self, name, *args):
        return self.enter(programs.Program(name, *args, env={**self.bus.env(), 'FRAMEBUS_ADDRESS': self.bus.address}))

    def begin(self):
        config = self.enter(fbtest.Config({'bars': programs.pattern('64x48', 200)}))
        self.bus = self.enter(fbtest.Bus(activatable={'org.framebus': config.broker_command()},
                                         env=self.broker_env()))
        self.conn = self.bus.connect()
        self.start_publisher()
        # who watches a source of the broker's is not told of anything; a published one is gone with its publisher
        self.viewers = [Viewer(self, 'bars', '--any-picture'), Viewer(self, 'bars', '--any-picture', '--bus'),
                        Viewer(self, 'clip', '--again', '--hold', 2), Viewer(self, 'clip', '--again', '--bus')]
        self.victim = Viewer(self, 'clip', '--again', '--hold', 1), Viewer(self, 'bars', '--any-picture', '--bus')
        self.goes_on('at the beginning')

    def start_publisher(self):
        self.publisher = self.library('lib-publisher', '--rate', 200, '--again', 'clip')

    def goes_on(self, when):
        """Each viewer gets frames."""
        before = {viewer: viewer.frames() for viewer in (*self.viewers, *self.victim)}
        try:
            for viewer, n in before.items():
                fbtest.wait_until(lambda v=viewer, n=n: v.frames() >= n + 12 or v.frames() < n, DEADLINE)
        except AssertionError:      # only now: to ask would start the broker
            raise AssertionError(f'no frames {when}: {viewer.args}\n{viewer.process.log()[-1000:]}\n'
                                 f'{self.publisher.log()[-1000:]}\n{self.state()}') from None

    def state(self):
        with contextlib.suppress(Exception):
            return self.objects()
        return 'no answer'

    def objects(self):
        objects, = self.call(MANAGER_PATH, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')
        return {o[SOURCE]['Name']: (o[SOURCE]['State'], o[SOURCE]['StateReason']) for o in objects.values()}

    def broker_pid(self):
        return fbtest.wait_until(lambda: self.bus.owner_pid('org.framebus'), 30, 'a broker')

    # Victims

    def kill_pid(self, pid):
        with contextlib.suppress(ProcessLookupError):
            programs.kill_hard(pid)

    def kill_broker(self, dice):
        pid = self.bus.owner_pid('org.framebus')
        if pid:
            self.kill_pid(pid)

    def kill_program(self, dice):
        broker = self.bus.owner_pid('org.framebus')
        for pid in fbtest.children_of(broker) if broker else []:
            if programs.CAPTURE in fbtest.command_of(pid):
                self.kill_pid(pid)

    def kill_publisher(self, dice):
        self.publisher.kill()
        self.publisher.remove()
        self.start_publisher()

    def kill_subscriber(self, dice):
        viewer = dice.choice(self.victim)
        viewer.process.kill()
        viewer.process.remove()
        pathlib.Path(viewer.path).write_bytes(bytes(8))
        viewer.start()

    def rounds(self, n, victims):
        for i in range(FIRST, FIRST + n):
            dice = random.Random(f'{SEED}/{i}')
            # the second one, if there is one, is killed while the others still look for the first
            killed = [victims[i % len(victims)]] + [dice.choice(victims)] * dice.choice((0, 0, 1))
            for kill in killed:
                time.sleep(dice.uniform(0, 0.08))
                kill(dice)
            self.goes_on(f'in round {i} of seed {SEED} after {", ".join(k.__name__ for k in killed)}')
            for viewer in self.viewers:
                self.assertIsNone(viewer.process.returncode, viewer.process.log()[-2000:])

    # What is left

    def least(self, pids):
        """The fewest descriptors of each that it has in a while: without frames that it is just given."""
        seen = {pid: [] for pid in pids}
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            for pid in pids:
                seen[pid].append(fbtest.proc_fds(pid))
            time.sleep(0.002)
        return [min(numbers) for numbers in seen.values()]

    def survivors(self):
        return [viewer.process.pid for viewer in self.viewers]

    def no_more_than(self, pids, before, what):
        def look():
            self.now = self.least(pids)
            return all(now <= then for now, then in zip(self.now, before))
        try:
            fbtest.wait_until(look, 20)
        except AssertionError:
            links = [os.readlink(f) for f in pathlib.Path(f'/proc/{pids[0]}/fd').iterdir() if f.exists()]
            raise AssertionError(f'{what}: {before} descriptors, then {self.now}; {sorted(links)}') from None

    def nothing_left(self, before):
        self.no_more_than(self.survivors(), before, 'subscribers')
        self.assertEqual(sorted(self.objects()), ['bars', 'clip'])
        fbtest.wait_until(lambda: len(self.bus.descendants()) == 2, 20, f'{self.bus.descendants()}: broker and program')
        for viewer in self.viewers:
            viewer.process.tell('quit')
            viewer.process.wait()
            self.assertEqual(viewer.process.events('problem'), [])
            if viewer.source == 'bars':
                self.assertEqual(viewer.process.events('ended'), [])
        for viewer in self.victim:
            viewer.process.quit()
        fbtest.wait_until(lambda: not self.who(), 20, 'nobody to watch')
        self.assertEqual(self.publisher.quit()['problems'], 0)
        fbtest.wait_until(lambda: sorted(self.objects()) == ['bars'], what='the end of the published source')

    def test_each_in_turn(self):
        self.begin()
        print(f'# FB_SEED={SEED}', flush=True)
        before = self.least(self.survivors())
        self.rounds(fbtest.count(16, 1000), [self.kill_broker, self.kill_program, self.kill_publisher,
                                             self.kill_subscriber])
        self.nothing_left(before)

    def test_broker_stays(self):
        """What the others leave in the broker."""
        self.begin()
        print(f'# FB_SEED={SEED}', flush=True)
        pid = self.broker_pid()
        before, brokers = self.least(self.survivors()), self.least([pid])
        self.rounds(fbtest.count(9, 600), [self.kill_program, self.kill_publisher, self.kill_subscriber])
        self.assertEqual(self.broker_pid(), pid)
        self.no_more_than([pid], brokers, 'broker')
        self.nothing_left(before)


if __name__ == '__main__':
    fbtest.main()
