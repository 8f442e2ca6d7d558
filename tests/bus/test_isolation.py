# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Capture programs that go wrong: one that crashes, hangs or eats memory is told as such, ended and started again, ever
more slowly, and costs its own source only. Others lose nothing, and the broker grows by nothing.
"""

import os
import pathlib
import re
import signal
import sys

import fbtest
import programs
from programs import TRANSPORTS

# Takes memory of its own until it gets no more, then says how much that was and fails.
EATER = '''
import sys
taken = []
try:
    while True:
        taken.append(bytearray(1 << 24))
except MemoryError:
    n = len(taken)
    del taken
    print("took", n * 16, "MiB", file=sys.stderr, flush=True)
    sys.exit(3)
'''


class Isolation(programs.TestCase):
    def begin(self, bad, *args):
        """Two sources, a good one with viewers of each kind, and another."""
        self.start({'good': programs.pattern(rate=20), 'bad': bad}, args=args)
        self.healthy = [self.client('good', t, '--window', 16) for t in TRANSPORTS]
        for client in self.healthy:
            client.wait_frames(5)
        self.rss = fbtest.proc_rss_kib(self.broker.pid)

    def end(self):
        """The good one's viewers go on and have lost nothing; the broker is what it was."""
        for client in self.healthy:
            client.wait_frames(len(client.frames()) + 5)
            client.quit()
            self.assert_complete(client)
        if not programs.instrumented():
            self.assertLess(fbtest.proc_rss_kib(self.broker.pid), self.rss + 1024)

    def workers_of(self, name):
        """Capture programs with this word in their command line."""
        return [p for p in fbtest.descendants_of(self.broker.pid) if name in fbtest.command_of(p)]

    def test_confined(self):
        """A capture program has given up what it does not need."""
        self.start({'good': programs.pattern('64x48', 20)})
        viewer = self.client('good', 'peer')
        viewer.wait_frames(1)
        pid, = self.workers_of('64x48')
        status = pathlib.Path(f'/proc/{pid}/status').read_text()
        self.assertRegex(status, r'NoNewPrivs:\s1')
        if '-DFB_HAVE_SECCOMP=1' in (pathlib.Path(os.environ['FB_BUILD']) / 'compile_commands.json').read_text():
            self.assertRegex(status, r'Seccomp:\s2')

    def test_crash(self):
        """One that crashes again and again: it is told, and started again each time."""
        self.begin(programs.pattern('64x48', 50))
        reasons = self.record('PropertiesChanged', path=self.resolve('bad'))
        viewer = self.client('bad', 'peer')
        viewer.wait_frames(3)
        pid, = self.workers_of('64x48')
        for _ in range(3):
            os.kill(pid, signal.SIGABRT)
            pid, = fbtest.wait_until(lambda pid=pid: [p for p in self.workers_of('64x48') if p != pid], 15,
                                     'another one')
            viewer.wait_frames(len(viewer.frames()) + 3)
        viewer.wait_frames(len(viewer.frames()) + 3)
        told = [values[1].get('StateReason') for _, _, values in reasons if values[1].get('State') == 'failed']
        self.assertEqual(set(told), {'framebus-pattern was killed by signal ABRT'})
        viewer.quit()
        self.assert_exact(viewer)
        self.assertEqual(viewer.events('ended'), [])
        self.end()

    def test_hang(self):
        """One that hangs, as in an ioctl: it is told, and ended when it can be; viewers see the next one's frames."""
        self.begin(programs.pattern('64x48', 50), '--answer-timeout', '2.5')
        viewer = self.client('bad', 'peer')
        viewer.wait_frames(3)
        pid, = self.workers_of('64x48')
        fbtest.sigstop(pid)
        fbtest.wait_until(lambda: self.source_get('bad', 'State') == 'failed', 30, 'failed')
        self.assertIn('does not answer', self.source_get('bad', 'StateReason'))
        self.assertEqual(self.workers_of('64x48'), [pid])           # not two of them at the device
        n = len(viewer.frames())
        fbtest.sigcont(pid)
        viewer.wait_frames(n + 3)
        self.assertNotIn(pid, self.workers_of('64x48'))
        self.assertEqual(self.source_get('bad', 'State'), 'streaming')
        viewer.quit()
        self.assert_exact(viewer)
        self.assertEqual(viewer.events('ended'), [])
        self.end()

    def test_memory(self):
        """One that takes all memory it can get gets no more than there is for one."""
        if programs.instrumented():
            self.skipTest('a sanitizer takes more memory than there is')
        folder = pathlib.Path(self.enter(fbtest.Config()).path)
        (folder / 'eater.py').write_text(EATER)
        self.begin(f'[Source]\nExec={sys.executable} {folder}/eater.py\n')
        viewer = self.client('bad', 'peer')
        took = fbtest.wait_until(lambda: re.search(r'took (\d+) MiB', self.broker.err()), 20, 'its end')
        self.assertTrue(500 < int(took.group(1)) <= 1024, took.group(0))
        fbtest.wait_until(lambda: 'exited with status 3' in self.source_get('bad', 'StateReason'))
        viewer.kill()
        self.end()

    def test_first_to_go(self):
        """When the machine has no memory left it is not the broker that goes."""
        self.begin(programs.PATTERN)
        pid, = self.workers_of('framebus-pattern')
        score = [int(pathlib.Path(f'/proc/{p}/oom_score_adj').read_text()) for p in (self.broker.pid, pid)]
        self.assertEqual(score[1], max(score[0], 500))
        self.end()


if __name__ == '__main__':
    fbtest.main()
