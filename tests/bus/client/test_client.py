# SPDX-License-Identifier: LGPL-2.1-or-later
"""fb-client has to see what is wrong, before anybody believes it when it says that all is right."""

import json
import os
import subprocess
import zlib

import fbtest
from fakebroker import SEALS, FakeBroker

SEAL_WRITE = 8
CONTENT = bytes(range(64))


class Client(fbtest.TestCase):
    def setUp(self):
        self.bus = self.enter(fbtest.Bus())
        self.conn = self.bus.connect()
        self.broker = FakeBroker(self.conn)

    def attached(self, transport, *args):
        """fb-client, and the broker's side of its subscription."""
        argv = [str(fbtest.build_path('tests/bus/client/fb-client')), '--address', self.bus.address, '--source', 'fake',
                '--transport', transport, '--seconds', '10', *args]
        process = self.enter(fbtest.Process(argv, stdin=subprocess.PIPE))
        fbtest.wait_until(lambda: self.broker.subscriptions, what='a subscription')
        return process, self.broker.subscriptions[-1]

    def finish(self, process, status=0):
        self.assertEqual(process.wait(10), status, process.out() + process.err())
        return [json.loads(line) for line in process.out().splitlines()]

    def test_all_right(self):
        for transport in 'bus', 'peer', 'peer-own-socket':
            with self.subTest(transport):
                self.broker.subscriptions.clear()
                process, s = self.attached(transport, '--frames', '3', '--checksum')
                s.format()
                s.frame(1, CONTENT)
                s.lost(2)
                s.lost(1, 'source')
                s.frame(5)
                s.frame(6, CONTENT[::-1])
                events = self.finish(process)
                frames = [e for e in events if e['event'] == 'frame']
                self.assertEqual([f['seq'] for f in frames], [1, 5, 6])
                self.assertEqual([f['crc32'][0] for f in frames],
                                 [zlib.crc32(CONTENT)] * 2 + [zlib.crc32(CONTENT[::-1])])
                self.assertEqual([f['problems'] for f in frames], [[], [], []])
                summary = events[-1]
                self.assertEqual((summary['delivered'], summary['lost'], summary['gaps'], summary['gaps_match']),
                                 (3, 3, 3, True))
                self.assertEqual(summary['fds_open'], summary['fds_at_start'])
                fbtest.wait_until(lambda: sum(s.released, []) == [1, 5, 6], what=s.released)

    def problems(self, *signals, transport='bus', args=()):
        """What fb-client finds wrong in these calls on a Subscription."""
        self.broker.subscriptions.clear()
        process, s = self.attached(transport, *args)
        s.format()
        s.frame(1)
        for name, values in signals:
            getattr(s, name)(*values[0], **values[1])
        s.ended()
        events = self.finish(process, 4)
        return {word for e in events if e['event'] == 'frame' for word in e['problems']} | {
            e['what'] for e in events if e['event'] == 'problem'}

    def test_faults_are_seen(self):
        def frame(*args, **kwargs):
            return 'frame', (args, kwargs)

        for expected, signals in [
                ('gap is not what was told as lost', [frame(3)]),
                ('gap is not what was told as lost', [('lost', ((3,), {})), frame(4)]),
                ('seq does not grow', [frame(1)]),
                ('order does not grow', [frame(2, order=1)]),
                ('not sealed', [frame(2, seals=SEALS & ~SEAL_WRITE)]),
                ('not sealed', [frame(2, seals=0)]),
                ('plane outside of its memory', [frame(2, planes=[(0, 1, 64, 16)])]),
                ('plane outside of its memory', [frame(2, planes=[(0, 2**64 - 1, 64, 16)])]),
                ('plane names no memory', [frame(2, planes=[(1, 0, 64, 16)])]),
                ('format was not announced', [frame(2, number=2)]),
                ('Lost of nothing', [('lost', ((0,), {}))])]:
            with self.subTest(expected):
                self.assertIn(expected, self.problems(*signals))

    def test_nothing_after_the_end(self):
        self.assertIn('a signal after the end', self.problems(('ended', ((), {})), args=['--stay']))

    def test_more_than_the_window(self):
        process, s = self.attached('peer', '--never-release')
        s.format()
        for seq in range(1, 6):
            s.frame(seq)
        s.ended()
        frames = [e for e in self.finish(process, 4) if e['event'] == 'frame']
        self.assertEqual([f['ok'] for f in frames], [True] * 4 + [False])
        self.assertEqual(s.released, [])

    def test_hold_and_commands(self):
        process, s = self.attached('bus', '--hold', '2', '--checksum')
        s.format()
        for seq in range(1, 5):
            s.frame(seq)
        fbtest.wait_until(lambda: s.released == [[1], [2]], what=s.released)
        process.stdin.write(b'hold 1\n')
        process.stdin.flush()
        fbtest.wait_until(lambda: s.released == [[1], [2], [3]], what=s.released)
        process.stdin.write(b'release\nquit\n')
        process.stdin.flush()
        self.finish(process)
        fbtest.wait_until(lambda: s.released == [[1], [2], [3], [4]], what=s.released)

    def test_frames_of_somebody_else(self):
        process, s = self.attached('bus', '--frames', '1')
        forger = self.bus.connect()
        genuine, s.conn = s.conn, forger
        s.format()
        s.frame(1)
        forger.flush_sync(None)
        s.conn = genuine
        fbtest.wait_until(lambda: process.out().count('"stray"') == 2, what='two strays')
        s.format()
        s.frame(1)
        self.assertEqual([e['event'] for e in self.finish(process)].count('frame'), 1)

    def test_errors_are_told(self):
        argv = [str(fbtest.build_path('tests/bus/client/fb-client')), '--address', self.bus.address,
                '--source', 'other']
        process = self.enter(fbtest.Process(argv))
        fbtest.wait_until(lambda: process.returncode is not None, what='the end')
        self.assertEqual(process.returncode, 3)
        self.assertIn('org.framebus.Error.NoSuchSource', process.out())


if __name__ == '__main__':
    os.environ.setdefault('FB_BUS', 'daemon')
    fbtest.main()
