# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Viewers that run out of file descriptors. Row 25 of the kdbus-era suite: a program on libframebus whose table is full
loses frames, or attaches anew, and says so; it does not hang, gets no wrong descriptor, leaks none, and nobody else
notices anything.
"""

import contextlib
import os
import re
import resource

import fbtest
import programs


def lowest_free(pid):
    taken = {int(fd) for fd in os.listdir(f'/proc/{pid}/fd')}
    return next(fd for fd in range(len(taken) + 1) if fd not in taken)


@contextlib.contextmanager
def full_table(pid):
    """Its limit is where its first free descriptor is, so that it can have no more than it has."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(pid), limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


class Example(fbtest.Process):
    """examples/04-subscribe, which writes the checksums of each frame's planes."""

    def __init__(self, bus, way):
        super().__init__([fbtest.build_path('examples/04-subscribe'), *['--bus'] * (way == 'bus'), '--frames', 1000000,
                          'clip'], env=bus.env())

    def frames(self):
        """{number: what it says of the frame's form and content}"""
        lines = self.out()
        lines = [line.split() for line in lines[:lines.rfind('\n') + 1].splitlines()]
        return {int(words[0]): words[2:] for words in lines}

    def losses(self):
        return [(int(n), reason) for n, reason in re.findall(r'lost (\d+): (\S+)', self.err())]

    def wait_more(self, n):
        wanted = len(self.frames()) + n
        fbtest.wait_until(lambda: len(self.frames()) >= wanted, 30, f'{n} more frames\n{self.err()}', interval=0.05)


class Full(programs.TestCase):
    def starve(self, viewer, beside):
        """Its table is full while others get frames; then until it gets some again."""
        told = viewer.err()
        with full_table(viewer.pid):
            beside.wait_more(5)
            fbtest.wait_until(lambda: viewer.err() != told, 15, 'a word about it', interval=0.05)
            beside.wait_more(5)
            self.ping()
        self.assertIsNone(viewer.returncode, viewer.err())
        viewer.wait_more(5)

    def check(self, viewer, beside):
        self.assertIsNone(viewer.returncode, viewer.err())
        self.assertNotIn('bad', {crc for words in viewer.frames().values() for crc in words})
        common = set(viewer.frames()) & set(beside.frames())
        self.assertGreater(len(common), 5)
        for seq in common:
            self.assertEqual(viewer.frames()[seq], beside.frames()[seq], f'the content of frame {seq}')

    def run_dry(self, way):
        self.start()
        self.published('clip', '--rate', 50, '--size', '64x48', '--quiet')
        beside, viewer = self.enter(Example(self.bus, 'peer')), self.enter(Example(self.bus, way))
        beside.wait_more(3)
        viewer.wait_more(3)
        mine = fbtest.proc_fds(viewer.pid)
        for _ in range(fbtest.count(2, 50)):
            self.starve(viewer, beside)
        self.check(viewer, beside)
        fbtest.wait_until(lambda: fbtest.proc_fds(viewer.pid) <= mine, 15, 'its descriptors of before', interval=0.05)
        self.assertNotIn('incomplete', beside.err())
        self.assertNotIn('disconnected', beside.err())
        viewer.stop()
        seqs = sorted(viewer.frames())
        gaps = seqs[-1] - seqs[0] + 1 - len(seqs)
        self.assertGreater(gaps, 0)
        return gaps, viewer

    def test_on_the_bus(self):
        """Each frame that found no room is told as lost; the connection stays."""
        gaps, viewer = self.run_dry('bus')
        losses = viewer.losses()
        self.assertIn('incomplete', {reason for _, reason in losses})
        told = sum(n for n, _ in losses)
        self.assertTrue(told - losses[-1][0] <= gaps <= told, (gaps, losses))   # the last may have no frame after it
        self.assertNotIn('disconnected', viewer.err())

    def test_on_a_channel(self):
        """The channel is lost, and attached anew once that is possible."""
        _gaps, viewer = self.run_dry('peer')
        self.assertIn('disconnected', viewer.err())


if __name__ == '__main__':
    fbtest.main()
