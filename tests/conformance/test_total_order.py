# SPDX-License-Identifier: LGPL-2.1-or-later
"""
One order everywhere: three programs watch two sources; each is given the frames of both in one order, which grows and
is the same for all.
"""

import fbtest
import ordering

FRAMES = fbtest.count(120, 100000)


class Total(ordering.TestCase):
    def holds(self, transport, window, ahead=6):
        for delay in ordering.delays():
            self.broker_with(f'stage-delay={delay}')
            for nap in 0, 500:
                frames = FRAMES // 4 if nap else FRAMES
                with self.subTest(delay=delay, nap=nap):
                    result = self.run_ordered('total', frames, '--transport', transport, '--window', window,
                                              '--ahead', ahead, '--nap', nap)
                    self.assertEqual(result['inversions'], 0)
                    self.assertEqual(result['differences'], 0)
                    self.assertGreaterEqual(result['given'] + result['lost'], 3 * frames)

    def test_on_channels(self):
        self.holds('peer', 16)

    def test_on_the_bus(self):
        self.holds('bus', 8, ahead=2)

    def test_without(self):
        """order=fifo: a program that finds frames of both is given them as it reads its channels."""
        self.broker_with()
        result = self.run_ordered('total', 200, '--order', 'fifo', '--ahead', 6, '--nap', 2000)
        self.assertGreater(result['inversions'], 0)


if __name__ == '__main__':
    fbtest.main()
