# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Streams whose frames build on others: whoever lost something goes on with a keyframe, a newcomer begins with one, and
the source is asked for it. fb-publisher plays the encoder: it flags every Nth frame, and the next one when asked.
"""

import fbtest
import programs
from programs import TRANSPORTS, Viewer

KEYFRAME, REPLAYED = 2, 1
ENCODER = '--format', 'H264', '--size', '64x48'


class Case(programs.TestCase):
    def by_hand(self, name):
        """Flags its first frame, and those that it is asked for."""
        return self.published(name, '--frames', 1, '--stay', '--rate', 1000, '--keyframes', 1000, *ENCODER)

    def assert_decodable(self, frames, what):
        """[(seq, flags)]: each is a keyframe, or follows the one before it."""
        for i, (seq, flags) in enumerate(frames):
            if not flags & KEYFRAME:
                self.assertGreater(i, 0, what)
                self.assertEqual(seq, frames[i - 1][0] + 1, (what, frames[:i + 1]))


class Keyframes(Case):
    def test_after_a_loss(self):
        """What comes before the next keyframe is lost for that reason; who has credit again has one asked for."""
        self.start()
        for transport in TRANSPORTS:
            with self.subTest(transport):
                hand = self.by_hand(f'clip-{transport}')
                viewer = Viewer(self, f'clip-{transport}', transport, window=2)
                self.send(hand, 6)              # 1, a keyframe, and 2 to 7
                viewer.wait_frames(2)
                self.assertEqual(hand.events('keyframe-wanted'), [])
                viewer.release(1, 2)
                self.send(hand)
                hand.wait_event('keyframe-wanted')
                self.send(hand, 2)
                viewer.wait_frames(4)
                self.assertEqual(viewer.story(), [1, 2, (1, 'no-credit'), (5, 'keyframe'), 9, 10])
                self.assertEqual(viewer.get('Lost'), {'no-credit': 1, 'keyframe': 5})

    def test_newcomers(self):
        """One who comes between keyframes gets none of what is in between, and has one asked for."""
        self.start()
        for transport in TRANSPORTS:
            with self.subTest(transport):
                hand = self.by_hand(f'clip-{transport}')
                first = Viewer(self, f'clip-{transport}', 'peer', window=16)
                self.send(hand, 3)
                viewers = [Viewer(self, f'clip-{transport}', transport, window=8, replay=replay)
                           for replay in (False, True)]
                hand.wait_event('keyframe-wanted')
                self.send(hand, 2)
                first.wait_frames(6)
                for viewer in viewers:
                    fbtest.wait_until(lambda: 6 in viewer.frames(), what='frame 6')         # noqa: B023
                    frames = [(e[1], e[5]) for e in viewer.events if e[0] == 'Frame']
                    self.assertEqual([f[0] for f in frames if not f[1] & REPLAYED], [5, 6])
                    # if it was not too old by then
                    self.assertLessEqual({f for f in frames if f[1] & REPLAYED}, {(1, KEYFRAME | REPLAYED)})

    def test_whoever_loses(self):
        """Whatever is lost and why, what comes can be decoded, and all is accounted for."""
        self.start()
        publisher = self.published('clip', '--rate', 250, '--keyframes', 15, '--quiet', '--skip', 2, '--every', 40,
                                   *ENCODER)
        ways = [('--window', 1, '--opt', 'drop=s:latest'), ('--window', 2),
                ('--window', 4, '--opt', 'max-rate=(uu):100/1'), ('--window', 16)]
        viewers = [self.client('clip', transport, '--frames', 25, *way)
                   for transport in ('bus', 'peer') for way in ways]
        for viewer in viewers:
            viewer.finish(timeout=60)
            self.assert_exact(viewer)
            self.assert_decodable([(f['seq'], f['flags']) for f in viewer.frames()], viewer.argv)
        self.assertEqual(publisher.quit()['problems'], 0)

    def test_no_keyframes_at_all(self):
        """A source that flags none starves nobody."""
        self.start()
        hand = self.published('clip', '--frames', 1, '--stay', '--rate', 1000, *ENCODER)
        viewer = Viewer(self, 'clip', 'peer', window=2)
        self.send(hand, 3)
        viewer.wait_frames(2)
        viewer.release(1, 2)
        self.send(hand)
        viewer.wait_frames(3)
        self.assertEqual(viewer.story(), [1, 2, (2, 'no-credit'), 5])
        self.assertEqual(hand.events('keyframe-wanted'), [])


if __name__ == '__main__':
    fbtest.main()
