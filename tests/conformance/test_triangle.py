# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Causality: B and C watch a source; B acts on each frame, and its act reaches C by another way. C was given that frame
first, whatever the way, whoever attached first, and however long the broker takes from one to the other. Where a part
of what this takes is left out, C is not: so the tests would see it.
"""

import signal

import fbtest
import ordering

FRAMES = fbtest.count(60, 100000)

# Microseconds, where a part is left out: as long as it takes to see that
CONTROL_DELAYS = 20, 1000, 20000
CONTROL_NAPS = 300, 3000, 30000


class Triangle(ordering.TestCase):
    def holds(self, *args, ahead=2):
        for delay in ordering.delays():
            self.broker_with(f'stage-delay={delay}')
            for first in 'b', 'c':
                for way in 'socket', 'bus':
                    with self.subTest(delay=delay, first=first, way=way):
                        result = self.run_ordered('triangle', FRAMES, '--act', way, '--first', first, '--ahead', ahead,
                                                  *args)
                        self.assertEqual(result['violations'], 0)
                        self.assertGreaterEqual(result['acts'] + result['lost'], FRAMES)
                        self.assertGreaterEqual(result['given'] + result['lost'], FRAMES)

    def test_on_channels(self):
        self.holds('--transport', 'peer')

    def test_on_the_bus(self):
        self.holds('--transport', 'bus')

    def test_busy(self):
        """C finds everything at once, and looks at the socket first."""
        self.broker_with()
        for transport in 'peer', 'bus':
            for way in 'socket', 'bus':
                with self.subTest(transport=transport, way=way):
                    result = self.run_ordered('triangle', FRAMES // 2, '--transport', transport, '--act', way,
                                              '--ahead', 4, '--nap', CONTROL_NAPS[0])
                    self.assertEqual(result['violations'], 0)


class Controls(ordering.TestCase):
    """With a part left out there are violations."""

    def violates(self, *args, least=0.01):
        result = self.run_ordered('triangle', fbtest.count(40, 2000), *args)
        return result['violations'] > least * result['acts']

    def test_not_waiting_for_the_commit(self):
        """order=fifo: B acts while the broker has not even sent C the frame."""
        ordering.need_fault_points()
        for transport in 'peer', 'bus':
            for delay in CONTROL_DELAYS:
                self.broker_with(f'stage-delay={delay}')
                if self.violates('--transport', transport, '--order', 'fifo', least=0.1):
                    break
            else:
                self.fail(f'nobody noticed on {transport}')

    def test_not_looking_into_the_channel(self):
        """C believes its socket, and looks into its channel afterwards."""
        self.broker_with()
        self.assertTrue(any(self.violates('--transport', 'peer', '--no-barrier', '--nap', nap) for nap in CONTROL_NAPS))

    def test_no_barrier_on_the_bus(self):
        self.broker_with()
        self.assertTrue(any(self.violates('--transport', 'bus', '--no-barrier', '--nap', nap) for nap in CONTROL_NAPS))


class AllOrNothing(ordering.TestCase):
    """A broker that goes between stage and commit: the frame is in everybody's socket, and nobody is given it."""

    AT = 5

    def stage(self, fault):
        """
        Two on channels and one on the bus, and one who is content with what it reads. Some frames, and one that is
        staged: its number.
        """
        ordering.need_fault_points()
        self.broker_with(f'{fault}={self.AT}')
        publisher = self.published_by_hand('clip')
        self.witness = self.watch('--order', 'fifo')
        self.witness.wait_event('frame')        # comes with the first subscriber
        self.causal = [self.watch('--transport', transport) for transport in ('peer', 'peer', 'bus')]
        self.send(publisher, self.AT - 1)
        publisher.tell('send')
        self.witness.wait_event('frame', self.AT + 1)
        staged = self.witness.frames()[-1]['seq']
        for watcher in self.causal:
            watcher.wait_event('frame', seq=staged - 1)
        return staged

    def watch(self, *args):
        watcher = self.ordered('watch', '--source', 'clip', *args)
        watcher.wait_event('attached')
        return watcher

    @staticmethod
    def seqs(watcher):
        return [e['seq'] for e in watcher.frames()]

    def test_stopped(self):
        staged = self.stage('stage-stop')
        fbtest.wait_until(lambda: ordering.is_stopped(self.broker.pid), what='stopped')
        fbtest.never(lambda: any(staged in self.seqs(w) for w in self.causal), 0.2)
        fbtest.sigcont(self.broker.pid)
        for watcher in self.causal:
            watcher.wait_event('frame', seq=staged)
            self.assertEqual(self.seqs(watcher), list(range(staged - self.AT + 1, staged + 1)))
            self.assertEqual(watcher.events('disconnected') + watcher.events('lost'), [])

    def test_killed(self):
        staged = self.stage('stage-kill')
        self.broker.expect_status = -signal.SIGKILL
        fbtest.wait_until(lambda: self.broker.returncode is not None, what='killed')
        for watcher in self.causal:
            watcher.wait_event('disconnected')
            self.assertEqual(self.seqs(watcher)[-1], staged - 1)
        self.broker = self.start_broker()
        publisher = self.published_by_hand('clip')
        for watcher in self.causal:
            watcher.wait_event('attached', 2)
        self.send(publisher)
        for watcher in self.causal:
            fbtest.wait_until(lambda w=watcher: len(w.frames()) > self.AT - 1, what='a frame of the next broker')
            self.assertEqual(len({e['epoch'] for e in watcher.events('attached')}), 2)


class Stopped(ordering.TestCase):
    """A causal subscriber on the bus that does not read: Committed moves to where it does not listen."""

    def test_on_the_bus(self):
        self.start({'bars': ordering.programs.pattern('64x48', 50)})
        healthy, stopped = [self.ordered('watch', '--source', 'bars', '--transport', 'bus', '--window', 4)
                            for _ in range(2)]
        for watcher in healthy, stopped:
            watcher.wait_event('frame', 5)
        with fbtest.stopped(stopped.pid):
            fbtest.wait_until(lambda: any(s['suspended'] for s in self.who()), 20, 'suspended')
            healthy.wait_event('frame', len(healthy.frames()) + 30)
        self.assertEqual(healthy.events('disconnected'), [])
        n = len(stopped.frames())
        stopped.wait_event('frame', n + 30)         # more than were under way
        for watcher in healthy, stopped:
            said = watcher.events()
            frames = [i for i, e in enumerate(said) if e['event'] == 'frame']
            lost = sum(e['count'] for e in said[frames[0]:frames[-1]] if e['event'] == 'lost')
            self.assertEqual(said[frames[-1]]['seq'] - said[frames[0]]['seq'] + 1, len(frames) + lost)


if __name__ == '__main__':
    fbtest.main()
