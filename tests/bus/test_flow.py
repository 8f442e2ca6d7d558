# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Credit and loss. Shows promises 3 (a slow subscriber harms only itself) and 4 (loss is exact), and rows 7 to 10
and 25 of the kdbus-era suite in these words: what a subscription lost is told by Lost, exactly once, right before
the next Frame or Ended; property Lost says it before that, also to who has an empty queue; what finds no credit is
lost, not what is queued (drop=newest), or all but the newest is (drop=latest).

Most tests send each frame by hand, so that every number can be said beforehand.
"""

import functools
import random
import time

import fbtest
import programs
from gi.repository import GLib
from programs import PEERS, SUBSCRIPTION, TRANSPORTS, Viewer


def each_way(test):
    """test(self, transport, name) for each way to subscribe, with a source of its own that self.hand sends."""
    @functools.wraps(test)
    def run(self):
        self.start()
        for transport in TRANSPORTS:
            with self.subTest(transport):
                name = f'clip-{transport}'
                self.hand = self.published_by_hand(name)
                test(self, transport, name)
    return run


class Credit(programs.TestCase):
    @each_way
    def test_window(self, transport, name):
        """window frames, not one more, until one is given back."""
        for window in 1, 2, 4, 16:
            viewer = Viewer(self, name, transport, window=window, replay=False)
            first = viewer.granted['seq'] + 1
            self.send(self.hand, window + 3 if first > 1 else window + 2)
            self.assertEqual(viewer.wait_frames(window), list(range(first, first + window)))
            self.assertEqual(viewer.get('InFlight'), window)
            viewer.release(first)
            self.send(self.hand)
            self.assertEqual(viewer.wait_frames(window + 1)[-1], first + window + 3)
            viewer.call('Close')

    @each_way
    def test_default_window(self, transport, name):
        viewer = Viewer(self, name, transport)
        self.assertEqual((viewer.granted['window'], viewer.get('Window')), (4, 4))
        self.send(self.hand, 9)
        viewer.wait_frames(4)

    def test_window_out_of_range(self):
        """Row 10: 0, 17 and 1000 are errors, not clamped."""
        self.start()
        self.hand = self.published_by_hand('clip')
        for transport in TRANSPORTS:
            for window in 0, 17, 1000, 2**32 - 1:
                message = self.raises('InvalidOption', Viewer, self, 'clip', transport, window=window)
                self.assertRegex(message, "'window'.*1 to 16")
        viewer = Viewer(self, 'clip', 'peer', window=3)
        for window in 0, 17:
            self.raises('InvalidOption', viewer.set_options, window=window)
        self.assertEqual(viewer.get('Window'), 3)

    def test_48_on_the_bus(self):
        """Row 10: windows of 48 frames on the bus in all; then LimitsExceeded, and others notice nothing."""
        self.start()
        self.hand = self.published_by_hand('clip')
        viewers = [Viewer(self, 'clip', 'bus', window=16) for _ in range(3)]
        for window in 1, 16:
            message = self.raises('LimitsExceeded', Viewer, self, 'clip', 'bus', window=window)
            self.assertRegex(message, '48.*Attach')
        self.raises('LimitsExceeded', self.on_source, 'clip', 'Subscribe', {'window': GLib.Variant('u', 1)})
        for transport in programs.PEERS:
            viewers.append(Viewer(self, 'clip', transport, window=16))
        self.send(self.hand, 20)
        for viewer in viewers:
            self.assertEqual(viewer.wait_frames(16), list(range(1, 17)))
        self.assertEqual(len(self.who()), 5)
        viewers[0].set_options(window=15)
        other = Viewer(self, 'clip', 'bus', window=1)
        self.raises('LimitsExceeded', other.set_options, window=2)
        self.raises('LimitsExceeded', viewers[0].set_options, window=16)
        self.assertEqual((other.get('Window'), viewers[0].get('Window')), (1, 15))
        viewers[1].call('Close')
        self.assertEqual(Viewer(self, 'clip', 'bus', window=16).granted['window'], 16)
        viewers[2].bus.close_sync(None)
        fbtest.wait_until(lambda: len(self.who()) == 5, what='its end')
        self.assertEqual(Viewer(self, 'clip', 'bus', window=16).granted['window'], 16)
        self.raises('LimitsExceeded', Viewer, self, 'clip', 'bus', window=1)

    @each_way
    def test_release_of_anything(self, transport, name):
        """Twice, unknown, late, zero, none: harmless, and no credit comes of it."""
        viewer = Viewer(self, name, transport, window=2)
        self.send(self.hand, 3)
        self.assertEqual(viewer.wait_frames(2), [1, 2])
        for seqs in (3,), (4,), (0,), (2**64 - 1,), (), (10**9, 10**9 + 1), tuple(range(100, 1100)):
            viewer.release(*seqs)
        self.send(self.hand)
        viewer.wait_frames(2)
        viewer.release(1, 1, 1)
        viewer.release(1)
        self.send(self.hand, 2)
        self.assertEqual(viewer.wait_frames(3), [1, 2, 6])
        viewer.release(6, 2)        # out of order
        viewer.release(2)           # late
        self.send(self.hand, 3)
        self.assertEqual(viewer.wait_frames(5), [1, 2, 6, 8, 9])
        self.assertEqual(viewer.get('InFlight'), 2)

    @each_way
    def test_release_up_to(self, transport, name):
        viewer = Viewer(self, name, transport, window=4)
        self.send(self.hand, 5)
        viewer.wait_frames(4)
        viewer.release_up_to(0)
        self.assertEqual(viewer.get('InFlight'), 4)
        viewer.release_up_to(3)
        self.assertEqual(viewer.get('InFlight'), 1)
        viewer.release_up_to(3)
        viewer.release_up_to(2**64 - 1)
        self.assertEqual(viewer.get('InFlight'), 0)
        self.send(self.hand, 5)
        self.assertEqual(viewer.wait_frames(8), [1, 2, 3, 4, 7, 8, 9, 10])

    @each_way
    def test_malformed_release(self, transport, name):
        """A call of the wrong signature is an error to who wants one, and changes nothing."""
        viewer = Viewer(self, name, transport, window=1)
        viewer.wait_frames(1)
        for value in GLib.Variant('(t)', (1,)), GLib.Variant('(ax)', ([1],)), None:
            self.raises('org.freedesktop.DBus.Error.InvalidArgs', viewer.call, 'Release', value)
        self.assertEqual(viewer.get('InFlight'), 1)


class Loss(programs.TestCase):
    @each_way
    def test_told_once(self, transport, name):
        """Row 7: the first frame after a loss follows Lost with exactly what is missing; the next has none."""
        viewer = Viewer(self, name, transport, window=2)
        self.send(self.hand, 6)             # 1, and 2 to 7
        viewer.wait_frames(2)
        viewer.release(1, 2)
        self.send(self.hand, 2)
        viewer.wait_frames(4)
        self.assertEqual(viewer.story(), [1, 2, (5, 'no-credit'), 8, 9])
        self.assertEqual((viewer.get('Delivered'), viewer.get('Lost')), (4, {'no-credit': 5}))

    @each_way
    def test_which_are_lost(self, transport, name):
        """Row 8: what is queued stays (newest), or only the latest is kept (latest)."""
        newest = Viewer(self, name, transport, window=4, drop='newest')
        latest = Viewer(self, name, transport, window=4, drop='latest')
        self.send(self.hand, 9)             # 10 in all
        for viewer in newest, latest:
            self.assertEqual(viewer.wait_frames(4), [1, 2, 3, 4])
            viewer.release(1)
        newest.sync()
        self.assertEqual(newest.story(), [1, 2, 3, 4])
        latest.wait_frames(5)
        self.assertEqual(latest.story(), [1, 2, 3, 4, (5, 'superseded'), 10])
        self.send(self.hand)
        newest.wait_frames(5)
        self.assertEqual(newest.story(), [1, 2, 3, 4, (6, 'no-credit'), 11])
        latest.release(2)
        latest.wait_frames(6)
        self.assertEqual(latest.story()[-2:], [10, 11])

    @each_way
    def test_readable_without_a_frame(self, transport, name):
        """Row 9: property Lost says it while nothing is queued; to read it takes nothing away from the signal."""
        viewer = Viewer(self, name, transport, window=1)
        viewer.wait_frames(1)
        self.assertEqual(viewer.get('Lost'), {})
        self.send(self.hand, 3)
        for _ in range(2):
            self.assertEqual(viewer.get('Lost'), {'no-credit': 3})
        self.assertEqual(viewer.named('Lost'), [])
        self.assertEqual(self.who()[0]['lost'], {'no-credit': 3})
        viewer.release(1)
        self.send(self.hand)
        viewer.wait_frames(2)
        self.assertEqual(viewer.story(), [1, (3, 'no-credit'), 5])
        self.assertEqual(viewer.get('Lost'), {'no-credit': 3})

    @each_way
    def test_by_the_source(self, transport, name):
        """What the publisher skips and what is refused is lost for all, each with its reason."""
        viewer = Viewer(self, name, transport, window=16)
        viewer.wait_frames(1)
        self.hand.tell('skip', 3)
        self.send(self.hand)
        self.send(self.hand, way='unsealed')
        self.hand.tell('skip', 2)
        self.send(self.hand, 2, way='pipe')
        self.send(self.hand)
        viewer.wait_frames(3)
        self.assertEqual(viewer.story(), [1, (3, 'source'), 5, (2, 'source'), (3, 'corrupt'), 11])
        self.assertEqual(self.source_get(name, 'Lost'), {'source': 5, 'corrupt': 3})

    @each_way
    def test_told_before_the_end(self, transport, name):
        """Losses that no frame followed are told before Ended; then nothing more comes."""
        viewer = Viewer(self, name, transport, window=1)
        viewer.wait_frames(1)
        self.send(self.hand, 4)
        self.hand.tell('destroy')
        viewer.wait_event('Ended')
        self.assertEqual(viewer.story(), [1, (4, 'no-credit'), 'Ended'])
        self.assertEqual(viewer.named('Ended')[0][1], 'destroyed')

    @each_way
    def test_two_of_a_kind(self, transport, name):
        """Each subscription has its own books, two of one client, too."""
        a = Viewer(self, name, transport, window=1)
        b = Viewer(self, name, transport, window=3)
        self.send(self.hand, 4)
        a.wait_frames(1)
        b.wait_frames(3)
        a.release(2, 3)
        b.release(2)
        self.send(self.hand)
        b.wait_frames(4)
        a.sync()
        self.assertEqual((a.story(), b.story()), ([1], [1, 2, 3, (2, 'no-credit'), 6]))

    def test_always_exact(self):
        """Gaps are the sum of Lost, whatever a subscriber does, at full speed."""
        self.start()
        n = 300 if fbtest.wrapper() else fbtest.count(3000, 100000)
        # as fast as the broker takes them; under valgrind it would get to nothing else
        pace = ['--rate', 50] if fbtest.wrapper() else ['--burst']
        publisher = self.published('clip', *pace, '--quiet', '--skip', 2, '--every', 97)
        manners = [('--hold', 1, '--window', 2), ('--drop', 'latest', '--window', 1), ('--release-up-to',),
                   ('--release-twice', '--window', 3), ('--opt', 'max-rate=(uu):500/1')]
        clients = [self.client('clip', t, '--quiet', *m) for t in TRANSPORTS for m in manners]
        for client in clients:
            client.wait_event('granted')
        seq = self.source_get('clip', 'Frames')
        fbtest.wait_until(lambda: self.source_get('clip', 'Frames') > seq + n, 60 + n / 500,
                          interval=0.1)
        lost = 0
        for client in clients:
            client.quit()
            lost += self.assert_exact(client)['lost']
        self.assertGreater(lost, len(clients))
        publisher.quit()


class Late(programs.TestCase):
    def test_by_less_than_a_window(self):
        """Who has a window of 16 on a channel may be late by a dozen frames, again and again, and lose nothing."""
        self.start()
        for transport in PEERS:
            with self.subTest(transport):
                name = f'clip-{transport}'
                hand = self.published_by_hand(name)
                viewers = [self.client(name, transport, '--window', 16) for _ in range(3)]
                for viewer in viewers:
                    viewer.wait_event('granted')
                self.send(hand)
                for viewer in viewers:
                    viewer.wait_frames(1)
                self.send(hand)                 # all channels are open: who had a replayed one has two by now
                for viewer in viewers:
                    viewer.wait_event('frame', seq=hand.events('sent')[-1]['seq'])
                for _ in range(4):
                    for viewer in viewers:
                        fbtest.sigstop(viewer.pid)
                    wanted = [len(viewer.frames()) + 12 for viewer in viewers]
                    self.send(hand, 12)
                    for viewer in viewers:
                        fbtest.sigcont(viewer.pid)
                    for viewer, n in zip(viewers, wanted):
                        viewer.wait_frames(n)
                for viewer in viewers:
                    viewer.quit()
                    self.assertEqual(self.assert_exact(viewer)['lost'], 0)
                hand.quit()


class Options(programs.TestCase):
    @each_way
    def test_set_options(self, transport, name):
        """A window that grows is there at once; one that shrinks waits for what is in flight."""
        viewer = Viewer(self, name, transport, window=2)
        self.send(self.hand, 3)
        viewer.wait_frames(2)
        granted = viewer.set_options(window=4, drop='latest')
        self.assertEqual((granted['window'], granted['drop'], granted['max-rate']), (4, 'latest', (0, 1)))
        self.send(self.hand, 3)
        self.assertEqual(viewer.wait_frames(4), [1, 2, 5, 6])
        viewer.set_options(window=1)
        self.assertEqual(viewer.get('Window'), 1)
        viewer.release(1, 2, 5)
        self.send(self.hand)
        viewer.wait_frames(4)
        viewer.release(6)
        self.assertEqual(viewer.wait_frames(5)[-1], 8)
        self.assertEqual(viewer.story(), [1, 2, (2, 'no-credit'), 5, 6, (1, 'superseded'), 8])

    @each_way
    def test_refused_changes(self, transport, name):
        """Unknown, not changeable, of the wrong type, out of range: named, and nothing of it is done."""
        viewer = Viewer(self, name, transport, window=2)
        for key, value, error in [('colour', GLib.Variant('u', 1), 'UnknownOption'),
                                  ('modes', GLib.Variant('aa{sv}', []), 'UnknownOption'),
                                  ('replay', GLib.Variant('b', True), 'UnknownOption'),
                                  ('window', GLib.Variant('i', 3), 'InvalidOption'),
                                  ('drop', GLib.Variant('s', 'oldest'), 'InvalidOption'),
                                  ('max_rate', GLib.Variant('(uu)', (1, 0)), 'InvalidOption')]:
            message = self.raises(error, viewer.set_options, **{'window': 9, 'drop': 'latest', key: value})
            self.assertIn(f"'{key.replace('_', '-')}'", message)
            self.assertEqual(viewer.get('Window'), 2)
        self.send(self.hand, 4)
        self.assertEqual(viewer.wait_frames(2), [1, 2])
        viewer.release(1)
        viewer.sync()
        self.assertEqual(viewer.story(), [1, 2])        # still drop=newest

    def test_window_property_changes(self):
        """On a channel it is signalled; on the bus, where that were a broadcast, the reply has to do."""
        self.start()
        self.hand = self.published_by_hand('clip')
        channel = self.open_channel('clip')
        channel.call(programs.SUBSCRIPTION_PATH, SUBSCRIPTION, 'SetOptions',
                     GLib.Variant('(a{sv})', (programs.variants({'window': 7}),)))
        changed = fbtest.wait_until(lambda: channel.named('PropertiesChanged'), what='PropertiesChanged')
        self.assertEqual(changed[0].unpack()[:2], (SUBSCRIPTION, {'Window': 7}))

    def test_max_rate(self):
        """No more than so many a second, the rest is lost by "rate"; and back."""
        self.start()
        publisher = self.published('clip', '--rate', 60)
        viewers = [self.client('clip', t, '--window', 16, '--opt', 'max-rate=(uu):10/1') for t in TRANSPORTS]
        for viewer in viewers:
            viewer.wait_frames(12)
            self.assertEqual(viewer.events('granted')[0]['granted']['max-rate'], [10, 1])
            frames = viewer.frames()
            seconds = (frames[-1]['pts_ns'] - frames[1]['pts_ns']) / 1e9
            self.assertLess((len(frames) - 2) / seconds, 11)
            viewer.tell('setoptions', 'max-rate=(uu):0/1')
            viewer.wait_event('granted', 2)
        for viewer in viewers:
            viewer.wait_frames(len(viewer.frames()) + 30)
            summary = viewer.quit()
            self.assert_exact(viewer)
            self.assertGreater(summary['lost_rate'], 30)
            made = summary['last_seq'] - summary.get('lost_source', 0)
            self.assertGreater(summary['delivered'], made / 8)      # of 60 a second: 10, then all
        publisher.quit()


def assert_story(story):
    """Each gap between two frames is what was told as lost between them."""
    seq, pending = None, 0
    for e in story:
        if isinstance(e, tuple):
            pending += e[0]
        elif isinstance(e, int):
            if seq is not None and e - seq - 1 != pending:
                raise AssertionError(f'{seq}, {e}: {story}')
            seq, pending = e, 0


class Suspension(programs.TestCase):
    def test_suspend_and_resume(self):
        """2 s without a release while frames wait: suspended, not cut off. Release or SetOptions resume it."""
        self.start()
        publisher = self.published('clip', '--rate', 30)
        viewers = [(how, Viewer(self, 'clip', t, window=2)) for t in TRANSPORTS for how in ('release', 'set_options')]
        for _, viewer in viewers:
            fbtest.wait_until(lambda v=viewer: len(v.frames()) == 2, what='two frames')
            viewer.release(viewer.frames()[0])
        began = time.monotonic()
        for _, viewer in viewers:
            self.assertEqual(viewer.wait_event('Suspended'), ('no-release',))
        self.assertGreater(time.monotonic() - began, 1.5)
        self.assertTrue(all(s['suspended'] for s in self.who()))
        fbtest.wait_until(lambda seq=self.source_get('clip', 'Frames'): self.source_get('clip', 'Frames') > seq + 10)
        for how, viewer in viewers:
            viewer.sync()
            self.assertEqual(viewer.events[-1], ('Suspended', 'no-release'))
            lost = viewer.get('Lost')
            self.assertGreaterEqual(lost['suspended'], 10)
            if how == 'release':
                viewer.release(viewer.frames()[1])
            else:
                viewer.set_options(window=4)
            fbtest.wait_until(lambda v=viewer: v.story()[-1:] != ['Suspended'] and v.frames()[3:], what='frames again')
            story = viewer.story()
            at = story.index('Suspended')
            self.assertEqual(story[at + 1], 'Resumed')
            self.assertEqual([r for _, r in story[at + 2:at + 4]], ['no-credit', 'suspended'])
            assert_story(story)
        publisher.quit()

    def test_hoarder(self):
        """Row 25: who never gives back is cut off at its credit; on the bus nobody knows whether it receives at all."""
        self.start()
        publisher = self.published('clip', '--rate', 20, '--size', '1024x1024')
        before = fbtest.proc_fds(self.broker.pid)
        hoarders = {t: self.client('clip', t, '--never-release', '--window', 8, '--stay') for t in TRANSPORTS}
        healthy = self.client('clip', 'peer', '--window', 16)
        self.assertEqual(hoarders['bus'].wait_event('ended')['reason'], 'undeliverable')
        for transport in programs.PEERS:
            hoarders[transport].wait_event('suspended')
        healthy.wait_frames(len(healthy.frames()) + 30)
        for hoarder in hoarders.values():
            self.assertEqual(len(hoarder.frames()), 8)
            summary = hoarder.quit()
            self.assertEqual((summary['problems'], summary['held']), (0, 8))
        self.assertLessEqual(fbtest.proc_fds(self.broker.pid), before + 16)
        healthy.quit()
        self.assert_complete(healthy)
        publisher.quit()


class Randomly(programs.TestCase):
    @each_way
    def test_random_releases(self, transport, name):
        """A thousand steps of nonsense by hand, and the books are right."""
        dice = random.Random(int.from_bytes(transport.encode()))
        viewer = Viewer(self, name, transport, window=4)
        viewer.wait_frames(1)
        for _ in range(fbtest.count(40, 400)):
            for _ in range(dice.randrange(4)):
                viewer.release(*[dice.randrange(2000) if dice.random() < .5 else f
                                 for f in viewer.frames()[-dice.randrange(6):]])
            if dice.random() < .2:
                viewer.set_options(drop=dice.choice(['newest', 'latest']), window=dice.randrange(1, 17))
            self.send(self.hand, dice.randrange(1, 6))
            viewer.sync()
        viewer.set_options(drop='newest', window=16)
        viewer.release(*viewer.frames())
        self.send(self.hand)
        viewer.sync()
        assert_story(viewer.story())
        frames = viewer.frames()
        self.assertEqual(frames[-1] - frames[0] + 1, len(frames) + sum(viewer.get('Lost').values()))


if __name__ == '__main__':
    fbtest.main()
