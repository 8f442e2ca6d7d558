# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each example, run against the real broker: what they print has to be what was published, plane for plane."""

import os
import pathlib
import re

import fbtest

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / 'examples'
V = fbtest.GLib.Variant
PYTHON = '/usr/bin/python3'


def program(name, *args):
    if name.endswith('.py'):
        return [PYTHON, str(EXAMPLES / name), *args]
    return [str(fbtest.build_path(f'examples/{name}')), *args]


def lines(text, has_seq):
    """{pts: (format, size, sums)} of an example's output, and the seqs."""
    rows = [line.split() for line in text.splitlines()]
    if not has_seq:
        return {row[0]: tuple(row[1:]) for row in rows}, []
    return {row[1]: tuple(row[2:]) for row in rows}, [int(row[0]) for row in rows]


class Examples(fbtest.TestCase):
    def setUp(self):
        self.bus = self.enter(fbtest.Bus())
        self.broker = self.enter(fbtest.Broker(self.bus, {}))

    def start(self, name, *args):
        return self.enter(fbtest.Process(program(name, *args), env=self.bus.env()))

    def publish(self, *args, name='05-publish'):
        publisher = self.start(name, *args, 'moving')
        conn = self.bus.connect()

        def is_there():
            try:
                return fbtest.call(conn, 'org.framebus', '/org/framebus', 'org.framebus.Manager1', 'Resolve',
                                   V('(s)', ('moving',)))
            except fbtest.GLib.Error:
                return None
        fbtest.wait_until(is_there, what='the source')
        return publisher

    def test_all_at_once(self):
        self.watch(self.publish('--size', '322x180', '--rate', '60'))

    def test_all_at_once_of_what_is_lent(self):
        """01 to 03 get the one copy, and 04 by a channel of its own and by the bus what is drawn into again."""
        publisher = self.publish(name='07-lend')
        options = {'memory': V('as', ['leased', 'sealed'])}
        granted, = fbtest.call(self.bus.connect(), 'org.framebus', '/org/framebus/source/moving',
                               'org.framebus.Source1', 'Negotiate', V('(a{sv})', (options,)))
        self.assertEqual(granted['memory'], 'leased')
        self.watch(publisher)

    def watch(self, publisher):
        viewers = [self.start(name, *args, '--frames', '30', 'moving') for name, *args in (
            ['01-subscribe-sdbus'], ['02-subscribe-gdbus'], ['03-subscribe.py'], ['04-subscribe'],
            ['04-subscribe', '--bus'])]
        for viewer in viewers:
            self.assertEqual(viewer.wait(15), 0, viewer.log())
        self.assertEqual(publisher.stop(), -15)
        published, _ = lines(publisher.out().rsplit('\n', 1)[0], False)
        for viewer in viewers:
            seen, seqs = lines(viewer.out(), True)
            self.assertEqual(len(seen), 30, viewer.argv)
            lost = sum(int(n) for n in re.findall(r'lost (\d+)', viewer.err()))      # on a busy machine
            self.assertLessEqual(seqs[-1] - seqs[0] - 29, lost, viewer.argv)
            for pts, row in seen.items():
                self.assertEqual(row, published.get(pts, 'never published'), viewer.argv)

    def test_handed_on(self):
        """What is seen by a program that was given a channel, of one that has ended."""
        publisher = self.publish('--rate', '60')
        viewer = self.start('09-share', '--frames', '12', 'moving')
        self.assertEqual(viewer.wait(15), 0, viewer.log())
        self.assertEqual(publisher.stop(), -15)
        published, _ = lines(publisher.out().rsplit('\n', 1)[0], False)
        seen, _ = lines(viewer.out(), True)
        self.assertEqual(len(seen), 12)
        for pts, row in seen.items():
            self.assertEqual(row, published.get(pts, 'never published'))

    def test_latest_only(self):
        self.publish('--rate', '60')
        viewer = self.start('06-latest-only', '--frames', '8', '--work', '100', 'moving')
        self.assertEqual(viewer.wait(15), 0, viewer.log())
        rows = [line.split() for line in viewer.out().splitlines()]
        seqs = [int(row[0]) for row in rows]
        ages = [float(row[row.index('age') + 1]) for row in rows]
        lost = [int(row[-1]) for row in rows]
        self.assertEqual([b - a - 1 for a, b in zip(seqs, seqs[1:])], lost[1:])
        self.assertGreater(sum(lost), 8)
        # the newest: one after the other, the four that its window holds would make it four times its work old
        self.assertLess(min(ages), 4 * 100)

    def test_causal(self):
        """A recorder that is told of a frame has it: on a channel, and on the bus."""
        self.publish('--rate', '200')
        for way in [], ['--bus']:
            with self.subTest(way):
                recorder = self.start('08-causal-sdbus', *way, '--frames', '1000000', 'moving')
                fbtest.wait_until(lambda: 'frame' in recorder.out(), what='a frame')            # noqa: B023
                name = recorder.out().split()[0]
                detector = self.start('08-causal-sdbus', *way, '--frames', '100', '--tell', name, 'moving')
                self.assertEqual(detector.wait(15), 0, detector.log())
                fbtest.wait_until(lambda: recorder.out().count('keep') == 100, what='the last call')   # noqa: B023
                rows = recorder.out().splitlines()[1:]
                kept = [int(re.findall(r'\d+', row)[0]) for row in rows if row.startswith('keep')]
                frames = [int(row.split()[1]) for row in rows if row.startswith('frame')]
                self.assertEqual(kept, [int(row.split()[1]) for row in detector.out().splitlines()[1:]
                                        if row != 'frame 0'][:100])
                # what a busy machine made the recorder lose it does not have later either
                for row in rows:
                    if row.endswith('not here'):
                        self.assertNotIn(int(re.findall(r'\d+', row)[0]), frames)
                recorder.stop()

    def test_ends_after_its_frames(self):
        publisher = self.publish('--frames', '20', '--rate', '60')
        viewer = self.start('04-subscribe', 'moving')
        self.assertEqual(publisher.wait(15), 0, publisher.log())
        self.assertEqual(viewer.wait(15), 1)        # its source is gone before it had its 100 frames
        self.assertEqual(len(publisher.out().splitlines()), 20)

    def test_no_such_source(self):
        for name in '01-subscribe-sdbus', '02-subscribe-gdbus', '03-subscribe.py', '04-subscribe', '06-latest-only', \
                '09-share':
            with self.subTest(name):
                viewer = self.start(name, 'nothing')
                self.assertEqual(viewer.wait(15), 1)
                self.assertIn("'nothing'", viewer.err())

    def test_no_broker(self):
        self.broker.stop()
        for name in '01-subscribe-sdbus', '02-subscribe-gdbus', '03-subscribe.py':
            with self.subTest(name):
                viewer = self.start(name, 'moving')
                self.assertEqual(viewer.wait(15), 1)
                self.assertRegex(viewer.err(), 'org.framebus|not activatable')


if __name__ == '__main__':
    os.environ.setdefault('FB_BUS', 'daemon')
    fbtest.main()
