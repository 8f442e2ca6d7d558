# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Leased memory: written in place, again and again, and never while somebody looks at it. Shows promise 2 (a frame's
content never changes while it is held) where the kernel does not see to it, and promise 3 (who stops or leaves harms
nobody). fb-client sums each frame up when it comes and when it is given back; fb-publisher writes to each buffer as
soon as it may.
"""

import fcntl
import os

import fbtest
import programs
from gi.repository import GLib
from programs import PUBLICATION, PUBLICATION_PATH, TRANSPORTS, Viewer

F_ADD_SEALS = 1033
SHRINK_GROW, FUTURE_WRITE, SEALED = 6, 16, 15
PAIRED, VOLATILE = 8, 16
LEASED, DMABUF = 1 << 8, 2 << 8
MODE = {'fourcc': GLib.Variant('u', 0x20203852), 'modifier': GLib.Variant('t', 0), 'width': GLib.Variant('u', 64),
        'height': GLib.Variant('u', 48), 'rate': GLib.Variant('(uu)', (30, 1))}
SIZE = 64 * 48
BOTH = ['--opt', 'memory=as:leased,sealed', '--checksum', '--no-attack']


def memory(*kinds):
    return GLib.Variant('as', kinds)


class Case(programs.TestCase):
    def lender(self, *args):
        return self.published('clip', '--leased', '--rate', 100, '--size', '64x48', *args)

    def end(self, publisher):
        """It has seen nothing wrong. Its summary."""
        summary = publisher.quit()
        self.assertEqual((summary['problems'], summary['refused']), (0, 0), publisher.events('problem'))
        return summary

    def last_start(self, publisher):
        mode = publisher.events('start')[-1]['mode']
        return sorted(mode['memory']), mode['buffers']


class Lending(Case):
    def test_in_place(self):
        """A few buffers serve any number of frames; what is held stays as it is, whatever is held and how long."""
        self.start()
        publisher = self.lender('--quiet')
        viewers = [self.client('clip', transport, *BOTH, '--window', 6, '--hold', hold, '--frames', 60)
                   for transport, hold in zip(TRANSPORTS, (0, 2, 5))]
        for viewer in viewers:
            summary = viewer.finish()
            self.assert_exact(viewer)
            frames = viewer.frames()
            self.assertEqual({f['memory'] for f in frames}, {'leased'})
            self.assertLess(len({f['buffer'] for f in frames}), 22 + 3 * 18)
            self.assertEqual(summary['delivered'], 60)
            self.assertEqual(viewer.events('granted')[0]['granted']['memory'], 'leased')
        self.assertLessEqual(self.end(publisher)['buffers'], 64)

    def test_attack(self):
        """Who has leased memory can do nothing to it."""
        self.start()
        publisher = self.lender('--quiet')
        for transport in TRANSPORTS:
            viewer = self.client('clip', transport, '--opt', 'memory=as:leased', '--checksum', '--frames', 5)
            viewer.finish()
            self.assert_exact(viewer)
        self.end(publisher)

    def test_leased_and_sealed(self):
        """Each gets the memory that it was granted, and the same picture."""
        self.start()
        publisher = self.lender()
        leased = self.client('clip', 'peer', *BOTH)
        leased.wait_frames(3)
        self.assertEqual(self.last_start(publisher), (['leased'], 4))
        sealed = self.client('clip', 'peer', '--checksum')
        plain = self.client('clip', 'bus', '--checksum')
        for viewer in sealed, plain, leased:
            viewer.wait_frames(len(viewer.frames()) + 10)
        self.assertEqual(self.last_start(publisher), (['leased', 'sealed'], 4))
        pictures = {e['seq']: e['crc32'] for e in publisher.events('sent')}
        times = {e['pts_ns']: e['seq'] for e in publisher.events('sent')}
        for viewer, kind in (sealed, 'sealed'), (plain, 'sealed'), (leased, 'leased'):
            frames = viewer.frames()
            self.assertEqual({f['memory'] for f in frames[-10:]}, {kind})
            publisher.wait_event('sent', 1, pts_ns=frames[-1]['pts_ns'])
            pictures.update({e['seq']: e['crc32'] for e in publisher.events('sent')})
            times.update({e['pts_ns']: e['seq'] for e in publisher.events('sent')})
            for frame in frames:
                self.assertEqual(frame['crc32'], pictures[times[frame['pts_ns']]])
        leased.quit()
        fbtest.wait_until(lambda: self.last_start(publisher) == (['sealed'], 0))
        n = len(sealed.frames())
        sealed.wait_frames(n + 5)
        for viewer in sealed, plain:
            viewer.quit()
            self.assert_exact(viewer)
        self.assert_exact(leased)
        self.end(publisher)

    def test_stopped(self):
        """Who stops keeps what it has, for ever; nobody waits for it, and nothing is written to that."""
        self.start()
        before = fbtest.proc_fds(self.broker.pid)
        publisher = self.lender('--quiet')
        others = [self.client('clip', t, *BOTH, '--window', 8, '--quiet') for t in ('peer', 'bus')]
        stopped = self.client('clip', 'peer', *BOTH, '--window', 5, '--hold', 4, '--frames', 400)
        stopped.wait_frames(12)
        fbtest.sigstop(stopped.pid)
        retired = publisher.wait_event('retired')
        self.assertEqual(len(retired['buffers']), 5)
        self.more_frames(30)
        self.assertEqual([s['suspended'] for s in self.who()].count(True), 1)
        fbtest.sigcont(stopped.pid)
        stopped.wait_event('resumed')
        stopped.wait_frames(20)         # what it held did not change: fb-client looks
        stopped.quit()
        self.assert_exact(stopped)
        for other in others:
            other.quit()
            self.assert_exact(other)
        self.end(publisher)
        self.fds_are(before)

    def more_frames(self, n):
        """Until the source has made n more."""
        start = self.source_get('clip', 'Frames')
        fbtest.wait_until(lambda: self.source_get('clip', 'Frames') >= start + n, 20)

    def test_leaving(self):
        """What somebody was ever sent is not written to when it has left, however it left."""
        self.start()
        publisher = self.lender('--quiet')
        other = self.client('clip', 'peer', *BOTH, '--quiet')
        for transport, end in ('peer', 'close'), ('bus', 'close'), ('peer', 'kill'), ('bus', 'kill'):
            viewer = self.client('clip', transport, *BOTH, '--window', 3)
            viewer.wait_frames(12)
            n, seen = len(publisher.events('retired')), {f['buffer'] for f in viewer.frames()}
            viewer.kill() if end == 'kill' else viewer.quit()
            self.assertGreaterEqual(len(publisher.wait_event('retired', n + 1)['buffers']),
                                    len(seen) if n == 0 else 1)
        ids = [i for e in publisher.events('retired') for i in e['buffers']]
        self.assertEqual(len(ids), len(set(ids)))
        self.more_frames(10)
        other.quit()
        self.assert_exact(other)
        summary = self.end(publisher)
        self.assertGreater(summary['retired'], 4)

    def test_publisher_gone(self):
        """A publisher that dies with frames lent leaves nothing behind, and its frames are there still."""
        self.start()
        before = fbtest.proc_fds(self.broker.pid)
        publisher = self.lender()
        viewer = self.client('clip', 'peer', *BOTH, '--hold', 3, '--stay')
        viewer.wait_frames(6)
        publisher.kill()
        viewer.wait_event('ended')
        viewer.quit()
        self.assert_exact(viewer)
        self.fds_are(before)

    def test_forget(self):
        """Buffers that were freed are closed in the broker; what comes then are others."""
        self.start()
        publisher = self.lender('--frames', 1, '--stay')
        viewer = Viewer(self, 'clip', 'peer', memory=['leased'], replay=False)
        for _ in range(3):
            publisher.tell('send')
        viewer.wait_frames(4)
        viewer.release_up_to(4)
        self.assertEqual(self.n_memories(), 4 + 1)      # the newest is kept, with the message that it was sent as
        publisher.tell('forget')
        fbtest.wait_until(lambda: self.n_memories() == 1 + 1, what='what was freed to be closed')
        publisher.tell('send')
        viewer.wait_frames(5)
        ids = [e[8]['buffer'] for e in viewer.events if e[0] == 'Frame']
        self.assertEqual(len(set(ids)), 5)
        publisher.quit()

    def n_memories(self):
        return len([f for f in self.broker_fds() if 'memfd' in f])

    def test_latest(self):
        """A frame that is held for a viewer is not written to either."""
        self.start()
        publisher = self.lender('--quiet')
        viewer = self.client('clip', 'peer', *BOTH, '--window', 1, '--drop', 'latest', '--hold', 1)
        self.more_frames(20)
        for n in range(1, 6):
            viewer.wait_frames(n)
            viewer.tell('release')
            self.more_frames(5)
        viewer.tell('release')
        viewer.quit()
        self.assert_exact(viewer)
        self.end(publisher)


class Granting(Case):
    def grant(self, *kinds, conn=None):
        return self.on_source('clip', 'Negotiate', {'memory': memory(*kinds)}, conn)[0]['memory']

    def test_order(self):
        """The first of the list that there is."""
        self.start()
        self.lender()
        self.assertEqual(self.grant('leased', 'sealed'), 'leased')
        self.assertEqual(self.grant('sealed', 'leased'), 'sealed')
        self.assertEqual(self.grant('dmabuf', 'leased'), 'leased')
        self.assertEqual(self.grant('dmabuf', 'sealed', 'leased'), 'sealed')
        self.raises('NoCommonMemory', self.grant, 'dmabuf', text="you accept dmabuf .*'clip' has sealed, leased$")
        viewer = Viewer(self, 'clip', 'bus', memory=['dmabuf', 'leased'])
        self.assertEqual(viewer.granted['memory'], 'leased')
        self.assertEqual([s['memory'] for s in self.who()], ['leased'])

    def test_words(self):
        """What Describe may say."""
        self.start()
        hand = ByHand(self, 'clip', say=False)
        for value in memory('unsealed'), GLib.Variant('s', 'leased'), memory(*['leased'] * 17):
            self.raises('InvalidOption', hand.call, 'Describe', '(a{sv})', {'memory': value}, text="'memory'")
        hand.call('Describe', '(a{sv})', {'memory': memory('sealed', 'dmabuf')})
        hand.call('Modes', '(aa{sv})', [MODE])
        self.assertEqual(self.grant('leased', 'dmabuf'), 'dmabuf')
        hand.call('Describe', '(a{sv})', {'memory': memory()})
        self.raises('NoCommonMemory', self.grant, 'dmabuf', text='has sealed$')

    def test_another_user(self):
        """What could be changed by a publisher that is another user is not for everybody."""
        fbtest.need_root()
        self.start(bus_type='system')
        hand = ByHand(self, 'clip', say=False)
        hand.call('Describe', '(a{sv})', {'memory': memory('leased', 'dmabuf')})
        hand.call('Modes', '(aa{sv})', [MODE])
        for user, kinds, status, text in [('nobody', ['leased', 'sealed'], 0, '"memory" s "sealed"'),
                                          ('nobody', ['leased'], 1, 'but may not give you leased, dmabuf'),
                                          ('nobody', ['dmabuf'], 1, 'as its publisher is another user'),
                                          (None, ['dmabuf', 'sealed'], 0, '"memory" s "dmabuf"'),
                                          (None, ['leased'], 0, '"memory" s "leased"')]:
            with self.subTest(f'{user} {kinds}'):
                process = self.enter(fbtest.Process(
                    ['busctl', '--address', self.bus.address, 'call', 'org.framebus', self.resolve('clip'),
                     programs.SOURCE, 'Negotiate', 'a{sv}', '1', 'memory', 'as', str(len(kinds)), *kinds], user=user))
                fbtest.wait_until(lambda: process.returncode is not None, 20)
                self.assertEqual(process.returncode, status, process.log())
                self.assertIn(text, process.log())


class ByHand:
    """A publisher that does what it likes, with any memory. Frame number n has picture n: its bytes are all n."""

    def __init__(self, test, name, say=True):
        options = GLib.Variant('(sa{sv})', (name, {}))
        (self.path, _h), fds = test.call(programs.MANAGER_PATH, programs.MANAGER, 'Publish', options, with_fds=True)
        self.test, self.seq, self.fds = test, 0, {}
        self.channel = programs.Channel(fds[0])
        test.addCleanup(self.channel.close)
        if say:
            self.call('Describe', '(a{sv})', {'memory': memory('leased', 'dmabuf')})
            self.call('Modes', '(aa{sv})', [MODE])

    def call(self, member, signature, *values, **options):
        self.channel.call(PUBLICATION_PATH, PUBLICATION, member, GLib.Variant(signature, values), **options)

    def format(self):
        fbtest.wait_until(lambda: self.channel.named('Start'))
        self.call('FormatChanged', '(tua{sv})', 0, 1, MODE)

    def memfd(self, seals=SHRINK_GROW | FUTURE_WRITE, size=SIZE):
        fd = os.memfd_create('clip', os.MFD_ALLOW_SEALING)
        self.test.addCleanup(os.close, fd)
        os.write(fd, bytes(size))
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
        return fd

    def buffer(self, number):
        """The same memory for the same number."""
        if number not in self.fds:
            self.fds[number] = self.memfd()
        return self.fds[number]

    def frame(self, number=0, fd=None, flags=LEASED, seq=None, pts=0, meta=None):
        """In buffer @number; 0: sealed memory."""
        self.seq = self.seq + 1 if seq is None else seq
        if fd is None:
            fd = self.buffer(number) if number else self.memfd(SEALED)
        if meta is None:
            meta = {'buffer': GLib.Variant('t', number)} if number else {}
        self.call('Frame', '(tttuuaha(uttu)a{sv})', self.seq, 0, pts, 1, flags if number else flags & 0xff, [0],
                  [(0, 0, SIZE, 64)], meta, fds=[fd])

    def numbers(self, member):
        """What signals of that name said, one after the other."""
        self.channel.call(PUBLICATION_PATH, programs.PEER, 'Ping')
        while GLib.MainContext.default().iteration(False):
            pass
        return [n for v in self.channel.named(member) for n in v.unpack()[0]]


class Wrong(Case):
    """Each has an error of its own, and costs its publisher that frame and nobody anything else."""

    def begin(self, *kinds, **options):
        self.start()
        hand = ByHand(self, 'clip')
        viewer = Viewer(self, 'clip', 'peer', memory=list(kinds or ('leased', 'sealed')), window=16, **options)
        hand.format()
        return hand, viewer

    def test_leased(self):
        hand, viewer = self.begin()
        hand.frame(1)
        for what, error, text, arguments in [
                ('no seals', 'NotSealed', 'FUTURE_WRITE', dict(number=2, fd=hand.memfd(0))),
                ('no seal against shrinking', 'NotSealed', 'SHRINK', dict(number=2, fd=hand.memfd(4 | FUTURE_WRITE))),
                ('no memfd', 'InvalidMemory', 'memfd', dict(number=2, fd=0)),
                ('too short', 'InvalidMemory', 'past|end|short', dict(number=2, fd=hand.memfd(size=SIZE // 2))),
                ('no number', 'InvalidFrame', 'buffer id', dict(number=2, meta={})),
                ('number 0', 'InvalidFrame', 'buffer id', dict(number=2, meta={'buffer': GLib.Variant('t', 0)})),
                ('lent', 'InvalidFrame', 'lent', dict(number=1)),
                ('volatile', 'InvalidFrame', 'may change', dict(number=2, flags=LEASED | VOLATILE)),
                ('no dma-buf', 'InvalidMemory', 'dma-buf', dict(number=2, flags=DMABUF)),
                ('no such kind', 'NotSealed', 'kind', dict(number=2, flags=3 << 8)),
                ('not sealed', 'NotSealed', 'SEAL', dict(fd=hand.buffer(2), flags=0))]:
            with self.subTest(what):
                self.raises(error, hand.frame, text=text, **arguments)
        hand.frame(2)
        hand.frame(3)
        viewer.release(viewer.wait_frames(3)[0])
        self.assertEqual(hand.numbers('Release'), [1])
        self.raises('InvalidMemory', hand.frame, 1, hand.buffer(9), text='other memory')
        hand.frame(1)
        self.assertEqual(viewer.story()[1:3], [(11, 'corrupt'), 13])
        self.assertEqual(len(viewer.wait_frames(4)), 4)
        self.assertEqual(self.source_get('clip', 'Lost'), {'corrupt': 12})

    def test_not_announced(self):
        """Memory of a kind that Describe did not name."""
        hand, viewer = self.begin('sealed')
        hand.call('Describe', '(a{sv})', {'memory': memory('dmabuf')})
        self.raises('NotSealed', hand.frame, 1, text='not agreed')
        hand.call('Describe', '(a{sv})', {'memory': memory()})
        self.raises('NotSealed', hand.frame, 1, text='only sealed')
        hand.frame()
        viewer.wait_frames(1)

    def test_65_buffers(self):
        hand, viewer = self.begin(replay=False)
        for number in range(1, 65):
            hand.frame(number)
            viewer.release_up_to(number)
        self.raises('LimitsExceeded', hand.frame, 65, text='64 buffers')
        hand.call('Forget', '(at)', [64, 1, 1, 1000])
        hand.frame(66)                                  # in the place of 1; that of 64, the newest, comes back by it
        hand.frame(67)
        self.raises('LimitsExceeded', hand.frame, 68, text='64 buffers')
        viewer.sync()
        self.assertEqual(viewer.frames()[-2:], [66, 67])

    def test_pairs(self):
        """Two frames that are none: the sealed one goes out alone, the other is refused, and nothing counts twice."""
        hand, viewer = self.begin()
        hand.frame(flags=PAIRED, pts=7)
        hand.frame(1, seq=1, pts=7)
        hand.frame(flags=PAIRED, pts=8)
        self.raises('InvalidFrame', hand.frame, 2, seq=2, pts=9, text='differ')
        hand.frame(flags=PAIRED, pts=8)
        self.raises('InvalidFrame', hand.frame, seq=3, pts=8, flags=0, text='both .* sealed')
        hand.frame(flags=PAIRED)
        self.raises('NotSealed', hand.frame, 2, hand.memfd(0), seq=4, text='seal')
        hand.frame(flags=PAIRED)
        hand.frame(2)                                   # the next one: that was no pair
        self.raises('InvalidFrame', hand.frame, 3, flags=LEASED | PAIRED, text='begins with the sealed')
        hand.frame(flags=PAIRED)
        self.raises('InvalidFrame', hand.frame, 3, seq=2, text='does not grow')
        hand.seq = 8
        hand.frame(flags=PAIRED)
        hand.call('FormatChanged', '(tua{sv})', 0, 1, MODE)
        self.assertEqual(viewer.wait_frames(8), [1, 2, 3, 4, 5, 6, 8, 10])
        self.assertEqual(viewer.story(), [1, 2, 3, 4, 5, 6, (1, 'corrupt'), 8, (1, 'corrupt'), 10])
        kinds = [e[5] >> 8 for e in viewer.events if e[0] == 'Frame']
        self.assertEqual(kinds, [1, 0, 0, 0, 0, 1, 0, 0])
        self.assertTrue(all(e[5] & 0xff == 0 for e in viewer.events if e[0] == 'Frame'))
        viewer.release_up_to(10)
        self.assertEqual(sorted(hand.numbers('Release')), [1, 5, 6, 8, 9])

    def test_retired(self):
        """One frame may have been under way in a buffer that is retired; a second one breaks the promise."""
        hand, viewer = self.begin(replay=False)
        other = Viewer(self, 'clip', 'peer', memory=['leased'], window=16, replay=False)
        for number in 1, 2, 3:
            hand.frame(number)
        for each in viewer, other:
            each.wait_frames(3)
        viewer.release(1)
        other.release(1)
        self.assertEqual(hand.numbers('Release'), [1])
        other.channel.close()
        fbtest.wait_until(lambda: sorted(hand.numbers('Retire')) == [1, 2, 3], 15)
        self.assertEqual(hand.numbers('Release'), [1])
        hand.frame(1)                                   # it was on its way
        self.raises('InvalidFrame', hand.frame, 1, text='lent|retired')
        self.raises('InvalidFrame', hand.frame, 2, text='lent|retired')
        viewer.wait_frames(4)
        hand.frame(4)
        viewer.release_up_to(100)
        self.assertEqual(sorted(hand.numbers('Release')), [1, 2, 3, 4])
        for number in 1, 2, 3:
            self.raises('InvalidFrame', hand.frame, number, text='retired')
        self.assertEqual(sorted(hand.numbers('Retire')), [1, 2, 3])

    def test_suspended(self):
        """Who does not give back is suspended, and the others lose nothing; it can go on when it wants."""
        hand, viewer = self.begin()
        stopped = Viewer(self, 'clip', 'peer', memory=['leased'], window=2, replay=False)
        hand.frame(1)
        hand.frame(2)

        def more():
            n = len(viewer.frames())
            hand.frame(3)
            viewer.release(viewer.wait_frames(n + 1)[-1])
            hand.frame()                                # for the newest that is kept: the third buffer is back
            viewer.release(viewer.wait_frames(n + 2)[-1])
            return hand.numbers('Retire')
        viewer.release_up_to(viewer.wait_frames(2)[-1])
        self.assertEqual(hand.numbers('Release'), [])
        fbtest.wait_until(more, 30, 'buffers to be retired', interval=0.1)
        self.assertEqual(sorted(hand.numbers('Retire')), [1, 2])
        self.assertEqual(sorted(hand.numbers('Release')), list(range(1, hand.seq + 1)))
        self.assertEqual(viewer.story(), list(range(1, hand.seq + 1)))
        stopped.release_up_to(2)
        hand.frame(3)
        stopped.wait_frames(3)
        self.assertEqual(stopped.frames(), [1, 2, hand.seq])
        self.assertEqual(stopped.named('Suspended'), [('no-release',)])
        self.assertEqual(sum(count for count, _reason in stopped.named('Lost')), hand.seq - 3)
        stopped.channel.close()
        fbtest.wait_until(lambda: 3 in hand.numbers('Retire'), 15)

    def test_released_by_all(self):
        """A frame comes back when the last one has released it and there is a newer one; a pair as one."""
        hand, viewer = self.begin()
        other = Viewer(self, 'clip', 'bus', memory=['leased', 'sealed'])
        third = Viewer(self, 'clip', 'bus')
        hand.frame(flags=PAIRED)
        hand.frame(1, seq=1)
        for each in viewer, other, third:
            each.wait_frames(1)
        viewer.release(1)
        third.release(1)
        self.assertEqual(hand.numbers('Release'), [])
        other.release(1)
        self.assertEqual(hand.numbers('Release'), [])
        hand.frame()
        self.assertEqual(sorted(hand.numbers('Release')), [1, 2])


if __name__ == '__main__':
    fbtest.main()
