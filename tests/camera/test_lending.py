#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Frames that nobody copies, on real devices: framebus-v4l2 with vivid, and a broker that is played here, as it has to
keep what others release, and look at memory that is retired; at last with the real one and its viewers. In one machine
there are a webcam, one with the multi-planar interface, and one with memory for DMA.
"""

import collections
import fcntl
import json
import mmap
import os
import struct
import subprocess
import sys
import unittest

from gi.repository import GLib

import fbtest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'unit', 'sources'))
import fakebroker  # noqa: E402
from fakebroker import program  # noqa: E402

fakebroker.TIMEOUT = 60
SEALED, LEASED, DMABUF = KINDS = ('sealed', 'leased', 'dmabuf')
DEVICES = {'/dev/video0': [DMABUF, LEASED], '/dev/video1': [DMABUF, LEASED], '/dev/video2': [DMABUF]}
DISCONTINUITY, PAIRED = 4, 8
SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_FUTURE_WRITE = 2, 4, 8, 16
F_GET_SEALS = 1034
DRIVER = '/sys/bus/platform/drivers/vivid/'
WINDOW = 4


def fourcc(text):
    return struct.unpack('<I', text.encode())[0]


def control(device, name, value=1):
    subprocess.run(['v4l2-ctl', '-d', device, '-c', f'{name}={value}'], check=True)


class Memory:
    """One descriptor of a frame, mapped as a receiver would."""

    def __init__(self, fd):
        self.fd, stat = fd, os.fstat(fd)
        self.identity = (stat.st_dev, stat.st_ino)
        self.size = os.lseek(fd, 0, os.SEEK_END)
        # private mappings show what is written later, too, and do not keep older kernels from sealing
        kind = mmap.MAP_SHARED if 'dmabuf' in os.readlink(f'/proc/self/fd/{fd}') else mmap.MAP_PRIVATE
        self.map = mmap.mmap(fd, self.size, kind, mmap.PROT_READ)

    def seals(self):
        return fcntl.fcntl(self.fd, F_GET_SEALS)

    def may_be_written(self):
        try:
            mmap.mmap(self.fd, self.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()
        except OSError:
            return False
        return True

    def close(self):
        self.map.close()
        os.close(self.fd)


Frame = collections.namedtuple('Frame', 'seq flags kind buffer data planes n_memories')


class Lender(fakebroker.Broker):
    """Knows buffers as a broker does. Frames are kept until somebody says release(), or not, with `hold` False."""

    def __init__(self, device, hold=False):
        self.hold, self.buffers, self.held, self.wrong, self.lost_buffers = hold, {}, [], [], []
        self.known_then = set()  # buffers that there were when the first was said to be gone
        super().__init__([program('framebus-v4l2'), device], release=False)

    def on_call(self, connection, sender, path, interface, method, parameters, invocation):
        if method == 'Forget':
            if not self.lost_buffers:
                self.known_then = set(self.buffers)
            for buffer in parameters.unpack()[0]:
                self.lost_buffers.append(buffer)
        super().on_call(connection, sender, path, interface, method, parameters, invocation)

    def on_frame(self, args, invocation):
        memories = [Memory(fd) for fd in invocation.get_message().get_unix_fd_list().steal_fds()]
        seq, _, _, _, flags, _, planes, meta = args
        kind, buffer = KINDS[flags >> 8 & 15], meta.get('buffer', 0)
        if buffer:
            known = self.buffers.setdefault(buffer, memories)
            if [m.identity for m in known] != [m.identity for m in memories]:
                self.wrong.append(f'buffer {buffer} is another file')
            if buffer in [b for _, b in self.held]:
                self.wrong.append(f'buffer {buffer} is lent')
        data = b''.join(memories[m].map[offset:offset + size] for m, offset, size, _ in planes)
        self.frames.append(Frame(seq, flags, kind, buffer, data, planes, len(memories)))
        if not buffer or known is not memories:
            for memory in memories:
                memory.close()
        if kind == SEALED and not flags & PAIRED:
            self.give_back([seq])
        elif kind != SEALED:
            self.held.append((seq, buffer))
            if not self.hold:
                self.release_all()

    def give_back(self, seqs):
        self.emit('Release', GLib.Variant('(at)', (seqs,)))

    def release_all(self):
        self.give_back([seq for seq, _ in self.held])
        self.held = []

    def retire(self, buffers):
        self.emit('Retire', GLib.Variant('(at)', (buffers,)))

    def go(self, *memory, fourcc_text='NV12', buffers=WINDOW):
        self.emit('Start', GLib.Variant('(a{sv})', ({
            'fourcc': GLib.Variant('u', fourcc(fourcc_text)), 'modifier': GLib.Variant('t', 0),
            'width': GLib.Variant('u', 320), 'height': GLib.Variant('u', 180),
            'rate': GLib.Variant('(uu)', (10, 1)),
            'memory': GLib.Variant('as', memory), 'buffers': GLib.Variant('u', buffers)},)))

    def n_fds(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def n_maps(self):
        with open(f'/proc/{self.process.pid}/maps', encoding='ascii') as f:
            return sum('framebus' in line and 'memfd' in line or 'dmabuf' in line or '/dev/video' in line for line in f)


class LendingTest(unittest.TestCase):
    def begin(self, device, **options):
        lender = Lender(device, **options)
        self.addCleanup(lender.process.wait)
        self.addCleanup(lender.process.kill)
        self.wait(lender, lambda: lender.modes, 'modes')
        return lender

    def wait(self, lender, condition, what):
        ended = lender.process.poll
        if not lender.wait(lambda: condition() or ended() is not None) or ended() is not None:
            lender.wait(condition, 1)  # what it said at last
        if not condition():
            lender.process.kill()
            err = lender.end()[1]
            self.fail(f'{what}; {len(lender.frames)} frames, held {lender.held}, states {lender.states}: {err}')
        self.assertEqual(lender.wrong, [])

    def more(self, lender, n, kind=None):
        """N more frames (of that kind), which are given back."""
        first = len(lender.frames)

        def news():
            return [f for f in lender.frames[first:] if not kind or f.kind == kind]
        self.wait(lender, lambda: len(news()) >= n, f'{n} frames, {kind}')
        return news()

    def finish(self, lender):
        """The program's words at the end; nothing is left behind."""
        self.assertEqual(lender.wrong, [])
        lender.close()
        status, err = lender.end()
        for memories in lender.buffers.values():
            for memory in memories:
                memory.close()
        self.assertEqual(status, 0, err)
        return err

    def count(self, err, name):
        """Of the last count that was logged."""
        words = err.rpartition('frames so far: ')[2].split()
        return int(dict(word.split('=') for word in words if '=' in word)[name])

    def test_pictures(self):
        """What is lent is the picture that a copy of the same frame has, in every way, on each device."""
        for device, offers in DEVICES.items():
            for kind in offers:
                with self.subTest(device, kind=kind):
                    lender = self.begin(device)
                    self.assertEqual(sorted(lender.described['memory']), offers)
                    lender.go(SEALED, kind)
                    self.check_pairs(self.more(lender, 12), kind)
                    self.check_buffers(lender, kind)
                    err = self.finish(lender)
                    self.assertGreaterEqual(self.count(err, 'lent'), 5)
                    self.assertGreaterEqual(self.count(err, 'copied'), 5)

    def check_pairs(self, frames, kind):
        pairs = [(a, b) for a, b in zip(frames, frames[1:]) if a.flags & PAIRED]
        self.assertGreaterEqual(len(pairs), 5)
        for sealed, lent in pairs:
            self.assertEqual((sealed.kind, lent.kind, lent.seq), (SEALED, kind, sealed.seq))
            self.assertTrue(sealed.data == lent.data and any(lent.data), 'the same picture')
        self.assertGreater(len({lent.data for _, lent in pairs}), 3)

    def check_buffers(self, lender, kind):
        self.assertLessEqual(len(lender.buffers), 3 + WINDOW)
        for memories in lender.buffers.values():
            for memory in memories:
                self.assertFalse(memory.may_be_written())
                if kind == LEASED:
                    self.assertEqual(memory.seals() & 0x1f, SEAL_SHRINK | SEAL_GROW | SEAL_FUTURE_WRITE)
                else:
                    self.assertEqual(fcntl.fcntl(memory.fd, fcntl.F_GETFL) & os.O_ACCMODE, os.O_RDONLY)
                    self.assertIn('dmabuf', os.readlink(f'/proc/self/fd/{memory.fd}'))

    def test_nothing_is_copied(self):
        """While nobody wants copies there are none but of frames that the driver cannot do without."""
        for device, offers in DEVICES.items():
            for kind in offers:
                with self.subTest(device, kind=kind):
                    lender = self.begin(device)
                    lender.go(kind, buffers=16)
                    self.more(lender, 10, kind)
                    err = self.finish(lender)
                    self.assertEqual(self.count(err, 'copied'), self.count(err, 'starved'), err)
                    self.assertEqual(self.count(err, 'bytes'), self.count(err, 'starved-bytes'), err)

    def test_memories(self):
        """A memory for each plane: as many descriptors."""
        for kind in (LEASED, DMABUF):
            with self.subTest(kind):
                lender = self.begin('/dev/video1')
                lender.go(SEALED, kind, fourcc_text='YU24')
                frames = self.more(lender, 12)
                self.check_pairs(frames, kind)
                lent = [f for f in frames if f.kind == kind]
                self.assertEqual({f.n_memories for f in lent}, {3})
                self.assertEqual([p[0] for p in lent[0].planes], [0, 1, 2])
                self.finish(lender)

    def test_retired_leased(self):
        """Retired memory is sealed, and never changes again while the device goes on, whoever had it."""
        lender = self.begin('/dev/video0', hold=True)
        lender.go(LEASED)
        self.more(lender, 2)
        seq, buffer = lender.held[0]
        self.assertFalse(lender.buffers[buffer][0].seals() & SEAL_WRITE)
        self.check_retired(lender, [buffer], lambda: lender.give_back([seq]))
        lender.held = lender.held[1:]
        lender.hold = False
        lender.release_all()
        self.more(lender, 10)
        # with the device: the frame that it makes there is copied
        watched = list(lender.buffers)[-1]
        lender.retire([watched])
        memory = lender.buffers[watched][0]
        self.wait(lender, lambda: memory.seals() & SEAL_WRITE, 'the seal')
        before = bytes(memory.map)
        frames = self.more(lender, 20)
        self.assertEqual(bytes(memory.map), before)
        self.assertNotIn(watched, [f.buffer for f in frames])
        err = self.finish(lender)
        self.assertEqual((self.count(err, 'replaced'), self.count(err, 'unsealed')), (2, 0), err)
        self.assertGreater(self.count(err, 'sealed'), 2)

    def check_retired(self, lender, buffers, release):
        memories = [m for buffer in buffers for m in lender.buffers[buffer]]
        before = [bytes(m.map) for m in memories]
        lender.retire(buffers)
        release()
        self.wait(lender, lambda: all(m.seals() & SEAL_WRITE for m in memories), 'seals')
        self.assertEqual([bytes(m.map) for m in memories], before)
        n = len(lender.frames)
        lender.hold = False
        lender.held = [(s, b) for s, b in lender.held if b not in buffers]
        lender.release_all()
        self.more(lender, 20)
        self.assertEqual([bytes(m.map) for m in memories], before)
        self.assertFalse([f for f in lender.frames[n:] if f.buffer in buffers])
        lender.hold = True

    def test_retired_dmabuf(self):
        """The device gets new buffers; what receivers still have of the old ones stays as it is."""
        for device in ('/dev/video1', '/dev/video2'):
            with self.subTest(device):
                lender = self.begin(device, hold=True)
                lender.go(DMABUF)
                self.more(lender, 3)
                before = {b: bytes(lender.buffers[b][0].map) for _, b in lender.held}
                (seq, buffer), *_ = lender.held
                lender.retire([buffer])
                lender.give_back([seq])
                self.wait(lender, lambda le=lender: le.lost_buffers, 'new buffers')
                lender.hold, lender.held = False, [(s, b) for s, b in lender.held if b not in lender.known_then]
                lender.release_all()
                fresh = self.more(lender, 20)
                self.assertFalse({f.buffer for f in fresh} & lender.known_then)
                self.assertEqual({b: bytes(lender.buffers[b][0].map) for b in before}, before)
                self.assertEqual(sorted(lender.lost_buffers), sorted(lender.known_then - {buffer}))
                self.assertTrue([f for f in lender.frames if f.flags & DISCONTINUITY])
                self.assertEqual(len(lender.formats), 1)
                self.assertEqual(self.count(self.finish(lender), 'reallocated'), 1)

    def test_starving(self):
        """Nobody gives anything back: the stream goes on with copies, and what is lent stays as it is."""
        for kind in (LEASED, DMABUF):
            with self.subTest(kind):
                lender = self.begin('/dev/video0', hold=True)
                lender.go(kind)
                self.more(lender, 6, SEALED)
                self.assertEqual(len(lender.held), WINDOW + 1)
                for seq, buffer in lender.held:
                    frame, = [f for f in lender.frames if f.seq == seq]
                    planes = b''.join(lender.buffers[buffer][0].map[o:o + s] for _, o, s, _ in frame.planes)
                    self.assertTrue(planes == frame.data, 'as it was')
                lender.hold = False
                lender.release_all()
                self.more(lender, 8, kind)
                err = self.finish(lender)
                starved = self.count(err, 'starved')
                self.assertGreaterEqual(starved, 6)
                self.assertEqual(self.count(err, 'starved-bytes'), starved * 320 * 180 * 3 // 2)

    def test_more_receivers(self):
        """More of them want to hold more: the stream goes on, with more buffers."""
        lender = self.begin('/dev/video0', hold=True)
        lender.go(LEASED, buffers=1)
        self.more(lender, 2, SEALED)
        self.assertEqual(len(lender.held), 2)
        lender.go(LEASED, buffers=6)
        self.wait(lender, lambda: len(lender.held) == 7, 'buffers')
        self.more(lender, 2, SEALED)
        self.assertFalse([f for f in lender.frames[1:] if f.flags & DISCONTINUITY])
        self.assertEqual(len(lender.held), 7)
        self.finish(lender)

    def test_changes(self):
        """Other wishes while it runs: another way, the same format, and nothing is left of the one before."""
        lender = self.begin('/dev/video0')
        lender.go(SEALED)
        self.more(lender, 3, SEALED)
        counts = []
        for _ in range(2):
            for kind in (LEASED, DMABUF):
                lender.go(kind)
                frames = self.more(lender, 3, kind)
                self.assertTrue(frames[0].flags & DISCONTINUITY)
                lender.go(SEALED)
                self.more(lender, 3, SEALED)
            lender.stop()
            lender.run_for(0.5)
            counts.append((lender.n_fds(), lender.n_maps()))
            lender.go(SEALED)
            self.more(lender, 1)
        self.assertEqual(counts[0], counts[1])
        self.assertEqual(counts[0][1], 0)
        self.assertLessEqual(len(lender.formats), 3)  # one for each start
        self.assertEqual(sorted(lender.lost_buffers), sorted(lender.buffers))
        self.finish(lender)

    def test_faults(self):
        """Each of the device's faults is healed, and frames go the same way as before."""
        for device, kind in (('/dev/video0', LEASED), ('/dev/video2', DMABUF)):
            with self.subTest(device, kind=kind):
                lender = self.begin(device)
                lender.go(kind)
                self.more(lender, 2, kind)
                n_fds = lender.n_fds()
                for name in ('inject_v4l2_buf_flag_error', 'inject_vidioc_qbuf_error', 'inject_fatal_streaming_error'):
                    control(device, name)
                    self.more(lender, 6, kind)
                control(device, 'percentage_of_dropped_buffers', 100)
                self.wait(lender, lambda le=lender: 'no-signal' in [s[0] for s in le.states], 'a stall')
                for name in ('inject_vidioc_reqbufs_error', 'inject_vidioc_streamon_error'):
                    control(device, name)
                self.wait(lender, lambda le=lender: 'starting the stream' in le.states[-1][1], 'both errors')
                control(device, 'percentage_of_dropped_buffers', 0)
                self.more(lender, 6, kind)
                self.assertEqual(lender.states[-1][0], 'streaming')
                self.assertLessEqual(lender.n_fds(), n_fds + 2)
                self.finish(lender)

    def test_unplug(self):
        """What was lent stays as it is when the device goes."""
        lenders = [self.begin(device, hold=True) for device in DEVICES]
        for lender, kind in zip(lenders, (LEASED, DMABUF, DMABUF)):
            lender.go(kind)
            self.more(lender, 4)
        before = [{b: [bytes(m.map) for m in lender.buffers[b]] for _, b in lender.held} for lender in lenders]
        with open(DRIVER + 'unbind', 'w', encoding='ascii') as f:
            f.write('vivid.0')
        for lender in lenders:
            self.wait(lender, lambda le=lender: le.states and le.states[-1][0] == 'absent', 'absent')
            self.assertEqual(lender.end()[0], 4)
        for lender, pictures in zip(lenders, before):
            self.assertTrue(pictures)
            self.assertEqual({b: [bytes(m.map) for m in lender.buffers[b]] for b in pictures}, pictures)
        with open(DRIVER + 'bind', 'w', encoding='ascii') as f:
            f.write('vivid.0')
        lender = self.begin('/dev/video0')
        lender.go(LEASED)
        self.more(lender, 3, LEASED)
        self.finish(lender)


class ChainTest(fbtest.TestCase):
    """With the real broker, and viewers that ask for memory as programs do."""

    def start(self):
        self.bus = self.enter(fbtest.Bus())
        self.broker = self.enter(fbtest.Broker(self.bus, args=['--log-level=debug', '--idle-timeout=0']))
        self.conn = self.bus.connect()

    def watch(self, memory, frames, *options):
        return self.enter(fbtest.Process(
            [os.path.join(os.environ['FB_BUILD'], 'tools', 'framebusctl'), 'watch', 'video0', '--json',
             f'--memory={memory}', f'--frames={frames}', '--mode=NV12,320x180,10', '--timeout=60', *options],
            env=self.bus.env()))

    def finish(self, viewer):
        fbtest.wait_until(lambda: viewer.returncode is not None, 60, 'a viewer to end', interval=0.3)
        self.assertEqual(viewer.returncode, 0, viewer.log())
        return self.report(viewer)

    def report(self, viewer):
        """What it counted so far; it says so every second."""
        lines = [line for line in viewer.out().rpartition('\n')[0].splitlines() if '"frames"' in line]
        return json.loads(lines[-1]) if lines else {'frames': 0, 'frames-by-memory': {}}

    def more(self, viewer):
        """It goes on."""
        n = self.report(viewer)['frames']
        fbtest.wait_until(lambda: self.report(viewer)['frames'] > n, 60, 'more frames', interval=0.3)

    def kinds_of(self, viewer):
        return self.finish(viewer)['frames-by-memory']

    def state(self):
        value, = fbtest.call(self.conn, 'org.framebus', '/org/framebus/source/video0',
                             'org.freedesktop.DBus.Properties', 'Get',
                             GLib.Variant('(ss)', ('org.framebus.Source1', 'State')))
        return value

    def test_stopped_viewer(self):
        """One that holds all it was given, for ever, is suspended, and its memory replaced: the other goes on."""
        self.start()
        stopped, healthy = self.watch('leased', 100000), self.watch('leased,sealed', 100000)
        for viewer in (stopped, healthy):
            self.more(viewer)
        with fbtest.stopped(stopped.pid):
            self.assertEqual(self.kinds_of(self.watch('leased', 40, '--window=8')), {LEASED: 40})
        self.more(stopped)
        self.assertIn('suspended', stopped.out())
        self.more(healthy)
        self.assertIn(LEASED, self.report(healthy)['frames-by-memory'])

    def test_unplug(self):
        """Unplugged while its memory is lent, and plugged in again: the same subscriptions, memory of the same kind."""
        self.start()
        viewers = {kind: self.watch(kind + ',sealed', 100000, '--timeout=120') for kind in (LEASED, DMABUF)}
        for viewer in viewers.values():
            self.more(viewer)
        with open(DRIVER + 'unbind', 'w', encoding='ascii') as f:
            f.write('vivid.0')
        fbtest.wait_until(lambda: self.state() == 'absent', 30, 'absent', interval=0.3)
        with open(DRIVER + 'bind', 'w', encoding='ascii') as f:
            f.write('vivid.0')
        before = self.report(viewers[DMABUF])['frames-by-memory'][DMABUF]
        for viewer in viewers.values():
            self.more(viewer)
        after = {kind: self.report(viewer)['frames-by-memory'] for kind, viewer in viewers.items()}
        self.assertGreater(after[DMABUF][DMABUF], before)
        self.assertIn(SEALED, after[LEASED])  # one other kind at a time, and copies


if __name__ == '__main__':
    if not all(os.path.exists(device) for device in DEVICES):
        fbtest.skip_all('there are no three devices')
    fbtest.main()
